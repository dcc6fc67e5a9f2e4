"""Kinds of scenes of world 1: what is said of them, word by word, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from daamkit.toybox import layouts, sprites
from daamkit.toybox.captions import Noun, Sentence
from daamkit.toybox.layouts import Placed, Plan

# How a pair is linked: how often
LINKS = {
    "and": 0.42, "next to": 0.10, "above": 0.10, "below": 0.10,
    "to the left of": 0.10, "to the right of": 0.10, "with": 0.08,
}  # fmt: skip
# What an animal does: how often, and to what
VERBS: dict[str, tuple[float, tuple[str, ...]]] = {
    "wearing": (0.40, ("crown", "glasses", "bow")),
    "holding": (0.20, ("balloon", "apple")),
    "sitting on": (0.22, ("chair", "bench", "suitcase", "car")),
    "chasing": (0.18, sprites.ANIMALS),
}


def _noun(rng: np.random.Generator, name: str, *things: int) -> Noun:
    """A thing with some adjectives: a colour half of the time, rarely a pattern or a size."""
    colour = str(rng.choice(list(sprites.COLOURS))) if rng.random() < 0.52 else None
    texture = str(rng.choice(sprites.TEXTURES)) if rng.random() < 0.07 else None
    size = str(rng.choice(sprites.SIZES)) if rng.random() < 0.10 else None
    return Noun(name, things, colour, texture, size)


def _names(rng: np.random.Generator, n: int) -> list[str]:
    return [str(name) for name in rng.choice(sprites.THINGS, n, replace=False)]


def _phrase(
    rng: np.random.Generator,
    sentence: Sentence,
    noun: Noun,
    relation: str = "root",
    head: int | None = None,
    coordinator: str | None = None,
    case: tuple[str, ...] = (),
) -> int:
    """Append a noun phrase, mostly with "a"; "glasses" stand half of the time without."""
    article = "" if noun.name == "glasses" and rng.random() < 0.5 else "a"
    return sentence.phrase(
        noun, relation, head, coordinator=coordinator, case=case, article=article
    )


def _link(rng: np.random.Generator, sentence: Sentence, link: str, noun: Noun, root: int) -> None:
    """Append "and a dog", "above a dog", "to the left of a dog"."""
    if link == "and":
        _phrase(rng, sentence, noun, "conj", root, coordinator="and")
    elif link.startswith("to the"):
        side = sentence.phrase(Noun(link.split()[2], ()), "nmod", root, case=("to",), article="the")
        _phrase(rng, sentence, noun, "nmod", side, case=("of",))
    else:
        _phrase(rng, sentence, noun, "nmod", root, case=tuple(link.split()))


def _single(rng: np.random.Generator, sentence: Sentence) -> Plan:
    noun = _noun(rng, _names(rng, 1)[0], 0)
    root = _phrase(rng, sentence, noun)
    x, y = rng.uniform(46, 82), rng.uniform(50, 82)
    return [Placed(noun, 0, x, y, layouts.size(rng, noun, 54, 74))], None, root


def _pair(rng: np.random.Generator, sentence: Sentence) -> Plan:
    first, second = (_noun(rng, name, i) for i, name in enumerate(_names(rng, 2)))
    link = str(rng.choice(list(LINKS), p=list(LINKS.values())))
    root = _phrase(rng, sentence, first)
    _link(rng, sentence, link, second, root)
    return layouts.beside(rng, first, second, link), link, root


def _three(rng: np.random.Generator, sentence: Sentence) -> Plan:
    nouns = [_noun(rng, name, i) for i, name in enumerate(_names(rng, 3))]
    root = _phrase(rng, sentence, nouns[0])
    _phrase(rng, sentence, nouns[1], "conj", root, coordinator=",")
    _link(rng, sentence, "and", nouns[2], root)
    columns = rng.permutation([24, 64, 104])
    y = rng.uniform(46, 84)
    placed = [
        Placed(
            noun,
            i,
            x + rng.uniform(-3, 3),
            y + rng.uniform(-18, 18),
            layouts.size(rng, noun, 34, 42),
        )
        for i, (noun, x) in enumerate(zip(nouns, columns, strict=True))
    ]
    return placed, "and", root


def _count(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """Two or three of a kind, or two of a kind and one of another."""
    n = int(rng.choice([2, 3], p=[0.65, 0.35]))
    other = n == 2 and rng.random() < 0.3
    name, *rest = _names(rng, 2 if other else 1)
    noun = _noun(rng, name, *range(n))
    root = sentence.phrase(noun)
    nouns = [noun] * n
    if other:
        nouns.append(_noun(rng, rest[0], n))
        _link(rng, sentence, "and", nouns[-1], root)
    low, high = (44, 56) if len(nouns) == 2 else (34, 42)
    columns = rng.permutation([34, 94] if len(nouns) == 2 else [24, 64, 104])
    y = rng.uniform(46, 84)
    common = min(layouts.size(rng, noun, low, high), 60.0)
    placed = []
    for i, x in enumerate(columns):
        centre = x + rng.uniform(-3, 3), y + rng.uniform(-16, 16)
        pixels = common if nouns[i] is noun else layouts.size(rng, nouns[i], low, high)
        placed.append(Placed(nouns[i], i, *centre, pixels))
    return placed, "and" if other else None, root


def _verb(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """An animal that wears, holds, sits on or chases something."""
    verb = str(rng.choice(list(VERBS), p=[weight for weight, _ in VERBS.values()]))
    animal = str(rng.choice(sprites.ANIMALS))
    target = str(rng.choice([name for name in VERBS[verb][1] if name != animal]))
    subject, object_ = _noun(rng, animal, 0), _noun(rng, target, 1)
    root = _phrase(rng, sentence, subject)
    participle, *preposition = verb.split()
    act = sentence.add(participle, "VERB", "acl", root)
    if preposition:
        _phrase(rng, sentence, object_, "obl", act, case=tuple(preposition))
    elif verb != "chasing" and rng.random() < 0.35:
        sentence.phrase(object_, "obj", act, owner=(0,))
    else:
        _phrase(rng, sentence, object_, "obj", act)
    return layouts.act(rng, subject, object_, verb), verb, root


KINDS: dict[str, tuple[float, Callable[[np.random.Generator, Sentence], Plan]]] = {
    "single": (0.24, _single),
    "pair": (0.43, _pair),
    "three": (0.08, _three),
    "verb": (0.17, _verb),
    "count": (0.08, _count),
}
