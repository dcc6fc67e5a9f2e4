"""Which prompts are asked, of which kinds, with which seeds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import perm
from pathlib import Path

import numpy as np

from daamkit.errors import DaamkitError
from daamkit.studies import promptfiles
from daamkit.toybox import claims, heldout, scenes
from daamkit.toybox.captions import PLACES
from daamkit.toybox.claims import Claims
from daamkit.toybox.sprites import (
    ANIMALS,
    COLOURS,
    EVERYTHING,
    FAMILIES,
    NAMES,
    OBJECTS,
    THINGS,
)

SIDES = ("above", "below", "to the left of", "to the right of", "next to")
PLAIN = ("glasses", "crown", "bow")  # with an animal they have no colour in the benchmark
KINDS = (
    "thing", "coloured", "place", "relation", "cohyponyms", "unrelated",
    "animals", "animal_object", "objects",
)  # fmt: skip


@dataclass(frozen=True)
class PromptCase:
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


SEVERAL = {  # groups of prompts: how many things, and whether each has a colour
    f"{word}{end}": (many, bool(end))
    for word, many in (("two", 2), ("three", 3), ("four", 4))
    for end in ("", " coloured")
}


def several(group: str, n: int, seed: int, world: int = 1) -> list[str]:
    """n different prompts of a group of `SEVERAL`: "a A, a B and a C", things of a world and
    colours drawn at random, none twice in a prompt; all there are, if they are fewer. What has a
    name ("Mount Fuji") has no colour."""
    many, coloured = SEVERAL[group]
    things = [
        name for name in (THINGS if world == 1 else EVERYTHING) if not coloured or name not in NAMES
    ]
    n = min(n, perm(len(things), many) * (perm(len(COLOURS), many) if coloured else 1))
    rng = np.random.default_rng((seed, 277, many, coloured))
    found: dict[str, None] = {}
    while len(found) < n:
        names = rng.choice(things, many, replace=False)
        colours = rng.choice(list(COLOURS), many, replace=False) if coloured else [""] * many
        *first, last = (
            phrase if name in ("glasses", *NAMES) else article(phrase)
            for name, colour in zip(names, colours, strict=True)
            for phrase in [f"{colour} {name}".strip()]
        )
        found[f"{', '.join(first)} and {last}"] = None
    return list(found)


def mixed(groups: Sequence[str], n: int, seed: int) -> list[tuple[str, str]]:
    """Group and prompt of some groups, in an order that has them in proportion from the first on.

    Parameters
    ----------
    groups
        "benchmark", and those of `SEVERAL`, of which n are drawn.
    n, seed
        How many of each group, and which of them: they are drawn at random.
    """
    texts = benchmark(seed) if "benchmark" in groups else {}
    texts |= {name: several(name, n, seed) for name in groups if name != "benchmark"}
    rng, ranks = np.random.default_rng((seed, 53)), []
    for group, own in texts.items():
        order = rng.permutation(len(own))
        ranks += [((i + 0.5) / len(own), group, own[k]) for i, k in enumerate(order)]
    return [(group, text) for _, group, text in sorted(ranks)]


def held_out(asked: Claims) -> bool:
    """Whether a prompt names things together, or in a colour or a role, as no training caption
    does (`toybox.heldout`)."""
    names = [thing.name for thing in asked.things]
    looks = [(thing.colour, thing.name) for thing in asked.things if thing.colour]
    related = zip(asked.things, asked.things[1:], strict=False)
    events = [(str(b.relation), a.name, b.name) for a, b in related]
    return heldout.is_held_out(names, looks, events)


def drawn(seeds: Iterable[int]) -> list[PromptCase]:
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
            "thing": article(a),
            "coloured": article(f"{colour} {a}"),
            "place": f"{article(a)} {' '.join((*PLACES[place], place))}",
            "relation": f"{article(a)} {rng.choice(SIDES)} {article(b)}",
        }
        for kind, pairs in {"cohyponyms": kin, "unrelated": others}.items():
            texts[kind] = " and ".join(
                article(str(name)) for name in rng.permuted(rng.choice(pairs))
            )
        texts |= {kind: str(rng.choice(prompts)) for kind, prompts in known.items()}
        cases += [PromptCase(kind, claims.parse(texts[kind]), seed) for kind in KINDS]
    return cases


def article(phrase: str) -> str:
    """With "a" or "an" in front."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def from_file(file: Path, seeds: Iterable[int]) -> list[PromptCase]:
    """Each prompt of a file (see `promptfiles.prompts_in`) with each seed; their kind is "file".

    Raises
    ------
    DaamkitError
        If the file is missing or empty, or a prompt has words that the toy world lacks.
    """
    asked = [claims.parse(text) for text in promptfiles.prompts_in(file)]
    return [PromptCase("file", each, seed) for seed in seeds for each in asked]


class FewerWarning(UserWarning):
    """A file with fewer prompts than were asked for."""


def texts(
    source: str | Path | None, n: int, seed: int, split: str = "any", world: int = 1
) -> list[str]:
    """n different prompts; where a file has fewer, all of them, and a warning.

    Parameters
    ----------
    source
        A file of prompts (`promptfiles.prompts_in`), of which n are drawn; None: captions of the
        toy world.
    n, seed
        How many, and which of them: they are drawn at random.
    split, world
        Which captions, of which toy world: see `scenes.sample`. "held-out" ones also say what is
        held out.
    """
    rng = np.random.default_rng((seed, 40))
    if source is not None:
        known = list(dict.fromkeys(promptfiles.prompts_in(Path(source))))
        if len(known) < n:
            warnings.warn(
                f"{source} has {len(known)} different prompts, fewer than the {n} asked for",
                FewerWarning,
                stacklevel=2,
            )
        return [known[i] for i in rng.permutation(len(known))[:n]]
    found: dict[str, None] = {}
    while len(found) < n:
        caption = scenes.draw(rng, world=world, split=split).caption
        if split != "held-out" or held_out(claims.parse(caption)):
            found[caption] = None
    return list(found)


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
