"""A layer of maps: the attention of one site, or of several alike."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.errors import DaamkitError

Index = SupportsIndex | slice | Iterable[SupportsIndex]
Choice = str | Iterable[str] | Callable[["Layer"], bool]  # names, parts of names, or a test


@dataclass(frozen=True, eq=False)
class Layer:
    """Attention of one site, or of several alike, summed over the axes that were not kept.

    Attributes
    ----------
    name, sites
        What it is called, and the sites it sums.
    group
        What its sites belong to, as the model's family has it: "down", "mid", "up" of a UNet.
    heads
        Heads summed or kept, over all its sites.
    values
        (step?, head?, frame?, column, y, x) float32; columns are tokens for cross-attention and,
        for self-attention, the cells looked at, row by row.
    order
        When it runs, among the layers of its model.
    left_out
        The pooling rules that leave it out, unless layers are chosen by name; "mean" is that of
        relations.
    frames
        Length of the axis of a video's frames; 0 where there is none.
    ran
        In which of the maps' steps its model has run; None: in all.
    """

    name: str
    sites: tuple[str, ...]
    group: str
    heads: int
    values: Float[Tensor, "*kept columns y x"]
    order: int = 0
    left_out: tuple[str, ...] = ()
    frames: int = 0
    ran: tuple[int, ...] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) in cells."""
        return self.values.shape[-2], self.values.shape[-1]

    def frame(self, index: int) -> Layer:
        """One frame of it, as an image's layer."""
        return replace(self, values=self.values.select(-4, index), frames=0)

    def share(self, steps: int) -> float:
        """In which share of so many steps it has run."""
        return 1.0 if self.ran is None else len(self.ran) / steps

    def meant_by(self, names: Sequence[str]) -> bool:
        """Whether some names mean it: by its own name, or all the sites that it sums.

        Raises
        ------
        DaamkitError
            If they mean some of its sites and not all.
        """
        if any(name in self.name for name in names):
            return True
        meant = [site for site in self.sites if any(name in site for name in names)]
        if meant and len(meant) < len(self.sites):
            raise DaamkitError(
                wanted=f"{', '.join(meant)} alone",
                got=f"the layer {self.name!r}, which sums {len(self.sites)} sites",
                mend="trace with 'site' in `keep=`",
            )
        return bool(meant)

    def take(self, axis: str, keep: Collection[str], index: Index) -> Layer:
        """Some steps or heads of it.

        Parameters
        ----------
        axis
            "step" or "head".
        keep
            What was kept apart: the steps are the values' first axis, the heads the next.
        index
            An index, a slice or several indices.

        Raises
        ------
        DaamkitError
            If that axis was not kept, it has not as many, or none is asked for.
        """
        if axis not in keep:
            raise DaamkitError(
                wanted=f"single {axis}s",
                got=f"a trace that kept {sorted(keep) or 'sums only'}",
                mend=f"trace with {axis!r} in `keep=`",
            )
        place = int(axis == "head" and "step" in keep)
        length = self.values.shape[place]
        try:
            wanted = range(length)[index] if isinstance(index, slice) else index
            single = wanted if isinstance(wanted, Iterable) else [wanted]
            chosen = [range(length)[operator.index(position)] for position in single]
        except IndexError:
            chosen = []
        if not chosen:
            raise DaamkitError(
                wanted=f"{axis}s from 0 to {length - 1}", got=f"{index}", mend="choose from these"
            )
        values = self.values.index_select(place, torch.tensor(chosen, device=self.values.device))
        if axis == "head":
            return replace(self, values=values, heads=len(chosen) * len(self.sites))
        if self.ran is None:
            return replace(self, values=values)
        ran = tuple(at for at, step in enumerate(chosen) if step in self.ran)
        return replace(self, values=values, ran=ran)


def meant(layers: Mapping[str, Layer], sites: Choice | None) -> dict[str, Layer]:
    """The layers that names, parts of names or a test mean; None: all."""
    if sites is None:
        return dict(layers)
    names = [sites] if isinstance(sites, str) else sites if callable(sites) else list(sites)
    test = names if callable(names) else lambda layer: layer.meant_by(names)
    return {name: layer for name, layer in layers.items() if test(layer)}


def select(
    layers: Mapping[str, Layer],
    keep: Collection[str],
    count: int,
    steps: Index | None,
    sites: Choice | None,
    heads: Index | None,
) -> tuple[dict[str, Layer], int]:
    """Some layers, of some steps and heads, and how many steps these are.

    Parameters
    ----------
    layers
        By name.
    keep
        What was kept apart.
    count
        How many steps the layers have.
    steps, sites, heads
        As in `HeatMaps.select`.

    Raises
    ------
    DaamkitError
        If an axis was not kept, or nothing is left.
    """
    chosen = meant(layers, sites)
    if sites is not None and not chosen:
        raise DaamkitError(
            wanted="some layers" if callable(sites) else f"layers named {sites}",
            got="none",
            mend=f"the layers are {', '.join(layers)}",
        )
    if steps is not None:
        chosen = {name: layer.take("step", keep, steps) for name, layer in chosen.items()}
        count = next(iter(chosen.values())).values.shape[0]
        chosen = {name: layer for name, layer in chosen.items() if layer.share(count)}
    if heads is not None:
        chosen = {name: layer.take("head", keep, heads) for name, layer in chosen.items()}
    return chosen, count
