"""Joint attention: text and image in one softmax. SD3, FLUX, Chroma, Qwen-Image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from daamkit.attention.calls import Call, Pass, Rows
from daamkit.attention.families import texts
from daamkit.attention.families.asked import Scale, takes
from daamkit.attention.families.concepts import ConceptPlaces
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Image, Reading, Unpacked
from daamkit.attention.families.texts import Text
from daamkit.attention.families.transformer import OneTransformer
from daamkit.attention.sites import Grid, Kind, Layout, Site, Span
from daamkit.errors import DaamkitError

_SITE = re.compile(r"(single_)?transformer_blocks\.\d+\.attn(2)?")
_CELL = 2  # latents a side of a cell, as the autoencoder has them


@dataclass(frozen=True)
class Joint(OneTransformer):
    """Transformers whose text and image attend to each other and to themselves in one softmax.

    Groups are "double" (text and image have weights of their own) and "single" (one for both).

    Attributes
    ----------
    model
        Class of the transformer.
    texts
        The text encoders whose places are in the softmax, in their order there.
    image_first
        Whether the image's places come before the text's.
    apart
        Whether guidance lets the denoiser run once for each branch, the prompt's first.
    packed
        Latents a side that what is denoised has in each place, channels outermost. 1: as many
        channels as it has, a place is a cell.
    concepts
        As every family has it.
    """

    name: ClassVar[str] = "joint"

    model: str
    texts: tuple[Text, ...]
    image_first: bool = False
    apart: bool = True
    packed: int = _CELL
    concepts: ConceptPlaces = ConceptPlaces()

    @property
    def whole(self) -> bool:  # type: ignore[override]
        """Unless the first places, a template's, are dropped."""
        return not any(text.template == "format" for text in self.texts)

    def guidance(self, pipe: Any) -> Scale:
        """As most have it; where the model is told the scale, it has no second look; where the
        call has a "true" one, that needs a negative prompt, be it empty. (Chroma's inpainting has
        one in its call that it does not read.)"""
        if getattr(pipe.transformer.config, "guidance_embeds", False):
            return Scale(above=math.inf)
        looks = hasattr(type(pipe), "do_classifier_free_guidance")
        if takes(pipe, "true_cfg_scale") and not looks:
            return Scale("true_cfg_scale", names=True)
        distilled = pipe.config.get("is_distilled", not looks)
        return Scale("", above=math.inf) if distilled else Scale()

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """All blocks, as they run; of SD3.5's first blocks also the image's attention to itself."""
        found: list[Site] = []
        for name, module in denoiser.named_modules():
            if place := _SITE.fullmatch(name):
                heads: Any = module.heads
                group = "single" if place[1] else "double"
                kind: Kind = "self" if place[2] else "joint"
                found.append(Site(name, kind, group, len(found), heads, module))
        return found

    # -- a pass and its inputs

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass, or the prompt's and then the other.

        What stands beside the image, as more places (the picture to edit) or more channels (a
        mask), is not denoised.
        """
        given: Tensor = inputs["hidden_states"]
        _require_one_image(call, denoiser, inputs)
        grid = _grid(denoiser, inputs)
        model: Any = denoiser
        channels = model.out_channels  # a control LoRA widens the configuration's `in_channels`
        if given.ndim == 3:
            noisy = given[:, : grid[0] * grid[1], : channels * model.config.patch_size**2]
        else:
            noisy = given[:, :channels]
        branches = self._branches(call, len(given), inputs, earlier)
        return Reading(
            noisy, inputs["timestep"], branches, grid, (inputs["encoder_hidden_states"],)
        )

    def _branches(
        self, call: Call, rows: int, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> dict[str, Rows]:
        if inputs.get("skip_layers") is not None:  # SD3's guidance by what some layers add
            return call.rows(["perturbed"], rows)
        if not self.apart:
            return call.branches(rows)
        had = any("cond" in each.branches for each in earlier)
        return call.rows([call.without if had else "cond"], rows)

    def write(self, inputs: dict[str, Any], noisy: Image) -> dict[str, Any]:
        """The image's places and channels anew, all others as they are."""
        given: Tensor = inputs["hidden_states"]
        if given.ndim == 4:
            return super().write(inputs, noisy)
        _, places, channels = noisy.shape
        own = torch.cat([noisy.to(given.dtype), given[:, :places, channels:]], 2)
        return inputs | {"hidden_states": torch.cat([own, given[:, places:]], 1)}

    def predicted(self, now: Pass, output: Any) -> Image:
        """Not of the places of a picture to edit, which come after the image's."""
        said: Tensor = output[0]
        return said if said.ndim == 4 else said[:, : now.grid[0] * now.grid[1]]

    def select(self, now: Pass, rows: Sequence[int]) -> dict[str, Any]:
        """Rows of all but the places' positions, which all rows share, or a prompt's images."""
        chosen = super().select(now, rows)
        for name in ("img_ids", "txt_ids"):
            given = now.inputs.get(name)
            if isinstance(given, Tensor) and given.ndim == 2:
                chosen[name] = given
        if "img_shapes" in chosen:
            shapes, total = now.inputs["img_shapes"], len(now.inputs["hidden_states"])
            chosen["img_shapes"] = [shapes[row * len(shapes) // total] for row in rows]
        return chosen

    def unpack(self, now: Pass, noisy: Image) -> Unpacked:
        """Each place's latents where they belong."""
        if noisy.ndim == 4:
            return noisy
        cells = noisy.unflatten(1, now.grid).unflatten(-1, (-1, self.packed, self.packed))
        return cells.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)

    def pack(self, now: Pass, image: Unpacked) -> Image:
        """The inverse of `unpack`."""
        if now.inputs["hidden_states"].ndim == 4:
            return image
        height, width = now.grid
        cells = image.unflatten(3, (width, self.packed)).unflatten(2, (height, self.packed))
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3, 5).flatten(1, 2)

    # -- a site at work

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """Text and image in the model's order; an IP-Adapter's keys come in a call of their own."""
        if nth:
            return None
        height, width = now.grid
        cells = height * width
        if site.kind == "self":
            return Layout(now.grid, slice(0, cells))
        length = now.inputs["encoder_hidden_states"].shape[1]
        start = 0 if self.image_first else length
        rows = max(rows.stop for rows in now.branches.values())
        spans = self._spans(now, cells if self.image_first else 0)
        return Layout(now.grid, slice(start, start + cells), (spans,) * rows)

    def _spans(self, now: Pass, start: int) -> tuple[Span, ...]:
        """Where the texts are, of keys from `start` on."""
        pipe, length = now.call.pipe, now.inputs["encoder_hidden_states"].shape[1]
        most = None
        if now.call.arguments.get("prompt_embeds") is not None:
            most = now.call.arguments.get("max_sequence_length") or self.texts[-1].limit
        own = self._present(now.call)
        if most and len(self.texts) > 1:
            texts.require_length(self.texts, pipe, length, most)
        return texts.spans(own, pipe, start, length, most)

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """The text's places and all of the image's, pictures to edit among them."""
        if site.kind == "self":
            return None
        given: Tensor = now.inputs["hidden_states"]
        cells = given.shape[1] if given.ndim == 3 else now.grid[0] * now.grid[1]
        return cells + int(now.inputs["encoder_hidden_states"].shape[1])

    # -- text

    def encoders(self, pipe: Any) -> list[Encoder]:
        """Those whose places are in the softmax."""
        return [text.encoder(pipe) for text in texts.present(self.texts, pipe)]

    def reading(self, call: Call) -> list[Encoder]:
        """Those too that were not loaded, where embeddings have something in their places."""
        return [text.encoder(call.pipe) for text in self._present(call)]

    def _present(self, call: Call) -> list[Text]:
        return texts.present(self.texts, call.pipe, call.arguments.get("prompt_embeds"))

    def template(self, encoder: Encoder, call: Call, branch: str) -> tuple[str, str]:
        """With the places of pictures to edit in it, as many as have entered the encoder."""
        heard = [ids for each in call.encoded.get(encoder.name, ()) for ids in each.ids]
        formats = any(text.template == "format" for text in self.texts)
        return texts.pictured(encoder, heard[0]) if heard and formats else encoder.template

    def reach(self, now: Pass, row: int) -> dict[str, int]:
        """As far as each text's places go: some pipelines cut them after encoding."""
        return {span.encoder: span.first + span.length for span in self._spans(now, 0)}

    # -- pictures

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """2 x 2 latents a cell."""
        scale, side = pipe.vae_scale_factor, pipe.default_sample_size * pipe.vae_scale_factor
        return (height or side) // (scale * _CELL), (width or side) // (scale * _CELL)

    def pixels(self, pipe: Any, grid: Grid) -> tuple[int, int]:
        """2 x 2 latents a cell."""
        height, width = super().pixels(pipe, grid)
        return height * _CELL, width * _CELL


def _require_one_image(call: Call, denoiser: Any, inputs: dict[str, Any]) -> None:
    """Refuse places whose first are not those of the image that is returned."""
    if getattr(denoiser.config, "use_layer3d_rope", False):
        raise DaamkitError(
            wanted="one image that is denoised",
            got=f"{type(call.pipe).__name__}, which denoises several layers side by side",
            mend="pipelines of layered images are not read yet",
        )
    if inputs.get("kv_cache_mode") is not None:
        raise DaamkitError(
            wanted="a pass over all of its places, the image's first",
            got=f"{type(call.pipe).__name__}, which puts pictures before the image and keeps their "
            f"keys (kv_cache_mode={inputs['kv_cache_mode']!r})",
            mend="call it without a picture; kept keys are not read yet",
        )


def _grid(denoiser: Any, inputs: dict[str, Any]) -> tuple[int, int]:
    """The image's own grid: pictures to edit come after it."""
    if "img_shapes" in inputs:
        shapes = inputs["img_shapes"][0]
        *_, height, width = shapes[0] if isinstance(shapes, list) else shapes
        return int(height), int(width)
    ids = inputs.get("img_ids")
    if ids is None:
        side = denoiser.config.patch_size
        height, width = inputs["hidden_states"].shape[-2:]
        return height // side, width // side
    ids = (ids[0] if ids.ndim == 3 else ids).cpu()
    own = ids[ids[:, 0] == ids[0, 0]]
    return int(own[:, 1].max()) + 1, int(own[:, 2].max()) + 1


SD3 = Joint(
    "SD3Transformer2DModel",
    (Text(), Text("_2", "prompt_2", shares=""), Text("_3", "prompt_3", limit=256)),
    image_first=True,
    apart=False,
)
FLUX = Joint("FluxTransformer2DModel", (Text("_2", "prompt_2", limit=512),))
FLUX2 = Joint(
    "Flux2Transformer2DModel",
    (Text(limit=512, template="chat"),),
    packed=1,
    concepts=ConceptPlaces(apart=True),
)
CHROMA = Joint("ChromaTransformer2DModel", (Text(limit=512, spared=1),))
QWEN = Joint(
    "QwenImageTransformer2DModel",
    (Text(template="format", mask="prompt_embeds_mask"),),
    concepts=ConceptPlaces(apart=True),
)
