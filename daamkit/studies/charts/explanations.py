"""Charts of the studies of methods of attribution, on scenes whose truth is known."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from daamkit.measures.intervals import columns
from daamkit.views import pieces


def attribution(table: pd.DataFrame) -> Figure:
    """A row a method: does its map find the thing, and what the word does?

    Parameters
    ----------
    table
        set, method, ap, ap_low, ap_high, cause, cause_low, cause_high.
    """
    figure, (left, right) = pieces.sheet(2, (11, 5), sharey=True)
    order = table.groupby("method")["ap"].mean().sort_values(ascending=False)
    names = {method: str(method) for method in order.index}
    for ax, measure in ((left, "ap"), (right, "cause")):
        values = columns(measure)
        pieces.points(ax, table, "method", "set", values=values, names=names)
    pieces.label_axes(left, "Finds the thing", "average precision of its pixels")
    pieces.label_axes(right, "Finds what the word does", "share of the change, in as many pixels")
    pieces.legend(left, below=True)
    return figure


def layers(table: pd.DataFrame) -> Figure:
    """A row a part of the attention: how well it finds the thing, and what it has over what is
    pooled today.

    Parameters
    ----------
    table
        set, kind, part, ap, iou_over with their intervals (ap_low ...).
    """
    order = table.drop_duplicates("part")
    figure, (left, right) = pieces.sheet(2, (12, 1.5 + 0.24 * len(order)), sharey=True)
    names = {part: str(part) for part in order["part"]}
    pieces.points(left, table, "part", "set", values=columns("ap"), names=names)
    pieces.points(right, table, "part", "set", values=columns("iou_over"), names=names)
    pieces.label_axes(left, "Finds the thing", "average precision of its pixels")
    pieces.label_axes(right, "Over what is pooled today", "gain of IoU")
    pieces.zero(right)
    pieces.legend(left, below=True)
    return figure


def faithfulness(table: pd.DataFrame) -> Figure:
    """A row a method, panels an edit and curve: is its map where the word works?

    Parameters
    ----------
    table
        set, edit, distance ("colours" is shown), method, area, and deletion, insertion with their
        intervals (deletion_low ...).
    """
    table = table[table["distance"] == "colours"]
    edits = [edit for edit in ("silence", "exchange") if edit in set(table["edit"])]
    order = table.groupby("method")["area"].mean().sort_values(ascending=False)
    names = {method: str(method) for method in order.index}
    size = (11, 1 + 0.28 * len(order) * len(edits))
    figure, axes = pieces.sheet(2, size, rows=len(edits), sharey=True)
    titles = {"deletion": "where the map is high", "insertion": "everywhere else"}
    panels = [(edit, curve) for edit in edits for curve in titles]
    for ax, (edit, curve) in zip(axes, panels, strict=True):
        part = table[table["edit"] == edit]
        pieces.points(ax, part, "method", "set", values=columns(curve), names=names)
        ax.axvline(0.5, color="0.6", linestyle=":")  # what knows nothing
        pieces.label_axes(ax, f"{edit} {titles[curve]}", f"area under the curve of {curve}")
    pieces.legend(axes[-2], below=True)
    return figure


def necessity(table: pd.DataFrame) -> Figure:
    """A row a part of the attention, panels an edit and question: how much more of the thing is
    lost than with equally many heads at random.

    Parameters
    ----------
    table
        set, edit, question, part, and lost_over_random with its interval.
    """
    questions = {"necessity": "without it", "sufficiency": "with it alone"}
    edits, names = [*dict.fromkeys(table["edit"])], pieces.labels(table["part"])
    size = (11, (1.1 + 0.35 * len(names)) * len(edits))
    figure, axes = pieces.sheet(2, size, rows=len(edits), sharey=True)
    panels = [(edit, question) for edit in edits for question in questions]
    for ax, (edit, question) in zip(axes, panels, strict=True):
        part = table[(table["edit"] == edit) & (table["question"] == question)]
        values = columns("lost_over_random")
        pieces.points(ax, part, "part", "set", values=values, names=names)
        pieces.zero(ax)
        pieces.label_axes(
            ax, f"{edit}, {questions[question]}", "share of the thing lost, over random heads"
        )
    pieces.legend(axes[-2], below=True)
    return figure


def agreement(table: pd.DataFrame) -> Figure:
    """A row a kind of pair and a panel a method: how alike two maps are.

    Parameters
    ----------
    table
        set, method, and models, noise, noise_other, nouns with their intervals.
    """
    pairs = {"models": "two models", "noise": "one model, other noise",
             "noise_other": "the other model, other noise",
             "nouns": "two models, another noun"}  # fmt: skip
    methods = list(dict.fromkeys(table["method"]))
    figure, axes = pieces.sheet(len(methods), (3.4 + 3.6 * len(methods), 3.4), sharey=True)
    for ax, method in zip(axes, methods, strict=True):
        part = table[table["method"] == method]
        rows = [
            {"set": row["set"], "pair": said}
            | dict(zip(pieces.VALUES, row[[*columns(pair)]], strict=True))
            for _, row in part.iterrows()
            for pair, said in pairs.items()
        ]
        pieces.points(ax, pd.DataFrame(rows), "pair", "set")
        pieces.label_axes(ax, str(method), "Spearman's correlation of maps")
        pieces.zero(ax)
    pieces.legend(axes[0], below=True)
    return figure


def interventions(table: pd.DataFrame) -> Figure:
    """A row an edit and a panel a control: how much more changes in the word's own mask.

    Parameters
    ----------
    table
        set, edit, pos, and over_outside, over_moved, over_by_another with their intervals.
    """
    controls = {"over_outside": "than outside of it", "over_moved": "than in it, moved",
                "over_by_another": "than another's noun does"}  # fmt: skip
    edits = list(dict.fromkeys(table["edit"]))
    size = (13, 1.2 + 2.6 * len(edits))
    figure, axes = pieces.sheet(len(controls), size, rows=len(edits))
    panels = [(edit, control) for edit in edits for control in controls]
    for ax, (edit, control) in zip(axes, panels, strict=True):
        part = table[(table["edit"] == edit) & table[control].notna()]
        values = columns(control)
        pieces.points(ax, part, "pos", "set", values=values)
        pieces.zero(ax)
        pieces.label_axes(ax, f"{edit}: more change in its mask", controls[control])
    pieces.legend(axes[-1], below=True)
    return figure


def binding(table: pd.DataFrame) -> Figure:
    """A row for what is exchanged, and a panel a form and source: what colours things have.

    Parameters
    ----------
    table
        form, split ("all" is shown), exchanged, source, own, swapped, other, missing with their
        intervals (own_low ...).
    """
    examples = {"attributive": "a red cat and a blue car",
                "predicative": "a cat that is red and a car that is blue"}  # fmt: skip
    given = {"swapped": "vectors of the prompt with its colours swapped",
             "unrelated": "control: vectors of an unrelated prompt"}  # fmt: skip
    colours = {"own": "its own", "swapped": "the other thing's", "other": "another",
               "missing": "no such thing is there"}  # fmt: skip
    table = table[(table["split"] == "all") & (table["source"] != "itself")]
    names = pieces.labels(table["exchanged"])
    forms = [form for form in examples if form in set(table["form"])]
    figure, axes = pieces.sheet(len(forms), (5.6 * len(forms), 8), rows=2, sharey=True)
    panels = [(whose, form) for whose in given for form in forms]
    for ax, (whose, form) in zip(axes, panels, strict=True):
        part = table[(table["form"] == form) & table["source"].isin((whose, "none"))]
        rows = [
            {"exchanged": row["exchanged"], "colour": said}
            | dict(zip(pieces.VALUES, row[[*columns(share)]], strict=True))
            for _, row in part.iterrows()
            for share, said in colours.items()
        ]
        pieces.points(ax, pd.DataFrame(rows), "exchanged", "colour", names=names)
        title = f"\u201c{examples[form]}\u201d\n{given[whose]}"
        pieces.label_axes(ax, title, "share of the things, by their colour", "exchanged at")
    pieces.legend(axes[-1], below=True)
    return figure
