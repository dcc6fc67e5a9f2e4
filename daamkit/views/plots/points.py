"""Means with intervals, side by side: relations, and what an adjective moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from daamkit.views import palettes, pieces
from daamkit.views.plots.frames import is_table, require_columns, require_single, summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

MEASURES = {"iou": "IoU", "iod": "IoD: share of the dependent", "ioh": "IoH: share of the head"}
TINTS = {"iou": pieces.INK, "iod": palettes.DEPENDENT, "ioh": palettes.HEAD}


def relations(
    frame: pd.DataFrame,
    measures: Sequence[str] = tuple(MEASURES),
    cluster: str = "prompt",
    ax: Axes | None = None,
    *,
    hover: bool = False,
) -> Axes | go.Figure:
    """Overlap of heads' and dependents' maps, by relation: means with 95% intervals over prompts.

    See the DAAM paper, arXiv 2210.04885, section 4.

    Parameters
    ----------
    frame
        Rows of `Run.relations` of several runs at one cut, and `cluster`; or a table: relation,
        measure, mean, low, high and, if known, n.
    measures
        Which of "iou", "iod", "ioh" to show.
    cluster
        The column that tells which rows belong together: rows of one prompt are not independent.
    ax
        Axes to draw into; default those of a new figure.
    hover
        Return a plotly figure with every pair of words in it.

    Returns
    -------
    axes or figure
        A row for each relation, the most frequent on top, with its number of pairs.

    Raises
    ------
    DaamkitError
        If columns or rows are missing, or rows are of several cuts.
    """
    what = "relations"
    rows, groups = None, ["relation", "measure"]
    if not is_table(frame):
        require_columns(frame, ["relation", cluster, *measures], what)
        require_single(frame, ["rule", "tau"], what)
        others = [column for column in frame.columns if column not in measures]
        rows = frame.melt(others, [*measures], var_name="measure", value_name="value")
    table = summary(frame if rows is None else rows, groups, "value", cluster, what)
    if rows is not None:
        table = table.sort_values("n", ascending=False, kind="stable")
    keys = {measure: MEASURES.get(measure, measure) for measure in measures}
    names = pieces.labels(table["relation"])
    if "n" in table.columns:
        count = table.groupby("relation")["n"].max()
        names = {name: f"{label} ({count[name]})" for name, label in names.items()}
    title, x = "Overlap of head and dependent", "share of the area (number of pairs at the left)"
    if hover:
        from daamkit.views.plots import hover as hovering

        return hovering.points(
            table, "relation", "measure", names=names, keys=keys, tints=TINTS, pairs=rows,
            words=("head", "dependent"), cluster=cluster, title=title, x=x,
        )  # fmt: skip
    ax = pieces.axes(ax, (6.5, 1.6 + 0.42 * len(names)))
    pieces.points(ax, table, "relation", "measure", names=names, keys=keys, tints=TINTS)
    pieces.label_axes(ax, title, x)
    pieces.legend(ax, below=True)
    return ax


def entanglement(
    frame: pd.DataFrame,
    by: str = "change",
    value: str = "moved",
    cluster: str = "prompt",
    ax: Axes | None = None,
) -> Axes:
    """How far a change of the prompt moves the image inside the noun's thing, and outside.

    As in the DAAM paper (arXiv 2210.04885, section 5.2): means with 95% intervals over prompts.

    Parameters
    ----------
    frame
        Rows: `by`, region ("inside", "outside"), `value`, `cluster`, as the study "adjectives" has
        them; or its tables: `by`, region, mean, low, high.
    by
        What to tell apart: "change" (the adjective swapped, removed, ...), "kind" (of adjective),
        or any other, such as the adjective itself.
    value
        The column of what moved.
    cluster
        The column that tells which rows belong together.
    ax
        Axes to draw into; default those of a new figure.

    Raises
    ------
    DaamkitError
        If columns or rows are missing, or rows of several changes would be averaged.
    """
    what = "entanglement"
    require_single(frame, [] if by == "change" else ["change"], what)
    table = summary(frame, [by, "region"], value, cluster, what)
    ax = pieces.axes(ax, (6, 1.3 + 0.42 * table[by].nunique()))
    pieces.points(ax, table, by, "region")
    pieces.zero(ax)
    x = "mean absolute difference (1: black to white)" if value == "moved" else value
    pieces.label_axes(ax, "How much the image moves", x)
    pieces.legend(ax)
    return ax
