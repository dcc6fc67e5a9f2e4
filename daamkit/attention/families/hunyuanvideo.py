"""HunyuanVideo-1.5: [video, texts] in one softmax, the texts sorted by what is masked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from daamkit.attention.calls import Call, Pass, Rows
from daamkit.attention.families.concepts import ConceptPlaces, ConceptText
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Reading
from daamkit.attention.families.video import Video
from daamkit.attention.sites import Layout, Site, Span

_REFINER = r"context_embedder\.token_refiner\.refiner_blocks\.\d+\.attn"
_SITE = re.compile(rf"({_REFINER})|transformer_blocks\.\d+\.attn")
_QUOTED = re.compile(r"\"(.*?)\"|\u201c(.*?)\u201d")
_MASKS = {
    "text_encoder_2": ("encoder_hidden_states_2", "encoder_attention_mask_2"),
    "text_encoder": ("encoder_hidden_states", "encoder_attention_mask"),
}  # in the order of their keys


class HunyuanVideo15(Video):
    """HunyuanVideo-1.5: [video, places of a picture to begin with, ByT5, Qwen], then all padding,
    which is hidden.

    ByT5 reads what stands in quotes, byte by byte; Qwen the whole prompt, in a chat whose first
    tokens are dropped. Groups are "block" and, before them, "refiner" (of Qwen's places alone).
    Concepts are read by Qwen, whose places the refiner pools, and not by ByT5.
    """

    name: ClassVar[str] = "hunyuanvideo-1.5"
    model = "HunyuanVideo15Transformer3DModel"
    whole = False
    concepts = ConceptPlaces(
        apart=True,
        texts=tuple(
            ConceptText(name, *_MASKS[name]) for name in ("text_encoder", "text_encoder_2")
        ),
    )

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """One a block, after those of the refiner."""
        found: list[tuple[str, bool, Any]] = []
        for name, module in denoiser.named_modules():
            if place := _SITE.fullmatch(name):
                found.append((name, place[1] is not None, module))
        return [
            Site(
                name,
                "text" if refines else "joint",
                "refiner" if refines else "block",
                order,
                module.heads,
                module,
            )
            for order, (name, refines, module) in enumerate(found)
        ]

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """A pass for each branch, as its guider has them; conditions lie in more channels."""
        config: Any = denoiser.config
        noisy = inputs[self.image][:, : config.out_channels]
        text = tuple(inputs[name] for name, _ in _MASKS.values())
        branches = self._branch(call, text, earlier)
        return Reading(noisy, inputs["timestep"], branches, self.patches(denoiser, noisy), text)

    def _branch(
        self, call: Call, text: tuple[Tensor, ...], earlier: Sequence[Pass]
    ) -> dict[str, Rows]:
        """The prompt's pass is the first of a step; with its text again, something else is done."""
        name = "cond"
        if earlier:
            again = any(text[1] is each.text[1] for each in earlier)
            name = "perturbed" if again else call.without
        return call.rows([name], len(text[0]))

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """Of each row, the places that its masks leave."""
        if nth:
            return None
        rows, dropped = len(now.inputs[self.image]), _dropped(now)
        if site.kind == "text":
            spans = (Span("text_encoder", 0, keys, dropped),)
            return Layout(now.grid, slice(0, 0), (spans,) * rows)
        cells = now.grid[0] * now.grid[1] * now.grid[2]
        pictured = now.inputs.get("image_embeds")
        seen = pictured is not None and bool(torch.any(pictured != 0))
        start = cells + (pictured.shape[1] if pictured is not None and seen else 0)
        text = []
        for row in range(rows):
            at, own = start, list[Span]()
            for encoder, (_, mask) in _MASKS.items():
                first = dropped if encoder == "text_encoder" else 0
                for begin, end in _runs(now.inputs[mask][row]):
                    own.append(Span(encoder, at, end - begin, first + begin))
                    at += end - begin
            text.append(tuple(own))
        return Layout(now.grid, slice(0, cells), tuple(text))

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """All places, hidden ones too."""
        inputs = now.inputs
        if site.kind == "text":
            return int(inputs["encoder_hidden_states"].shape[1])
        pictured = inputs.get("image_embeds")
        more = [inputs[name] for name, _ in _MASKS.values()]
        more += [] if pictured is None else [pictured]
        return math.prod(now.grid) + sum(int(each.shape[1]) for each in more)

    def reach(self, now: Pass, row: int) -> dict[str, int]:
        """As far as the masks go."""
        found = {}
        for encoder, (_, mask) in _MASKS.items():
            first = _dropped(now) if encoder == "text_encoder" else 0
            found[encoder] = first + max(
                (end for _, end in _runs(now.inputs[mask][row])), default=0
            )
        return found

    def own_size(self, pipe: Any) -> tuple[int, int]:
        """Of the aspect and the area that it was made for."""
        wide, high = pipe.default_aspect_ratio
        found = pipe.video_processor.calculate_default_height_width(high, wide, pipe.target_size)
        return int(found[0]), int(found[1])

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Qwen in a chat, and ByT5, which comes first among the keys."""
        if getattr(pipe, "tokenizer", None) is None or pipe.tokenizer_2 is None:
            return []
        dropped, mark = int(pipe.prompt_template_encode_start_idx), "\ufffc"
        chat = [
            {"role": "system", "content": pipe.system_message},
            {"role": "user", "content": mark},
        ]
        written = pipe.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True
        )
        before, after = written.split(mark)
        return [
            Encoder(
                "text_encoder",
                pipe.tokenizer,
                pipe.text_encoder,
                limit=int(pipe.tokenizer_max_length) + dropped,
                mask="prompt_embeds_mask",
                template=(before, after),
                dropped=dropped,
            ),
            Encoder(
                "text_encoder_2",
                pipe.tokenizer_2,
                pipe.text_encoder_2,
                limit=int(pipe.tokenizer_2_max_length),
                embeds="prompt_embeds_2",
                mask="prompt_embeds_mask_2",
                rewrites=quoted,
            ),
        ]


def quoted(text: str) -> list[tuple[str, int | None]]:
    """What ByT5 is given of a prompt: a character each, and where it stands in the prompt.

    Empty where nothing stands in quotes.
    """
    spans: dict[str, int] = {}
    for match in _QUOTED.finditer(text):
        group = 1 if match[1] else 2
        spans.setdefault(match[group] or "", match.start(group))
    parts: list[tuple[str, int | None]] = []
    for said, start in spans.items():
        parts += [(char, None) for char in 'Text "']
        parts += [(char, start + at) for at, char in enumerate(said)]
        parts += [(char, None) for char in '". ']
    return parts


def _dropped(now: Pass) -> int:
    return int(now.call.pipe.prompt_template_encode_start_idx)


def _runs(mask: Tensor) -> list[tuple[int, int]]:
    """Where a mask is on, as runs of places."""
    found: list[tuple[int, int]] = []
    for at in mask.nonzero().flatten().tolist():
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found
