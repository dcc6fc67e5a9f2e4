"""Compositions of world 2 that no training caption holds: what a model has not seen.

A fifth of the pairs of nouns, a fifth of the pairs of colour and noun, and a fifth of the roles
(who does what; to whom it is done), chosen by a hash of their names. ``data/toybox/heldout.json``
lists them; ``python -m daamkit.toybox.heldout`` writes it. What a training caption denies it may
name: "a cat that is not blue" may stand there where blue cats are held out, over a cat of another
colour.

    >>> from daamkit.toybox import heldout
    >>> len(heldout.pairs), heldout.is_held_out(["cat", "dog"])
    (266, False)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import combinations, product

from daamkit import resources
from daamkit.toybox import sprites
from daamkit.toybox.captions import Sentence
from daamkit.toybox.clauses import VERBS

PART = 5  # one in five is held out


def _chosen(*names: str) -> bool:
    """Whether a composition falls to the held-out fifth."""
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") % PART == 0


pairs: frozenset[frozenset[str]] = frozenset(
    frozenset(pair) for pair in combinations(sorted(sprites.EVERYTHING), 2) if _chosen(*pair)
)
coloured: frozenset[tuple[str, str]] = frozenset(
    (colour, name)
    for colour, name in product(sprites.COLOURS, sprites.EVERYTHING)
    if name not in sprites.NAMES and _chosen(colour, name)
)
# (verb, "subject" or "object", name)
roles: frozenset[tuple[str, str, str]] = frozenset(
    (verb, role, name)
    for verb, (_, _, _, subjects, objects) in VERBS.items()
    for role, known in (("subject", subjects), ("object", objects))
    for name in known
    if len(known) > PART and _chosen(verb, role, name)
)


def is_held_out(
    names: Iterable[str] = (),
    looks: Iterable[tuple[str, str]] = (),
    events: Iterable[tuple[str, str, str]] = (),
) -> bool:
    """Whether any composition is one that no training caption holds.

    Parameters
    ----------
    names
        Things named together.
    looks
        Pairs of colour and thing.
    events
        Verb (a participle, "sitting on"), subject and object.
    """
    return (
        any(frozenset(pair) in pairs for pair in combinations(set(names), 2))
        or any(look in coloured for look in looks)
        or any(
            (verb, "subject", subject) in roles or (verb, "object", object_) in roles
            for verb, subject, object_ in events
        )
    )


def holds(sentence: Sentence) -> bool:
    """Whether a sentence of the toy world has a held-out composition; a colour that is denied ("not
    blue") makes none, for nothing is drawn so."""
    nouns = [noun for noun in sentence.nouns if noun.name in sprites.EVERYTHING]
    looks = [(noun.drawn_colour, noun.name) for noun in nouns if noun.drawn_colour]
    return is_held_out({noun.name for noun in nouns}, looks, sentence.events)


def listed() -> dict[str, list[list[str]]]:
    """The compositions as the shipped file has them: "pairs", "coloured", "roles", sorted."""
    return {
        "pairs": sorted(sorted(pair) for pair in pairs),
        "coloured": sorted(map(list, coloured)),
        "roles": sorted(map(list, roles)),
    }


if __name__ == "__main__":
    place = resources.path("toybox") / "heldout.json"
    place.write_text(json.dumps(listed(), indent=1) + "\n", encoding="utf-8")
    print(f"{place}: {', '.join(f'{len(v)} {k}' for k, v in listed().items())}")
