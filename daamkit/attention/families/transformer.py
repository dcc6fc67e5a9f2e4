"""What the families of transformers have in common: one denoiser, cells of a patch each."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from daamkit.attention.calls import Pass
from daamkit.attention.families.family import Family, Image, classes
from daamkit.attention.sites import Grid


class OneTransformer(Family):
    """The only denoiser is called `transformer`; its class tells the family."""

    model: str  # the class of the denoiser
    image = "hidden_states"

    @property
    def models(self) -> tuple[str, ...]:
        """Its class."""
        return (self.model,)

    def matches(self, pipe: Any) -> bool:
        """Whether the pipeline's transformer is of the class `model`."""
        return self.knows(getattr(pipe, "transformer", None))

    def knows(self, denoiser: Any) -> bool:
        """Whether it is of the class `model`, be it compiled."""
        return self.model in classes(denoiser)

    def denoisers(self, pipe: Any) -> dict[str, nn.Module]:
        """The only one."""
        return {"transformer": pipe.transformer}


class Transformer(OneTransformer):
    """A transformer whose cells are square patches of the latents."""

    def patch(self, denoiser: Any) -> int:
        """Side of a cell, in places of the latents."""
        return int(denoiser.config.patch_size)

    def side(self, pipe: Any) -> int:
        """Side of the pipeline's own size, in pixels."""
        return int(pipe.transformer.config.sample_size) * int(pipe.vae_scale_factor)

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """The latents' grid, in patches."""
        side, cell = self.side(pipe), pipe.vae_scale_factor * self.patch(pipe.transformer)
        return (height or side) // cell, (width or side) // cell

    def pixels(self, pipe: Any, grid: Grid) -> tuple[int, int]:
        """(height, width) of the image for a grid of the denoiser."""
        cell = int(pipe.vae_scale_factor) * self.patch(pipe.transformer)
        return grid[-2] * cell, grid[-1] * cell

    def patches(self, denoiser: Any, noisy: Tensor) -> Grid:
        """The grid of (rows, channels, height, width)."""
        patch = self.patch(denoiser)
        return noisy.shape[-2] // patch, noisy.shape[-1] // patch


class Negated(Transformer):
    """A transformer whose prediction the pipeline turns to its opposite."""

    def predicted(self, now: Pass, output: Any) -> Image:
        """As the scheduler is given it."""
        said: Tensor = -output[0]
        return said
