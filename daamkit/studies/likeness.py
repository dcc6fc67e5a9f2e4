"""Kin or look-alike? Which of the two makes maps overlap, where both are crossed.

Co-hyponyms often look alike (a bear and a dog), so a difference between kin and strangers may be
one of looks. The prompts "a A and a B" form four cells: kin or not by WordNet, alike or not by the
sprites that the toy world draws (`sprites.likeness`), in which no model and no map has a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.measures.intervals import Kind, difference, means
from daamkit.studies.cohyponyms import Cohyponyms, asked, pair_of
from daamkit.studies.relations import CHIEF
from daamkit.studies.session import Case
from daamkit.toybox import sprites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = ("kin, alike", "kin, unlike", "strangers, alike", "strangers, unlike")
ALIKE, UNLIKE = 0.45, 0.35  # likeness from and up to which; pairs between them are not asked for
EFFECTS = {  # of kinship and of looks: what is held against what
    "kin": (CELLS[:2], CELLS[2:]),
    "kin, of the alike": (CELLS[:1], CELLS[2:3]),
    "kin, of the unlike": (CELLS[1:2], CELLS[3:]),
    "alike": (CELLS[::2], CELLS[1::2]),
    "alike, of kin": (CELLS[:1], CELLS[1:2]),
    "alike, of strangers": (CELLS[2:3], CELLS[3:]),
}


@dataclass(frozen=True, kw_only=True)
class Likeness(Cohyponyms):
    """Settings of the study; see `Study` and `Cohyponyms` for the common ones.

    Attributes
    ----------
    n
        How many images, a fourth for each cell. Strangers are words that have kin.
    vocabulary, world
        "toybox-2" and 2, since world 1 has no strangers that look alike.
    steps_up
        See `taxonomy.kinship`.
    """

    name: ClassVar[str] = "likeness"
    fewest: ClassVar[int] = 4
    n: int = 480
    vocabulary: str = "toybox-2"
    world: int = 2
    steps_up: int = 3

    def cases(self) -> list[Case]:
        """A pair of each cell in turn, all pairs of a cell equally often, in either order."""
        cells = self._cells()
        return [
            asked(cell, *(two if i // len(cells[cell]) % 2 == 0 else two[::-1]))
            | {"seed": self.seed + i}
            for i in range(-(-self.n // len(CELLS)))
            for cell in CELLS
            for two in [cells[cell][i % len(cells[cell])]]
        ][: self.n]

    def _cells(self) -> dict[str, list[tuple[str, str]]]:
        """The pairs of each cell, in an order that the seed decides."""
        if self.vocabulary != "toybox-2":
            raise DaamkitError(
                wanted="the vocabulary of world 2, whose sprites are compared",
                got=repr(self.vocabulary),
                mend="take 'toybox-2'",
            )
        found = self._kin()
        kin = {frozenset(two) for two in zip(found["a"], found["b"], strict=True)}
        words = sorted({word for two in kin for word in two})
        cells: dict[str, list[tuple[str, str]]] = {cell: [] for cell in CELLS}
        for a, b in combinations(words, 2):
            near = sprites.likeness(a, b)
            if near >= ALIKE or near <= UNLIKE:
                related = "kin" if {a, b} in kin else "strangers"
                cells[f"{related}, {'alike' if near >= ALIKE else 'unlike'}"].append((a, b))
        if empty := [cell for cell, found in cells.items() if not found]:
            raise DaamkitError(
                wanted="pairs of every cell",
                got=f"none that are {empty[0]}",
                mend="raise `steps_up` or `breadth`, or take a larger vocabulary",
            )
        rng = np.random.default_rng((self.seed, 52))
        return {cell: [two[i] for i in rng.permutation(len(two))] for cell, two in cells.items()}

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over pairs, for "iou", the overlap of both maps at the paper's cut,
        and "both", whether both things are there:

        "cells": the mean of each cell; n.
        "effects": `EFFECTS`, differences of means, with the p of exchanging the pairs' labels.
        """
        chief = rows[(rows["rule"] == CHIEF[0]) & (rows["tau"] == CHIEF[1])]
        chief = chief.assign(pair=pair_of(chief), both=chief["both"].astype(float))
        kinds: dict[str, Kind] = {"iou": "number", "both": "share"}
        cells = [
            means(chief, ["group"], measure, "pair", within=(0, 1), kind=kind).assign(
                measure=measure
            )
            for measure, kind in kinds.items()
        ]
        effects = [
            {"measure": measure, "effect": effect} | _effect(chief, measure, *sides, kind)
            for measure, kind in kinds.items()
            for effect, sides in EFFECTS.items()
        ]
        return {"cells": pd.concat(cells, ignore_index=True), "effects": pd.DataFrame(effects)}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Overlap in each cell, and what kinship and looks add."""
        from daamkit.studies import charts

        return charts.likeness(tables["cells"], tables["effects"])


def _effect(
    rows: pd.DataFrame, measure: str, more: Sequence[str], less: Sequence[str], kind: Kind
) -> dict[str, Any]:
    sides = [rows[rows["group"].isin(side)] for side in (more, less)]
    values = [side[measure].to_numpy(float) for side in sides]
    found = difference(*values, *(side["pair"].tolist() for side in sides), kind=kind)
    return dict(zip(("mean", "low", "high", "p"), found, strict=True)) | {"n": sum(map(len, sides))}
