"""Does an adjective change more than its noun? The DAAM paper (arXiv 2210.04885, section 5.2).

The seed is held fixed, one word of the prompt is changed, and the image before is compared with the
one after: inside the noun's thing, where it was or is, and outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy import ndimage

from daamkit.attention.hooks import attach
from daamkit.edits.replay import Replay, Tape
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures.intervals import columns, gain, means, paired, ratio
from daamkit.studies import prompts, truths
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
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
HELD = ("nothing", "article", "adjective swapped")  # with attention replay: tokens stay in place
PART: dict[str, Any] = {"kind": "number", "within": (0, 1)}  # of a range, for its interval
MARGIN = 0.03  # of the image's side: as near to a thing it is not outside yet
VISIBLE = (0.02, 0.05, 0.1, 0.2)  # least change of a pixel, of the whole range, that counts


@dataclass(frozen=True, kw_only=True)
class Adjectives(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts with an adjective, each compared with all of `CHANGES`.
    frames
        "toybox": things with an adjective, in a place; "paper": the paper's three prompts.
    truth
        What says where the noun's thing is; see `truths.truth`.
    replay
        For swaps, hold the cross-attention fixed too (`edits.replay`).
    """

    name: ClassVar[str] = "adjectives"
    parses: ClassVar[bool] = False
    n: int = 200
    frames: str = "toybox"
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

    def pictures(self) -> list[tuple[str, int]]:
        """All versions of each case."""
        versions = ((case["versions"].values(), case["seed"]) for case in self.cases())
        return [(text, seed) for texts, seed in versions for text in texts]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a change and region: prompt, seed, kind, change, changed (the other prompt), there
        (whether both images show the noun's thing), region ("inside", "outside"), pixels, moved
        (mean absolute difference, of the whole range) and, for each of `VISIBLE`, the share of
        pixels that differ at least as much. Where the thing is missing they are NaN."""
        seeds = [case["seed"] for case in cases]
        tape = Tape()
        with attach(session.pipe, *([tape] if self.replay else [])):
            before = session.runs([case["prompt"] for case in cases], seeds)
        after = {}
        for change in CHANGES:
            with attach(session.pipe, *([Replay(tape)] if self.replay and change in HELD else [])):
                after[change] = session.runs([case["versions"][change] for case in cases], seeds)
        return [
            self._rows(case, old, {change: runs[i] for change, runs in after.items()})
            for i, (case, old) in enumerate(zip(cases, before, strict=True))
        ]

    def _rows(self, case: Case, old: Run, after: Mapping[str, Run]) -> list[Row]:
        own = self._mask(old, case["prompt"], case["seed"], case["noun"])
        masks = {}
        for change, new in after.items():
            noun = case["swapped"] if change == "noun swapped" else case["noun"]
            masks[change] = self._mask(new, case["versions"][change], case["seed"], noun)
        # one outside for all changes: farther from the thing than a margin, in every version
        width = MARGIN * min(own.shape)
        anywhere = np.any([own, *masks.values()], axis=0)
        outside = ndimage.distance_transform_edt(~anywhere) > width
        rows = []
        for change, new in after.items():
            there = truths.present(own) and truths.present(masks[change])
            gap = np.abs(np.asarray(old.image, float) - np.asarray(new.image, float)).mean(-1) / 255
            said = {
                "prompt": case["prompt"], "seed": case["seed"], "kind": case["kind"],
                "change": change, "changed": case["versions"][change], "there": there,
            }  # fmt: skip
            for region, mask in {"inside": own | masks[change], "outside": outside}.items():
                known = there and bool(mask.any())
                row = {"region": region, "pixels": int(mask.sum())}
                row["moved"] = float(gap[mask].mean()) if known else np.nan
                for limit in VISIBLE:
                    row[f"above {limit:g}"] = (
                        float((gap[mask] >= limit).mean()) if known else np.nan
                    )
                rows.append(said | row)
        return rows

    def _mask(self, run: Run, prompt: str, seed: int, noun: str) -> truths.Mask:
        found = self.masks(run, prompt, seed, [noun])
        return truths.certain(found, [noun], self.truth)[0]

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "changes": for each change and region the mean difference with its 95% interval over
        prompts, over the n images where the thing is there, of those asked.
        "entanglement": how much more each change of the adjective moves than the article's, with p
        of no difference, and its ratio to the noun's, means over means.
        "kinds": the same changes by kind of adjective. "sweep": the shares of pixels that differ
        visibly, for each of `VISIBLE`."""
        by = ["change", "region"]
        limits = [f"above {limit:g}" for limit in VISIBLE]
        wide = rows.set_index(["prompt", "case", *by])["moved"].unstack(by)
        swaps = rows[rows["change"].isin(("adjective swapped", "adjective removed"))]
        asked = rows.groupby(by, sort=False).size().rename("asked").reset_index()
        return {
            "changes": means(rows, by, "moved", **PART).merge(asked, how="left"),
            "entanglement": pd.DataFrame(
                [
                    {"change": change, "region": region} | _against(wide, change, region)
                    for change in CHANGES[2:4]
                    for region in ("inside", "outside")
                ]
            ),
            "kinds": means(swaps, ["kind", *by], "moved", **PART),
            "sweep": pd.concat(
                [means(rows, by, limit, **PART).assign(visible=limit) for limit in limits],
                ignore_index=True,
            ),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Change inside and outside for each change, and outside over what counts as visible."""
        from daamkit.studies import charts

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


def _against(wide: pd.DataFrame, change: str, region: str) -> dict[str, float]:
    """A change beside the two others: more than the article's, how much of the noun's."""
    own, article, noun = (wide[name, region] for name in (change, "article", "noun swapped"))
    clusters = wide.index.get_level_values("prompt").tolist()
    over = gain(own.to_numpy(), article.to_numpy(), clusters)
    share = ratio(own.to_numpy(), noun.to_numpy(), clusters)
    return {
        **dict(zip(columns("over_article"), over, strict=True)),
        "p": paired((own - article).to_numpy(), clusters),
        **dict(zip(columns("of_noun"), share, strict=True)),
    }
