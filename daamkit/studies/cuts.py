"""Every way to cut a map, and the overlap of each mask with the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap
from daamkit.measures.overlap import iou
from daamkit.studies.denoised import Mask

TAUS = tuple(round(0.05 * i, 2) for i in range(2, 19))  # 0.1 to 0.9
# Every way to cut a map: a rule and its threshold
CUTS: list[tuple[Rule, float]] = [
    *(("max", tau) for tau in TAUS),
    *(("minmax", tau) for tau in TAUS),
    *(("quantile", tau) for tau in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
    ("otsu", 0.0),  # finds its own
]


def called(rule: str, tau: float) -> str:
    """What a cut is called: "max 0.4"."""
    if rule == "otsu":
        return rule
    return f"{rule} {tau:g}" if tau else ""


NAMES = {called(rule, tau): (rule, tau) for rule, tau in CUTS}


def chosen(rows: pd.DataFrame) -> str:
    """The cuts of some rows (rule, tau), by name: "max 0.4, max 0.5"."""
    return ", ".join(
        sorted({called(*each) for each in zip(rows["rule"], rows["tau"], strict=True)})
    )


def scores(found: WordMap, truth: Mask) -> list[dict[str, Any]]:
    """IoU of a map with the truth at every one of `CUTS`: rule, tau, iou."""
    masks = np.stack([found.mask(tau, rule) for rule, tau in CUTS])
    overlap = np.asarray(iou(masks, np.broadcast_to(truth, masks.shape)))
    return [
        {"rule": rule, "tau": tau, "iou": float(score)}
        for (rule, tau), score in zip(CUTS, overlap, strict=True)
    ]


def wide(found: WordMap, truth: Mask) -> dict[str, float]:
    """The same by the cut's name, "max 0.4": columns of a wide row."""
    return {called(each["rule"], each["tau"]): each["iou"] for each in scores(found, truth)}


def long(rows: pd.DataFrame) -> pd.DataFrame:
    """Of wide rows (prompt, seed, noun, method, and the IoU at each of `NAMES`) a row a cut, as
    `overlaps` has them; "image" is the seed."""
    keys = ["prompt", "seed", "noun", "method"]
    found = rows.melt(keys, [*NAMES], "cut", "iou").rename(columns={"seed": "image"})
    rule, tau = zip(*(NAMES[name] for name in found["cut"]), strict=True)
    return found.assign(rule=rule, tau=tau)
