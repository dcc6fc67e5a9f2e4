"""Transformers that look at text in modules of their own: PixArt, Sana, HunyuanDiT."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import nn

from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.asked import default
from daamkit.attention.families.concepts import ConceptPlaces, ConceptText
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Reading
from daamkit.attention.families.transformer import Transformer
from daamkit.attention.sites import Grid, Kind, Layout, Site, Span

_SITE = re.compile(r"(?:transformer_)?blocks\.\d+\.(attn1|attn2)")
_KINDS: dict[str, Kind] = {"attn1": "self", "attn2": "cross"}


class Cross(Transformer):
    """In each block `attn1` looks from cells to cells, `attn2` from cells to text.

    One group, "block".
    """

    # By text encoder: the denoiser's arguments that hold its text and the mask of its padding.
    texts: ClassVar[Mapping[str, tuple[str, str]]] = {
        "text_encoder": ("encoder_hidden_states", "encoder_attention_mask")
    }
    lowers: ClassVar[bool] = False  # whether the pipeline writes prompts in lower case

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """All attention; of the linear kind nothing can be seen."""
        found: list[tuple[str, str, Any]] = []
        for name, module in denoiser.named_modules():
            if place := _SITE.fullmatch(name):
                found.append((name, place[1], module))
        return [
            Site(
                name,
                _KINDS[place],
                "block",
                order,
                module.heads,
                module,
                observable="Linear" not in type(module.processor).__name__,
            )
            for order, (name, place, module) in enumerate(found)
        ]

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass."""
        noisy = inputs[self.image]
        text = tuple(inputs[name] for name, _ in self.texts.values())
        branches = call.branches(len(noisy))
        return Reading(noisy, inputs["timestep"], branches, self.patches(denoiser, noisy), text)

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """All queries are cells; the encoders' texts follow each other."""
        if nth:
            return None
        text: tuple[tuple[Span, ...], ...] = ()
        if site.kind == "cross":
            named = {row: name for name, rows in now.branches.items() for row in _range(rows)}
            text = tuple(self.spans(now, named[row]) for row in sorted(named))
        return Layout(site.grid(now.grid), slice(0, queries), text)

    def spans(self, now: Pass, branch: str) -> tuple[Span, ...]:
        """Where the texts of a branch are."""
        found, start = [], 0
        for encoder, (name, _) in self.texts.items():
            found.append(Span(encoder, start, now.inputs[name].shape[1]))
            start += found[-1].length
        return tuple(found)

    def reach(self, now: Pass, row: int) -> dict[str, int]:
        """As far as the mask of padding goes; some pipelines give a row another one's."""
        named = {at: name for name, rows in now.branches.items() for at in _range(rows)}
        spans, start, found = self.spans(now, named[row]), 0, dict[str, int]()
        for encoder, (name, mask) in self.texts.items():
            seen = now.inputs.get(mask)
            if seen is not None:
                keys = {start + key for key in seen[row].nonzero().flatten().tolist()}
                places = [
                    span.first + at
                    for span in spans
                    if span.encoder == encoder
                    for at in range(span.length)
                    if span.start + at in keys
                ]
                found[encoder] = 1 + max(places, default=-1)
            start += now.inputs[name].shape[1]
        return found

    def encoders(self, pipe: Any) -> list[Encoder]:
        """T5, or what stands in its place; as many places as the call says."""
        if getattr(pipe, "tokenizer", None) is None:
            return []
        limit = default(pipe, "max_sequence_length")
        cleans = _lowered if self.lowers else None
        return [
            Encoder("text_encoder", pipe.tokenizer, pipe.text_encoder, limit=limit, cleans=cleans)
        ]


class Binned(Cross):
    """Prompts in lower case; sizes of the model's own, enlarged to what was asked and cropped."""

    lowers = True

    def shown(self, call: Call, grid: Grid) -> tuple[int, int]:
        """What was asked, where the picture is decoded."""
        given, decoded = call.arguments, super().shown(call, grid)
        if not given.get("use_resolution_binning") or given.get("output_type") == "latent":
            return decoded
        side = self.side(call.pipe)
        return int(given.get("height") or side), int(given.get("width") or side)


class PixArt(Binned):
    """PixArt-alpha and PixArt-Sigma: T5, its padding masked; prompts cleaned or in lower case."""

    name: ClassVar[str] = "pixart"
    model = "PixArtTransformer2DModel"


class Sana(Binned):
    """Sana: Gemma 2, an instruction before the prompt; attention between cells is linear.

    Of the instruction's places the first alone is kept. The others end one place before the
    prompt's first, since the blank at the instruction's end is read with the prompt's first word.
    """

    name: ClassVar[str] = "sana"
    model = "SanaTransformer2DModel"
    whole = False

    def matches(self, pipe: Any) -> bool:
        """Not Sana-Sprint, whose scheduler works on scaled angles."""
        return super().matches(pipe) and "Sprint" not in type(pipe).__name__

    def spans(self, now: Pass, branch: str) -> tuple[Span, ...]:
        """The first place and the last ones of what Gemma has read."""
        whole = super().spans(now, branch)[0]
        read = [len(ids) for each in now.call.encoded.get(whole.encoder, ()) for ids in each.ids]
        if branch != "cond" or now.call.arguments.get("prompt_embeds") is not None or not read:
            return (whole,)
        places = max(read)  # the negative prompt has no instruction and so never more
        return (
            Span(whole.encoder, 0, 1),
            Span(whole.encoder, 1, whole.length - 1, places - whole.length + 1),
        )

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Gemma 2; its places grow with the instruction."""
        told = default(pipe, "complex_human_instruction")
        found = [replace(each, pads="right") for each in super().encoders(pipe)]
        if not told:
            return found
        before = "\n".join(told)
        return [
            replace(
                each,
                template=(before, ""),
                limit=(each.limit or 0) + len(each.tokenizer(before).input_ids) - 2,
            )
            for each in found
        ]

    def template(self, encoder: Encoder, call: Call, branch: str) -> tuple[str, str]:
        """The instruction, as the call has it."""
        told = call.arguments.get("complex_human_instruction")
        embedded = call.arguments.get("prompt_embeds") is not None
        return ("\n".join(told), "") if told and branch == "cond" and not embedded else ("", "")


class HunyuanDiT(Cross):
    """HunyuanDiT: a BERT's 77 places, then 256 of an mT5; padding is learned and not masked."""

    name: ClassVar[str] = "hunyuandit"
    model = "HunyuanDiT2DModel"
    texts = {
        "text_encoder": ("encoder_hidden_states", "text_embedding_mask"),
        "text_encoder_2": ("encoder_hidden_states_t5", "text_embedding_mask_t5"),
    }
    concepts = ConceptPlaces(
        texts=(
            ConceptText("text_encoder", *texts["text_encoder"], {"text_encoder_index": 0}),
            ConceptText("text_encoder_2", *texts["text_encoder_2"], {"text_encoder_index": 1}),
        )
    )

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Both; the numbers of their places are the pipeline's own."""
        if getattr(pipe, "tokenizer", None) is None or pipe.tokenizer_2 is None:
            return []
        return [
            Encoder("text_encoder", pipe.tokenizer, pipe.text_encoder, limit=77),
            Encoder(
                "text_encoder_2",
                pipe.tokenizer_2,
                pipe.text_encoder_2,
                limit=256,
                embeds="prompt_embeds_2",
                mask="prompt_attention_mask_2",
            ),
        ]


def _lowered(text: str) -> str:
    return text.lower().strip()


def _range(rows: slice) -> range:
    return range(rows.start, rows.stop)
