"""HiDream-I1: [image, T5, Llama, this block's own layer of Llama] in one softmax."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.asked import default
from daamkit.attention.families.concepts import ConceptPlaces, ConceptText
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Reading
from daamkit.attention.families.transformer import Negated
from daamkit.attention.sites import Grid, Layout, Site, Span

_SITE = re.compile(r"(double|single)_stream_blocks\.\d+\.block\.attn1")


class HiDream(Negated):
    """HiDream-I1, whose blocks read Llama twice: what the blocks before have made of it, and a
    layer of it that is each block's own ("text_encoder_4_layers").

    Groups are "double" (text and image have weights of their own) and "single" (one for both).
    Images that are not square are filled up with places whose keys are zeros, and seen. Concepts
    stand among what T5 says.
    """

    name: ClassVar[str] = "hidream"
    model = "HiDreamImageTransformer2DModel"
    concepts = ConceptPlaces(texts=(ConceptText("text_encoder_3", "encoder_hidden_states_t5"),))

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """One a block, as they run."""
        found: list[Site] = []
        for name, module in denoiser.named_modules():
            if place := _SITE.fullmatch(name):
                heads: Any = module.heads
                found.append(Site(name, "joint", place[1], len(found), heads, module))
        return found

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """The T5's embeddings stand for a prompt's."""
        found = {
            f"{own}prompt_embeds": given.get(f"{own}prompt_embeds_t5") for own in ("", "negative_")
        }
        return given | found

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass."""
        noisy = inputs[self.image]
        text = (inputs["encoder_hidden_states_t5"], _rows_first(inputs))
        grid = self.patches(denoiser, noisy)
        return Reading(noisy, inputs["timesteps"], call.branches(len(noisy)), grid, text)

    def select(self, now: Pass, rows: Sequence[int]) -> dict[str, Any]:
        """Of Llama the layers come first."""
        own = _rows_first(now.inputs)[list(rows)].transpose(0, 1)
        return super().select(now, rows) | {"encoder_hidden_states_llama3": own}

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """Cells, what the image is filled up with, the texts."""
        if nth:
            return None
        height, width = now.grid
        at = height * width if height == width else int(now.denoiser.max_seq)
        t5, llama = now.inputs["encoder_hidden_states_t5"].shape[1], _rows_first(now.inputs)
        spans = []
        for encoder, length in zip(_ENCODERS, (t5, llama.shape[2], llama.shape[2]), strict=True):
            spans.append(Span(encoder, at, length))
            at += length
        return Layout(now.grid, slice(0, height * width), (tuple(spans),) * len(llama))

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """The texts come last."""
        return layout.text_end

    def encoders(self, pipe: Any) -> list[Encoder]:
        """T5, and Llama twice; of both CLIPs there is no place."""
        if getattr(pipe, "tokenizer_3", None) is None or pipe.tokenizer_4 is None:
            return []
        limit = default(pipe, "max_sequence_length")
        t5 = Encoder(
            "text_encoder_3", pipe.tokenizer_3, pipe.text_encoder_3, "prompt_3", limit,
            embeds="prompt_embeds_t5",
        )  # fmt: skip
        return [
            t5,
            *(
                Encoder(
                    name,
                    pipe.tokenizer_4,
                    pipe.text_encoder_4,
                    "prompt_4",
                    limit,
                    embeds="prompt_embeds_llama3",
                )  # fmt: skip
                for name in _ENCODERS[1:]
            ),
        ]

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """Sizes are scaled to the area of the pipeline's own."""
        side, cell = self.side(pipe), int(pipe.vae_scale_factor) * 2
        scale = math.sqrt(side**2 / ((height or side) * (width or side)))
        return int((height or side) * scale // cell), int((width or side) * scale // cell)

    def side(self, pipe: Any) -> int:
        """Side of the pipeline's own size, in pixels."""
        return int(pipe.default_sample_size) * int(pipe.vae_scale_factor)


_ENCODERS = ("text_encoder_3", "text_encoder_4", "text_encoder_4_layers")


def _rows_first(inputs: dict[str, Any]) -> Tensor:
    """Llama's layers, (rows, layers, places, channels)."""
    llama: Tensor = inputs["encoder_hidden_states_llama3"]
    return llama.transpose(0, 1)
