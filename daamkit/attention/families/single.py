"""Transformers whose layers see image and text as one sequence: Z-Image, Lumina 2, AuraFlow,
CogView4."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from daamkit.attention.calls import Call, Pass, Rows
from daamkit.attention.families.asked import Scale, default
from daamkit.attention.families.concepts import ConceptPlaces
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Image, Reading
from daamkit.attention.families.rows import pick
from daamkit.attention.families.transformer import Negated, Transformer
from daamkit.attention.sites import Kind, Layout, Site, Span
from daamkit.errors import DaamkitError

_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for the prompt where a template is asked for


class Single(Negated):
    """Layers of joint attention; before them refiners, of the image alone and of the text alone.

    Groups are "layer" and "refiner".
    """

    attention: ClassVar[str] = ""  # what a block calls its attention
    runs: ClassVar[tuple[str, ...]] = ()  # lists of blocks, as they run
    concepts = ConceptPlaces(apart=True)

    kinds: ClassVar[dict[str, Kind]] = {
        "layers": "joint",
        "noise_refiner": "self",
        "context_refiner": "text",
    }

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """All attention, in the order of its modules."""
        pattern = re.compile(rf"({'|'.join(self.kinds)})\.\d+\.{self.attention}")
        found: list[tuple[str, str, Any]] = []
        for name, module in denoiser.named_modules():
            if place := pattern.fullmatch(name):
                found.append((name, place[1], module))
        ran = sorted(range(len(found)), key=lambda i: self.runs.index(found[i][1]))
        return [
            Site(
                name,
                self.kinds[place],
                "layer" if place == "layers" else "refiner",
                ran.index(at),
                module.heads,
                module,
            )
            for at, (name, place, module) in enumerate(found)
        ]

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """As far as the longest row's text goes."""
        return None if site.kind == "self" else layout.text_end


class ZImage(Single):
    """Z-Image: [image, text], each filled up to a multiple of 32 with learned places that are seen.

    Inputs are lists; under guidance the rows with the prompt come first, and may be alone in some
    of the steps (``cfg_truncation``).
    """

    name: ClassVar[str] = "zimage"
    model = "ZImageTransformer2DModel"
    image = "x"
    attention = "attention"
    runs = ("noise_refiner", "context_refiner", "layers")
    multiple: ClassVar[int] = 32

    def patch(self, denoiser: Any) -> int:
        """The first of those it has; pipelines ask for no other."""
        return int(denoiser.config.all_patch_size[0])

    def side(self, pipe: Any) -> int:
        """The pipeline's own, which it has fixed."""
        return 1024

    def guidance(self, pipe: Any) -> Scale:
        """Above 0: this much of what the prompt changes is added to it."""
        return Scale(above=0.0)

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """[cond, uncond], or cond alone where guidance is off or has ended."""
        if isinstance(inputs["x"][0], list):
            raise DaamkitError(
                wanted="one image that is denoised",
                got=f"{type(call.pipe).__name__}, which gives the model pictures beside it",
                mend="take ZImagePipeline; pictures in Z-Image's sequence are not read yet",
            )
        noisy = torch.stack(list(inputs["x"])).squeeze(2)
        names = ["cond"] if len(noisy) == call.samples else ["cond", call.without]
        branches = call.rows(names, len(noisy))
        grid = self.patches(denoiser, noisy)
        return Reading(noisy, inputs["t"], branches, grid, (inputs["cap_feats"],))

    def write(self, inputs: dict[str, Any], noisy: Image) -> dict[str, Any]:
        """A list of images of one frame each."""
        return inputs | {"x": list(noisy.to(inputs["x"][0].dtype).unsqueeze(2).unbind(0))}

    def select(self, now: Pass, rows: Sequence[int]) -> dict[str, Any]:
        """Rows are entries of the lists, whose tensors have none."""
        total, own = len(now.inputs["x"]), {"x", "cap_feats"}
        chosen = {name: pick(v, rows, total) for name, v in now.inputs.items() if name not in own}
        return chosen | {name: [now.inputs[name][row] for row in rows] for name in own}

    def predicted(self, now: Pass, output: Any) -> Image:
        """A list of images of one frame each; the pipeline turns their sign."""
        return -torch.stack(list(output[0])).squeeze(2)

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """Each row's text begins after the image's last learned place."""
        if nth:
            return None
        cells = now.grid[0] * now.grid[1]
        if site.kind == "self":
            return Layout(now.grid, slice(0, cells))
        start = 0 if site.kind == "text" else cells + self.more(cells)
        text: list[tuple[Span, ...]] = []
        for own in now.inputs["cap_feats"]:
            after = start + len(own)
            padding = Span("text_encoder", after, self.more(len(own)), len(own))
            text.append((Span("text_encoder", start, len(own)), padding))
        return Layout(now.grid, slice(0, 0 if site.kind == "text" else cells), tuple(text))

    def more(self, places: int) -> int:
        """How many learned places come after so many."""
        return -places % self.multiple

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Qwen, in a chat."""
        tokenizer = getattr(pipe, "tokenizer", None)
        if tokenizer is None:
            return []
        limit = default(pipe, "max_sequence_length")
        before, _, after = tokenizer.apply_chat_template(
            [{"role": "user", "content": _MARK}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        ).partition(_MARK)
        return [
            Encoder(
                "text_encoder",
                tokenizer,
                pipe.text_encoder,
                limit=limit,
                multiple=self.multiple,
                template=(before, after),
                trims=True,
            )
        ]


class Lumina2(Single):
    """Lumina-Image 2: [text, image], each row's text as long as its own; a pass for each branch.

    The pipeline gives several images a prompt the text of one prompt, but the length of another:
    the mask tells what is read.
    """

    name: ClassVar[str] = "lumina2"
    model = "Lumina2Transformer2DModel"
    attention = "attn"
    runs = ("context_refiner", "noise_refiner", "layers")

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """The prompt's pass is the first of a step."""
        noisy = inputs[self.image]
        branches = one_by_one(call, noisy, earlier)
        grid = self.patches(denoiser, noisy)
        text = (inputs["encoder_hidden_states"],)
        return Reading(noisy, inputs["timestep"], branches, grid, text)

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """The image follows the text, where that ends in each row."""
        if nth:
            return None
        cells = now.grid[0] * now.grid[1]
        if site.kind == "self":
            return Layout(now.grid, slice(0, queries))
        lengths = self.lengths(now)
        text = tuple((Span("text_encoder", 0, each),) for each in lengths)
        if site.kind == "text":
            return Layout(now.grid, slice(0, 0), text)
        return Layout(now.grid, tuple(slice(each, each + cells) for each in lengths), text)

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """The longest text and the image; of the text alone, all that the encoder made."""
        if site.kind == "joint":
            return max(self.lengths(now)) + now.grid[0] * now.grid[1]
        return None if site.kind == "self" else int(now.inputs["encoder_hidden_states"].shape[1])

    def lengths(self, now: Pass) -> list[int]:
        """Of each row's text."""
        said: list[int] = now.inputs["encoder_attention_mask"].sum(1).tolist()
        return said

    def reach(self, now: Pass, row: int) -> dict[str, int]:
        """As long as the row's text is."""
        return {"text_encoder": self.lengths(now)[row]}

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Gemma 2."""
        if getattr(pipe, "tokenizer", None) is None:
            return []
        return [
            Encoder(
                "text_encoder",
                pipe.tokenizer,
                pipe.text_encoder,
                limit=default(pipe, "max_sequence_length"),
                template=(_prompted(pipe.system_prompt), ""),
                pads="right",
            )
        ]

    def template(self, encoder: Encoder, call: Call, branch: str) -> tuple[str, str]:
        """A system prompt, before the prompt alone."""
        if branch != "cond":
            return "", ""
        return _prompted(call.arguments.get("system_prompt") or call.pipe.system_prompt), ""


def _prompted(system: str) -> str:
    return f"{system} <Prompt Start> "


class TextFirst(Transformer):
    """[registers, text, image] in every block, all of it attended, padding and registers too.

    One group, "block".
    """

    site: ClassVar[str] = ""  # the pattern of the paths of attention
    registers: ClassVar[int] = 0
    pads: ClassVar[Literal["", "left"]] = ""
    apart: ClassVar[bool] = False  # whether each branch has a pass of its own, the prompt's first

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """One a block."""
        named: list[tuple[str, Any]] = list(denoiser.named_modules())
        found = [(name, each) for name, each in named if re.fullmatch(self.site, name)]
        return [
            Site(name, "joint", "block", order, module.heads, module)
            for order, (name, module) in enumerate(found)
        ]

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass, or each in its own."""
        noisy, text = inputs[self.image], inputs["encoder_hidden_states"]
        branches = call.branches(len(noisy)) if not self.apart else one_by_one(call, noisy, earlier)
        return Reading(noisy, inputs["timestep"], branches, self.patches(denoiser, noisy), (text,))

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """The image comes last."""
        if nth:
            return None
        rows, length, _ = now.inputs["encoder_hidden_states"].shape
        start = self.registers + length
        cells = slice(start, start + math.prod(now.grid))
        return Layout(now.grid, cells, ((Span("text_encoder", 0, start),),) * rows)

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """No others than these."""
        return layout.cells_of(slice(0, 1))[0].stop

    def encoders(self, pipe: Any) -> list[Encoder]:
        """The only one."""
        if getattr(pipe, "tokenizer", None) is None:
            return []
        limit = default(pipe, "max_sequence_length")
        return [
            Encoder(
                "text_encoder",
                pipe.tokenizer,
                pipe.text_encoder,
                limit=limit,
                registers=self.registers,
                pads=self.pads,
            )
        ]


class AuraFlow(TextFirst):
    """AuraFlow: a T5, eight registers before its places."""

    name: ClassVar[str] = "auraflow"
    model = "AuraFlowTransformer2DModel"
    site = r"(joint|single)_transformer_blocks\.\d+\.attn"
    registers = 8


class CogView4(TextFirst):
    """CogView4: GLM, its padding before the text; a pass for each branch."""

    name: ClassVar[str] = "cogview4"
    model = "CogView4Transformer2DModel"
    site = r"transformer_blocks\.\d+\.attn1"
    pads = "left"
    apart = True

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """A picture that controls lies in more channels."""
        config: Any = denoiser.config
        noisy = inputs[self.image][:, : config.out_channels]
        return super().read(call, denoiser, inputs | {self.image: noisy}, earlier)


def one_by_one(call: Call, noisy: Tensor, earlier: Sequence[Pass]) -> dict[str, Rows]:
    """The branch of a pass of its own: the prompt's is the first of a step."""
    done = any("cond" in each.branches for each in earlier)
    return call.rows([call.without if done else "cond"], len(noisy))
