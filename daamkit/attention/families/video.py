"""Transformers whose cells lie in frames: Wan, LTX-Video, CogVideoX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.asked import default
from daamkit.attention.families.cross import Cross
from daamkit.attention.families.family import Image, Reading, Unpacked
from daamkit.attention.families.single import TextFirst, one_by_one
from daamkit.attention.families.transformer import Transformer
from daamkit.attention.sites import Grid, Layout, Site, Span
from daamkit.errors import DaamkitError


class Video(Transformer):
    """Grids are (frames, height, width): frames and sides of the latents, in patches."""

    def cell(self, denoiser: Any) -> Grid:
        """(frames, height, width) of a cell, in places of the latents."""
        side, frames = int(denoiser.config.patch_size), denoiser.config.patch_size_t
        return int(frames or 1), side, side

    def patches(self, denoiser: Any, noisy: Tensor) -> Grid:
        """The grid of (rows, channels, frames, height, width)."""
        sides = zip(noisy.shape[-3:], self.cell(denoiser), strict=True)
        return tuple(places // side for places, side in sides)

    def scale(self, pipe: Any) -> tuple[int, int]:
        """How many frames of the video a later latent frame is, and how many pixels a side."""
        return int(pipe.vae_scale_factor_temporal), int(pipe.vae_scale_factor_spatial)

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """The first frame is a latent one by itself."""
        (temporal, scale), (deep, *sides) = self.scale(pipe), self.cell(self._any(pipe))
        high, wide = self.own_size(pipe)
        places = (frames or default(pipe, "num_frames") or 1) - 1
        latent = places // temporal + 1
        pixels = (height or high, width or wide)
        return (
            -(-latent // deep),
            *(n // (scale * side) for n, side in zip(pixels, sides, strict=True)),
        )

    def own_size(self, pipe: Any) -> tuple[int, int]:
        """(height, width) in pixels where a call gives none."""
        return default(pipe, "height"), default(pipe, "width")

    def pixels(self, pipe: Any, grid: Grid) -> tuple[int, int]:
        """(height, width) of a frame for a grid of the denoiser."""
        (_, scale), (_, high, wide) = self.scale(pipe), self.cell(self._any(pipe))
        return grid[-2] * scale * high, grid[-1] * scale * wide

    def _any(self, pipe: Any) -> nn.Module:
        return next(iter(self.denoisers(pipe).values()))


def latest(time: Any) -> Any:
    """A row's time where each place has its own: given frames have none of the noise."""
    return time.amax(1) if isinstance(time, Tensor) and time.ndim > 1 else time


class Wan(Video, Cross):
    """Wan 2.1 and 2.2: umT5, whose padding is zeros and seen; a pass for each branch.

    Wan 2.2 has a second denoiser for the last steps, whose layers are "transformer_2.blocks...".
    """

    name: ClassVar[str] = "wan"
    model = "WanTransformer3DModel"
    texts = {"text_encoder": ("encoder_hidden_states", "")}

    def matches(self, pipe: Any) -> bool:
        """Whether one of its denoisers is Wan's: the first may be missing."""
        return bool(self.denoisers(pipe)) and self.knows(self._any(pipe))

    def denoisers(self, pipe: Any) -> dict[str, nn.Module]:
        """For the first steps, for the last ones, or both."""
        names = ("transformer", "transformer_2")
        return {name: own for name in names if (own := getattr(pipe, name, None)) is not None}

    def cell(self, denoiser: Any) -> Grid:
        """As its configuration has it."""
        return tuple(denoiser.config.patch_size)

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """The prompt's pass is the first of a step; a picture to begin with lies in channels."""
        config: Any = denoiser.config
        noisy = inputs[self.image][:, : config.out_channels]
        branches, text = one_by_one(call, noisy, earlier), (inputs["encoder_hidden_states"],)
        grid = self.patches(denoiser, noisy)
        return Reading(noisy, latest(inputs["timestep"]), branches, grid, text)

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """A picture to begin with has keys of its own, in a call before the text's.

        The model takes the last 512 for the text's, however many these are.
        """
        module: Any = site.module
        pictured = getattr(module, "add_k_proj", None) is not None
        found = super().layout(site, now, queries, keys, nth - pictured)
        if found is None or not pictured:
            return found
        length = now.inputs["encoder_hidden_states"].shape[1]
        span = Span("text_encoder", max(keys - length, 0), length)
        return replace(found, text=((span,),) * len(found.text))


class LTX(Video, Cross):
    """LTX-Video: packed latents; a T5, its padding masked."""

    name: ClassVar[str] = "ltx"
    model = "LTXVideoTransformer3DModel"

    def scale(self, pipe: Any) -> tuple[int, int]:
        """As its autoencoder has it."""
        return int(pipe.vae_temporal_compression_ratio), int(pipe.vae_spatial_compression_ratio)

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass."""
        noisy, text = inputs[self.image], (inputs["encoder_hidden_states"],)
        sides = [inputs.get(name) for name in ("num_frames", "height", "width")]
        grid = tuple(int(n) // own for n, own in zip(sides, self.cell(denoiser), strict=True) if n)
        if len(grid) < 3 or grid[0] * grid[1] * grid[2] != noisy.shape[1]:
            raise DaamkitError(
                wanted="a video alone: `num_frames`, `height` and `width` of as many cells as the "
                "denoiser is given",
                got=f"{noisy.shape[1]} cells and {' x '.join(map(str, sides))}",
                mend="pipelines that put frames of other videos before it are not read yet",
            )
        branches = call.branches(len(noisy))
        return Reading(noisy, latest(inputs["timestep"]), branches, grid, text)

    def unpack(self, now: Pass, noisy: Image) -> Unpacked:
        """Each place's latents where they belong."""
        deep, high, wide = self.cell(now.denoiser)
        cells = noisy.unflatten(1, now.grid).unflatten(-1, (-1, deep, high, wide))
        whole = cells.permute(0, 4, 1, 5, 2, 6, 3, 7)
        return whole.flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def pack(self, now: Pass, image: Unpacked) -> Image:
        """The inverse of `unpack`."""
        sides = list(zip(now.grid, self.cell(now.denoiser), strict=True))
        whole = image.unflatten(4, sides[2]).unflatten(3, sides[1]).unflatten(2, sides[0])
        return whole.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)


class CogVideoX(Video, TextFirst):
    """CogVideoX: [T5, video], the T5's padding seen; latents with frames before channels."""

    name: ClassVar[str] = "cogvideox"
    model = "CogVideoXTransformer3DModel"
    site = r"transformer_blocks\.\d+\.attn1"

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """One video a prompt, whatever is asked for."""
        return given | {"num_videos_per_prompt": 1}

    def patches(self, denoiser: Any, noisy: Tensor) -> Grid:
        """The grid of (rows, frames, channels, height, width)."""
        return super().patches(denoiser, noisy.transpose(1, 2))

    def own_size(self, pipe: Any) -> tuple[int, int]:
        """As its transformer was made for."""
        config, (_, scale) = pipe.transformer.config, self.scale(pipe)
        return config.sample_height * scale, config.sample_width * scale

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass; a picture to begin with lies in more channels."""
        config: Any = denoiser.config
        noisy = inputs[self.image][:, :, : config.out_channels]
        return super().read(call, denoiser, inputs | {self.image: noisy}, earlier)

    def write(self, inputs: dict[str, Any], noisy: Image) -> dict[str, Any]:
        """The channels beyond these stay."""
        given: Tensor = inputs[self.image]
        own = torch.cat([noisy.to(given.dtype), given[:, :, noisy.shape[2] :]], 2)
        return inputs | {self.image: own}

    def unpack(self, now: Pass, noisy: Image) -> Unpacked:
        """Channels before frames."""
        return noisy.transpose(1, 2)

    def pack(self, now: Pass, image: Unpacked) -> Image:
        """The inverse of `unpack`."""
        return image.transpose(1, 2)
