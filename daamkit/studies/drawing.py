"""Does an image show what its prompt says? The oracle's reading beside the prompt's claims."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from daamkit.measures.intervals import bootstrap
from daamkit.studies.prompts import Case
from daamkit.toybox.claims import Claim, Claims

NEAR = 20  # pixels between the boxes of things that are "next to" each other


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
    }[relation]


def match(claims: Claims, reading: pd.DataFrame) -> list[Any | None]:
    """An instance for each claim, none for two: of its name, rather of its colour, rather large."""
    things = reading[reading["kind"] == "thing"]
    free = list(things.sort_values("area", ascending=False).itertuples())
    found: list[Any | None] = []
    for claim in claims.things:
        named = [row for row in free if row.name == claim.name]
        named.sort(key=lambda row: row.colour != (claim.colour or "own"))
        found.append(named[0] if named else None)
        if named:
            free.remove(named[0])
    return found


def check(case: Case, reading: pd.DataFrame) -> list[dict[str, Any]]:
    """What came of each claim, a row a measure: "present", "colour" (of things present that have
    one by the prompt), "own_colour" (of those that have none), "texture", "size", "count",
    "relation" (of pairs present), "place", "all_present" and its opposite "neglect" (of prompts
    that name several things), "extra" (how many things nobody asked for)."""
    claims, found = case.claims, match(case.claims, reading)
    rows: list[tuple[str, float]] = []
    counts = Counter(reading.loc[reading["kind"] == "thing", "name"])
    for claim, row in zip(claims.things, found, strict=True):
        rows.append(("present", row is not None))
        rows += [] if row is None else _looks(claim, row)
        if claim.count > 1:
            rows.append(("count", counts[claim.name] == claim.count))
    for claim, a, b in zip(claims.things[1:], found, found[1:], strict=False):
        if claim.relation not in (None, "and", "with") and a is not None and b is not None:
            rows.append(("relation", holds(str(claim.relation), a, b)))
    if len(claims.things) > 1:
        everything = all(row is not None for row in found)
        rows += [("all_present", everything), ("neglect", not everything)]
    if claims.place is not None:
        places = reading[reading["kind"] == "place"].sort_values("area", ascending=False)
        rows.append(("place", len(places) > 0 and places.iloc[0]["name"] == claims.place))
    asked = sum(claim.count for claim in claims.things)
    rows.append(("extra", max(0, sum(counts.values()) - asked)))
    named = {
        "prompt": case.prompt,
        "kind": case.kind,
        "cohyponyms": case.cohyponyms,
        "seed": case.seed,
    }
    return [named | {"measure": measure, "value": float(value)} for measure, value in rows]


def _looks(claim: Claim, row: Any) -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = [
        ("colour", row.colour == claim.colour)
        if claim.colour
        else ("own_colour", row.colour == "own")
    ]
    if claim.texture:
        rows.append(("texture", row.texture == claim.texture))
    if claim.size:
        rows.append(("size", row.size == claim.size))
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means with 95% intervals over prompts: by kind, and by co-hyponyms or not where both occur.

    Columns: kind, cohyponyms ("all", "yes", "no"), measure, mean, low, high, n (values), prompts.
    """
    out: list[dict[str, Any]] = []
    for (kind, measure), part in rows.groupby(["kind", "measure"], sort=False):
        groups = {"all": part}
        if measure in ("all_present", "neglect") and part["cohyponyms"].nunique() == 2:
            groups |= {"yes": part[part["cohyponyms"]], "no": part[~part["cohyponyms"]]}
        for cohyponyms, group in groups.items():
            mean, low, high = bootstrap(group["value"].to_numpy(), group["prompt"].tolist())
            out.append(
                {
                    "kind": kind,
                    "cohyponyms": cohyponyms,
                    "measure": measure,
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "n": len(group),
                    "prompts": group["prompt"].nunique(),
                }
            )
    return pd.DataFrame(out)
