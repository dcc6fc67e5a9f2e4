"""Can it be told from a map whether its word was drawn? Probabilities beside the truth.

A word that the model neglects has a map too. Prompts of one to four things are drawn, a truth says
which are there and where, and `measures.reliability` says how likely that was from the maps alone;
it is asked of maps of nothing too (`studies.nothing`). A calibration is learned from this same
study on prompts of the other split (`studies.calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.attention.hooks import attach
from daamkit.attribution.occlusion import Occlusion
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import calibration, intervals, reliability
from daamkit.measures.overlap import iou
from daamkit.measures.reliability import TARGETS
from daamkit.measures.signs import SIGNS, signs
from daamkit.studies import drawing, instruments, prompts, truths
from daamkit.studies.located import Located
from daamkit.studies.nothing import NOTHING
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims, scenes

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
        A file, of which the prompts of the toy world that name things are used, each once; None:
        equally many of each of `GROUPS`.
    split
        "held-out": prompts that name things together, or in a colour, as no prompt of the other
        split does (`prompts.held_out`); "seen": prompts of that other split; "any": both. A
        calibration learned from "seen" has met none of the held-out ones; nor has the training of
        world 2's models. That of world 1's has seen both.
    world
        The toy world of the things and of the oracle, 1 or 2.
    by_step
        Whether steps are kept apart, for the signs that tell how they agree. Takes more memory.
    silenced
        Whether each noun is silenced too, for the sign "effect": one more image for each noun.
    truth
        What says which things are there; see `truths.truth`.
    """

    name: ClassVar[str] = "reliability"
    parses: ClassVar[bool] = False
    n: int = 420
    split: str = "held-out"
    by_step: bool = False
    silenced: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLITS:
            raise DaamkitError(
                wanted=f"a split of {', '.join(SPLITS)}",
                got=repr(self.split),
                mend="name one of these",
            )

    def instruments(self) -> dict[str, str]:
        """What says how likely it was."""
        return super().instruments() | {
            "calibration": instruments.learned("reliability", self.model_name)
        }

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
        for times in (4, 16) if self.world == 1 else (4, 16, 64):  # a colour is rare in world 2
            texts = _drawn(group, times * n, self.seed, self.world)
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
        """A row for each thing named, and others of maps of nothing in its place ("maps": "drawn",
        and those of `NOTHING`): prompt, seed, group, things (what the row is a cluster of), name;
        present, iou, and located (whether it is there, and iou at least `ON_IT`); `SIGNS`; and what
        is said of it, p_present and p_located, NaN where nothing is calibrated."""
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        keep = ("step", "site", "head") if self.by_step else ("site", "head")
        runs = session.runs(texts, seeds, keep=keep)
        made = session.record
        rows = [self._rows(session, case, run) for case, run in zip(cases, runs, strict=True)]
        session.record = made  # not that of what was silenced
        return rows

    def _rows(self, session: Session, case: Case, run: Run) -> list[Row]:
        things = claims.parse(case["prompt"]).things
        names = [thing.name for thing in things]
        found = self.masks(run, case["prompt"], case["seed"], names)
        own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
        nouns = [run.maps.prompt.span(thing.start, thing.end) for thing in things]
        changes = self._changes(session, case, run, nouns) if self.silenced else []
        named = {key: case[key] for key in ("prompt", "seed", "group")}
        named["things"] = drawing.together(case["prompt"], names)
        made = {"drawn": run.maps} | {
            kind: of(run.maps, case["seed"]) for kind, of in NOTHING.items()
        }
        rows = []
        for kind, maps in made.items():
            told = signs(maps, nouns, changes)
            said = reliability.said(run, told)
            for i, (name, noun) in enumerate(zip(names, nouns, strict=True)):
                there = truths.present(own[i])
                overlap = float(iou(maps.of(noun).mask(), own[i])) if there else np.nan
                rows.append(
                    named
                    | {"maps": kind, "name": name, "present": float(there), "iou": overlap}
                    | {"located": float(there and overlap >= ON_IT)}
                    | {sign: float(told[sign].iloc[i]) for sign in SIGNS}
                    | {f"p_{target}": float(said[target].iloc[i]) for target in TARGETS}
                )
        return rows

    def _changes(
        self, session: Session, case: Case, run: Run, nouns: Sequence[Word]
    ) -> list[WordMap]:
        """What changes in the image where each noun is silenced."""

        def again(*edits: Any) -> Run:
            with attach(session.pipe, *edits):
                return session.runs([case["prompt"]], [case["seed"]])[0]

        return Occlusion(window=0, by="silence").maps(run, nouns, again)

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts that name the same things:

        "reliability": of all prompts and each group, for both targets: n, the share that happened,
        AUROC, Brier score, calibration error.
        "noise": of each kind of maps of nothing, for both targets: n, the mean probability that is
        said, and "believed", the share of which at least one half is said.
        "diagram": said and happened, by bins of equally many words.
        "signs": AUROC of each sign by itself, of those that were given.
        """
        drawn = rows[rows["maps"] == "drawn"]
        groups = {"all": drawn} | dict(list(drawn.groupby("group", sort=False)))
        scores = [_scores(group, part, t) for group, part in groups.items() for t in TARGETS]
        alone = [
            {"target": target, "sign": sign} | _with_interval("auroc", known, sign, target)
            for target in TARGETS
            for sign in SIGNS
            if len(known := drawn[drawn[sign].notna()])
        ]
        tables = {"reliability": pd.DataFrame(scores), "signs": pd.DataFrame(alone)}
        if drawn["p_present"].notna().all():
            kinds = [(kind, rows[rows["maps"] == kind]) for kind in NOTHING]
            tables["noise"] = pd.DataFrame(
                [_of_nothing(*kind, t) for kind in kinds for t in TARGETS]
            )
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


def _drawn(group: str, n: int, seed: int, world: int) -> list[str]:
    """n prompts of a group, each once, of any split; all there are, if they are fewer; those that n
    seeds give of "one", and of all captions of world 2."""
    if group in prompts.SEVERAL:
        return prompts.several(group, n, seed, world)
    if world == 2:
        kind, rng = "single" if group == "one" else None, np.random.default_rng((seed, 279))
        return list(dict.fromkeys(scenes.say(rng, kind, world).text for _ in range(n)))
    if group == "caption":
        return prompts.texts(None, n, seed)
    drawn = prompts.drawn(range(seed, seed + n))
    return list(dict.fromkeys(case.prompt for case in drawn if len(case.claims.things) == 1))


def _scores(group: str, drawn: pd.DataFrame, target: str) -> Row:
    row: Row = {"group": group, "target": target, "n": len(drawn), "share": drawn[target].mean()}
    for name in calibration.INTERVALS:
        row |= _with_interval(name, drawn, f"p_{target}", target)
    return row


def _with_interval(measure: str, rows: pd.DataFrame, said: str, target: str) -> Row:
    columns = intervals.columns(measure)
    values, happened = rows[said].to_numpy(float), rows[target].to_numpy(float) > 0
    if np.isnan(values).any():
        return dict.fromkeys(columns, np.nan)
    found = calibration.INTERVALS[measure](values, happened, list(rows["things"]))
    return dict(zip(columns, found, strict=True))


def _of_nothing(kind: str, rows: pd.DataFrame, target: str) -> Row:
    said, things = rows[f"p_{target}"].to_numpy(float), list(rows["things"])
    row: Row = {"maps": kind, "target": target, "n": len(rows)}
    mean = intervals.mean(said, things, kind="number", within=(0, 1))
    believed = intervals.mean(said >= 0.5, things, kind="share")
    row |= dict(zip(intervals.columns("said"), mean, strict=True))
    return row | dict(zip(intervals.columns("believed"), believed, strict=True))
