"""Which method finds a word's thing, and which finds what the word does?

Each scene is drawn, so that its masks are exact, noised to some levels and denoised in one step
under its own caption; and its caption is generated from noise, where the truth is an estimate. In
each, every method of attribution maps every noun that is there, beside maps that know nothing.

- "ap": does the map rank the thing's pixels first? Average precision, whatever the threshold.
- "iou": of its mask, at the cut that is best on other prompts.
- "cause": as many pixels as the thing has, those where the map is highest: which share of all that
  changes when the word is silenced lies there?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from daamkit.attribution.occlusion import Occlusion
from daamkit.measures import intervals, ranking
from daamkit.studies import cuts, localisation, robustness
from daamkit.studies.explaining import Explaining
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DAAM = "daam"  # what the others are held against
OWN = "occlusion"  # measures what `cause` does, by the same means


@dataclass(frozen=True, kw_only=True)
class AttributionStudy(Explaining):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: a scene at each level and generated, then the next. Half of the scenes have
        compositions that the model's training has seen, half others.
    levels, methods, truth
        As in `Explaining`.
    """

    name: ClassVar[str] = "attribution"
    fewest: ClassVar[int] = 4
    n: int = 900

    # -- one image

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun and method: set, split, prompt, seed, noun, word, method, ap, cause, area
        (the thing's share of the image), generations (how many more the method drew), seconds, and
        the IoU at every cut ("max 0.4")."""
        return [self._rows(session, case) for case in cases]

    def _rows(self, session: Session, case: Case) -> list[Row]:
        found = self.explained(session, case)
        changes = Occlusion(window=0).maps(found.run, [*found.words.values()], found.again)
        rows: list[Row] = []
        for change, (noun, maps) in zip(changes, found.maps.items(), strict=True):
            mask, moved = found.masks[noun], change.expand(absolute=True).numpy()
            for name, map_ in maps.items():
                values = map_.expand(absolute=True).numpy()
                row = found.named[noun] | {"area": float(mask.mean()), "method": name}
                row["ap"] = ranking.average_precision(values, mask)
                row["cause"] = ranking.within(moved, values, int(mask.sum()))
                row |= found.cost.get(name, {"generations": 0, "seconds": 0.0})
                rows.append(row | cuts.wide(map_, mask))
        return rows

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "attribution": for each set and method the mean "ap", "iou" (at a cut chosen on other
        prompts, "cuts") and "cause", the gain of ap over DAAM's, generations and seconds; n.
        "splits": ap, by whether the training has seen the composition.
        "agreement": of a noun's maps, Spearman's correlation of ap and cause over the methods.
        "robustness": under how many settings (sets, splits, quarters of the prompts, cuts) each
        method is better or worse than DAAM, as it is over all; see `robustness.held`.
        """
        out = [
            self._method(part, name, daam)
            for _, each in rows.groupby("set", sort=False)
            for daam in [each[each["method"] == DAAM]]
            for name, part in each.groupby("method", sort=False)
        ]
        table = pd.DataFrame(out)
        cut = [
            localisation.summary(cuts.long(each)).assign(set=name)
            for name, each in localisation.sets(rows)
        ]
        chosen = pd.concat(cut, ignore_index=True)[["set", "method", "miou", "low", "high", "cuts"]]
        chosen.columns = pd.Index(["set", "method", "iou", "iou_low", "iou_high", "cuts"])
        splits = intervals.means(rows, ["set", "split", "method"], "ap", within=(0, 1))
        found = {
            "attribution": table.merge(chosen, on=["set", "method"], how="left"),
            "splits": splits,
            "agreement": _agreement(rows),
        }
        if DAAM in set(rows["method"]):
            measures = {"ap": ("ap", *cuts.NAMES), "cause": ("cause",)}
            known = rows.assign(cause=rows["cause"].where(rows["method"] != OWN))
            found["robustness"] = robustness.held(known, measures, to=DAAM)
        return found

    def _method(self, part: pd.DataFrame, name: str, daam: pd.DataFrame) -> Row:
        prompts = part["prompt"].tolist()
        row: Row = {"set": part["set"].iloc[0], "method": name, "n": len(part)}
        for measure in ("ap", "cause"):
            found = intervals.mean(part[measure].to_numpy(), prompts, within=(0, 1))
            row |= dict(zip(intervals.columns(measure), found, strict=True))
        if name == OWN:
            row |= dict.fromkeys(intervals.columns("cause"), np.nan)
        if name != DAAM and len(daam):
            keys = ["seed", "noun"]
            both = part.merge(daam[[*keys, "ap"]], on=keys, suffixes=("", "_daam"))
            pair = both["ap"].to_numpy(), both["ap_daam"].to_numpy()
            found = intervals.gain(*pair, both["prompt"].tolist(), within=(-1, 1))
            row |= dict(zip(intervals.columns("over_daam"), found, strict=True))
        once = part.drop_duplicates("seed")
        return row | {key: float(once[key].mean()) for key in ("generations", "seconds")}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Finding the thing, and finding what the word does."""
        from daamkit.studies import charts

        return charts.attribution(tables["attribution"])


def _agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """set, and the mean correlation with its interval, over prompts."""
    other = rows[rows["method"] != OWN]
    found = [
        {"set": name, "prompt": part["prompt"].iloc[0]}
        | {"correlation": ranking.rank_correlation(part["ap"].to_numpy(), part["cause"].to_numpy())}
        for (name, _, _), part in other.groupby(["set", "seed", "noun"], sort=False)
    ]
    frame = pd.DataFrame(found).dropna()
    return intervals.means(frame, ["set"], "correlation", within=(-1, 1))
