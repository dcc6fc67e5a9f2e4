"""Do nouns' maps segment their things? Table 1 of the DAAM paper (arXiv 2210.04885).

The prompts are natural captions, and "unreal" ones whose nouns are exchanged at random. The toy
world pairs nouns at random already, so that its unreal prompts are like its natural ones: there a
third set, "held out", has only compositions that no training caption of world 2 holds
(`toybox.heldout`), and the natural prompts of world 2 have none of these.
mIoU80 counts the nouns of COCO's 80 classes, mIoU-infinity all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from daamkit import registry
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Attribution, related
from daamkit.errors import DaamkitError
from daamkit.language import parsing, taxonomy
from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.measures import clustering
from daamkit.studies import cuts, localisation, prompts, truths
from daamkit.studies.denoised import Mask
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import sprites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOCABULARIES = ("COCO nouns", "all nouns")  # mIoU80, mIoU-infinity
_COCO = {name for names in taxonomy.COCO.values() for name in names}
ALIASES = {  # nouns of captions that mean a class of COCO by another name
    **dict.fromkeys(("man", "woman", "boy", "girl", "child", "people", "lady", "guy"), "person"),
    "ski": "skis", "wine glasses": "wine glass", "sofa": "couch", "bike": "bicycle",
    "motorbike": "motorcycle", "plane": "airplane", "television": "tv",
}  # fmt: skip
CLUSTERS = "k-means + Hungarian"
BEST = "best on other prompts"  # a cut


@dataclass(frozen=True, kw_only=True)
class Objects(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts: for a toy world a third each natural, unreal and held out; for a file half
        natural, half unreal.
    truth
        What says where the things are; see `truths.truth`.
    segmenters
        Segmenters to compare with, by the names of `truths.truth`.
    attributions
        Methods of attribution to compare with, by their names in `registry.attributions`. DAAM's
        two are always there.
    """

    name: ClassVar[str] = "objects"
    fewest: ClassVar[int] = 4  # of each set one prompt to choose a cut on, one to use it
    n: int = 600
    segmenters: tuple[str, ...] = ()
    attributions: tuple[str, ...] = ()

    def cases(self) -> list[Case]:
        """The natural prompts, then those made of them."""
        if self.prompts is not None:
            natural = prompts.texts(self.prompts, (self.n + 1) // 2, self.seed)
            sets = {"natural": natural, "unreal": exchange(natural, self.parser, self.seed)}
        else:
            many = -(-self.n // 3)
            known = sprites.THINGS if self.world == 1 else sprites.EVERYTHING
            things = [name for name in known if name not in ("glasses", *sprites.NAMES)]
            seen = "any" if self.world == 1 else "training"
            natural = prompts.texts(None, many, self.seed, seen, self.world)
            sets = {"natural": natural}
            sets["unreal"] = exchange(natural, self.parser, self.seed, things)
            sets["held out"] = prompts.texts(None, many, self.seed, "held-out", self.world)
        cases = [{"prompt": text, "set": name} for name, texts in sets.items() for text in texts]
        return [case | {"seed": self.seed + i} for i, case in enumerate(cases[: self.n])]

    def check(self) -> None:
        """Parser, truth, segmenters and methods of attribution."""
        super().check()
        _ = self._segmenters
        for name, method in self._attributions.items():
            if wanted := related(method):
                raise DaamkitError(
                    wanted="methods that read what this study keeps",
                    got=f"{name}, which wants {' and '.join(wanted)}",
                    mend="ask `daamkit study attribution`, which keeps that",
                )

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun, method and cut: prompt, seed, set, noun, word, coco, why ("" or why it is
        not measured: "not there", "not known", "named twice", "not read"), method, rule, tau, iou.
        A noun that is not measured has one row."""
        runs = session.runs(
            [case["prompt"] for case in cases],
            [case["seed"] for case in cases],
            self_attention=True,
        )
        return [self._rows(session, case, run) for case, run in zip(cases, runs, strict=True)]

    def _rows(self, session: Session, case: Case, run: Run) -> list[Row]:
        assert run.image is not None
        image, stem = run.image, truths.stem(case["prompt"], case["seed"])
        nouns = parsing.parse(case["prompt"], self.parser).things()
        names = [ALIASES.get(noun.name, noun.name) for noun in nouns]
        why, there = [], {}
        for i, mask in enumerate(self.masks(run, case["prompt"], case["seed"], names)):
            if not run.maps.prompt.reads(nouns[i].start, nouns[i].end):
                why.append("not read")
            elif names.count(names[i]) > 1:
                why.append("named twice")
            elif mask is None:
                why.append("not known")
            elif not truths.present(mask):
                why.append("not there")
            else:
                why.append("")
                there[i] = mask
        given = {
            name: {
                i: mask
                for i, mask in enumerate(segmenter.masks(image, stem, names))
                if mask is not None
            }
            for name, segmenter in self._segmenters.items()
        }
        given[CLUSTERS] = _clustered(run, there, case["seed"])
        words = {i: run.maps.prompt.span(nouns[i].start, nouns[i].end)
                 for i in range(len(nouns)) if why[i] != "not read"}  # fmt: skip
        rows = localisation.overlaps(run.maps, words, there, case["seed"], given)
        rows += self._attributed(session, case, run, {i: words[i] for i in there}, there)
        missing = {"method": "", "rule": "", "tau": 0.0, "iou": np.nan}
        rows += [missing | {"noun": i} for i in range(len(nouns)) if i not in there]
        said = {"prompt": case["prompt"], "seed": case["seed"], "set": case["set"]}
        return [
            said | row | {"word": names[i], "coco": names[i] in _COCO, "why": why[i]}
            for row in rows
            for i in [row["noun"]]
        ]

    def _attributed(
        self,
        session: Session,
        case: Case,
        run: Run,
        words: Mapping[int, Word],
        there: Mapping[int, Mask],
    ) -> list[Row]:
        """IoU of the maps of `attributions` at every cut, as `localisation.overlaps` has it."""

        def again(*taps: Tap) -> Run:
            with attach(session.pipe, *taps):
                return session.runs([case["prompt"]], [case["seed"]], self_attention=True)[0]

        rows = []
        for name, method in self._attributions.items():
            found = method.maps(run, [*words.values()], again)
            for i, word in zip(words, found, strict=True):
                rows += [{"noun": i, "method": name} | each for each in cuts.scores(word, there[i])]
        return rows

    @cached_property
    def _attributions(self) -> dict[str, Attribution]:
        return {name: registry.attributions.find(name)() for name in self.attributions}

    @cached_property
    def _segmenters(self) -> dict[str, truths.Truth]:
        device = self.resolved_device
        return {name: truths.truth(name, device, self.world) for name in self.segmenters}

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "miou": for each set and vocabulary each method's mean IoU with its interval, at the cut
        that was best on other prompts, and of the maps at the paper's three thresholds ("at"); a
        segmenter that lacks some of a vocabulary's nouns has no row for it. "nouns": how many were
        asked for, measured, and not, by why. "sweep": every cut.

        Raises
        ------
        DaamkitError
            If fewer than two prompts have a noun that is measured.
        """
        out, sweeps = [], []
        known = rows[rows["why"] == ""]
        for name, vocabulary in product(rows["set"].unique(), VOCABULARIES):
            some = known[(known["set"] == name) & (known["coco"] | (vocabulary == "all nouns"))]
            if some["prompt"].nunique() < 2:
                continue
            measured = some.drop_duplicates(["case", "noun"])
            counts = some.drop_duplicates(["case", "noun", "method"])["method"].value_counts()
            part = counts[(counts < len(measured)) & ~counts.index.isin(localisation.BASELINES)]
            some = some[~some["method"].isin(part.index)].assign(image=some["case"])
            chosen = localisation.summary(some).rename(columns={"cuts": "cut"})
            out.append(chosen.assign(set=name, vocabulary=vocabulary, at=BEST))
            swept = localisation.sweep(some).assign(set=name, vocabulary=vocabulary)
            sweeps.append(swept)
            fixed = swept[(swept["rule"] == "max") & swept["tau"].isin((0.3, 0.4, 0.5))]
            fixed = fixed[fixed["method"].isin(("daam", "paper"))]
            at = [f"max {tau:g}" for tau in fixed["tau"]]
            out.append(fixed.assign(cut=at, at=at))
        if not out:
            raise DaamkitError(
                wanted="two prompts with a noun to measure",
                got=f"{rows['why'].value_counts().to_dict()} of {rows['case'].nunique()} prompts",
                mend="give more prompts, or a truth that knows their nouns",
            )
        columns = ["set", "vocabulary", "method", "at", "cut", "miou", "low", "high", "nouns"]
        nouns = rows.drop_duplicates(["case", "noun"]).groupby(["set", "why"]).size().unstack()
        nouns = nouns.rename(columns={"": "measured"}).fillna(0).astype(int).reset_index()
        nouns.insert(1, "asked", nouns.iloc[:, 1:].sum(axis=1))
        return {
            "miou": pd.concat(out, ignore_index=True)[columns],
            "nouns": nouns,
            "sweep": pd.concat(sweeps, ignore_index=True),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """mIoU by method, and over thresholds."""
        from daamkit.studies import charts

        table = tables["miou"]
        return charts.objects(table[table["at"] == BEST], tables["sweep"])


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
        The prompts to exchange words in.
    parser
        A spaCy pipeline by name.
    seed
        Seed of the choice of the other word.
    pool
        Exchange these nouns only (singular), for each other; None: all nouns of the prompts.
    """
    parses = parsing.parse_all(list(texts), parser)
    found = [parse.things() for parse in parses]
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
        used = {noun.text.lower() for noun in nouns}  # neither itself nor another's twice
        for noun in reversed(nouns):  # from the end: characters before it stay
            others = [each for each in known[noun.noun.many] if each not in used]
            if others:
                new = str(rng.choice(others))
                used.add(new)
                text = _article(text[: noun.start], new) + new + text[noun.end :]
        out.append(text)
    return out


def _article(before: str, noun: str) -> str:
    """What stands before a noun, its article, if that is the last word, made to fit."""

    def mend(match: re.Match[str]) -> str:
        return match[1] + ("n" if noun[0] in "aeiou" else "") + match[2]

    return re.sub(r"\b([Aa])n?(\s+)$", mend, before)


def _clustered(run: Run, there: dict[int, Mask], seed: int) -> dict[int, Mask]:
    """Segments of the self-attention, one more than things, each given to the thing it fits."""
    features = run.self_attention["cond"].features().cpu().double().numpy()
    clusters = clustering.kmeans(features, len(there) + 1, seed)
    return dict(zip(there, clustering.hungarian(clusters, [*there.values()]), strict=True))
