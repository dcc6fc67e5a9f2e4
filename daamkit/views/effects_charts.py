"""Charts of what guidance changes: maps' truth and overlap, and whether maps follow the image."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from daamkit.views.charts import _INK, _name, _points, _sheet

SHOWN = {
    "present": "thing there",
    "found": "map on its thing (mIoU, missing: 0)",
    "iou": "map on its thing (mIoU, there in both)",
    "truer": "own image over the other (IoU)",
    "overlap": "overlap of two things' maps (IoU)",
    "entropy": "entropy of a thing's map",
}


def effects(table: pd.DataFrame, neglected: pd.DataFrame, changes: pd.DataFrame) -> Figure:
    """Differences that each method makes, over all prompts and those with a thing missing before;
    and how well the maps' change tells where the image changed.

    Parameters
    ----------
    table, neglected
        method, measure, gain, gain_low, gain_high.
    changes
        method, measure, mean, low, high.
    """
    figure, (left, middle, right) = _sheet(3, (14, 4.2))
    names = list(SHOWN)[::-1]
    methods = table[table["gain"].notna()]["method"].unique().tolist()
    panels = {"All prompts": (left, table), "A thing was missing without it": (middle, neglected)}
    for title, (axis, part) in panels.items():
        for i, method in enumerate(methods):
            rows = part[part["method"] == method].set_index("measure").reindex(names)
            at = np.arange(len(names)) + ((len(methods) - 1) / 2 - i) * 0.15
            _points(axis, at, rows, "gain", "gain_low", "gain_high", i, method.replace("_", "-"))
        axis.axvline(0, color=_INK, linewidth=0.8)
        _name(axis, title, "guided - unguided", "")
    left.set_yticks(range(len(names)), [SHOWN[name] for name in names])
    middle.set_yticks(range(len(names)), [""] * len(names))
    kinds = {"follows": "change of the maps", "still": "the unguided maps"}
    for i, (kind, label) in enumerate(kinds.items()):
        rows = changes[changes["measure"] == kind].set_index("method").reindex(methods[::-1])
        at = np.arange(len(methods)) + 0.1 - 0.2 * i
        _points(right, at, rows, "mean", "low", "high", i, label)
    right.set_yticks(range(len(methods)), [name.replace("_", "-") for name in methods[::-1]])
    _name(right, "Where did the image change?", "rank correlation with the image's change", "")
    right.legend(frameon=False, fontsize=8)
    left.legend(frameon=False, fontsize=8)
    return figure
