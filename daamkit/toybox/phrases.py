"""Noun phrases of world 2: which thing, with which looks, said before the noun or after it."""

from __future__ import annotations

import numpy as np

from daamkit.toybox import sprites
from daamkit.toybox.captions import Noun, Sentence

VIVID = ("red", "orange", "yellow", "green", "blue", "purple", "pink")  # "brightly coloured"
PAIRED = "glasses"  # a plural that is one thing


def names(rng: np.random.Generator, n: int) -> list[str]:
    """n different things of world 2."""
    return [str(name) for name in rng.choice(sprites.EVERYTHING, n, replace=False)]


def being(rng: np.random.Generator, besides: str = "") -> str:
    """A being, but for one."""
    return str(rng.choice([name for name in sprites.BEINGS if name != besides]))


def noun(
    rng: np.random.Generator, name: str, *things: int, adverbs: bool = False, plain: bool = False
) -> Noun:
    """A thing with some adjectives: a colour four times in ten, rarely a pattern or a size.

    Parameters
    ----------
    adverbs
        Whether "very small", "brightly coloured" and "half hidden" may be among them: where there
        is room for these.
    plain
        No size and no manner: where the layout says how large the things are.
    """
    if name in sprites.NAMES:
        return Noun(name, things)
    colour = str(rng.choice(list(sprites.COLOURS))) if rng.random() < 0.40 else None
    texture = str(rng.choice(sprites.TEXTURES)) if rng.random() < 0.05 else None
    size = str(rng.choice(sprites.SIZES)) if rng.random() < 0.10 and not plain else None
    manner = unsaid = None
    if adverbs and rng.random() < 0.16:
        kind = rng.choice(3)
        if kind == 0:
            size = f"very {rng.choice(sprites.SIZES)}"
        elif kind == 1:
            manner, colour, unsaid = "brightly coloured", None, str(rng.choice(VIVID))
        else:
            manner, size = "half hidden", None
    return Noun(name, things, colour, texture, size, manner, unsaid)


def say(
    rng: np.random.Generator,
    sentence: Sentence,
    noun: Noun,
    relation: str = "root",
    head: int | None = None,
    coordinator: str | None = None,
    case: tuple[str, ...] = (),
    definite: float = 0.12,
) -> int:
    """Append a noun phrase, mostly with "a", sometimes with "the" (how often: `definite`), "one",
    or, of glasses, with nothing or as "a pair of glasses". Returns the index of the noun that the
    rest of the sentence hangs on."""
    chance = rng.random()
    article = "the" if chance < definite else "a"
    if noun.name == PAIRED and chance > 0.5:
        if chance > 0.75 and len(noun.things) < 2:
            return collective(
                sentence, noun, "pair", relation, head, coordinator=coordinator, case=case
            )
        article = ""
    elif article == "a" and chance > 0.93 and noun.name not in sprites.NAMES:
        return sentence.phrase(
            noun, relation, head, coordinator=coordinator, case=case, article="one"
        )
    return sentence.phrase(
        noun, relation, head, coordinator=coordinator, case=case, article=article
    )


def collective(
    sentence: Sentence,
    noun: Noun,
    word: str,
    relation: str = "root",
    head: int | None = None,
    *,
    coordinator: str | None = None,
    case: tuple[str, ...] = (),
) -> int:
    """Append "a group of red apples"; the collective mentions all the things. Returns its index."""
    before = len(sentence.nouns)
    whole = Noun(word, noun.things[:1])
    centre = sentence.phrase(whole, relation, head, coordinator=coordinator, case=case)
    del sentence.nouns[before:]  # no thing of the world
    sentence.mention(centre, noun.things)
    sentence.phrase(noun, "nmod", centre, case=("of",), article="", bare=True)
    return centre


def afterwards(rng: np.random.Generator, sentence: Sentence, noun: Noun, head: int) -> None:
    """Append "that is red", or "that is not blue" of a thing which is red and of which no colour is
    said, as a relative clause to a noun already written with `noun.unsaid`."""
    colour = noun.unsaid
    assert colour is not None
    denied = rng.random() < 0.5
    if denied:
        colour = str(rng.choice([other for other in sprites.COLOURS if other != noun.unsaid]))
    at = len(sentence.words)
    adjective = at + (3 if denied else 2)
    sentence.add("that", "PRON", "nsubj", adjective, noun.things)
    sentence.add("is", "AUX", "cop", adjective)
    if denied:
        sentence.add("not", "PART", "advmod", adjective)
    sentence.add(colour, "ADJ", "acl:relcl", head, () if denied else noun.things)
