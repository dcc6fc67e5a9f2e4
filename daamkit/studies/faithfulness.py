"""Is a word's map where the word works?

Each scene is drawn, noised to some levels and denoised in one step under its own caption. Each
noun is edited everywhere, in the share of the picture where a map of it is highest, and outside of
that: see `measures.faithfulness`. So each method of attribution is measured by what the model does,
beside maps that know nothing. The thing's exact mask stands beside the maps' masks, and decides
nothing.

Each edit has rows of its own. "silence" is out of distribution: no prompt leaves a hole in the
softmax. "exchange" gives the noun's place another noun's vector, which stays among what prompts
say; nouns in whose place no other fits (plurals) have no such rows. No method is measured by the
edit that it is made of, which it names as `by` (`occlusion`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from daamkit.edits.edit import Edit
from daamkit.edits.local import LocalExchange
from daamkit.edits.silence import Silence
from daamkit.maps.thresholds import Rule
from daamkit.maps.words import Word
from daamkit.measures import clusters, faithfulness, intervals
from daamkit.studies import controls, distances, instruments, stand_ins
from daamkit.studies.denoised import Denoised
from daamkit.studies.distances import Views
from daamkit.studies.explaining import Explaining
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("deletion", "insertion")
POINTS = [f"{curve} {share:g}" for curve in CURVES for share in faithfulness.SHARES]
EXACT = "exact mask"  # stands among the methods; it ranks no pixels
CUT: Rule = "otsu"  # finds each map's own threshold
STILL = {"colours": 1e-5, "latents": 1e-6, "perceptual": 1e-9}  # a mean of less is rounding
WITHIN = dict.fromkeys(("inside", "outside"), (0.0, np.inf))  # of the means
BY = ["set", "edit", "distance"]
KEYS = ["seed", "noun"]


@dataclass(frozen=True, kw_only=True)
class Faithfulness(Explaining):
    """Settings of the study; see `Study` for the common ones.

    For each noun and edit, one picture is edited everywhere, and 12 belong to each map: some 400
    for a noun, with the twelve methods that work with a UNet and five controls. Each takes one step
    of the denoiser, an exchange two.

    Attributes
    ----------
    n
        How many cases: one scene at each level, then the next scene. Half of the scenes have
        compositions that the model's training has seen, half have others.
    levels, methods
        As in `Explaining`.
    """

    name: ClassVar[str] = "faithfulness"
    fewest: ClassVar[int] = 2
    generates: ClassVar[bool] = False
    n: int = 600

    def instruments(self) -> dict[str, str]:
        """What sees how far pictures are apart."""
        return super().instruments() | instruments.oracle(distances.WORLD, "perceptual")

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun, edit, method and distance ("colours", "latents", "perceptual"): set, split,
        prompt, seed, noun, word, edit, method, distance, the mean change "inside" and "outside" of
        the map's mask when the noun is edited everywhere, the areas "deletion" and "insertion", and
        both curves' points ("deletion 0.05")."""
        return [[*self._rows(session, case)] for case in cases]

    def _rows(self, session: Session, case: Case) -> Iterator[Row]:
        found, scene = self.explained(session, case), self.scene(case)
        plain = self._pictures(session, case, [], 1)
        for noun, maps in found.maps.items():
            word = found.words[noun]
            own = found.run.maps.of(word)
            maps = maps | controls.of_values(found.run, own, 1000 * case["seed"] + noun)
            for name, edit in _edits(session.pipe, scene, word).items():

                def changes(
                    where: Bool[np.ndarray, "parts height width"],
                    edit: Callable[..., Edit] = edit,
                ) -> dict[str, Float[np.ndarray, "parts y x"]]:
                    made = self._pictures(session, case, [edit(where=where)], len(where))
                    return distances.apart(plain, made)

                whole = changes(np.ones((1, *plain.colours.shape[1:3]), bool))
                said = found.named[noun] | {"edit": name}
                yield from _lines(said | {"method": EXACT}, whole, found.masks[noun])
                for method, map_ in maps.items():
                    if getattr(self._methods.get(method), "by", "") != name:
                        each = changes(faithfulness.parts(map_.expand(absolute=True).numpy()))
                        yield from _lines(said | {"method": method}, whole, map_.mask(CUT), each)

    def _pictures(self, session: Session, case: Case, edits: Sequence[Edit], many: int) -> Views:
        """The case's picture under some edits, so many at once."""
        scenes, seeds = [self.scene(case)] * many, [case["seed"]] * many
        made = Denoised(session.pipe).drawn(scenes, seeds, case["level"], edits)
        return distances.views(*made)

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """For each set, edit and distance, with 95% intervals over prompts:

        "faithfulness": of each method the mean areas "deletion" and "insertion", their mean "area",
        and its gain over DAAM's ("over_daam"); n.
        "controls": the gain of a method over each map that knows nothing, noun by noun, of the area
        ("area_over") and of how much more changes inside of the map's mask than outside
        ("change_over"); n.
        "inside": the mean change "inside" and "outside" of each map's mask, and how much more it is
        inside ("over_outside"); beside the thing's exact mask; n.
        "curves": for each share of the picture, the mean effects.
        """
        rows = rows.assign(area=rows[[*CURVES]].mean(axis=1, skipna=False))
        rows = rows.assign(more=rows["inside"] - rows["outside"])
        ranked = rows[rows["area"].notna()]
        curves = ranked.groupby([*BY, "method"], sort=False)[POINTS].mean()
        points = [
            dict(zip([*BY, "method"], names, strict=True))
            | {"share": share}
            | {curve: float(line[f"{curve} {share:g}"]) for curve in CURVES}
            for names, line in curves.iterrows()
            for share in faithfulness.SHARES
        ]
        return {
            "faithfulness": _table(ranked, _areas),
            "controls": _table(rows, _over_controls),
            "inside": _table(rows, _within),
            "curves": pd.DataFrame(points),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """The areas under both curves, of colours."""
        from daamkit.studies import charts

        return charts.faithfulness(tables["faithfulness"])


def _edits(pipe: Any, scene: Any, word: Word) -> dict[str, Callable[..., Edit]]:
    """By name, what makes an edit of a noun in a part of the picture."""
    found: dict[str, Callable[..., Edit]] = {"silence": partial(Silence, [word])}
    written = next(each for each in scene.words if each.start == word.start)
    text = stand_ins.instead(pipe, scene, written)
    return found if text is None else found | {"exchange": partial(LocalExchange, [word], text)}


def _lines(
    said: Row,
    whole: Mapping[str, Float[np.ndarray, "one y x"]],
    mask: Bool[np.ndarray, "height width"],
    changes: Mapping[str, Float[np.ndarray, "parts y x"]] | None = None,
) -> Iterator[Row]:
    """A row a distance; without `changes` nothing is ranked."""
    for distance, change in whole.items():
        row = said | {"distance": distance}
        row |= dict(zip(("inside", "outside"), faithfulness.inside(change[0], mask), strict=True))
        row |= dict.fromkeys((*CURVES, *POINTS), np.nan)
        if changes is not None:
            effects = faithfulness.effects(change[0], changes[distance], STILL[distance])
            row |= {c: faithfulness.area(e) for c, e in zip(CURVES, effects, strict=True)}
            row |= dict(zip(POINTS, np.concatenate(effects).tolist(), strict=True))
        yield row


# -- tables


def _table(
    rows: pd.DataFrame, lines: Callable[[dict[str, pd.DataFrame]], Iterator[Row]]
) -> pd.DataFrame:
    """Lines of each set, edit and distance, made of the rows of each method there."""
    found = [
        dict(zip(BY, names, strict=True)) | line
        for names, part in rows.groupby(BY, sort=False)
        for line in lines(dict(list(part.groupby("method", sort=False))))
    ]
    return pd.DataFrame(found)


def _areas(methods: dict[str, pd.DataFrame]) -> Iterator[Row]:
    for name, part in methods.items():
        row = {"method": name, "n": len(part)} | _means(part, "area", *CURVES)
        if name != "daam" and "daam" in methods:
            row |= _gain(part, methods["daam"], "area", "over_daam")
        yield row


def _within(methods: dict[str, pd.DataFrame]) -> Iterator[Row]:
    for name, part in methods.items():
        row = {"method": name, "n": len(part)} | _means(part, "inside", "outside")
        pair = part["inside"].to_numpy(), part["outside"].to_numpy()
        more = intervals.gain(*pair, part["prompt"].tolist())
        yield row | dict(zip(intervals.columns("over_outside"), more, strict=True))


def _over_controls(methods: dict[str, pd.DataFrame]) -> Iterator[Row]:
    blind = {name: methods[name] for name in controls.NAMES if name in methods}
    for name, part in methods.items():
        for control, other in blind.items() if name not in blind else ():
            row: Row = {"method": name, "control": control}
            if name != EXACT:
                row |= _gain(part, other, "area", "area_over")
            row |= _gain(part, other, "more", "change_over")
            yield row | {"n": len(part.merge(other, on=KEYS))}


def _means(part: pd.DataFrame, *measures: str) -> Row:
    row: Row = {}
    for measure in measures:
        values, ends = part[measure].to_numpy(), WITHIN.get(measure, clusters.ANY)
        found = intervals.mean(values, part["prompt"].tolist(), within=ends)
        row |= dict(zip(intervals.columns(measure), found, strict=True))
    return row


def _gain(part: pd.DataFrame, other: pd.DataFrame, measure: str, name: str) -> Row:
    """What rows have over others', noun by noun."""
    both = part.merge(other[[*KEYS, measure]], on=KEYS, suffixes=("", "_other"))
    pair = both[measure].to_numpy(), both[f"{measure}_other"].to_numpy()
    found = intervals.gain(*pair, both["prompt"].tolist())
    return dict(zip(intervals.columns(name), found, strict=True))
