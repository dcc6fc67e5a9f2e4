"""The same maps, pooled from half of the layers, those that run first or last, or of the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daamkit.maps import pooling
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run

HALVES = ("layers, first", "layers, second", "steps, first", "steps, second")


def of(run: Run) -> dict[str, Run]:
    """The run with half of its maps, by which of `HALVES`: of the layers that its rule pools, and
    of the steps where several were kept apart; of attention to words alone."""
    every = pooling.pooled(run.maps.layers.values(), run.maps.rule, run.maps.explicit_layers)
    names = [layer.name for layer in sorted(every, key=lambda layer: layer.order)]
    found = {
        f"layers, {which}": run.maps.select(sites=lambda layer, kept=kept: layer.name in kept)
        for which, kept in _halves(names).items()
    }
    if "step" in run.maps.keep:
        steps = _halves([*range(run.maps.steps)])
        found |= {f"steps, {which}": run.maps.select(steps=kept) for which, kept in steps.items()}
    return {name: _with(run, maps) for name, maps in found.items()}


def _halves(every: list[Any]) -> dict[str, list[Any]]:
    middle = len(every) // 2
    return {"first": every[:middle], "second": every[middle:]} if middle else {}


def _with(run: Run, maps: HeatMaps) -> Run:
    return replace(run, branches={**run.branches, "cond": maps}, self_attention={}, related={})
