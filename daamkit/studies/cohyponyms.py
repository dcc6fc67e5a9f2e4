"""Do kinds of one thing get in each other's way? The DAAM paper (arXiv 2210.04885, section 5.1).

The prompts are "a A and a B", with two kinds of one class (co-hyponyms) or two that are not. The
second group has the same words equally often, paired anew: neither a word's frequency nor how well
the model draws it can make the difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.language import taxonomy
from daamkit.maps.run import Run
from daamkit.measures import ratings
from daamkit.measures.intervals import Kind, difference, mean
from daamkit.measures.overlap import iou
from daamkit.measures.regression import logistic
from daamkit.measures.syntax import cut
from daamkit.studies import prompts, truths
from daamkit.studies.located import Located
from daamkit.studies.relations import CHIEF, CUTS
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import sprites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOCABULARIES: dict[str, tuple[Mapping[str, Sequence[str]], int]] = {  # with a breadth each:
    "toybox": ({"animal": sprites.ANIMALS, "object": sprites.OBJECTS}, 1000),  # bags, bowls are kin
    "toybox-2": (sprites.CATEGORIES, 1000),
    "coco": (taxonomy.COCO, taxonomy.BREADTH),
}
AUTHORS = "authors"  # the classes of COCO that the DAAM authors grouped, and their groups
GROUPS = ("co-hyponyms", "others")


@dataclass(frozen=True, kw_only=True)
class Cohyponyms(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many images, half of each group.
    vocabulary
        Whose things are paired: "toybox", "toybox-2" (with `world` 2) or "coco". Or "authors": the
        40 pairs of the DAAM authors, who grouped COCO's classes by hand (`taxonomy.grouped`).
    steps_up, breadth
        Which pairs are co-hyponyms; see `taxonomy.kinship`. None: what suits the vocabulary. The
        authors' pairs need neither.
    truth
        What says which things are there; see `truths.truth`.
    presence
        In place of `truth`, a file of people's answers (`measures.ratings`, with "word" and
        "present").
    """

    name: ClassVar[str] = "cohyponyms"
    parses: ClassVar[bool] = False
    fewest: ClassVar[int] = 2
    n: int = 400
    vocabulary: str = "toybox"
    steps_up: int = taxonomy.STEPS
    breadth: int | None = None
    presence: str | None = None

    def cases(self) -> list[Case]:
        """Pairs of both groups in turn; a pair with its n-th image stands in either order."""
        related = self._kin()
        found = pairs([*zip(related["a"], related["b"], strict=True)], self.n // 2, self.seed)
        return [
            asked(group, a, b) | {"seed": self.seed + i}
            for i, two in enumerate(zip(*found, strict=True))
            for group, (a, b) in zip(GROUPS, two, strict=True)
        ]

    def _kin(self) -> pd.DataFrame:
        """The pairs of the vocabulary that are co-hyponyms, in columns a and b."""
        if self.prompts is not None:
            raise DaamkitError(
                wanted="pairs of a vocabulary",
                got=f"a file of prompts, {self.prompts}",
                mend="leave the prompts out and choose `vocabulary`",
            )
        if self.vocabulary == AUTHORS:
            return taxonomy.grouped()
        if self.vocabulary not in VOCABULARIES:
            raise DaamkitError(
                wanted=f"the vocabulary {', '.join(map(repr, VOCABULARIES))} or {AUTHORS!r}",
                got=repr(self.vocabulary),
                mend="name one of these",
            )
        words, breadth = VOCABULARIES[self.vocabulary]
        return taxonomy.cohyponyms(words, self.steps_up, self.breadth or breadth)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a cut: prompt, a, b, group, seed, present_a, present_b, both, rule, tau, iou."""
        runs = session.runs([case["prompt"] for case in cases], [case["seed"] for case in cases])
        return [self._rows(case, run) for case, run in zip(cases, runs, strict=True)]

    def _rows(self, case: Case, run: Run) -> list[Row]:
        prompt, seed, names = case["prompt"], case["seed"], [case["a"], case["b"]]
        there = self._there(run, prompt, seed, names)
        said = case | {"present_a": there[0], "present_b": there[1], "both": all(there)}
        ends = (len(prompts.article(names[0])), len(prompt))  # "a hot dog and a dog": by characters
        spans = [(end - len(name), end) for name, end in zip(names, ends, strict=True)]
        words = [run.maps.of(run.maps.prompt.span(*span)) for span in spans]
        return [
            said | {"rule": rule, "tau": tau, "iou": iou(*(cut(word, rule, tau) for word in words))}
            for rule, tau in CUTS
        ]

    def _there(self, run: Run, prompt: str, seed: int, names: list[str]) -> list[bool]:
        if self.presence is not None:
            return ratings.present(self._answers, prompt, seed, names)
        found = self.masks(run, prompt, seed, names)
        own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
        return [truths.present(mask) for mask in own]

    @cached_property
    def _answers(self) -> pd.DataFrame:
        return ratings.answers(str(self.presence), "present")

    def check(self) -> None:
        """The truth, or people's answers."""
        if self.vocabulary == "toybox-2" and self.truth == "oracle" and self.world == 1:
            raise DaamkitError(
                wanted="the oracle that knows the vocabulary 'toybox-2'",
                got="that of world 1",
                mend="say world=2",
            )
        if self.presence is None:
            super().check()
        else:
            _ = self._answers

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "groups": for both groups and their difference, the share of images with both things
        and the overlap of their maps at the paper's cut, with 95% intervals over pairs and the p
        of exchanging the pairs' labels. "logistic": of both being there, by group and overlap
        (standardised). "sweep": the difference of overlap at every cut."""
        chief = rows[(rows["rule"] == CHIEF[0]) & (rows["tau"] == CHIEF[1])]
        sweep = [
            {"rule": rule, "tau": tau} | _groups(part, "iou")[-1]
            for (rule, tau), part in rows.groupby(["rule", "tau"], sort=False)
        ]
        return {
            "groups": pd.DataFrame([*_groups(chief, "both"), *_groups(chief, "iou")]),
            "logistic": logistic(
                {"co-hyponyms": chief["group"] == GROUPS[0], "overlap": chief["iou"]},
                chief["both"],
                pair_of(chief),
            ),
            "sweep": pd.DataFrame(sweep),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Both there, overlap, and the difference of overlap over the cuts."""
        from daamkit.studies import charts

        return charts.cohyponyms(tables["groups"], tables["sweep"])


def asked(group: str, a: str, b: str) -> Case:
    """A pair as a case, without its seed."""
    prompt = f"{prompts.article(a)} and {prompts.article(b)}"
    return {"prompt": prompt, "a": a, "b": b, "group": group}


def pairs(
    kin: Sequence[tuple[str, str]], n: int, seed: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """n pairs of kin and n of strangers, with the same words equally often.

    All pairs are drawn equally often, but those of a large family (words that are kin, directly or
    through others) together at most every second time, for its words must find strangers.

    Raises
    ------
    DaamkitError
        If there are fewer than two families, or but two and an odd number of pairs.
    """
    families: list[set[str]] = []
    for pair in kin:
        touched = [family for family in families if family & set(pair)]
        families = [family for family in families if family not in touched]
        families.append(set(pair).union(*touched))
    if len(families) < 2:
        raise DaamkitError(
            wanted="two families of words, to pair words with strangers",
            got=f"{len(families)}",
            mend="raise `steps_up` or `breadth`, or take a larger vocabulary",
        )
    family_of = {pair: i for pair in kin for i, each in enumerate(families) if pair[0] in each}
    sizes = Counter(family_of.values())
    weight = {pair: min(1, len(kin) / 2 / sizes[family_of[pair]]) for pair in kin}
    drawn: Counter[tuple[str, str]] = Counter()
    used: Counter[int] = Counter()  # by family
    chosen = []
    for i in range(n):
        open_to = [pair for pair in kin if used[family_of[pair]] < max(n // 2, 1)] or kin
        due = {
            pair: weight[pair] / sum(weight.values()) * (i + 1) - drawn[pair] for pair in open_to
        }
        a, b = max(due, key=lambda pair: due[pair])
        chosen.append((a, b) if drawn[a, b] % 2 == 0 else (b, a))
        drawn[a, b] += 1
        used[family_of[a, b]] += 1
    rng = np.random.default_rng((seed, 51))
    slots = [(family_of[a, b], word) for a, b in kin for word in (a, b) for _ in range(drawn[a, b])]
    slots = sorted((slots[i] for i in rng.permutation(2 * n)), key=lambda slot: slot[0])
    # no family has more than n of 2n: half way round is always another
    met = [(slots[i], slots[i + n]) for i in range(n)]
    if any(one[0] == other[0] for one, other in met):
        raise DaamkitError(
            wanted="every word paired with a stranger",
            got=f"{n} pairs, of two families",
            mend="take an even number of pairs",
        )
    turns = rng.random(n) < 0.5
    others = [(a, b) if turn else (b, a) for ((_, a), (_, b)), turn in zip(met, turns, strict=True)]
    return chosen, [others[i] for i in rng.permutation(n)]


def pair_of(rows: pd.DataFrame) -> list[str]:
    """Which pair each row is of, in whatever order."""
    return [" ".join(sorted(two)) for two in zip(rows["a"], rows["b"], strict=True)]


def _groups(rows: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Both groups' means and their difference."""
    out: list[dict[str, Any]] = []
    parts = [rows[rows["group"] == group] for group in GROUPS]
    kind: Kind = "share" if column == "both" else "number"
    for group, part in zip(GROUPS, parts, strict=True):
        found = mean(part[column].to_numpy(float), pair_of(part), kind=kind, within=(0, 1))
        pairs_there = len(set(pair_of(part)))
        row = {"measure": column, "group": group, "images": len(part), "pairs": pairs_there}
        out.append(row | dict(zip(("mean", "low", "high"), found, strict=True)))
    a, b = (part[column].to_numpy(float) for part in parts)
    gap = difference(a, b, pair_of(parts[0]), pair_of(parts[1]), kind=kind)
    row = {"measure": column, "group": "difference", "images": len(rows)}
    row["pairs"] = len(set(pair_of(rows)))
    out.append(row | dict(zip(("mean", "low", "high", "p"), gap, strict=True)))
    return out
