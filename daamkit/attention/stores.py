"""Sums of attention whose size is known before anything is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daamkit import files
from daamkit.attention.sites import Grid, Site
from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError

AXES = ("step", "site", "head")
_SPILLED = "{:,} bytes of attention maps in files in {}"
_ELSEWHERE = "name another folder with `spill=`, or free some space"


class MemoryBudgetError(DaamkitError):
    """What was asked to be kept is larger than the budget; nothing has been kept yet."""


@dataclass(frozen=True)
class Slot:
    """Where sites of one grid are summed: a single site, or all of a group.

    Attributes
    ----------
    name
        The site's name, or "up 16x16" and the like for several.
    sites
        Names of the sites summed here.
    group, grid, heads
        As in `Site`; with several sites, the heads of one.
    order
        Place of the first of them in the order of execution.
    left_out
        Pooling rules that leave them out.
    """

    name: str
    sites: tuple[str, ...]
    group: str
    grid: Grid
    heads: int
    order: int = 0
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What will be kept and how large it is.

    Attributes
    ----------
    keep
        Axes that are not summed over, out of "step", "site", "head".
    slots
        The sums, and which sites go into each.
    samples, steps
        Images, and passes of the denoiser.
    columns
        Length of the key axis: tokens for cross-attention; 0 stands for all of the slot's cells,
        which is what self-attention has.
    """

    keep: frozenset[str]
    slots: tuple[Slot, ...]
    samples: int
    steps: int
    columns: int

    def shape(self, slot: Slot) -> tuple[int, ...]:
        """(samples, [steps], [heads], columns, cells)."""
        shape = [self.samples]
        if "step" in self.keep:
            shape.append(self.steps)
        if "head" in self.keep:
            shape.append(slot.heads)
        return (*shape, self.columns or prod(slot.grid), prod(slot.grid))

    @property
    def bytes(self) -> int:
        """Size of all sums, float32."""
        return sum(4 * prod(self.shape(slot)) for slot in self.slots)

    @staticmethod
    def slots_of(
        sites: Iterable[Site],
        whole: Grid,
        keep: frozenset[str],
        left_out: Callable[[Site], frozenset[str]] = lambda site: site.left_out,
    ) -> tuple[Slot, ...]:
        """One slot a site, or one for each group, grid and number of heads.

        Parameters
        ----------
        sites
            The sites of all denoisers.
        whole
            The grid of the denoiser's own input.
        keep
            Axes that are not summed over.
        left_out
            Which pooling rules leave a site out.
        """
        groups: dict[object, list[Site]] = {}
        for site in sites:
            alike = (site.denoiser, site.group, site.grid(whole), site.heads, left_out(site))
            groups.setdefault(site.name if "site" in keep else alike, []).append(site)
        slots: list[Slot] = []
        for group in groups.values():
            first, grid = group[0], group[0].grid(whole)
            name = " ".join(filter(None, [first.denoiser, first.group, "x".join(map(str, grid))]))
            name = first.name if "site" in keep else name
            if "site" not in keep and any(name == slot.name for slot in slots):
                name += f" {first.heads} heads"
            names = tuple(site.name for site in group)
            order = min(site.order for site in group)
            slot = Slot(name, names, first.group, grid, first.heads, order, left_out(first))
            slots.append(slot)
        return tuple(slots)


def check(plans: Sequence[Plan], budget: int | None) -> None:
    """Refuse what is over the budget, before anything is kept.

    Raises
    ------
    MemoryBudgetError
        If the plans together take more than `budget` bytes.
    """
    total = sum(plan.bytes for plan in plans)
    if budget is not None and total > budget:
        slots, first = sum(len(plan.slots) for plan in plans), plans[0]
        raise MemoryBudgetError(
            wanted=f"at most {budget:,} bytes of attention maps",
            got=f"{total:,} bytes to keep {', '.join(sorted(first.keep)) or 'sums only'} for "
            f"{first.samples} images, {first.steps} steps, {slots} layers",
            mend="keep fewer axes, raise `budget=`, or give a folder with `spill=`",
        )


class Store:
    """Running float32 sums as a plan has them.

    Parameters
    ----------
    plan
        The sums to keep.
    spill
        A folder that takes the sums as memory-mapped files; None keeps them in memory.
    """

    def __init__(self, plan: Plan, spill: Path | None = None) -> None:
        self.plan = plan
        self.sums: dict[str, Tensor] = {}
        self._slot = {site: slot for slot in plan.slots for site in slot.sites}
        self.sites = frozenset(self._slot)
        self.passes: dict[str, set[int]] = {}  # in which each site has run
        self._spill: Path | None = None
        if spill is not None:
            with files.told(_SPILLED.format(plan.bytes, spill), mend=_ELSEWHERE):
                self._spill = Path(tempfile.mkdtemp(dir=spill, prefix="daamkit-"))
            weakref.finalize(self, shutil.rmtree, self._spill, ignore_errors=True)

    def add(self, attention: Attention, columns: Tensor, cells: slice = slice(None)) -> None:
        """Add one site's probabilities, or a block of its cells.

        Parameters
        ----------
        attention
            Where they come from.
        columns
            (samples, heads, cells, columns) float32.
        cells
            Which cells these are, where they are not all.
        """
        slot = self._slot[attention.site.name]
        self.passes.setdefault(attention.site.name, set()).add(attention.now.index)
        sums = self.sums.get(slot.name)
        if sums is None:
            sums = self.sums[slot.name] = self._zeros(slot, columns.device)
        values = columns.transpose(-1, -2)  # (samples, heads, columns, cells)
        if "head" not in self.plan.keep:
            values = values.sum(1)
        if "step" in self.plan.keep:
            sums = sums[:, attention.now.index]
        sums[..., cells] += values.to(sums.device)

    def _zeros(self, slot: Slot, device: torch.device) -> Tensor:
        shape = self.plan.shape(slot)
        if self._spill is None:
            return torch.zeros(shape, device=device, dtype=torch.float32)
        place, size = self._spill / f"{len(self.sums)}.f32", 4 * prod(shape)
        with files.told(_SPILLED.format(size, self._spill.parent), mend=_ELSEWHERE):
            with place.open("wb") as file:  # a full disk is an error now, not a crash later
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
            return torch.from_numpy(np.memmap(place, np.float32, "r+", shape=shape))
