"""Can it be told from a map whether its word was drawn? Probabilities beside the truth.

A word that the model neglects has a map too. Prompts of one to four things are drawn, a truth says
which are there and where, and `measures.reliability` says how likely that was, having seen the maps
alone. The same study, on prompts of the other split, is what a calibration is learned from
(`studies.calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.measures import calibration, intervals, reliability
from daamkit.measures.overlap import iou
from daamkit.measures.reliability import SIGNS, TARGETS
from daamkit.studies import drawing, prompts, truths
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = ("one", "two", "two coloured", "three", "three coloured", "four", "caption")
SPLITS = ("seen", "held-out", "any")
ON_IT = 0.5  # IoU of map and thing from which the map is on it


@dataclass(frozen=True, kw_only=True)
class Reliability(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    prompts
        None: those of all `GROUPS`, equally many. Of a file, the prompts of the toy world that name
        things, each once.
    split
        "held-out": prompts that name things together, or in a colour, as no prompt of the other
        split does (`prompts.held_out`); "seen": of that one; "any".
    truth
        Who says what is there: see `truths.truth`.
    """

    name: ClassVar[str] = "reliability"
    parses: ClassVar[bool] = False
    n: int = 420
    split: str = "held-out"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLITS:
            raise DaamkitError(
                wanted=f"a split of {', '.join(SPLITS)}",
                got=repr(self.split),
                mend="name one of these",
            )

    def cases(self) -> list[Case]:
        """Prompt, seed and group, the groups in turn."""
        if self.prompts is not None:
            asked = [("file", text) for text in prompts.texts(self.prompts, self.n, self.seed)]
        else:
            share = -(-self.n // len(GROUPS))
            each = [[(group, text) for text in self._texts(group, share)] for group in GROUPS]
            asked = [case for turn in zip(*each, strict=True) for case in turn][: self.n]
        return [
            {"prompt": text, "group": group, "seed": self.seed + i}
            for i, (group, text) in enumerate(asked)
        ]

    def _texts(self, group: str, n: int) -> list[str]:
        """n prompts of a group and the split, of things that are named once."""
        for many in (4 * n, 16 * n):
            texts = _drawn(group, many, self.seed)
            found = [text for text in texts if self._asks(text)][:n]
            if len(found) == n:
                return found
        raise DaamkitError(
            wanted=f"{n} prompts of {group!r} for each group of n={self.n}",
            got=f"{len(found)} of the split {self.split!r}",
            mend="ask for fewer, or name a file of prompts",
        )

    def _asks(self, text: str) -> bool:
        asked = claims.parse(text)
        names = [thing.name for thing in asked.things]
        if not names or len(set(names)) < len(names):
            return False
        return self.split == "any" or prompts.held_out(asked) == (self.split == "held-out")

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row for each thing named, and another of maps of noise in its place ("maps": "drawn",
        "noise"): prompt, seed, group, things (what the row is a cluster of), name; present, iou,
        and located (whether it is there, and iou at least `ON_IT`); `SIGNS`; and what is said of
        it, p_present and p_located, NaN where nothing is calibrated."""
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        runs = session.runs(texts, seeds)
        return [self._rows(case, run) for case, run in zip(cases, runs, strict=True)]

    def _rows(self, case: Case, run: Run) -> list[Row]:
        things = claims.parse(case["prompt"]).things
        names = [thing.name for thing in things]
        found = self.masks(run, case["prompt"], case["seed"], names)
        own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
        nouns = [run.maps.prompt.span(thing.start, thing.end) for thing in things]
        named = {key: case[key] for key in ("prompt", "seed", "group")}
        named["things"] = drawing.together(case["prompt"], names)
        rows = []
        for kind, maps in (("drawn", run.maps), ("noise", noise(run.maps, case["seed"]))):
            signs = reliability.signs(maps, nouns)
            said = reliability.said(run, signs)
            for i, (name, noun) in enumerate(zip(names, nouns, strict=True)):
                there = truths.present(own[i])
                overlap = float(iou(maps.of(noun).mask(), own[i])) if there else np.nan
                rows.append(
                    named
                    | {"maps": kind, "name": name, "present": float(there), "iou": overlap}
                    | {"located": float(there and overlap >= ON_IT)}
                    | {sign: float(signs[sign].iloc[i]) for sign in SIGNS}
                    | {f"p_{target}": float(said[target].iloc[i]) for target in TARGETS}
                )
        return rows

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts that name the same things:

        "reliability": of all prompts and each group, for both targets: n, the share that happened,
        AUROC, Brier score, calibration error, and the mean probability said of noise ("noise").
        "diagram": said and happened, by bins of equally many words.
        "signs": AUROC of each sign by itself.
        """
        drawn, noisy = (rows[rows["maps"] == kind] for kind in ("drawn", "noise"))
        groups = ["all", *dict.fromkeys(rows["group"])]
        parts = [
            (g, *(p if g == "all" else p[p["group"] == g] for p in (drawn, noisy))) for g in groups
        ]
        scores = [_scores(g, own, other, t) for g, own, other in parts for t in TARGETS]
        signs = [
            {"target": target, "sign": sign} | _with_interval("auroc", drawn, sign, target)
            for target in TARGETS
            for sign in SIGNS
        ]
        tables = {"reliability": pd.DataFrame(scores), "signs": pd.DataFrame(signs)}
        if drawn["p_present"].notna().all():
            tables["diagram"] = pd.concat([
                calibration.diagram(
                    drawn[f"p_{target}"].to_numpy(float),
                    drawn[target].to_numpy(float) > 0,
                    list(drawn["things"]),
                ).assign(target=target)
                for target in TARGETS
            ])  # fmt: skip
        return tables

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """The reliability diagram, and how well signs tell apart."""
        from daamkit.studies import charts

        return charts.reliability(tables.get("diagram"), tables["signs"])


def _drawn(group: str, n: int, seed: int) -> list[str]:
    """n prompts of a group, each once, of any split; all there are, if they are fewer; of "one",
    those that n seeds give."""
    if group == "caption":
        return prompts.texts(None, n, seed)
    if group == "one":
        drawn = prompts.drawn(range(seed, seed + n))
        return list(dict.fromkeys(case.prompt for case in drawn if len(case.claims.things) == 1))
    return prompts.several(group, n, seed)


def noise(maps: HeatMaps, seed: int) -> HeatMaps:
    """The same maps, each cell a random number whose mean is its layer's: of nothing."""
    rng = torch.Generator().manual_seed(seed)

    def drawn(values: Tensor) -> Tensor:
        random = torch.rand(values.shape, generator=rng, dtype=torch.float32, device="cpu")
        return 2 * random * values.cpu().mean((-1, -2), keepdim=True)

    layers = {n: replace(layer, values=drawn(layer.values)) for n, layer in maps.layers.items()}
    return replace(maps, layers=layers)


MEASURES: dict[str, Any] = {
    "auroc": calibration.auroc, "brier": calibration.brier, "error": calibration.error,
}  # fmt: skip


def _scores(group: str, drawn: pd.DataFrame, noisy: pd.DataFrame, target: str) -> Row:
    row: Row = {"group": group, "target": target, "n": len(drawn), "share": drawn[target].mean()}
    for name in MEASURES:
        row |= _with_interval(name, drawn, f"p_{target}", target)
    return row | {"noise": noisy[f"p_{target}"].mean()}


def _with_interval(measure: str, rows: pd.DataFrame, said: str, target: str) -> Row:
    columns = intervals.columns(measure)
    values, happened = rows[said].to_numpy(float), rows[target].to_numpy(float) > 0
    if np.isnan(values).any():
        return dict.fromkeys(columns, np.nan)
    found = calibration.interval(MEASURES[measure], values, happened, list(rows["things"]))
    return dict(zip(columns, found, strict=True))
