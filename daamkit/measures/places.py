"""Which words explain a place of the image: a pixel, or a box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import Size, WordMap
from daamkit.maps.words import Word
from daamkit.measures.overlap import iou

NAMED = ("word", "start", "end", "occurrence")
AT = (*NAMED, "value", "share")
REGION = (*NAMED, "inside", "iou", "lift")


def at(run: Run, y: int, x: int) -> pd.DataFrame:
    """The words by their share of a pixel, the greatest first; see `Run.at`."""
    height, width = run.maps.size
    if not (0 <= y < height and 0 <= x < width):
        raise DaamkitError(
            wanted=f"a pixel (y, x) of an image of {height} x {width} (height x width)",
            got=f"({y}, {x})",
            mend="rows count from the top, columns from the left, both from 0",
        )
    found = run.maps.words()
    values = [float(attention(word)[y, x]) for word in found]
    total = sum(values)
    rows = [
        named(word.word) | {"value": value, "share": value / total if total > 0 else 0.0}
        for word, value in zip(found, values, strict=True)
    ]
    return _sorted(rows, AT, "value")


def region(
    run: Run, box: Sequence[int], threshold: float | Rule = 0.4, rule: Rule = "max"
) -> pd.DataFrame:
    """The words by the share of their maps in a box, the greatest first; see `Run.region`."""
    height, width = run.maps.size
    corners = [int(side) for side in box]
    known = len(corners) == 4 and (
        0 <= corners[0] < corners[2] <= height and 0 <= corners[1] < corners[3] <= width
    )
    if not known:
        raise DaamkitError(
            wanted=f"a box (top, left, bottom, right) in an image of {height} x {width} pixels "
            "(height x width)",
            got=f"{tuple(box)}",
            mend="rows count from the top, columns from the left; bottom and right are not in it",
        )
    top, left, bottom, right = corners
    within = np.zeros((height, width), bool)
    within[top:bottom, left:right] = True
    rows = []
    for word in run.maps.words():
        values = attention(word)
        total = float(values.sum())
        inside = float(values[within].sum()) / total if total > 0 else 0.0
        shared = iou(word.mask(threshold, rule), within)
        lift = inside / float(within.mean())
        rows.append(named(word.word) | {"inside": inside, "iou": shared, "lift": lift})
    return _sorted(rows, REGION, "inside")


def named(word: Word) -> dict[str, Any]:
    """The columns that say which word a row is of."""
    return {"word": word.text, "start": word.start, "end": word.end, "occurrence": word.occurrence}


def attention(word: WordMap, size: Size | None = None) -> Float[np.ndarray, "*frames height width"]:
    """A word's attention at each pixel, or at each cell of another `size`; none is below 0, where
    an enlargement may swing."""
    return word.expand(size, absolute=True).clamp(min=0).cpu().double().numpy()


def _sorted(rows: list[dict[str, Any]], columns: Sequence[str], by: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.sort_values(by, ascending=False, kind="stable", ignore_index=True)
