"""Charts of the studies' tables. Bars and points are means, lines through them 95% intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daamkit.views import palettes

_INK = "#3d4350"


def objects(table: pd.DataFrame, sweep: pd.DataFrame) -> Figure:
    """mIoU of each method, and of the word maps over the threshold.

    Parameters
    ----------
    table
        set, vocabulary ("COCO nouns", "all nouns"), method, miou, low, high.
    sweep
        set, vocabulary, method, rule, tau, miou, low, high.
    """
    figure, (left, right) = _sheet(2, (10, 4.2))
    groups = {
        f"{name}, {vocabulary}": part
        for (name, vocabulary), part in table.groupby(["set", "vocabulary"], sort=False)
    }
    order = table.groupby("method")["miou"].mean().sort_values().index.tolist()
    for i, (name, part) in enumerate(groups.items()):
        part = part.set_index("method").reindex(order)
        at = np.arange(len(order)) + ((len(groups) - 1) / 2 - i) * 0.18
        _points(left, at, part, "miou", "low", "high", i, name)
    left.set_yticks(range(len(order)), order)
    _name(left, "Overlap with the thing (mIoU)", "mIoU, cut chosen on other prompts", "")
    left.legend(frameon=False, fontsize=8)
    shown = sweep[
        (sweep["method"] == "daam")
        & (sweep["vocabulary"] == "all nouns")
        & sweep["rule"].isin(("max", "minmax", "quantile"))
    ]
    for i, ((name, rule), part) in enumerate(shown.groupby(["set", "rule"], sort=False)):
        line = "-" if i < 3 else "--"
        right.plot(part["tau"], part["miou"], line, color=_colour(i % 3), label=f"{name}, {rule}")
    _name(right, "DAAM over the threshold (all nouns)", "threshold", "mIoU")
    right.legend(frameon=False, fontsize=8)
    return figure


def parts_of_speech(table: pd.DataFrame) -> Figure:
    """A panel a measure, a row a tag.

    Parameters
    ----------
    table
        pos, measure, mean, low, high, n.
    """
    panels = {
        "area max 0.4": "area (share of the image)",
        "entropy": "entropy (1: even)",
        "sharpness": "sharpness (peak / mean)",
        "mass": "share of all attention",
    }
    figure, axes = _sheet(len(panels), (11, 3.8), sharey=True)
    tags = table["pos"].unique().tolist()[::-1]
    for axis, (measure, title) in zip(axes, panels.items(), strict=True):
        part = table[table["measure"] == measure].set_index("pos").reindex(tags)
        _points(axis, np.arange(len(tags)), part, "mean", "low", "high", 0)
        _name(axis, "", title, "")
    counts = table[table["measure"] == "entropy"].set_index("pos")["n"].reindex(tags)
    axes[0].set_yticks(
        range(len(tags)), [f"{tag} ({n})" for tag, n in zip(tags, counts, strict=True)]
    )
    return figure


def relations(table: pd.DataFrame, sweep: pd.DataFrame) -> Figure:
    """Overlap, dominance at the chief cut, and the verdict at every cut.

    Parameters
    ----------
    table
        relation, pairs, miou, mioh, ..., dominance, dominance_low, dominance_high.
    sweep
        The same with rule and tau.
    """
    figure, (left, middle, right) = _sheet(3, (13, 5), sharey=True)
    names = table["relation"].tolist()[::-1]
    part = table.set_index("relation").reindex(names)
    at = np.arange(len(names))
    for i, label in enumerate(("mIoU", "mIoD", "mIoH")):
        column = label.lower()
        low, high = f"{column}_low", f"{column}_high"
        _points(left, at + (1 - i) * 0.2, part, column, low, high, i, label)
    left.set_yticks(at, [f"{name} ({n})" for name, n in zip(names, part["pairs"], strict=True)])
    _name(left, "Overlap of head and dependent", "share", "")
    left.legend(frameon=False, fontsize=8)
    _points(middle, at, part, "dominance", "dominance_low", "dominance_high", 0)
    middle.axvline(0, color=_INK, linewidth=0.8)
    _name(middle, "Dominance at max 0.4", "dependent  <  mIoD - mIoH  <  head", "")
    cuts = [*dict.fromkeys(zip(sweep["rule"], sweep["tau"], strict=True))]
    grid = sweep.set_index(["relation", "rule", "tau"])
    values = np.array([[grid.loc[(name, *cut), "dominance"] for cut in cuts] for name in names])
    sure = np.array(
        [
            [
                grid.loc[(name, *cut), "dominance_low"] > 0
                or grid.loc[(name, *cut), "dominance_high"] < 0
                for cut in cuts
            ]
            for name in names
        ]
    )
    limit = float(np.nanmax(np.abs(values))) or 1.0
    shown = right.imshow(
        values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower"
    )
    ys, xs = np.nonzero(sure)
    right.plot(xs, ys, ".", color="black", markersize=3)
    labels = [f"{rule} {tau:g}" if tau else rule for rule, tau in cuts]
    right.set_xticks(range(len(cuts)), labels, rotation=90, fontsize=7)
    _name(right, "Dominance at every cut (dot: interval without 0)", "", "")
    right.grid(False)
    figure.colorbar(shown, ax=right, shrink=0.7, label="mIoD - mIoH")
    return figure


def cohyponyms(table: pd.DataFrame, sweep: pd.DataFrame) -> Figure:
    """Both things there, overlap of the maps, and its difference over the cuts.

    Parameters
    ----------
    table
        measure ("both", "iou"), group, mean, low, high.
    sweep
        rule, tau, mean, low, high: the difference of overlap.
    """
    figure, (left, middle, right) = _sheet(3, (11, 3.6))
    titles = {"both": "Both things in the image", "iou": "Overlap of their maps (IoU, max 0.4)"}
    for axis, (measure, title) in zip((left, middle), titles.items(), strict=True):
        part = table[(table["measure"] == measure) & (table["group"] != "difference")]
        _points(axis, np.arange(len(part)), part, "mean", "low", "high", 0)
        axis.set_yticks(range(len(part)), part["group"])
        axis.set_ylim(-0.6, len(part) - 0.4)
        _name(axis, title, "share" if measure == "both" else "IoU", "")
    _cuts(right, sweep)
    _name(right, "Difference of overlap at every cut", "co-hyponyms - others", "")
    return figure


def adjectives(table: pd.DataFrame, sweep: pd.DataFrame) -> Figure:
    """What moves inside and outside of the thing, and outside over what counts as visible.

    Parameters
    ----------
    table
        change, region, mean, low, high.
    sweep
        The same with visible ("above 0.05").
    """
    figure, (left, right) = _sheet(2, (10, 3.8))
    changes = table["change"].unique().tolist()[::-1]
    for i, region in enumerate(("inside", "outside")):
        part = table[table["region"] == region].set_index("change").reindex(changes)
        _points(
            left, np.arange(len(changes)) + 0.1 - 0.2 * i, part, "mean", "low", "high", i, region
        )
    left.set_yticks(range(len(changes)), changes)
    _name(left, "How much the image moves", "mean absolute difference (1: black to white)", "")
    left.legend(frameon=False, fontsize=8)
    outside = sweep[sweep["region"] == "outside"]
    limits = outside["visible"].unique().tolist()
    for i, (change, part) in enumerate(outside.groupby("change", sort=False)):
        part = part.set_index("visible").reindex(limits)
        right.plot(range(len(limits)), part["mean"], "o-", color=_colour(i), label=change)
        right.fill_between(
            range(len(limits)), part["low"], part["high"], color=_colour(i), alpha=0.2
        )
    right.set_xticks(range(len(limits)), [limit.replace("above ", "> ") for limit in limits])
    _name(right, "Pixels outside that differ visibly", "difference of a pixel", "share")
    right.legend(frameon=False, fontsize=8)
    return figure


# -- pieces


def _sheet(
    columns: int, size: tuple[float, float], sharey: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns, sharey=sharey)).tolist()


def _colour(index: int) -> tuple[float, float, float]:
    r, g, b = palettes.distinct(index + 1)[-1]
    return r / 255, g / 255, b / 255


def _points(
    axis: Axes,
    at: np.ndarray,
    part: pd.DataFrame,
    value: str,
    low: str,
    high: str,
    colour: int,
    label: str | None = None,
) -> None:
    """A mean a row with its interval."""
    axis.hlines(at, part[low], part[high], color=_colour(colour), linewidth=1.5)
    axis.plot(part[value], at, "o", color=_colour(colour), markersize=5, label=label)


def _cuts(axis: Axes, sweep: pd.DataFrame) -> None:
    """A row a cut, with a line at 0."""
    labels = [f"{r} {t:g}" if t else r for r, t in zip(sweep["rule"], sweep["tau"], strict=True)]
    _points(axis, np.arange(len(sweep)), sweep, "mean", "low", "high", 0)
    axis.set_yticks(range(len(sweep)), labels, fontsize=7)
    axis.axvline(0, color=_INK, linewidth=0.8)


def _name(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color="#e3e6ea", linewidth=0.6)
    axis.set_axisbelow(True)
