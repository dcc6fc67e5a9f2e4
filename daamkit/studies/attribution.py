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

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit import registry
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Attribution
from daamkit.attribution.occlusion import Occlusion
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import intervals, ranking
from daamkit.studies import localisation, truths
from daamkit.studies.denoised import Denoised, both, exact
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims
from daamkit.toybox.scenes import SPLITS, Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATED = -1  # the level of an image that is generated
CUTS = {f"{rule} {tau:g}": (rule, tau) for rule, tau in localisation.CUTS}
OWN = "occlusion"  # measures what `cause` does, by the same means


@dataclass(frozen=True, kw_only=True)
class AttributionStudy(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: a scene at each level and generated, then the next. Half of the scenes have
        compositions that the model's training has seen, half others.
    levels
        To which a scene is noised: time steps of the schedule, from 0 to 999.
    methods
        By their names in `registry.attributions`; none: all that are known.
    truth
        Where the things of generated images are; see `truths.truth`.
    """

    name: ClassVar[str] = "attribution"
    fewest: ClassVar[int] = 4
    parses: ClassVar[bool] = False
    n: int = 900
    levels: tuple[int, ...] = (300, 600)
    methods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts is not None or not all(0 <= level < 1000 for level in self.levels):
            raise DaamkitError(
                wanted="scenes of the toy world, and levels from 0 to 999",
                got=f"prompts={self.prompts!r}, levels={self.levels}",
                mend="leave `prompts` out; `daamkit study objects` takes prompts of any kind",
            )

    def check(self) -> None:
        """Truth, and the methods."""
        super().check()
        _ = self._methods

    def cases(self) -> list[Case]:
        """Each scene at each level, then its caption: prompt, seed, split, scene (which of its
        split) and level."""
        return [
            {"prompt": scene.caption, "seed": self.seed + i, "level": level}
            | {"split": SPLITS[1 + i % 2], "scene": i // 2}
            for i, scene in enumerate(self._scenes)
            for level in (*self.levels, GENERATED)
        ][: self.n]

    @cached_property
    def _scenes(self) -> list[Scene]:
        """Of both splits in turn."""
        return both(-(-self.n // (len(self.levels) + 1)), self.seed)

    @cached_property
    def _methods(self) -> dict[str, Attribution]:
        names = self.methods or tuple(registry.attributions.names())
        return {name: registry.attributions.find(name)() for name in names}

    # -- one image

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun and method: set, split, prompt, seed, noun, word, method, ap, cause, area
        (the thing's share of the image), generations (how many more the method drew), seconds, and
        the IoU at every cut ("max 0.4")."""
        return [self._rows(session, case) for case in cases]

    def _rows(self, session: Session, case: Case) -> list[Row]:
        scene = self._scenes[SPLITS.index(case["split"]) - 1 + 2 * case["scene"]]
        draw = self._drawing(session, case, scene)
        run = draw()
        asked = claims.parse(scene.caption)
        nouns = localisation.words(run.maps, asked)
        masks = exact(scene)
        if case["level"] == GENERATED:
            names = [thing.name for thing in asked.things]
            found = self.masks(run, case["prompt"], case["seed"], names)
            own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
            masks = {i: own[i] for i in masks if truths.present(own[i])}
        if not masks:
            return []
        words = [nouns[i] for i in masks]
        maps: dict[str, list[WordMap]] = {}
        cost: dict[str, dict[str, float]] = {}
        silenced: dict[Word, Run] = {}
        for name, method in self._methods.items():
            again = _Again(draw, silenced)
            start = time.perf_counter()
            maps[name] = method.maps(run, words, again)
            seconds = time.perf_counter() - start
            cost[name] = {"generations": again.count, "seconds": seconds}
        pooled = {i: run.maps.of(word) for i, word in nouns.items()}
        changes = Occlusion(window=0).maps(run, words, _Again(draw, silenced))
        rows: list[Row] = []
        for at, (noun, mask) in enumerate(masks.items()):
            given = {name: own[at] for name, own in maps.items()}
            given |= localisation.controls(pooled, noun, case["seed"])
            change = changes[at].expand(absolute=True).numpy()
            named = {
                "set": _called(case["level"]), "split": case["split"], "prompt": case["prompt"],
                "seed": case["seed"], "noun": noun, "word": asked.things[noun].name,
                "area": float(mask.mean()),
            }  # fmt: skip
            for name, map_ in given.items():
                values = map_.expand(absolute=True).numpy()
                row = named | {"method": name, "ap": ranking.average_precision(values, mask)}
                row["cause"] = ranking.within(change, values, int(mask.sum()))
                row |= cost.get(name, {"generations": 0, "seconds": 0.0})
                scores = [cut["iou"] for cut in localisation.cuts(map_, mask)]
                rows.append(row | dict(zip(CUTS, scores, strict=True)))
        return rows

    def _drawing(self, session: Session, case: Case, scene: Scene) -> Callable[..., Run]:
        """Draws the case's image, under taps."""
        options: dict[str, Any] = {"self_attention": True}

        def denoise(*taps: Tap) -> Run:
            denoised = Denoised(session.pipe)
            return denoised.runs([scene], [case["seed"]], case["level"], taps, **options)[0]

        def generate(*taps: Tap) -> Run:
            with attach(session.pipe, *taps):
                return session.runs([case["prompt"]], [case["seed"]], **options)[0]

        return generate if case["level"] == GENERATED else denoise

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "attribution": for each set and method the mean "ap", "iou" (at a cut chosen on other
        prompts, "cuts") and "cause", the gain of ap over DAAM's, generations and seconds; n.
        "splits": ap, by whether the training has seen the composition.
        "agreement": of a noun's maps, Spearman's correlation of ap and cause over the methods.
        """
        out = [
            self._method(part, name, daam)
            for _, each in rows.groupby("set", sort=False)
            for daam in [each[each["method"] == "daam"]]
            for name, part in each.groupby("method", sort=False)
        ]
        table = pd.DataFrame(out)
        cut = [
            localisation.summary(_long(each)).assign(set=name)
            for name, each in rows.groupby("set", sort=False)
        ]
        chosen = pd.concat(cut, ignore_index=True)[["set", "method", "miou", "low", "high", "cuts"]]
        chosen.columns = pd.Index(["set", "method", "iou", "iou_low", "iou_high", "cuts"])
        splits = intervals.means(rows, ["set", "split", "method"], "ap", within=(0, 1))
        return {
            "attribution": table.merge(chosen, on=["set", "method"], how="left"),
            "splits": splits,
            "agreement": _agreement(rows),
        }

    def _method(self, part: pd.DataFrame, name: str, daam: pd.DataFrame) -> Row:
        prompts = part["prompt"].tolist()
        row: Row = {"set": part["set"].iloc[0], "method": name, "n": len(part)}
        for measure in ("ap", "cause"):
            found = intervals.mean(part[measure].to_numpy(), prompts, within=(0, 1))
            row |= dict(zip(_bounds(measure), found, strict=True))
        if name == OWN:
            row |= dict.fromkeys(_bounds("cause"), np.nan)
        if name != "daam" and len(daam):
            keys = ["seed", "noun"]
            both = part.merge(daam[[*keys, "ap"]], on=keys, suffixes=("", "_daam"))
            pair = both["ap"].to_numpy(), both["ap_daam"].to_numpy()
            found = intervals.gain(*pair, both["prompt"].tolist(), within=(-1, 1))
            row |= dict(zip(_bounds("over_daam"), found, strict=True))
        once = part.drop_duplicates("seed")
        return row | {key: float(once[key].mean()) for key in ("generations", "seconds")}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Finding the thing, and finding what the word does."""
        from daamkit.studies import charts

        return charts.attribution(tables["attribution"])


class _Again:
    """Draws again, and counts how often; what a word's silence gave is remembered."""

    def __init__(self, draw: Callable[..., Run], silenced: dict[Word, Run]) -> None:
        self.draw, self.silenced, self.count = draw, silenced, 0

    def __call__(self, *taps: Tap) -> Run:
        self.count += 1
        alone = taps[0] if len(taps) == 1 else None
        if not (isinstance(alone, Silence) and isinstance(alone.words, Word)):
            return self.draw(*taps)
        if alone.words not in self.silenced:
            self.silenced[alone.words] = self.draw(alone)
        return self.silenced[alone.words]


def _called(level: int) -> str:
    return "generated" if level == GENERATED else f"drawn, noise {level}"


def _bounds(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _long(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a cut, as `localisation` has them."""
    keys = ["prompt", "seed", "noun", "method"]
    long = rows.melt(keys, [*CUTS], "cut", "iou").rename(columns={"seed": "image"})
    rule, tau = zip(*(CUTS[name] for name in long["cut"]), strict=True)
    return long.assign(rule=rule, tau=tau)


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
