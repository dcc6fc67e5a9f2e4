"""Is a word's map where the word works?

Each scene is drawn, noised to some levels and denoised in one step under its own caption. Each
noun is silenced in the share of the picture where a map of it is highest, and outside of that: see
`measures.faithfulness`. So each method of attribution is measured by what the model does, and no
mask of anything is asked for. Silence is out of distribution: no prompt leaves a hole in the
softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.attribution.occlusion import pixels
from daamkit.edits.silence import Silence
from daamkit.maps.words import Word
from daamkit.measures import faithfulness, intervals
from daamkit.studies.denoised import Denoised
from daamkit.studies.explaining import Explaining
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("deletion", "insertion")


@dataclass(frozen=True, kw_only=True)
class Faithfulness(Explaining):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: a scene at each level, then the next. Half of the scenes have compositions
        that the model's training has seen, half others.
    levels, methods
        As in `Explaining`.
    """

    name: ClassVar[str] = "faithfulness"
    fewest: ClassVar[int] = 2
    generates: ClassVar[bool] = False
    n: int = 600

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun and method: set, split, prompt, seed, noun, word, method, the areas
        "deletion" and "insertion", and both curves' points ("deletion 0.05")."""
        return [self._rows(session, case) for case in cases]

    def _rows(self, session: Session, case: Case) -> list[Row]:
        found = self.explained(session, case)
        plain = pixels(found.run).numpy()
        rows: list[Row] = []
        for noun, maps in found.maps.items():
            word = found.words[noun]
            (silenced,) = self._pictures(session, case, word, np.ones((1, *plain.shape[:2]), bool))
            for name, map_ in maps.items():
                places = faithfulness.parts(map_.expand(absolute=True).numpy())
                pictures = self._pictures(session, case, word, places)
                curves = faithfulness.effects(plain, silenced, pictures)
                row = found.named[noun] | {"method": name}
                for curve, effect in zip(CURVES, curves, strict=True):
                    row[curve] = faithfulness.area(effect)
                    points = zip(faithfulness.SHARES, effect.tolist(), strict=True)
                    row |= {f"{curve} {share:g}": value for share, value in points}
                rows.append(row)
        return rows

    def _pictures(self, session: Session, case: Case, word: Word, where: Any) -> np.ndarray:
        """The picture with a word silenced in each of some places."""
        edit = Silence([word], where=where)
        scenes, seeds = [self.scene(case)] * len(where), [case["seed"]] * len(where)
        found = Denoised(session.pipe).pictures(scenes, seeds, case["level"], [edit])
        return np.stack([np.asarray(each.convert("RGB"), np.float32) / 255 for each in found])

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "faithfulness": for each set and method the mean areas "deletion" and "insertion", their
        mean "area", and its gain over DAAM's; n.
        "curves": for each set, method and share of the picture, the mean effects.
        """
        rows = rows.dropna(subset=[*CURVES])
        rows = rows.assign(area=rows[[*CURVES]].mean(axis=1))
        out = [
            self._method(part, name, each[each["method"] == "daam"])
            for _, each in rows.groupby("set", sort=False)
            for name, part in each.groupby("method", sort=False)
        ]
        points = [
            {"set": place, "method": name, "share": share}
            | {curve: float(part[f"{curve} {share:g}"].mean()) for curve in CURVES}
            for (place, name), part in rows.groupby(["set", "method"], sort=False)
            for share in faithfulness.SHARES
        ]
        return {"faithfulness": pd.DataFrame(out), "curves": pd.DataFrame(points)}

    def _method(self, part: pd.DataFrame, name: str, daam: pd.DataFrame) -> Row:
        row: Row = {"set": part["set"].iloc[0], "method": name, "n": len(part)}
        for measure in ("area", *CURVES):
            found = intervals.mean(part[measure].to_numpy(), part["prompt"].tolist())
            row |= dict(zip(intervals.columns(measure), found, strict=True))
        if name != "daam" and len(daam):
            keys = ["seed", "noun"]
            both = part.merge(daam[[*keys, "area"]], on=keys, suffixes=("", "_daam"))
            pair = both["area"].to_numpy(), both["area_daam"].to_numpy()
            found = intervals.gain(*pair, both["prompt"].tolist())
            row |= dict(zip(intervals.columns("over_daam"), found, strict=True))
        return row

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """The areas under both curves."""
        from daamkit.studies import charts

        return charts.faithfulness(tables["faithfulness"])
