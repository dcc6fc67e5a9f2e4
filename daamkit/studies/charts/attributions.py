"""Charts of the studies of maps: of things, parts of speech, relations, co-hyponyms, adjectives."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daamkit.measures.intervals import columns
from daamkit.views import palettes, pieces, plots

_SHAPES = {
    "area max 0.4": "area (share of the image)", "entropy": "entropy (1: even)",
    "sharpness": "sharpness (peak / mean)", "mass": "share of all attention",
}  # fmt: skip
_OVERLAPS = {"iou": "mIoU", "iod": "mIoD", "ioh": "mIoH"}


def objects(table: pd.DataFrame, sweep: pd.DataFrame) -> Figure:
    """mIoU of each method, and of the word maps over the threshold.

    Parameters
    ----------
    table
        set, vocabulary ("COCO nouns", "all nouns"), method, miou, low, high.
    sweep
        set, vocabulary, method, rule, tau, miou, low, high.
    """
    figure, (left, right) = pieces.sheet(2, (10, 4.2))
    order = table.groupby("method")["miou"].mean().sort_values(ascending=False)
    pieces.points(
        left,
        table.assign(group=table["set"] + ", " + table["vocabulary"]),
        "method",
        "group",
        values=("miou", "low", "high"),
        names={method: str(method) for method in order.index},
    )
    pieces.label_axes(left, "Overlap with the thing (mIoU)", "mIoU, cut chosen on other prompts")
    pieces.legend(left)
    shown = sweep[
        (sweep["method"] == "daam")
        & (sweep["vocabulary"] == "all nouns")
        & sweep["rule"].isin(("max", "minmax", "quantile"))
    ]
    plots.sweep(shown, "miou", "rule", "set", ax=right)
    pieces.label_axes(
        right, "DAAM over the threshold (all nouns)", "threshold", "mIoU", grid="both"
    )
    return figure


def parts_of_speech(table: pd.DataFrame) -> Figure:
    """A panel a measure, a row a tag.

    Parameters
    ----------
    table
        pos, measure, mean, low, high, n.
    """
    figure, axes = pieces.sheet(len(_SHAPES), (11, 3.8), sharey=True)
    counts = table[table["measure"] == "entropy"].set_index("pos")["n"]
    names = {tag: f"{tag} ({counts[tag]})" for tag in table["pos"].unique()}
    for ax, (measure, title) in zip(axes, _SHAPES.items(), strict=True):
        pieces.points(ax, table[table["measure"] == measure], "pos", names=names)
        pieces.label_axes(ax, "", title)
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
    figure, (left, middle, right) = pieces.sheet(3, (13, 5), sharey=True)
    parts = []
    for measure in _OVERLAPS:
        named = columns(f"m{measure}")
        part = table[["relation", "pairs", *named]].assign(measure=measure)
        part.columns = pd.Index(["relation", "n", *pieces.VALUES, "measure"])
        parts.append(part)
    plots.relations(pd.concat(parts, ignore_index=True), ax=left)
    pieces.label_axes(left, "Overlap of head and dependent", "share")
    names = {row["relation"]: f"{row['relation']} ({row['pairs']})" for _, row in table.iterrows()}
    dominance = columns("dominance")
    pieces.points(middle, table, "relation", values=dominance, names=names)
    pieces.zero(middle)
    pieces.label_axes(middle, "Dominance at max 0.4", "dependent  <  mIoD - mIoH  <  head")
    _everywhere(right, sweep, [*names][::-1])
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
    figure, (left, middle, right) = pieces.sheet(3, (11, 3.6))
    titles = {"both": "Both things in the image", "iou": "Overlap of their maps (IoU, max 0.4)"}
    for ax, (measure, title) in zip((left, middle), titles.items(), strict=True):
        part = table[(table["measure"] == measure) & (table["group"] != "difference")]
        pieces.points(ax, part, "group")
        ax.set_ylim(-0.6, part["group"].nunique() - 0.4)
        pieces.label_axes(ax, title, "share" if measure == "both" else "IoU")
    pieces.points(right, sweep.assign(cut=_cuts(sweep)), "cut")
    pieces.zero(right)
    right.tick_params(axis="y", labelsize=7)
    pieces.label_axes(right, "Difference of overlap at every cut", "co-hyponyms - others")
    return figure


def likeness(cells: pd.DataFrame, effects: pd.DataFrame) -> Figure:
    """Overlap of maps in each of four cells, and what kinship and looks add to it.

    Parameters
    ----------
    cells
        measure ("both", "iou"), group, mean, low, high.
    effects
        measure, effect, mean, low, high.
    """
    figure, (left, right) = pieces.sheet(2, (9, 3.4))
    overlap = cells[cells["measure"] == "iou"]
    pieces.points(left, overlap, "group")
    left.set_ylim(-0.6, overlap["group"].nunique() - 0.4)
    pieces.label_axes(left, "Overlap of two things' maps (IoU, max 0.4)", "IoU")
    gained = effects[effects["measure"] == "iou"]
    pieces.points(right, gained, "effect")
    pieces.zero(right)
    right.set_ylim(-0.6, gained["effect"].nunique() - 0.4)
    pieces.label_axes(right, "What adds to it", "difference of IoU")
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
    figure, (left, right) = pieces.sheet(2, (10, 3.8))
    plots.entanglement(table, ax=left)
    outside = sweep[sweep["region"] == "outside"]
    limits = outside["visible"].unique().tolist()
    pieces.band(right, outside.assign(at=outside["visible"].map(limits.index)), "at", "change")
    right.set_xticks(range(len(limits)), [limit.replace("above ", "> ") for limit in limits])
    pieces.label_axes(
        right, "Pixels outside that differ visibly", "difference of a pixel", "share", grid="both"
    )
    pieces.legend(right)
    return figure


def _everywhere(ax: Axes, sweep: pd.DataFrame, names: list[str]) -> None:
    """Dominance of each relation at each cut, a dot where its interval has no 0 in it."""
    sweep = sweep.assign(cut=_cuts(sweep))
    wide = sweep.pivot(index="relation", columns="cut").loc[names]
    cuts = sweep["cut"].unique().tolist()
    low, high, values = (wide[f"dominance{end}"][cuts] for end in ("_low", "_high", ""))
    limit = float(np.nanmax(np.abs(values))) or 1.0
    shown = ax.imshow(
        values, cmap=palettes.DIFFERENCE, vmin=-limit, vmax=limit, aspect="auto", origin="lower"
    )
    ys, xs = np.nonzero(((low > 0) | (high < 0)).to_numpy())
    ax.plot(xs, ys, ".", color="black", markersize=3)
    ax.set_xticks(range(len(cuts)), cuts, rotation=90, fontsize=7)
    pieces.label_axes(ax, "Dominance at every cut (dot: interval without 0)")
    ax.grid(False)
    ax.figure.colorbar(shown, ax=ax, shrink=0.7, label="mIoD - mIoH")


def _cuts(sweep: pd.DataFrame) -> list[str]:
    """Names of rules and their thresholds; a rule without one has 0."""
    pairs = zip(sweep["rule"], sweep["tau"], strict=True)
    return [f"{rule} {tau:g}" if tau else str(rule) for rule, tau in pairs]
