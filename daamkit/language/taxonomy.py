"""What words mean, and which are kinds of one thing: tables of whole vocabularies.

A sense has the name of its set of synonyms: "mouse.n.04" is the fourth of the noun "mouse".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daamkit.language.kinship import BREADTH, STEPS, Kinship, kinship, of_senses
from daamkit.language.lemmas import lemma
from daamkit.language.senses import CATEGORIES, definition, sense, senses
from daamkit.language.vocabularies import COCO, DAAM
from daamkit.language.wordnet import above, parents, wordnet

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BREADTH", "CATEGORIES", "COCO", "DAAM", "STEPS", "Kinship", "cohyponyms", "definition",
    "grouped", "hypernyms", "kinship", "lemma", "ontology", "sense", "senses", "wordnet",
]  # fmt: skip


def hypernyms(word: str) -> list[str]:
    """From a sense, or a word's first, up to entity.n.01: a shortest path, both ends in it.

    Of paths as short, the one over the classes that come first in WordNet's file.

    >>> hypernyms("chair")[:4]
    ['chair.n.01', 'seat.n.03', 'furniture.n.01', 'furnishing.n.02']
    """
    return list(next(path for path in above(sense(word)).values() if not parents(path[-1])))


def ontology(words: Mapping[str, Sequence[str]] = COCO) -> pd.DataFrame:
    """A row a word: word, category, sense, definition, and path, from the top of WordNet.

    `words` are by category, one of `CATEGORIES`, which decides what they mean.
    """
    import pandas as pd

    rows = []
    for category, word, meant in _meant(words):
        path = " > ".join(hypernyms(meant)[::-1])
        rows.append((word, category, meant, definition(meant), path))
    return pd.DataFrame(rows, columns=["word", "category", "sense", "definition", "path"])


def cohyponyms(
    words: Mapping[str, Sequence[str]] = COCO, steps: int = STEPS, breadth: int = BREADTH
) -> pd.DataFrame:
    """A row a pair of `ontology`'s words that are kin: a, b, common, steps_a, steps_b, reason.

    `steps` and `breadth` are those of `kinship`.
    """
    import pandas as pd

    pairs = itertools.combinations([(word, meant) for _, word, meant in _meant(words)], 2)
    kin = [of_senses(a, b, steps, breadth) for a, b in pairs]
    rows = [(k.a, k.b, k.common, k.steps_a, k.steps_b, str(k)) for k in kin if k]
    return pd.DataFrame(rows, columns=["a", "b", "common", "steps_a", "steps_b", "reason"])


def _meant(words: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    return [(each, word, sense(word, each)) for each, several in words.items() for word in several]


def grouped(groups: Mapping[str, Sequence[str]] = DAAM) -> pd.DataFrame:
    """Pairs within groups made by hand, such as the DAAM authors'; columns as of `cohyponyms`.

    `common` is the group's name; there are no steps, which are those of WordNet.

    >>> len(grouped())
    40
    """
    import pandas as pd

    rows = [
        (a, b, group, pd.NA, pd.NA, f"{a} and {b}: both {group}")
        for group, words in groups.items()
        for a, b in itertools.combinations(words, 2)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "common", "steps_a", "steps_b", "reason"])
