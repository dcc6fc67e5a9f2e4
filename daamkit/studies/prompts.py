"""Which prompts are asked, of which kinds, with which seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np

from daamkit.errors import DaamkitError
from daamkit.toybox import claims
from daamkit.toybox.captions import PLACES
from daamkit.toybox.claims import Claims
from daamkit.toybox.sprites import ANIMALS, COLOURS, FAMILIES, OBJECTS, THINGS

SIDES = ("above", "below", "to the left of", "to the right of", "next to")
PLAIN = ("glasses", "crown", "bow")  # with an animal they have no colour in the benchmark
KINDS = (
    "thing", "coloured", "place", "relation", "cohyponyms", "unrelated",
    "animals", "animal_object", "objects",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A prompt, what it asks for, its kind, and the seed of its image."""

    kind: str
    claims: Claims
    seed: int

    @property
    def prompt(self) -> str:
        """The text."""
        return self.claims.prompt


def benchmark(seed: int = 0) -> dict[str, list[str]]:
    """The 276 prompts of Attend-and-Excite (arXiv 2301.13826) by kind.

    66 "a A and a B", 144 "a A with a O" or "a A and a c O", 66 "a c O and a d P". The article is
    always "a"; the paper drew the colours at random, and so does `seed`.
    """
    rng = np.random.default_rng(seed)

    def colour() -> str:
        return str(rng.choice(list(COLOURS)))

    return {
        "animals": [f"a {a} and a {b}" for a, b in combinations(ANIMALS, 2)],
        "animal_object": [
            f"a {a} with a {o}" if o in PLAIN else f"a {a} and a {colour()} {o}"
            for a, o in product(ANIMALS, OBJECTS)
        ],
        "objects": [f"a {colour()} {a} and a {colour()} {b}" for a, b in combinations(OBJECTS, 2)],
    }


def drawn(seeds: Iterable[int]) -> list[Case]:
    """A prompt of each of `KINDS` for each seed; which one, the seed says too.

    "cohyponyms" are "a A and a B" of one of `sprites.FAMILIES`, "unrelated" such of none.
    """
    known, cases = benchmark(), []
    kin = [pair for family in FAMILIES for pair in combinations(family, 2)]
    others = [pair for pair in combinations(THINGS, 2) if pair not in kin]
    for seed in seeds:
        rng = np.random.default_rng((seed, 276))
        a, b = (str(name) for name in rng.choice(THINGS, 2, replace=False))
        colour, place = str(rng.choice(list(COLOURS))), str(rng.choice(list(PLACES)))
        texts = {
            "thing": _a(a),
            "coloured": _a(f"{colour} {a}"),
            "place": f"{_a(a)} {' '.join((*PLACES[place], place))}",
            "relation": f"{_a(a)} {rng.choice(SIDES)} {_a(b)}",
        }
        for kind, pairs in {"cohyponyms": kin, "unrelated": others}.items():
            texts[kind] = " and ".join(_a(str(name)) for name in rng.permuted(rng.choice(pairs)))
        texts |= {kind: str(rng.choice(prompts)) for kind, prompts in known.items()}
        cases += [Case(kind, claims.read(texts[kind]), seed) for kind in KINDS]
    return cases


def _a(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def from_file(file: Path, seeds: Iterable[int]) -> list[Case]:
    """Each line of a file with each seed; their kind is "file".

    Raises
    ------
    DaamkitError
        If the file is missing or empty, or a prompt has words that the toy world lacks.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DaamkitError(
            wanted=f"a text file of prompts, {file}",
            got=getattr(error, "strerror", None) or "not UTF-8",
            mend="give a file with a prompt a line",
        ) from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise DaamkitError(
            wanted=f"prompts in {file}", got="an empty file", mend="write a prompt a line"
        )
    asked = [claims.read(text) for text in texts]
    return [Case("file", each, seed) for seed in seeds for each in asked]


def span(text: str) -> range:
    """Seeds from "A:B", A included, B not.

    >>> span("100:103")
    range(100, 103)

    Raises
    ------
    DaamkitError
        If it is not two whole numbers, or A is not below B.
    """
    start, _, stop = text.partition(":")
    if not (start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise DaamkitError(
            wanted="seeds as A:B, with A below B", got=repr(text), mend="write 1000:1100, say"
        )
    return range(int(start), int(stop))
