"""Self-attention of one image: which places look at which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps.layers import Layer


@dataclass(frozen=True, eq=False)
class SelfMaps:
    """Self-attention of one image and one branch, a mean over heads and steps.

    Attributes
    ----------
    layers
        What was kept; a layer's columns are the cells looked at, its (y, x) the cells that look.
    keep
        Which of "step", "site" were kept apart; heads never are.
    steps
        Passes of the denoiser.
    size
        (height, width) of the image.

    Notes
    -----
    Where a method takes a `layer`, None is the mean over all layers of the finest grid. Where cells
    attend to text in the same softmax, what a cell pays to cells sums to what it leaves.
    """

    layers: Mapping[str, Layer]
    keep: frozenset[str]
    steps: int
    size: tuple[int, int]

    def attention_from(self, y: float, x: float, layer: str | None = None) -> Float[Tensor, "y x"]:
        """Where the place at pixel (y, x) looks: probabilities over the grid, summing to 1
        (to less, where text has a share)."""
        values, (row, column) = self.features(layer), self._cell(y, x, layer)
        return values[:, row, column].reshape(values.shape[1:])

    def attention_to(self, y: float, x: float, layer: str | None = None) -> Float[Tensor, "y x"]:
        """How strongly each place looks at pixel (y, x)."""
        values, (row, column) = self.features(layer), self._cell(y, x, layer)
        return values[row * values.shape[2] + column]

    def received(self, layer: str | None = None) -> Float[Tensor, "y x"]:
        """How much attention each place receives in all; its mean is 1.

        Self-Attention Guidance masks where this exceeds 1 (arXiv 2210.00939).
        """
        values = self.features(layer)
        return values.sum((1, 2)).reshape(values.shape[1:])

    def features(self, layer: str | None = None) -> Float[Tensor, "cells y x"]:
        """Where each place looks, as its feature vector: probabilities over the cells."""
        layers = self._chosen(layer)
        values = sum((layer.values for layer in layers[1:]), layers[0].values)
        values = values.sum(0) if "step" in self.keep else values
        return values / (sum(layer.heads for layer in layers) * self.steps)

    def _chosen(self, name: str | None) -> list[Layer]:
        """One layer by its name, or all of the finest grid."""
        if name is None:
            finest = max((layer.grid for layer in self.layers.values()), key=lambda g: g[0] * g[1])
            return [layer for layer in self.layers.values() if layer.grid == finest]
        if name not in self.layers:
            raise DaamkitError(
                wanted=f"a self-attention layer named {name!r}",
                got=f"{', '.join(self.layers)}",
                mend="name one of these",
            )
        return [self.layers[name]]

    def _cell(self, y: float, x: float, name: str | None) -> tuple[int, int]:
        grid, (height, width) = self._chosen(name)[0].grid, self.size
        if not (0 <= y < height and 0 <= x < width):
            raise DaamkitError(
                wanted=f"a pixel within {height} x {width} (height x width)",
                got=f"({y}, {x})",
                mend="give y first, then x",
            )
        return int(y * grid[0] / height), int(x * grid[1] / width)
