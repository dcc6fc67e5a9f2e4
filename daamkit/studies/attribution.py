"""Which method finds a word's thing, and which finds what the word does?

Each scene is drawn, so that its masks are exact, noised to some levels and denoised in one step
under its own caption; and an image is generated from noise with its caption, where the truth is an
estimate. In each image, every method of attribution maps every noun whose thing is there, beside
maps that know nothing.

- "ap": does the map rank the thing's pixels first? Average precision, whatever the threshold.
- "iou": the IoU of the map's mask, at the cut that is best on other prompts.
- "cause": what share of all that changes when the word is silenced lies in the pixels where the map
  is highest, as many as the thing has?
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from daamkit.attribution.method import UnsuitedError
from daamkit.attribution.occlusion import Occlusion
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import intervals, ranking
from daamkit.studies import cuts, gains, halves, localisation, robustness, spoken, winners
from daamkit.studies.denoised import Mask
from daamkit.studies.drawn_scenes import called
from daamkit.studies.explaining import Explained, Explaining
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DAAM = "daam"  # what the others are held against
CAUSE: Literal["silence"] = "silence"  # the edit by which `cause` is measured
MEASURES = ("ap", "iou", "cause")
STILL = 1e-5  # mean change of colours, from 0 to 1: less is rounding, and has no cause
KEYS = ["seed", "noun"]
KEPT = ("split", "prompt", "seed", "draw")  # of a case, in its rows
APART = 1_000_000  # seeds of a scene's draws
FREE: Row = {"generations": 0, "seconds": 0.0, "passes": 0, "backwards": 0}
Mapped = tuple[int, Word, Mask, Mapping[str, WordMap]]  # its number, the word, its mask and maps


@dataclass(frozen=True, kw_only=True)
class AttributionStudy(Explaining):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: one scene at each level and generated, then the next scene. Half of the
        scenes have compositions that the model's training has seen, half have others.
    draws
        How many noises each scene gets, one after another: more are further seeds under which a
        conclusion is tested ("robustness").
    robustness
        Whether conclusions are also tested on maps of half of the layers, and half of the steps.
    every_word
        Whether all words that mention something are mapped, not only things' names, for the tables
        of parts of speech and relations. Then only drawn images are taken, whose masks say what
        each word mentions. All methods run once more, and `occlusion` for each word.
    levels, methods, truth
        As in `Explaining`.
    """

    name: ClassVar[str] = "attribution"
    fewest: ClassVar[int] = 4
    n: int = 900
    draws: int = 1
    robustness: bool = False
    every_word: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws < 1:
            raise DaamkitError(
                wanted="a noise for each scene or more", got=f"draws={self.draws}", mend="take 1"
            )

    # -- one image

    def tracing(self, pipe: Any, prompt: str) -> dict[str, Any]:
        """What methods want, of the words that are mapped."""
        kept = super().tracing(pipe, prompt)
        if self.every_word and "relations" in kept:
            kept["relations"] = dict.fromkeys(kept["relations"], "all")
        return kept | ({"keep": ("step", "site", "head")} if self.robustness else {})

    @property
    def every_level(self) -> tuple[int, ...]:
        """No generated image, where every word is mapped."""
        return self.levels if self.every_word else super().every_level

    def cases(self) -> list[Case]:
        """Each scene at each level, then its caption, all with each draw's noise."""
        return [
            case | {"seed": case["seed"] + draw * APART, "draw": draw}
            for case in super().cases()
            for draw in range(self.draws)
        ][: self.n]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a word and method: set, split, prompt, seed, noun (the word's number; after things'
        names those of other words), word, thing (whether it names one), pos, relation, beside
        (`spoken.BESIDE`), method, ap, cause, area (the share of the image that it mentions),
        generations (how many more the method drew), passes (of the denoiser), backwards (those
        whose gradients it took), seconds, the IoU at every cut ("max 0.4") and, if `robustness`
        is asked for, the ap of every half ("ap, layers, first")."""
        return [[*self._rows(session, case)] for case in cases]

    def _rows(self, session: Session, case: Case) -> Iterator[Row]:
        found, scene = self.explained(session, case), self.scene(case)
        mapped: list[Mapped] = [
            (noun, found.words[noun], found.masks[noun], maps) for noun, maps in found.maps.items()
        ]
        if self.every_word:
            mapped += self._others(found, case)
        words = [word for _, word, _, _ in mapped]
        changes = Occlusion(window=0, by=CAUSE).maps(found.run, words, found.again)
        pooled = self._halves(found, words) if self.robustness else {}
        case_ = {"set": called(case["level"])} | {k: case[k] for k in KEPT}
        for i, (change, (noun, word, mask, maps)) in enumerate(zip(changes, mapped, strict=True)):
            moved = _pixels(change)
            said = case_ | {"noun": noun, "word": word.text, "area": float(mask.mean())}
            said |= spoken.of(scene, word.start, self.world)
            for name, map_ in maps.items():
                row = said | {"method": name} | FREE | found.cost.get(name, {})
                row["ap"] = _ap(map_, mask)
                row["cause"] = ranking.within(moved, _pixels(map_), int(mask.sum()))
                still = moved.mean() < STILL
                if still or getattr(self._methods.get(name), "by", "") == CAUSE:
                    row["cause"] = np.nan  # by its own means
                for half, made in pooled.items():
                    each = made.get(name, {i: map_}).get(i)
                    row[f"ap, {half}"] = np.nan if each is None else _ap(each, mask)
                yield row | cuts.wide(map_, mask)

    def _halves(
        self, found: Explained, words: Sequence[Word]
    ) -> dict[str, dict[str, dict[int, WordMap]]]:
        """By half and method, the words' maps from that half: none if the method cannot be asked of
        it. A method that draws again is not here, for it has no halves."""
        read = [name for name, cost in found.cost.items() if not cost["generations"]]
        made: dict[str, dict[str, dict[int, WordMap]]] = {}
        for half, run in halves.of(found.run).items():
            made[half] = dict.fromkeys(read, {})
            for name in read:
                with contextlib.suppress(UnsuitedError):
                    maps = self._methods[name].maps(run, words, found.again)
                    made[half][name] = dict(enumerate(maps))
        return made

    def _others(self, found: Explained, case: Case) -> list[Mapped]:
        """The words that mention something and name no thing, as every method that knows something
        maps them, and beside them maps that know nothing."""
        scene, prompt = self.scene(case), found.run.maps.prompt
        others = spoken.others(scene)
        words = [prompt.span(word.start, word.end) for word in others]
        each: dict[str, list[WordMap]] = {}
        for name in found.cost if words else ():
            with contextlib.suppress(UnsuitedError):
                every = [*found.nouns.values(), *words]
                each[name] = self._methods[name].maps(found.run, every, found.again)[-len(words) :]
        mapped: list[Mapped] = []
        for i, (said, word) in enumerate(zip(others, words, strict=True)):
            mask, number = scene.mask(said), len(found.nouns) + i
            far = [noun for noun, other in found.masks.items() if not (other & mask).any()]
            own = {number: found.run.maps.of(word)}
            own |= {noun: found.run.maps.of(found.nouns[noun]) for noun in far[:1]}
            blind = localisation.controls(own, number, case["seed"], self.world)
            maps = {name: maps[i] for name, maps in each.items()} | blind
            mapped.append((number, word, mask, maps))
        return mapped

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts, of things' names:

        "attribution": for each set and method the mean "ap", "iou" (at a cut chosen on other
        prompts, "cuts") and "cause", the gain of each over DAAM's ("ap_over"), generations, passes,
        backwards and seconds; n.
        "winner": the best method, chosen on one half of the prompts, over DAAM on the other; of
        "cause", that is not itself made by an edit.
        "splits": each measure, by whether the training has seen the composition.
        "beside": each measure, by what else is in the picture (`spoken.BESIDE`).
        "agreement": of a noun's maps, Spearman's correlation of ap and cause over the methods (but
        for those that are made by an edit), and over the methods and controls, which raise it: what
        knows nothing finds neither.
        "robustness": under how many settings (sets, splits, draws, quarters of the prompts, cuts,
        halves of layers and steps, DAAM's rules) each method is better or worse than DAAM, as it is
        over all; see `robustness.held`.

        Of all words that are mapped: "parts_of_speech" and "relations", each measure by these.
        """
        rows = pd.concat(
            [localisation.cut(part) for _, part in rows.groupby(["set", "thing"], sort=False)],
            ignore_index=True,
        )
        names = rows[rows["thing"]]
        found = {
            "attribution": pd.DataFrame(_lines(names, "set")),
            "splits": pd.DataFrame(_lines(names, "set", "split")),
            "beside": pd.DataFrame(_lines(names, "set", "beside")),
            "parts_of_speech": pd.DataFrame(_lines(rows, "set", "pos")),
            "relations": pd.DataFrame(_lines(rows, "set", "relation")),
            "agreement": _agreement(names[~names["method"].isin(self._edits)]),
        }
        if DAAM in set(names["method"]):
            found["robustness"] = _robustness(names)
            found["winner"] = self._winners(names)
        return found

    def _winners(self, names: pd.DataFrame) -> pd.DataFrame:
        """Nothing that is made by an edit wins by "cause": two edits change the same pixels."""
        blind = localisation.BASELINES
        found = [
            winners.crossed(names, ["ap", "iou"], to=DAAM, without=blind),
            winners.crossed(names, ["cause"], to=DAAM, without=[*blind, *self._edits]),
        ]
        return pd.concat(found, ignore_index=True)

    @property
    def _edits(self) -> list[str]:
        """Methods that are made by an edit, as `cause` is."""
        return [name for name, each in self._methods.items() if each.by]

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Finding the thing, and finding what the word does."""
        from daamkit.studies import charts

        return charts.attribution(tables["attribution"])


def _pixels(map_: WordMap) -> np.ndarray:
    return map_.expand(absolute=True).numpy()


def _ap(map_: WordMap, mask: Mask) -> float:
    return ranking.average_precision(_pixels(map_), mask)


def _robustness(rows: pd.DataFrame) -> pd.DataFrame:
    half = [name for name in rows if name.startswith("ap, ")]
    measures: dict[str, dict[str, Sequence[str]]] = {
        "ap": {"cut": [*cuts.NAMES], "half": half},
        "cause": {},
    }
    settings = ["set", "split", *(["draw"] if rows["draw"].nunique() > 1 else [])]
    return robustness.held(rows, measures, to=DAAM, rules=["paper"], settings=settings)


def _lines(rows: pd.DataFrame, *by: str) -> Iterator[Row]:
    """Of each group a line a method: the mean of each measure, and its gain over DAAM's."""
    for names, group in rows.groupby([*by], sort=False):
        daam = group[group["method"] == DAAM][[*KEYS, *MEASURES]]
        for method, part in group.groupby("method", sort=False):
            row: Row = dict(zip(by, names, strict=True)) | {"method": method, "n": len(part)}
            row |= gains.over(part, daam if method != DAAM and len(daam) else None, MEASURES, KEYS)
            once = part.drop_duplicates("seed")
            costs = {key: float(once[key].mean()) for key in FREE}
            yield (
                row
                | (costs if by == ("set",) else {})
                | {"cuts": cuts.chosen(part.dropna(subset="iou"))}
            )


def _agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """set, over ("methods", or "methods and controls"), and the mean correlation with its interval,
    over prompts."""
    found = []
    for over, blind in (("methods", localisation.BASELINES), ("methods and controls", ())):
        known = rows[~rows["method"].isin(blind) & rows["cause"].notna()]
        for (place, _, _), part in known.groupby(["set", *KEYS], sort=False):
            pair = part["ap"].to_numpy(), part["cause"].to_numpy()
            row = {"set": place, "over": over, "prompt": part["prompt"].iloc[0]}
            found.append(row | {"correlation": ranking.rank_correlation(*pair)})
    frame = pd.DataFrame(found).dropna()
    return intervals.means(frame, ["set", "over"], "correlation", within=(-1, 1))
