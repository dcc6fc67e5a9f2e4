"""Charts of the study of neglect. Points are means, lines through them 95% intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daamkit.views.charts import _INK, _name, _points, _sheet

_GAINS = {
    "both": "both things drawn", "bound": "things in their colour",
    "clip_min": "CLIP, lesser half", "text_text": "caption and prompt",
}  # fmt: skip
_MAPS = {
    "iou": "on its own thing (IoU, absent: 0)", "on_other": "on the other thing",
    "other_area": "an even map on the other thing",
}  # fmt: skip


def neglect(table: pd.DataFrame, localisation: pd.DataFrame) -> Figure:
    """What is drawn by group of prompts, what each method adds, and where words' maps lie.

    Parameters
    ----------
    table
        group, measure, method, mean, low, high, gain, gain_low, gain_high.
    localisation
        words, measure, method, mean, low, high. Shown are the "neglected" words, or, if there are
        none, those where nothing was neglected.
    """
    figure, (left, middle, right) = _sheet(3, (14, 4.8), sharey=True)
    names = table["method"].unique().tolist()[::-1]
    left.set_yticks(range(len(names)), [name.replace("+", "\n+ ") for name in names])
    drawn = table[table["measure"] == "both"]
    groups = {str(group): str(group).replace("_", " and ") for group in drawn["group"].unique()}
    _series(left, drawn, "group", groups, names)
    _name(left, "Both things drawn", "share of images", "")
    added = table[(table["group"] == table["group"].iloc[-1]) & table["gain"].notna()]
    _series(middle, added, "measure", _GAINS, names, ("gain", "gain_low", "gain_high"))
    middle.axvline(0, color=_INK, linewidth=0.8)
    _name(middle, "What a method adds to no guidance", "gain", "")
    words = "neglected" if (localisation["words"] == "neglected").any() else "nothing neglected"
    _series(right, localisation[localisation["words"] == words], "measure", _MAPS, names)
    title = {"neglected": "Words neglected without guidance", "nothing neglected": "All words"}
    _name(right, f"{title[words]}: where their maps lie", "share", "")
    return figure


def _series(
    axis: Axes,
    table: pd.DataFrame,
    column: str,
    labels: dict[str, str],
    names: list[str],
    values: tuple[str, str, str] = ("mean", "low", "high"),
) -> None:
    """A row a method, a colour each value of a column."""
    known = [value for value in labels if (table[column] == value).any()]
    for i, value in enumerate(known):
        part = table[table[column] == value].set_index("method").reindex(names)
        at = np.arange(len(names)) + ((len(known) - 1) / 2 - i) * 0.8 / len(known)
        _points(axis, at, part, *values, i, labels[value])
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))
