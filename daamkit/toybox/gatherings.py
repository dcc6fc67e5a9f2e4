"""Scenes of world 2 without a verb: one thing, two, up to five, several of a kind."""

from __future__ import annotations

import numpy as np

from daamkit.toybox import layouts, phrases, sprites
from daamkit.toybox.captions import Noun, Sentence
from daamkit.toybox.layouts import Placed, Plan

# How a pair is linked: how often. Left and right come more often than in world 1 (.108 of all
# scenes for .086), above and below less often (.072 for .086).
LINKS = {
    "and": 0.28, "next to": 0.06, "with": 0.06, "above": 0.12, "below": 0.12,
    "to the left of": 0.18, "to the right of": 0.18,
}  # fmt: skip
SIDES = {"to the left of": ("left", "right"), "to the right of": ("right", "left")}
MANY = 5  # most things in a scene
COLLECTIVES = ("pair", "group", "bunch")
BUNCHED = ("balloon", "banana", "mushroom", "tomato", "cookie", "umbrella")


def single(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """ "a red cat", "a cat that is red"."""
    noun = phrases.noun(rng, phrases.names(rng, 1)[0], 0, adverbs=True)
    later = noun.name not in sprites.NAMES and noun.manner is None and rng.random() < 0.22
    if later:
        colour = str(rng.choice(list(sprites.COLOURS)))
        noun = Noun(noun.name, (0,), None, noun.texture, noun.size, unsaid=colour)
    root = phrases.say(rng, sentence, noun)
    if later:
        phrases.afterwards(rng, sentence, noun, root)
    x, y = rng.uniform(46, 82), rng.uniform(50, 82)
    pixels = min(layouts.size(rng, noun, 54, 74), 104.0)
    return [Placed(noun, 0, x, y, pixels)], None, root


def pair(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """Two things, and how they are set."""
    first, second = (
        phrases.noun(rng, name, i, adverbs=True) for i, name in enumerate(phrases.names(rng, 2))
    )
    link = str(rng.choice(list(LINKS), p=list(LINKS.values())))
    form = rng.random()
    if link in SIDES and form < 0.35:
        root = _sides(rng, sentence, (first, second), SIDES[link])
    elif link not in ("and", "with") and form > 0.85:
        root = _is(rng, sentence, first, link, second)
    else:
        root = phrases.say(rng, sentence, first)
        _link(rng, sentence, link, second, root)
    return layouts.beside(rng, first, second, link), link, root


def several(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """Three to five things in a list."""
    n = int(rng.choice([3, 4, MANY], p=[0.45, 0.3, 0.25]))
    nouns = [
        phrases.noun(rng, name, i, plain=n > 3) for i, name in enumerate(phrases.names(rng, n))
    ]
    root = phrases.say(rng, sentence, nouns[0])
    for noun in nouns[1:-1]:
        phrases.say(rng, sentence, noun, "conj", root, coordinator=",")
    phrases.say(rng, sentence, nouns[-1], "conj", root, coordinator="and")
    return layouts.spread(rng, nouns), "and", root


def count(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """One to five of a kind, or up to four of a kind and one of another."""
    n = int(rng.choice([1, 2, 3, 4, 5], p=[0.08, 0.26, 0.26, 0.2, 0.2]))
    other = 1 < n < MANY and rng.random() < 0.3
    name, *rest = _countable(rng, 2 if other else 1)
    noun = phrases.noun(rng, name, *range(n), plain=n > 2)
    root = sentence.phrase(noun, article="one")
    nouns = [noun] * n
    if other:
        nouns.append(phrases.noun(rng, rest[0], n, plain=True))
        _link(rng, sentence, "and", nouns[-1], root)
    return layouts.spread(rng, nouns, alike=True), "and" if other else None, root


def collective(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """ "a pair of dogs", "a group of apples", "a bunch of balloons"."""
    word = str(rng.choice(COLLECTIVES))
    n = 2 if word == "pair" else int(rng.integers(3, MANY + 1))
    name = str(rng.choice(BUNCHED)) if word == "bunch" else _countable(rng, 1)[0]
    noun = phrases.noun(rng, name, *range(n), plain=True)
    root = phrases.collective(sentence, noun, word)
    if word == "bunch":
        return layouts.bunched(rng, noun), None, root
    return layouts.spread(rng, [noun] * n, alike=True), None, root


def _countable(rng: np.random.Generator, n: int) -> list[str]:
    """n different things that are more than one in the plural."""
    names = [name for name in sprites.EVERYTHING if name not in (*sprites.NAMES, phrases.PAIRED)]
    return [str(name) for name in rng.choice(names, n, replace=False)]


def _link(rng: np.random.Generator, sentence: Sentence, link: str, noun: Noun, root: int) -> None:
    """Append "and a dog", "above a dog", "to the left of a dog"."""
    if link == "and":
        phrases.say(rng, sentence, noun, "conj", root, coordinator="and")
    elif link.startswith("to the"):
        side = sentence.phrase(Noun(link.split()[2], ()), "nmod", root, case=("to",), article="the")
        phrases.say(rng, sentence, noun, "nmod", side, case=("of",))
    else:
        phrases.say(rng, sentence, noun, "nmod", root, case=tuple(link.split()))


def _sides(
    rng: np.random.Generator, sentence: Sentence, nouns: tuple[Noun, Noun], sides: tuple[str, str]
) -> int:
    """ "a cat on the left and a dog on the right"."""
    root = 0
    for index, (noun, side) in enumerate(zip(nouns, sides, strict=True)):
        if index:
            at = phrases.say(rng, sentence, noun, "conj", root, coordinator="and")
        else:
            at = root = phrases.say(rng, sentence, noun)
        sentence.phrase(Noun(side, ()), "nmod", at, case=("on",), article="the")
    return root


def _is(rng: np.random.Generator, sentence: Sentence, first: Noun, link: str, second: Noun) -> int:
    """ "the cat is above the dog", "the cat is to the left of the dog"."""
    subject = phrases.say(rng, sentence, first, "nsubj", 0, definite=0.6)
    copula = sentence.add("is", "AUX", "cop", 0)
    if link.startswith("to the"):
        root = sentence.phrase(Noun(link.split()[2], ()), case=("to",), article="the")
        phrases.say(rng, sentence, second, "nmod", root, case=("of",), definite=0.6)
    else:
        root = phrases.say(rng, sentence, second, case=tuple(link.split()), definite=0.6)
    for index in (subject, copula):
        sentence.hang(index, root)
    return root
