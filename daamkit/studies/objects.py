"""Do nouns' maps segment their things? Table 1 of the DAAM paper (arXiv 2210.04885, section 3.1).

Two sets of prompts: natural captions, and "unreal" ones whose nouns are exchanged at random.
mIoU80 counts the nouns of COCO's 80 classes, mIoU-infinity all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from daamkit.language import parsing, taxonomy
from daamkit.language.parsing import Phrase
from daamkit.maps.run import Run
from daamkit.measures import clustering
from daamkit.studies import localisation, prompts, truths
from daamkit.studies.study import Case, Row, Stage, Study
from daamkit.toybox import sprites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOCABULARIES = ("80", "infinity")
_COCO = {name for names in taxonomy.COCO.values() for name in names}
_NOWHERE = {  # nouns of position, which name no thing
    "left", "right", "top", "bottom", "front", "back", "side", "middle", "center", "centre",
    "background", "foreground", "corner", "edge", "end", "group", "couple", "pair", "lot", "kind",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Objects(Study):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts, half of them natural, half unreal.
    truth
        Where the things are; see `truths.load`.
    segmenters
        To compare with, by the names of `truths.load`.
    images
        A folder to write the images to, under the names that "masks:FOLDER" wants.
    """

    name: ClassVar[str] = "objects"
    n: int = 400
    truth: str = "oracle"
    segmenters: tuple[str, ...] = ()
    images: str | None = None

    def cases(self) -> list[Case]:
        """The natural prompts, then the unreal ones made of them."""
        natural = prompts.texts(self.prompts, (self.n + 1) // 2, self.seed)
        pool = sprites.THINGS if self.prompts is None else None
        sets = {"natural": natural, "unreal": exchange(natural, self.parser, self.seed, pool)}
        cases = [{"prompt": text, "set": name} for name, texts in sets.items() for text in texts]
        return [case | {"seed": self.seed + i} for i, case in enumerate(cases[: self.n])]

    def measure(self, stage: Stage, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun, method and cut: prompt, seed, set, noun, word, coco, method, rule, tau,
        iou."""
        runs = stage.runs(
            [case["prompt"] for case in cases],
            [case["seed"] for case in cases],
            self_attention=True,
        )
        return [self._rows(case, run) for case, run in zip(cases, runs, strict=True)]

    def _rows(self, case: Case, run: Run) -> list[Row]:
        assert run.image is not None
        image, stem = run.image, truths.stem(case["prompt"], case["seed"])
        if self.images is not None:
            truths.save(image, self.images, case["prompt"], case["seed"])
        nouns = _nouns(case["prompt"], self.parser)
        names = [noun.name for noun in nouns]
        found = self._truth.masks(image, stem, names)
        there = {
            i: mask
            for i, mask in enumerate(found)
            if mask is not None and truths.present(mask) and names.count(names[i]) == 1
        }
        given = {
            name: {
                i: mask
                for i, mask in enumerate(segmenter.masks(image, stem, names))
                if mask is not None
            }
            for name, segmenter in self._segmenters.items()
        }
        given["k-means + Hungarian"] = _clustered(run, there, case["seed"])
        words = [run.maps.prompt.span(noun.start, noun.end) for noun in nouns]
        rows = localisation.overlaps(run.maps, words, there, case["seed"], given)
        said = {"prompt": case["prompt"], "seed": case["seed"], "set": case["set"]}
        return [
            said | row | {"word": names[row["noun"]], "coco": names[row["noun"]] in _COCO}
            for row in rows
        ]

    @cached_property
    def _truth(self) -> truths.Truth:
        return truths.load(self.truth, self.device or "cpu")

    @cached_property
    def _segmenters(self) -> dict[str, truths.Truth]:
        return {name: truths.load(name, self.device or "cpu") for name in self.segmenters}

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "miou": for each set and vocabulary each method's mean IoU with its interval, the maps
        at the paper's three thresholds and at the cut that was best on other prompts. "sweep":
        every cut."""
        out, sweeps = [], []
        for name, vocabulary in product(rows["set"].unique(), VOCABULARIES):
            some = rows[(rows["set"] == name) & (rows["coco"] | (vocabulary != "80"))]
            some = some.assign(image=some["case"])
            if some["prompt"].nunique() < 2:
                continue  # one prompt to choose the cut on, one to use it
            chosen = localisation.summary(some).rename(columns={"cuts": "cut"})
            out.append(chosen.assign(set=name, vocabulary=vocabulary))
            swept = localisation.sweep(some).assign(set=name, vocabulary=vocabulary)
            sweeps.append(swept)
            fixed = swept[(swept["rule"] == "max") & swept["tau"].isin((0.3, 0.4, 0.5))]
            fixed = fixed[fixed["method"].isin(("daam", "paper"))]
            out.append(fixed.assign(cut=[f"fixed: max {tau:g}" for tau in fixed["tau"]]))
        columns = ["set", "vocabulary", "method", "cut", "miou", "low", "high", "nouns"]
        return {"miou": pd.concat(out, ignore_index=True)[columns], "sweep": pd.concat(sweeps)}

    def plot(self, rows: pd.DataFrame) -> Figure:
        """mIoU by method, and over thresholds."""
        from daamkit.views import charts

        tables = self.tables(rows)
        table = tables["miou"]
        return charts.objects(table[~table["cut"].str.startswith("fixed")], tables["sweep"])


def exchange(
    texts: Sequence[str],
    parser: str | None,
    seed: int,
    pool: Sequence[str] | None = None,
) -> list[str]:
    """The same prompts with every noun exchanged for another at random, plural for plural.

    Parameters
    ----------
    texts
        Prompts.
    parser
        A spaCy pipeline by name.
    seed
        Of the choice.
    pool
        Exchange these nouns only (singular), for each other; None: all nouns of the prompts.
    """
    parses = parsing.parse_all(list(texts), parser)
    found = [[noun for noun in parse.nouns() if noun.name not in _NOWHERE] for parse in parses]
    if pool is not None:
        found = [[noun for noun in nouns if noun.name in pool] for nouns in found]
    known: dict[bool, list[str]] = {}
    for noun in (noun for nouns in found for noun in nouns):
        many = known.setdefault(noun.noun.many, [])
        if noun.text.lower() not in many:
            many.append(noun.text.lower())
    rng = np.random.default_rng((seed, 41))
    out = []
    for text, nouns in zip(texts, found, strict=True):
        for noun in reversed(nouns):  # from the end: characters before it stay
            others = [each for each in known[noun.noun.many] if each != noun.text.lower()]
            if others:
                text = text[: noun.start] + str(rng.choice(others)) + text[noun.end :]
        out.append(_articles(text))
    return out


def _articles(text: str) -> str:
    """ "a apple" to "an apple", "an cat" to "a cat"."""

    def mend(match: re.Match[str]) -> str:
        article, vowel = match[1], match[2] in "aeiouAEIOU"
        return article[0] + ("n" if vowel else "") + match[0][len(article) : -1] + match[2]

    return re.sub(r"\b([Aa]n?)\s+(\w)", mend, text)


def _nouns(prompt: str, parser: str | None) -> list[Phrase]:
    return [noun for noun in parsing.parse(prompt, parser).nouns() if noun.name not in _NOWHERE]


def _clustered(
    run: Run, there: dict[int, localisation.Mask], seed: int
) -> dict[int, localisation.Mask]:
    """Segments of the self-attention, one more than things, each given to the thing it fits."""
    features = run.self_attention["cond"].features().cpu().double().numpy()
    clusters = clustering.kmeans(features, len(there) + 1, seed)
    return dict(zip(there, clustering.hungarian(clusters, [*there.values()]), strict=True))
