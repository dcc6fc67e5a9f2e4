"""The same prompts and seeds with guidance and without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daamkit.views import pieces
from daamkit.views.plots.comparisons import compare
from daamkit.views.plots.frames import require_columns, require_single
from daamkit.views.plots.lines import NAMES

if TYPE_CHECKING:
    import plotly.graph_objects as go

PAIRS = ("case", "prompt", "seed", "of", "start")
APART = 0.22  # of both sides from their method's place


def guidance(
    frame: pd.DataFrame,
    value: str = "value",
    base: str = "none",
    pairs: Sequence[str] | None = None,
    cluster: str = "prompt",
    ax: Axes | None = None,
    *,
    hover: bool = False,
) -> Axes | go.Figure:
    """A measure without guidance and with it, pair by pair, method by method.

    A line is a pair; points are means with 95% intervals over prompts. Below each method stand the
    mean gain with its interval and the number of pairs.

    Parameters
    ----------
    frame
        Rows: method, `value`, `cluster` and `pairs`, as the studies of guidance have them.
    value
        The column of the measure.
    base
        The method that stands for no guidance.
    pairs
        Columns that tell which rows of two methods belong together; default those of case, prompt,
        seed, of (the word) and start that the frame has. Pairs with a missing value are left out.
    cluster
        The column that tells which rows belong together.
    ax
        Axes to draw into; default those of a new figure.
    hover
        Return a plotly figure whose pairs say what they are.

    Raises
    ------
    DaamkitError
        If columns, rows or pairs are missing, or rows are of several measures.
    """
    what = "guidance"
    require_columns(frame, ["method", value, cluster, *(pairs or ())], what)
    require_single(frame, ["measure"], what)
    known = [column for column in PAIRS if column in frame.columns]
    found = compare(frame, value, base, [*dict.fromkeys([cluster, *(pairs or known)])], cluster)
    y = frame["measure"].iloc[0] if value == "value" and "measure" in frame.columns else value
    y = NAMES.get(str(y), str(y))
    if hover:
        from daamkit.views.plots import hover as hovering

        return hovering.pairs(found, APART, title="Without guidance and with it", y=y)
    ax = pieces.axes(ax, (1.6 + 1.7 * len(found), 4))
    for i, method in enumerate(found):
        sides = np.array([[i - APART], [i + APART]])
        both = method.pairs[["before", "after"]].to_numpy(float).T
        alpha = float(np.clip(6 / len(method.pairs), 0.08, 0.5))
        ax.plot(sides.repeat(both.shape[1], 1), both, color=pieces.INK, alpha=alpha, linewidth=0.8)
    for k, side in enumerate(("without", "with")):
        at = np.arange(len(found)) + (APART if k else -APART)
        mean, low, high = np.array([method.after if k else method.before for method in found]).T
        tint = pieces.colour(0) if k else pieces.INK
        ax.vlines(at, low, high, color=tint, linewidth=2.5)
        ax.plot(at, mean, "o", color=tint, markersize=7, label=side)
    ax.set_xticks(range(len(found)), [pieces.plain(method.label) for method in found], fontsize=8)
    ax.set_xlim(-0.5, len(found) - 0.5)
    pieces.label_axes(ax, "Without guidance and with it", "", y, grid="y")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return ax
