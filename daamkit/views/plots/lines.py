"""Means over a number, with their intervals as bands: thresholds, frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from daamkit.views import pieces
from daamkit.views.plots.frames import is_table, require_columns, require_single, summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMES = {"iou": "IoU", "iod": "IoD", "ioh": "IoH", "miou": "mIoU"}


def sweep(
    frame: pd.DataFrame,
    value: str = "iou",
    by: str = "rule",
    dashes: str | None = None,
    cluster: str = "prompt",
    ax: Axes | None = None,
    *,
    hover: bool = False,
) -> Axes | go.Figure:
    """A measure over the thresholds of a mask, with 95% intervals over prompts.

    Parameters
    ----------
    frame
        Rows: tau, `by`, `dashes`, `value`, `cluster`, as `Run.relations` gives them at several
        thresholds; or a table: tau, `by`, `dashes`, mean (or `value`), low, high.
    value
        The column of the measure.
    by, dashes
        The columns that decide the colour, and the kind of line.
    cluster
        The column that tells which rows belong together.
    ax
        Axes to draw into; default those of a new figure.
    hover
        Return a plotly figure whose points say how many values they are of.

    Raises
    ------
    DaamkitError
        If columns or rows are missing, or rows of several rules would be averaged.
    """
    what, groups = "a sweep", [by, *([dashes] if dashes else []), "tau"]
    require_single(frame, [] if "rule" in groups else ["rule"], what)
    table = summary(frame, groups, value, cluster, what)
    y = NAMES.get(value, value)
    if hover:
        from daamkit.views.plots import hover as hovering

        return hovering.band(
            table, "tau", by, dashes, cluster=cluster, title=f"{y} over the threshold",
            x_name="threshold", y_name=y,
        )  # fmt: skip
    ax = pieces.axes(ax, (5.5, 3.8))
    pieces.band(ax, table, "tau", by, dashes=dashes)
    pieces.label_axes(ax, f"{y} over the threshold", "threshold", y, grid="both")
    pieces.legend(ax)
    return ax


def frequency(frame: pd.DataFrame, cluster: str = "prompt", ax: Axes | None = None) -> Axes:
    """How fine the detail is where attention is high, beside everywhere.

    As in Self-Attention Guidance (arXiv 2210.00939, section 4), with 95% intervals over prompts.

    Parameters
    ----------
    frame
        Rows: layer, frequency (cycles per pixel), above, everywhere (or all), `cluster`, numbers or
        lists of them, as `measures.frequency.contrast` and the study "self_attention" have them; or
        the study's table: layer, frequency, difference, low, high. The frequency 0, a patch's mean,
        is not shown.
    cluster
        The column that tells which rows belong together.
    ax
        Axes to draw into; default those of a new figure.

    Raises
    ------
    DaamkitError
        If columns or rows are missing, or rows are of several thresholds psi.
    """
    what, by = "frequencies", ["layer", "frequency"]
    require_single(frame, ["psi"], what)
    if not is_table(frame):
        frame = frame.rename(columns={"all": "everywhere"})
        require_columns(frame, [*by, "above", "everywhere", cluster], what)
        lists = ["frequency", "above", "everywhere"]
        frame = frame[["layer", cluster, *lists]].explode(lists, ignore_index=True)
        frame = frame.astype(dict.fromkeys(lists, float))
        frame = frame.assign(difference=frame["above"] - frame["everywhere"])
    table = summary(frame, by, "difference", cluster, what)
    table = table[table["frequency"] > 0]
    ax = pieces.axes(ax, (5.5, 3.8))
    pieces.band(ax, table, "frequency", "layer")
    pieces.zero(ax, along="y")
    y = "log magnitude - that of all patches"
    pieces.label_axes(ax, "Contrast where attention is high", "cycles per pixel", y, grid="both")
    pieces.legend(ax)
    return ax
