"""Does an adjective change more than its noun? The DAAM paper (arXiv 2210.04885, section 5.2).

The seed is held, one word of the prompt is changed, and the image before is compared with the one
after: inside the noun's thing, where it was or is, and outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy import ndimage

from daamkit.attention.hooks import attach
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures.intervals import bootstrap, paired
from daamkit.studies import prompts, truths
from daamkit.studies.replay import Replay, Tape
from daamkit.studies.study import Case, Row, Stage, Study
from daamkit.toybox import captions, sprites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is changed: nothing at all, the article, the adjective, or the noun.
CHANGES = ("nothing", "article", "adjective swapped", "adjective removed", "noun swapped")
ADJECTIVES = {
    "colour": tuple(sprites.COLOURS), "texture": sprites.TEXTURES, "size": sprites.SIZES,
}  # fmt: skip
# The paper's prompts: adjectives, noun, and the rest of the sentence.
PAPER = (
    (("rusty", "metallic", "wooden"), "shovel", "sitting in a clean shed"),
    (("bumpy", "smooth", "spiky"), "ball", "rolling down a hill"),
    (("blue", "green", "red"), "car", "driving down the streets"),
)
MARGIN = 0.03  # of the image's side: as near to a thing it is not outside yet
VISIBLE = (0.02, 0.05, 0.1, 0.2)  # least change of a pixel, of the whole range, that counts


@dataclass(frozen=True, kw_only=True)
class Adjectives(Study):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts with an adjective, each compared with all of `CHANGES`.
    frames
        "toybox": things with an adjective, in a place; "paper": the paper's three prompts.
    truth
        Where the noun's thing is; see `truths.load`.
    replay
        Hold the cross-attention too, for swaps (`studies.replay`).
    """

    name: ClassVar[str] = "adjectives"
    n: int = 200
    frames: str = "toybox"
    truth: str = "oracle"
    replay: bool = False

    def cases(self) -> list[Case]:
        """A prompt each, with its changed versions."""
        if self.prompts is not None or self.frames not in ("toybox", "paper"):
            raise DaamkitError(
                wanted="the frames 'toybox' or 'paper'",
                got=f"{self.frames!r}" if self.prompts is None else f"the file {self.prompts}",
                mend="name one of them, and no file",
            )
        rng = np.random.default_rng((self.seed, 52))
        cases = [_toybox(rng) if self.frames == "toybox" else _paper(rng) for _ in range(self.n)]
        return [case | {"seed": self.seed + i} for i, case in enumerate(cases)]

    def measure(self, stage: Stage, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a change and region: prompt, seed, kind, change, changed (the other prompt),
        region ("inside", "outside"), pixels, moved (mean absolute difference, of the whole range)
        and, for each of `VISIBLE`, the share of pixels that differ at least as much."""
        seeds = [case["seed"] for case in cases]
        tape = Tape()
        with attach(stage.pipe, *([tape] if self.replay else [])):
            before = stage.runs([case["prompt"] for case in cases], seeds)
        rows: list[list[Row]] = [[] for _ in cases]
        for change in CHANGES:
            held = self.replay and change != "adjective removed"  # its tokens move
            with attach(stage.pipe, *([Replay(tape)] if held else [])):
                after = stage.runs([case["versions"][change] for case in cases], seeds)
            for case, old, new, found in zip(cases, before, after, rows, strict=True):
                found += self._rows(case, change, old, new)
        return rows

    def _rows(self, case: Case, change: str, old: Run, new: Run) -> list[Row]:
        assert old.image is not None and new.image is not None
        other = case["versions"][change]
        noun = case["swapped"] if change == "noun swapped" else case["noun"]
        there = [
            *self._masks(old, case["prompt"], case["seed"], case["noun"]),
            *self._masks(new, other, case["seed"], noun),
        ]
        if not all(truths.present(mask) for mask in there):
            return []  # nothing to be inside of
        height, width = there[0].shape
        near = ndimage.distance_transform_edt(~(there[0] | there[1])) <= MARGIN * min(height, width)
        gap = np.abs(np.asarray(old.image, float) - np.asarray(new.image, float)).mean(-1) / 255
        said = {
            "prompt": case["prompt"], "seed": case["seed"], "kind": case["kind"],
            "change": change, "changed": other,
        }  # fmt: skip
        return [
            said
            | {"region": region, "pixels": int(mask.sum()), "moved": float(gap[mask].mean())}
            | {f"above {limit:g}": float((gap[mask] >= limit).mean()) for limit in VISIBLE}
            for region, mask in {"inside": there[0] | there[1], "outside": ~near}.items()
            if mask.any()
        ]

    def _masks(self, run: Run, prompt: str, seed: int, noun: str) -> list[truths.Mask]:
        assert run.image is not None
        found = self._truth.masks(run.image, truths.stem(prompt, seed), [noun])
        return truths.certain(found, [noun], self.truth)

    @cached_property
    def _truth(self) -> truths.Truth:
        return truths.load(self.truth, self.device or "cpu")

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "changes": for each change and region the mean difference with its 95% interval over
        prompts. "entanglement": of each change of the adjective, how much moves outside, over the
        article's change and as a share of the noun's, and p of no difference from the article.
        "kinds": the same changes by kind of adjective. "sweep": the shares of pixels that differ
        visibly, for each of `VISIBLE`."""
        by = ["change", "region"]
        limits = [f"above {limit:g}" for limit in VISIBLE]
        wide = rows.pivot_table(index=["prompt", "case"], columns=by, values="moved")
        swaps = rows[rows["change"].isin(("adjective swapped", "adjective removed"))]
        return {
            "changes": _means(rows, by, "moved"),
            "entanglement": pd.DataFrame(
                [
                    {"change": change, "region": region} | _against(wide, change, region)
                    for change in CHANGES[2:4]
                    for region in ("inside", "outside")
                ]
            ),
            "kinds": _means(swaps, ["kind", *by], "moved"),
            "sweep": pd.concat(
                [_means(rows, by, limit).assign(visible=limit) for limit in limits],
                ignore_index=True,
            ),
        }

    def plot(self, rows: pd.DataFrame) -> Figure:
        """Change inside and outside for each change, and outside over what counts as visible."""
        from daamkit.views import charts

        tables = self.tables(rows)
        return charts.adjectives(tables["changes"], tables["sweep"])


def _toybox(rng: np.random.Generator) -> Case:
    kind = str(rng.choice(list(ADJECTIVES), p=(0.6, 0.2, 0.2)))
    adjective, other = (str(word) for word in rng.choice(ADJECTIVES[kind], 2, replace=False))
    things = [thing for thing in sprites.THINGS if thing != "glasses"]  # which take no "a"
    noun, swapped = (str(word) for word in rng.choice(things, 2, replace=False))
    place = str(rng.choice(list(captions.PLACES)))
    rest = " ".join((*captions.PLACES[place], place))
    return _case(kind, adjective, other, noun, swapped, rest)


def _paper(rng: np.random.Generator) -> Case:
    adjectives, noun, rest = PAPER[rng.integers(len(PAPER))]
    adjective, other = (str(word) for word in rng.choice(adjectives, 2, replace=False))
    nouns = [each for _, each, _ in PAPER if each != noun]
    return _case("paper", adjective, other, noun, str(rng.choice(nouns)), rest)


def _case(kind: str, adjective: str, other: str, noun: str, swapped: str, rest: str) -> Case:
    def said(*words: str) -> str:
        return prompts.article(" ".join((*words, rest)))

    versions = (
        said(adjective, noun), f"the {adjective} {noun} {rest}", said(other, noun), said(noun),
        said(adjective, swapped),
    )  # fmt: skip
    return {
        "prompt": versions[0], "kind": kind, "noun": noun, "swapped": swapped,
        "versions": dict(zip(CHANGES, versions, strict=True)),
    }  # fmt: skip


def _means(rows: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    out: list[dict[str, Any]] = []
    for key, part in rows.groupby(list(by), sort=False):
        found = bootstrap(part[column].to_numpy(float), part["prompt"].tolist(), draws=1000)
        row: Mapping[str, Any] = dict(zip(("mean", "low", "high"), found, strict=True))
        out.append(dict(zip(by, key, strict=True)) | {**row, "images": len(part)})
    return pd.DataFrame(out)


def _against(wide: pd.DataFrame, change: str, region: str) -> dict[str, float]:
    """A change beside the two others: more than the article's, how much of the noun's."""
    own, article = wide[change, region], wide["article", region]
    clusters = wide.index.get_level_values("prompt").tolist()
    over = bootstrap((own - article).to_numpy(), clusters)
    share = bootstrap((own / wide["noun swapped", region]).to_numpy(), clusters)
    return {
        **dict(zip(("over_article", "over_low", "over_high"), over, strict=True)),
        "p": paired((own - article).to_numpy(), clusters),
        **dict(zip(("of_noun", "of_noun_low", "of_noun_high"), share, strict=True)),
    }
