"""Maps of nothing, each made of an image's own: what they are taken for says what maps tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from daamkit.maps.heatmaps import HeatMaps
from daamkit.studies.localisation import smooth


def noise(maps: HeatMaps, seed: int) -> HeatMaps:
    """Each cell a random number whose mean is its layer's."""
    return _each(maps, seed, lambda values, rng: 2 * _random(values, rng) * _mean(values))


def smooth_noise(maps: HeatMaps, seed: int) -> HeatMaps:
    """The same, blurred: blobs as large as things are, elsewhere in each layer and head."""

    def blurred(values: Tensor, rng: torch.Generator) -> Tensor:
        blobs = smooth(_random(values, rng))
        return blobs / _mean(blobs) * _mean(values)

    return _each(maps, seed, blurred)


def permuted(maps: HeatMaps, seed: int) -> HeatMaps:
    """Each token's cells in another order in each layer: as much attention as before, to places
    that mean nothing."""

    def moved(values: Tensor, rng: torch.Generator) -> Tensor:
        flat = values.cpu().flatten(-2)
        order = torch.rand(flat.shape[-2:], generator=rng, dtype=torch.float32, device="cpu")
        return flat.gather(-1, order.argsort(-1).expand(flat.shape)).reshape(values.shape)

    return _each(maps, seed, moved)


NOTHING: dict[str, Callable[[HeatMaps, int], HeatMaps]] = {
    "noise": noise, "smooth": smooth_noise, "permuted": permuted,
}  # fmt: skip


def _each(maps: HeatMaps, seed: int, made: Callable[[Tensor, torch.Generator], Tensor]) -> HeatMaps:
    rng = torch.Generator().manual_seed(seed)
    layers = {n: replace(each, values=made(each.values, rng)) for n, each in maps.layers.items()}
    return replace(maps, layers=layers)


def _random(values: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(values.shape, generator=rng, dtype=torch.float32, device="cpu")


def _mean(values: Tensor) -> Tensor:
    return values.cpu().mean((-1, -2), keepdim=True)
