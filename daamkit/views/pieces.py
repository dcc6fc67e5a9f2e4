"""What plots and charts are made of: a sheet, means with intervals, names, colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Literal, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from daamkit.views import fonts, palettes

INK, LINES = "#3d4350", "#e3e6ea"
VALUES = ("mean", "low", "high")  # columns of a mean and its interval
DASHES = ("solid", "dashed", "dotted", "dashdot")
Grid = Literal["x", "y", "both"]
Drawn = TypeVar("Drawn", Axes, Figure)
Labels = Mapping[Any, str]  # values of a column, in the order in which they are shown, and names


def sheet(
    columns: int, size: tuple[float, float], rows: int = 1, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with axes side by side, row by row; a notebook shows it where it is returned.

    Parameters
    ----------
    columns, rows
        How many axes stand beside and below each other.
    size
        (width, height) in inches.
    sharey
        Whether all have the same rows.
    """
    figure = plt.figure(figsize=size, layout="constrained")
    plt.close(figure)  # or notebooks would show it twice
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, axes.ravel().tolist()


def axes(ax: Axes | None, size: tuple[float, float], layout: str = "constrained") -> Axes:
    """The axes, or those of a new figure of (width, height) in inches; pictures want the layout
    "compressed"."""
    return plt.subplots(figsize=size, layout=layout)[1] if ax is None else ax


def colour(index: int) -> str:
    """The colour of a series, for matplotlib and for plotly."""
    return "#{:02x}{:02x}{:02x}".format(*palettes.distinct(index + 1)[-1])


def plain(text: object) -> str:
    """Text as it stands: matplotlib takes what lies between two dollars for a formula."""
    return str(text).replace("$", r"\$")


def lettered(drawn: Drawn) -> Drawn:
    """The same axes or figure, each of whose texts has a font of this machine that has its letters,
    as far as there is one."""
    for text in drawn.findobj(Text):
        font = text.get_fontproperties()
        if place := fonts.instead(text.get_text(), findfont(font)):
            font.set_file(place)
    return drawn


def labels(values: pd.Series) -> dict[Any, str]:
    """The values of a column in the order in which they come, named as they are."""
    return {value: str(value) for value in values.unique()}


def places(rows: int, series: int) -> Float[np.ndarray, "series rows"]:
    """Where each series' point lies in each row; rows count from 1 below to the first on top."""
    gap = min(0.2, 0.8 / max(series, 1))
    shift = ((series - 1) / 2 - np.arange(series)) * gap
    return np.arange(rows)[::-1] + shift[:, None]


def parts(
    table: pd.DataFrame, column: str | None, keys: Labels | None = None
) -> list[tuple[Any, str, pd.DataFrame]]:
    """Value, name and rows of each series that has some: of `keys`, or of all values."""
    if column is None:
        return [(None, "", table)]
    keys = labels(table[column]) if keys is None else keys
    found = [(key, label, table[table[column] == key]) for key, label in keys.items()]
    return [part for part in found if len(part[2])]


def points(
    ax: Axes,
    table: pd.DataFrame,
    rows: str,
    series: str | None = None,
    *,
    values: Sequence[str] = VALUES,
    names: Labels | None = None,
    keys: Labels | None = None,
    tints: Mapping[Any, str] | None = None,
) -> None:
    """Means with intervals, a row a value of one column and a colour a value of another.

    Parameters
    ----------
    ax
        Axes to draw into.
    table
        A row a point.
    rows, series
        Columns; without `series` all points are alike.
    values
        Columns of mean, lower and upper end.
    names, keys
        Of the rows, and of the series (those that `table` lacks are left out).
    tints
        Colours of the series; default `colour`.
    """
    names = labels(table[rows]) if names is None else names
    found = parts(table, series, keys)
    mean, low, high = values
    for i, ((key, label, part), at) in enumerate(
        zip(found, places(len(names), len(found)), strict=True)
    ):
        tint = (tints or {}).get(key, colour(i))
        part = part.set_index(rows).reindex(list(names))
        ax.hlines(at, part[low], part[high], color=tint, linewidth=1.5)
        ax.plot(part[mean], at, _marker(i), color=tint, markersize=5, label=plain(label))
    ax.set_yticks(range(len(names)), [plain(name) for name in names.values()][::-1])
    ax.set_ylim(-0.6, len(names) - 0.4)


def band(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    series: str | None = None,
    *,
    dashes: str | None = None,
    values: Sequence[str] = VALUES,
    keys: Labels | None = None,
) -> None:
    """Means over a number as lines, their intervals as bands.

    Parameters
    ----------
    ax, table, series, values, keys
        As for `points`.
    x
        The column that they run over.
    dashes
        A column: another way to draw the line for each of its values.
    """
    mean, low, high = values
    styles = dict(
        zip([None] if dashes is None else labels(table[dashes]), cycle(DASHES), strict=False)
    )
    for i, (_, label, part) in enumerate(parts(table, series, keys)):
        for kind, shade, line in parts(part, dashes):
            line = line.sort_values(x)
            name = ", ".join(filter(None, (shade, label)))
            (drawn,) = ax.plot(line[x], line[mean], _marker(i), color=colour(i), label=plain(name))
            drawn.set(linestyle=styles[kind], markersize=3)
            ax.fill_between(line[x], line[low], line[high], color=colour(i), alpha=0.15, lw=0)


def zero(ax: Axes, along: Literal["x", "y"] = "x") -> None:
    """A line where nothing differs."""
    (ax.axvline if along == "x" else ax.axhline)(0, color=INK, linewidth=0.8)


def label_axes(ax: Axes, title: str, x: str = "", y: str = "", grid: Grid = "x") -> None:
    """Say what axes show, and draw lines to read values by."""
    ax.set_title(plain(title), fontsize=10, loc="left")
    ax.set_xlabel(plain(x), fontsize=9)
    ax.set_ylabel(plain(y), fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color=LINES, linewidth=0.6)
    ax.set_axisbelow(True)


def legend(ax: Axes, below: bool = False) -> None:
    """The series' names, if there are any: within, below the axes, or beside them if large."""
    names = ax.get_legend_handles_labels()[1]
    beside = len(names) > 6 or max(map(len, names), default=0) > 25
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if beside else {}
    if below:  # the numbers and the name of the axis, half an inch
        under = ax.transAxes + ScaledTranslation(0, -0.5, ax.figure.dpi_scale_trans)
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": under}
    if names:
        ax.legend(frameon=False, fontsize=8, ncols=2 if below else 1, **place)


def _marker(index: int) -> str:
    """Of a series: colours come again after five."""
    return "os^D"[index // 5 % 4]
