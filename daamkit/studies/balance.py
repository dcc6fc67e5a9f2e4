"""Captions of world 2 in which rare parts of speech and relations have cases enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from daamkit.language.dependencies import collapsed
from daamkit.language.phrases import of_what
from daamkit.toybox import scenes
from daamkit.toybox.captions import CaptionWord

LEAST = 50  # cases of each
PATIENCE = 100  # captions looked at for each that is wanted


def captions(n: int, seed: int, wanted: Iterable[str], least: int = LEAST) -> list[str]:
    """n different captions of world 2: half of them at random, half for what is rare.

    Of the second half each has a case of what lacks most at that time; once nothing lacks, they too
    are drawn at random.

    Parameters
    ----------
    n, seed
        How many, and which.
    wanted
        Parts of speech ("PART"), or relations by their collapsed names ("nmod:of (collective)", see
        `phrases.of_what`).
    least
        Cases of each in all, by the captions' own parses, as far as n allows.
    """
    rng = np.random.default_rng((seed, 41))
    lacking = Counter(dict.fromkeys(wanted, least))
    found: dict[str, None] = {}
    looked = 0
    while len(found) < n:
        sentence = scenes.say(rng, world=2)
        looked += 1
        held = held_in(sentence.words)
        most, missing = max(lacking.items(), key=lambda pair: pair[1], default=("", 0))
        chosen = len(found) < n // 2 or missing <= 0 or looked > PATIENCE * n
        if sentence.text not in found and (chosen or held[most]):
            found[sentence.text] = None
            lacking.subtract({name: count for name, count in held.items() if name in lacking})
    return list(found)


def held_in(words: list[CaptionWord]) -> Counter[str]:
    """How many of each part of speech and relation a caption has."""
    texts, heads = [word.text for word in words], [word.head for word in words]
    relations = collapsed(texts, heads, [word.relation for word in words])
    named = Counter(
        of_what(relation, words[head].text, words[head].pos)
        for relation, head in zip(relations, heads, strict=True)
    )
    return named + Counter(word.pos for word in words)
