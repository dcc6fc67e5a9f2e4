"""The same plots with plotly: what is pointed at says what it is.

plotly reads labels as HTML: here all text is escaped. Its script is the caller's business:
``figure.write_html(path, include_plotlyjs=True)`` makes a file that needs no network.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from html import escape
from itertools import cycle
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from daamkit.views import pieces
from daamkit.views.plots.comparisons import Comparison

DASHES = ("solid", "dash", "dot", "dashdot")  # as `pieces.DASHES`


def text(value: object) -> str:
    """Text as it stands, in a label of plotly."""
    return escape(str(value), quote=False)


def points(
    table: pd.DataFrame,
    rows: str,
    series: str,
    *,
    names: pieces.Labels,
    keys: pieces.Labels,
    tints: Mapping[Any, str],
    pairs: pd.DataFrame | None,
    words: Sequence[str],
    cluster: str,
    title: str,
    x: str,
) -> go.Figure:
    """As `pieces.points`; beneath the means what they are of.

    Parameters
    ----------
    table, rows, series, names, keys, tints
        As in `pieces.points`.
    pairs
        What the means are of, with the columns `rows`, `series`, `cluster` and value.
    words
        Its columns to tell, where they are there.
    cluster
        Its column of what a row belongs to.
    title, x
        Of the figure and of the axis.
    """
    figure, found = go.Figure(), pieces.parts(table, series, keys)
    lines = pieces.places(len(names), len(found))
    for i, ((key, label, part), at) in enumerate(zip(found, lines, strict=True)):
        place, tint = dict(zip(names, at.tolist(), strict=True)), tints.get(key, pieces.colour(i))
        if pairs is not None:
            some = pairs[(pairs[series] == key) & pairs["value"].notna()]
            told = [
                _told(
                    row[cluster],
                    " → ".join(str(row[word]) for word in words if word in row),
                    f"{row[rows]}, {label}: {row['value']:.3f}",
                )
                for row in some.to_dict("records")
            ]
            y = some[rows].map(place)
            dots = _dots(some["value"], y, told, tint, 5, opacity=0.3, showlegend=False)
            figure.add_trace(dots)
        told = [_of(row, f"{row[rows]}, {label}", cluster) for row in part.to_dict("records")]
        error = _error(*(part[value] for value in pieces.VALUES))
        y = part[rows].map(place)
        dots = _dots(part["mean"], y, told, tint, 9, error_x=error, name=text(label))
        figure.add_trace(dots)
    labels = [text(name) for name in names.values()][::-1]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=labels, showgrid=False)
    return _named(figure, title, x, "", 150 + 44 * len(names))


def band(
    table: pd.DataFrame,
    x: str,
    series: str,
    dashes: str | None,
    *,
    cluster: str,
    title: str,
    x_name: str,
    y_name: str,
) -> go.Figure:
    """As `pieces.band`, the intervals drawn as bars."""
    figure = go.Figure()
    styles = dict(
        zip([None] if dashes is None else pieces.labels(table[dashes]), cycle(DASHES), strict=False)
    )
    for i, (_, label, part) in enumerate(pieces.parts(table, series)):
        for kind, shade, line in pieces.parts(part, dashes):
            line = line.sort_values(x)
            name = ", ".join(filter(None, (shade, label)))
            told = [
                _of(row, f"{name}, {x_name} {row[x]:g}", cluster) for row in line.to_dict("records")
            ]
            error = _error(*(line[value] for value in pieces.VALUES))
            dots = _dots(line[x], line["mean"], told, pieces.colour(i), 6, error_y=error)
            dots.update(name=text(name), mode="lines+markers", line_dash=styles[kind])
            figure.add_trace(dots)
    return _named(figure, title, x_name, y_name, 420)


def pairs(methods: Sequence[Comparison], apart: float, *, title: str, y: str) -> go.Figure:
    """As `plots.guidance`: a line a pair, and the means."""
    figure = go.Figure()
    for i, method in enumerate(methods):
        told, at, values = list[str](), list[float | None](), list[float | None]()
        for row in method.pairs.to_dict("records"):
            before, after = row.pop("before"), row.pop("after")
            change = f"{before:.3f} → {after:.3f} ({after - before:+.3f})"
            said = _told(*(f"{name}: {value}" for name, value in row.items()), change)
            told += [said, said, ""]
            at += [i - apart, i + apart, None]
            values += [before, after, None]
        figure.add_trace(
            _dots(at, values, told, pieces.INK, 5, opacity=0.3, showlegend=False).update(
                mode="lines+markers", line_width=0.8
            )
        )
    for k, side in enumerate(("without", "with")):
        found = np.array([method.after if k else method.before for method in methods])
        told = [
            _told(f"{method.name}, {side}", _interval(*mean), f"n = {len(method.pairs)}")
            for method, mean in zip(methods, found, strict=True)
        ]
        where = np.arange(len(methods)) + (apart if k else -apart)
        tint, error = pieces.colour(0) if k else pieces.INK, _error(*found.T)
        figure.add_trace(_dots(where, found[:, 0], told, tint, 11, error_y=error, name=side))
    labels = [text(method.label).replace("\n", "<br>") for method in methods]
    figure.update_xaxes(tickvals=list(range(len(methods))), ticktext=labels, showgrid=False)
    figure.update_xaxes(tickangle=0, tickfont_size=11)
    figure = _named(figure, title, "", y, 420)
    return figure.update_layout(width=max(400, 120 + 150 * len(methods)))


def _told(*lines: object) -> str:
    """Lines of a label, long ones wrapped."""
    return "<br>".join(text(part) for line in lines for part in wrap(str(line), 60))


def _of(row: Mapping[Hashable, Any], name: str, cluster: str) -> str:
    """A mean, its interval, and how many values it is of."""
    n = f"n = {row['n']}" if "n" in row else ""
    n += f", of {row['clusters']} {cluster}s" if "clusters" in row else ""
    return _told(name, _interval(*(row[value] for value in pieces.VALUES)), n)


def _interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" + (f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else "")


def _error(mean: Any, low: Any, high: Any) -> dict[str, Any]:
    return {
        "array": np.asarray(high) - mean, "arrayminus": np.asarray(mean) - low,
        "symmetric": False, "thickness": 1.5, "width": 0,
    }  # fmt: skip


def _dots(x: Any, y: Any, told: list[str], tint: str, size: int, **more: Any) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="markers", marker={"color": tint, "size": size}, line={"color": tint},
        hovertext=told, hoverinfo="text", **more,
    )  # fmt: skip


def _named(figure: go.Figure, title: str, x: str, y: str, height: int) -> go.Figure:
    figure.update_xaxes(title=text(x), gridcolor=pieces.LINES, zeroline=False)
    figure.update_yaxes(title=text(y), gridcolor=pieces.LINES, zeroline=False)
    return figure.update_layout(
        title={"text": text(title), "x": 0.01, "font_size": 15}, template="none",
        height=height, width=760, margin={"t": 80, "r": 20}, hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0},
        xaxis_automargin=True, yaxis_automargin=True,
    )  # fmt: skip
