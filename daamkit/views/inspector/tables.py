"""What the inspector shows, as tidy frames with the library's own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.measures.overlap import ioa, iou
from daamkit.measures.places import attention
from daamkit.views.inspector.state import State, inside
from daamkit.views.labels import labels

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "words": ("column", "word", "area", "centre_y", "centre_x", "peak_y", "peak_x", "peak"),
    "pairs": ("column", "head", "dependent", "iou", "iod", "ioh"),
    "pixel": ("column", "word", "value", "share"),
    "region": ("column", "word", "inside", "iou", "lift"),
}


def table(runs: Mapping[str, Run], state: State, kind: str) -> pd.DataFrame:
    """One of the tables of `Inspector.table`, for runs by name."""
    if kind not in COLUMNS:
        raise DaamkitError(
            wanted=f"one of the tables {', '.join(COLUMNS)}", got=repr(kind), mend="name one"
        )
    make = {"words": _words, "pairs": _pairs, "pixel": _pixel, "region": _region}[kind]
    rows = [{"column": name} | row for name, run in runs.items() for row in make(run, state)]
    return pd.DataFrame(rows, columns=COLUMNS[kind])


def _words(run: Run, state: State) -> Iterable[dict[str, Any]]:
    for label, word in _known(run, state):
        (centre_y, centre_x), (peak_y, peak_x) = word.centre(), word.peak()
        yield {
            "word": label,
            "area": word.area(state.threshold),
            "centre_y": centre_y,
            "centre_x": centre_x,
            "peak_y": peak_y,
            "peak_x": peak_x,
            "peak": float(word.expand(absolute=True).max()),
        }


def _pairs(run: Run, state: State) -> Iterable[dict[str, Any]]:
    if len(state.pins) < 2:
        raise DaamkitError(
            wanted="two pinned words to compare",
            got=f"{len(state.pins)}",
            mend='pin them: `inspector.pins = ["cat", "red"]`, the head first',
        )
    name = dict(zip(state.words, labels(state.words), strict=True))
    for head, dependent in combinations(state.pins, 2):
        a, b = state.map(run, head), state.map(run, dependent)
        shares: tuple[Any, ...] = (np.nan,) * 3
        if a is not None and b is not None:
            one, other = a.mask(state.threshold), b.mask(state.threshold)
            shares = (iou(one, other), ioa(other, one), ioa(one, other))
        yield {"head": name[head], "dependent": name[dependent]} | dict(
            zip(("iou", "iod", "ioh"), shares, strict=True)
        )


def _pixel(run: Run, state: State) -> Iterable[dict[str, Any]]:
    if state.pixel is None:
        raise DaamkitError(
            wanted="a pixel", got="none", mend="point at one: `inspector.pixel = (y, x)`"
        )
    y, x = state.pixel
    if not inside((y, x, y + 1, x + 1), run.maps.size):
        return
    here = {label: float(attention(word)[y, x]) for label, word in _known(run, state)}
    total = sum(here.values())
    for label, value in sorted(here.items(), key=lambda row: -row[1]):
        yield {"word": label, "value": value, "share": value / total if total > 0 else 0.0}


def _region(run: Run, state: State) -> Iterable[dict[str, Any]]:
    if state.region is None:
        raise DaamkitError(
            wanted="a region",
            got="none",
            mend="brush one: `inspector.region = (top, left, bottom, right)`",
        )
    if not inside(state.region, run.maps.size):
        return []
    top, left, bottom, right = state.region
    region = np.zeros(run.maps.size, bool)
    region[top:bottom, left:right] = True
    rows = []
    for name, word in _known(run, state):
        own = attention(word)
        within = float(own[region].sum() / own.sum()) if own.sum() > 0 else 0.0
        share = iou(word.mask(state.threshold), region)
        rows.append({"word": name, "inside": within, "iou": share, "lift": within / region.mean()})
    return sorted(rows, key=lambda row: -row["inside"])


def _known(run: Run, state: State) -> list[tuple[str, WordMap]]:
    """The words of the first prompt that the run's has too, by label, with their maps."""
    maps = [state.map(run, word) for word in state.words]
    named = zip(labels(state.words), maps, strict=True)
    return [(label, word) for label, word in named if word is not None]
