"""Does an image show what its prompt says? The oracle's reading beside the prompt's claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from daamkit.measures.intervals import means
from daamkit.studies.prompts import PromptCase
from daamkit.toybox.claims import Claim, Claims
from daamkit.toybox.phrases import VIVID

LARGER = 1.25  # how many times as long a "bigger" thing is at least; the world draws 1.7 and more
LENGTHS = {"very small": (0, 42), "very big": (83, 128)}  # pixels of a thing alone: the world draws
# 23 to 31 and 92 to 104 so, others 32 to 104, most of them 54 to 74
NEAR = 36  # pixels between the boxes of things "next to" each other: as far as the world sets them


def holds(relation: str, a: Any, b: Any) -> bool:
    """Whether two instances, rows of the oracle's reading, are set as the relation says."""
    x = (b.left + b.right - a.left - a.right) / 2  # from a to b
    y = (b.top + b.bottom - a.top - a.bottom) / 2
    apart = max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)
    return {
        "and": True,
        "with": True,
        "next to": abs(x) > abs(y) and apart <= NEAR,
        "above": y > abs(x),
        "below": -y > abs(x),
        "to the left of": x > abs(y),
        "to the right of": -x > abs(y),
        "chasing": -x > abs(y),  # they run to the left, the hunter behind
        "wearing": apart <= 0,
        "holding": apart <= 2,
        "sitting on": apart <= 0 and y > 0,
        "riding": apart <= 0 and y > 0,
        "bigger than": _length(a) > LARGER * _length(b),
        "smaller than": _length(b) > LARGER * _length(a),
        "while": True,
    }[relation]


def _length(row: Any) -> int:
    """An instance's longer side in pixels."""
    return int(max(row.right - row.left, row.bottom - row.top))


def match(claims: Claims, reading: pd.DataFrame) -> list[list[Any]]:
    """Instances for each claim, as many as it counts if there are: of its name, none for two
    claims, with as many colours right as can be, then the larger ones."""
    things = list(reading[reading["kind"] == "thing"].itertuples())
    found: list[list[Any]] = [[] for _ in claims.things]
    for name in {claim.name for claim in claims.things}:
        rows = [row for row in things if row.name == name]
        wants = [i for i, c in enumerate(claims.things) if c.name == name for _ in range(c.count)]
        cost = [
            [(row.colour != (claims.things[i].colour or "own")) - row.area * 1e-6 for row in rows]
            for i in wants
        ]
        if rows:
            for want, row in zip(*linear_sum_assignment(np.array(cost)), strict=True):
                found[wants[want]].append(rows[row])
    return found


def check(case: PromptCase, reading: pd.DataFrame) -> list[dict[str, Any]]:
    """What came of each claim, a row a measure with prompt, kind, seed and things (`together`):
    "present", "colour" (of things present that have one by the prompt; "not_colour" of those that
    must not have one, "vivid" of brightly coloured ones), "own_colour" (of those that have none),
    "texture", "length" (of one thing that is "very small" or "very big"), "count",
    "relation" (of pairs present), "place", "absent" (of things that must not be there),
    "all_present" and its opposite "neglect" (of prompts that name several things), "extra" (how
    many things nobody asked for)."""
    claims, found = case.claims, match(case.claims, reading)
    rows: list[tuple[str, float]] = []
    counts = Counter(reading.loc[reading["kind"] == "thing", "name"])
    for claim, instances in zip(claims.things, found, strict=True):
        rows.append(("present", bool(instances)))
        for instance in instances:
            rows += _looks(claim, instance)
        if claim.count > 1:
            n = counts[claim.name]
            rows.append(("count", n >= claim.count if claim.more else n == claim.count))
    for claim, a, b in zip(claims.things[1:], found, found[1:], strict=False):
        if claim.relation not in (None, "and", "with") and a and b:
            rows.append(("relation", holds(str(claim.relation), a[0], b[0])))
    if len(found) == 1 and found[0] and claims.things[0].size in LENGTHS:
        least, most = LENGTHS[str(claims.things[0].size)]
        rows.append(("length", least <= _length(found[0][0]) <= most))
    if len(claims.things) > 1:
        everything = all(found)
        rows += [("all_present", everything), ("neglect", not everything)]
    if claims.place is not None:
        places = reading[reading["kind"] == "place"].sort_values("area", ascending=False)
        rows.append(("place", len(places) > 0 and places.iloc[0]["name"] == claims.place))
    rows += [("absent", not counts[claim.name]) for claim in claims.absent]
    for claim in (*claims.things, *claims.absent):
        counts[claim.name] -= counts[claim.name] if claim.more else claim.count
    rows.append(("extra", (+counts).total()))
    named = {"prompt": case.prompt, "kind": case.kind, "seed": case.seed}
    named["things"] = together(case.prompt, [claim.name for claim in claims.things])
    return [named | {"measure": measure, "value": float(value)} for measure, value in rows]


def together(prompt: str, names: Sequence[str]) -> str:
    """What prompts belong to whose images are not independent: their things in any order, if there
    are several; else the prompt.

    >>> together("a dog above a cat", ["dog", "cat"])
    'cat, dog'
    """
    return ", ".join(sorted(names)) if len(names) > 1 else prompt


def _looks(claim: Claim, row: Any) -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = [
        ("colour", row.colour == claim.colour)
        if claim.colour
        else ("own_colour", row.colour == "own")
    ]
    if claim.not_colour:
        rows[0] = ("not_colour", row.colour != claim.not_colour)
    elif claim.manner == "brightly coloured":
        rows[0] = ("vivid", row.colour in VIVID)
    if claim.texture:
        rows.append(("texture", row.texture == claim.texture))
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means by kind with 95% intervals; prompts that name the same things are one cluster.

    Columns: kind, measure, mean, low, high, n (values), prompts.
    """
    by = ["kind", "measure"]
    prompts = rows.groupby(by, sort=False)["prompt"].nunique().rename("prompts").reset_index()
    return means(rows, by, "value", "things").merge(prompts)
