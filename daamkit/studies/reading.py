"""How well the oracle reads scenes that it has not seen: their masks and looks are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daamkit.measures.intervals import means
from daamkit.studies.session import Row
from daamkit.toybox import oracle
from daamkit.toybox.scenes import Scene

COVERS = 0.5  # IoU of an instance with its thing, at least
ALL = "all"


def measure(
    drawn: Sequence[Scene], reader: oracle.Oracle | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read drawn scenes, and compare.

    Parameters
    ----------
    drawn
        Scenes of the reader's world.
    reader
        An oracle; default the one of world 1 that ships.

    Returns
    -------
    table
        measure, of (a class, a number, "all"), mean, low, high (95% over scenes), n:

        - "found": of things that show, how many an instance covers (IoU above `COVERS`);
        - "recall": one of the right name, of each name and of all; "hidden": the same of things
          half hidden;
        - "name", "colour" ("own" included), "texture" ("plain" included): of things found, how many
          have the right one;
        - "count": of a scene's names, how often as many instances as things, by their number;
        - "false": of instances, how many cover nothing.
    facts
        "scenes"; "miou": over all classes (nothing, the things, the places' grounds) of the IoU of
        their pixels in all scenes together; "worst": the least of these.
    """
    reader = reader or oracle.trained()
    names = reader.heads["name"]
    confusion, rows = np.zeros((len(names), len(names)), int), list[Row]()
    readings = oracle.read_all([scene.image for scene in drawn], reader)
    for number, (scene, reading) in enumerate(zip(drawn, readings, strict=True)):
        truth, read = (np.zeros(scene.ground.shape, int) for _ in range(2))
        if scene.place is not None:
            truth[scene.ground] = names.index(scene.place)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            truth[mask] = names.index(thing.name)
        for row in reading.itertuples():
            read[row.mask] = names.index(row.name)
        np.add.at(confusion, (truth, read), 1)
        said = _compared(scene, reading[reading["kind"] == "thing"], [*reader.heads])
        rows += [{"scene": number} | row for row in said]
    both = np.diag(confusion)
    either = confusion.sum(0) + confusion.sum(1) - both
    iou = np.where(either, both / either.clip(1), np.nan)
    worst = {names[i] or "nothing": round(float(iou[i]), 3) for i in iou.argsort()[:5]}
    table = means(pd.DataFrame(rows), ["measure", "of"], "value", "scene", kind="share")
    lines = sorted(table.to_dict("records"), key=lambda line: (line["of"] != ALL, line["of"]))
    lines = [line for name in dict.fromkeys(table["measure"]) for line in lines
             if line["measure"] == name]  # fmt: skip
    facts = {"scenes": len(drawn), "miou": float(np.nanmean(iou)), "worst": worst}
    return pd.DataFrame(lines), facts


def _compared(scene: Scene, reading: pd.DataFrame, heads: Sequence[str]) -> Iterator[Row]:
    """What is right of a scene's reading: measure, of, value."""
    instances, there = list(reading.itertuples()), Counter[str]()
    covering = set[int]()

    def told(measure: str, value: bool, *of: str) -> Iterator[Row]:
        for each in (ALL, *of):
            yield {"measure": measure, "of": each, "value": float(value)}

    for thing, mask in zip(scene.things, scene.masks, strict=True):
        if mask.sum() < oracle.SMALLEST:
            continue
        there[thing.name] += 1
        covers = [row for row in instances if _iou(row.mask, mask) > COVERS]  # one at most
        covering |= {row.Index for row in covers}
        yield from told("found", bool(covers))
        named = any(row.name == thing.name for row in covers)
        yield from told("recall", named, thing.name)
        if thing.hidden:
            yield from told("hidden", named)
        for row in covers:
            for head in heads:
                usual = {"colour": "own", "texture": "plain"}.get(head)
                wanted = getattr(thing, head) or usual
                yield from told(head, getattr(row, head) == wanted)
    read = Counter(row.name for row in instances)
    for name, number in there.items():
        yield from told("count", read[name] == number, str(number))
    for row in instances:
        yield from told("false", row.Index not in covering)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def markdown(table: pd.DataFrame, facts: dict[str, Any]) -> str:
    """The reading in a sentence or two."""
    told = table[table["of"] == ALL].set_index("measure")
    shares = told.apply("{mean:.3f} [{low:.3f}, {high:.3f}]".format_map, axis=1)
    counts = table[(table["measure"] == "count") & table["of"].isin([*"2345"])]
    least = table[(table["measure"] == "recall") & (table["of"] != ALL)].nsmallest(5, "mean")
    parts = [f"{name} {shares[name]}" for name in shares.index]
    many, seldom = (
        ", ".join(
            map("{of} {mean:.3f} [{low:.3f}, {high:.3f}]".format_map, each.to_dict("records"))
        )
        for each in (counts, least)
    )
    return (
        f"The oracle, on {facts['scenes']} drawn scenes that it has not seen: mIoU "
        f"{facts['miou']:.3f}; {', '.join(parts)}. Counts right of several: {many or 'none'}. "
        f"Least recall: {seldom}.\n"
    )
