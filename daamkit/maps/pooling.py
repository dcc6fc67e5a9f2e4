"""How layers of every size become one map a token: the daam package's rule and the paper's.

Sums run in the layers' order and in float32, as the references' do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps.layers import Layer
from daamkit.maps.wordmap import enlarge, over_tokens
from daamkit.maps.words import Word

Pooling = Literal["daam", "paper"]


def daam(
    layers: Iterable[Layer],
    keep: frozenset[str],
    steps: int,
    size: tuple[int, int],
    base: int,
    exact: bool,
) -> Float[Tensor, "*frames columns y x"]:
    """The package daam 0.2.0: every head of every site enlarged, clamped at 0 and averaged.

    Parameters
    ----------
    layers
        The layers to pool.
    keep
        Which of "step", "site", "head" were kept apart.
    steps
        Passes of the denoiser; a layer that has run in some of them counts for as much.
    size
        (height, width) of the image.
    base
        Side of daam's map of a square image, in cells; of others the area is the same.
    exact
        Whether heads that were kept are enlarged one by one, as daam does, or summed before.
    """
    height, width = size
    side = (round(base * math.sqrt(height / width)), round(base * math.sqrt(width / height)))
    total, keys = torch.zeros((), dtype=torch.float32, device="cpu"), 0.0
    for layer in layers:
        values = _over_steps(layer, keep)
        if "head" in keep:
            values = values if exact else values.sum(0, keepdim=True)
            total = total + enlarge(values, side).clamp(min=0).sum(0)
        else:
            total = total + enlarge(values, side).clamp(min=0)
        keys += layer.heads * layer.share(steps)
    return total / keys


def paper(
    layers: Iterable[Layer], keep: frozenset[str], size: tuple[int, int]
) -> Float[Tensor, "*frames columns height width"]:
    """The DAAM paper (arXiv 2210.04885): enlarged to the image's size and summed.

    Parameters
    ----------
    layers, keep, size
        The layers, what they keep, and the image's size, as in `daam`.
    """
    total = torch.zeros((), dtype=torch.float32, device="cpu")
    for layer in layers:
        values = _over_steps(layer, keep)
        total = total + enlarge(values.sum(0) if "head" in keep else values, size)
    return total.clamp(min=0)


def pooled(layers: Iterable[Layer], rule: Pooling, explicit: bool) -> list[Layer]:
    """The layers that a rule does not leave out: all of them, where they were chosen by name.

    Raises
    ------
    DaamkitError
        If the rule leaves out all.
    """
    layers = list(layers)
    found = [layer for layer in layers if explicit or rule not in layer.left_out]
    if not found:
        raise DaamkitError(
            wanted="layers that the rule does not leave out",
            got=f"{', '.join(layer.name for layer in layers) or 'no layers'}",
            mend="name the layers you want with `select(sites=...)`",
        )
    return found


def mass(layers: Iterable[Layer], steps: int) -> Float[Tensor, " columns"]:
    """Share of all attention that each token receives: see `HeatMaps.mass`."""
    total, sites = torch.zeros((), dtype=torch.float32, device="cpu"), 0.0
    for layer in layers:
        each = layer.heads / len(layer.sites) * max(layer.frames, 1)
        values = layer.values.flatten(0, -4).sum(0) if layer.values.ndim > 3 else layer.values
        total = total + values.double().mean((-1, -2)).cpu() / (each * steps)
        sites += len(layer.sites) * layer.share(steps)
    return (total / sites).float()


def of_heads(layer: Layer, keep: frozenset[str], word: Word) -> Float[Tensor, "heads *frames y x"]:
    """A word's map of each head of a layer, a sum over steps; of summed heads, one."""
    values = over_tokens(layer.values, word)
    values = values.sum(0) if "step" in keep else values
    return values if "head" in keep else values[None]


def of_steps(layer: Layer, keep: frozenset[str], word: Word) -> Float[Tensor, "steps *frames y x"]:
    """A word's map of each step of a layer, a sum over heads; of summed steps, one."""
    values = over_tokens(layer.values, word)
    values = values.sum(int("step" in keep)) if "head" in keep else values
    return values if "step" in keep else values[None]


def _over_steps(layer: Layer, keep: frozenset[str]) -> Float[Tensor, "*kept columns y x"]:
    return layer.values.sum(0) if "step" in keep else layer.values
