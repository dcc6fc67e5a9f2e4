"""What a prompt about the toy world asks for: things, their looks, how they are set, the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from daamkit.errors import DaamkitError
from daamkit.toybox.captions import NUMBERS, PLACES, PLURALS
from daamkit.toybox.sprites import COLOURS, SIZES, TEXTURES, THINGS

RELATIONS = (
    "and", "with", "next to", "above", "below", "to the left of", "to the right of",
    "wearing", "holding", "sitting on", "chasing",
)  # fmt: skip
_COUNTS = {word: number for number, word in NUMBERS.items()}
_NOUNS = {name: name for name in THINGS} | {PLURALS.get(name, name + "s"): name for name in THINGS}
_SILENT = ("a", "an", "the", "its", "on", "in", "at")
_PHRASE = re.compile("|".join(sorted(RELATIONS, key=len, reverse=True)) + r"|[a-z]+|,|\S")


@dataclass(frozen=True)
class Claim:
    """One noun phrase.

    Attributes
    ----------
    name
        The thing, in the singular.
    noun
        The noun as it stands, ``prompt[start:end]``.
    start, end
        Its characters.
    colour, texture, size
        Its adjectives; None for none.
    count
        How many.
    relation
        One of `RELATIONS`, from the thing before it; None for the first.
    """

    name: str
    noun: str
    start: int
    end: int
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    count: int = 1
    relation: str | None = None


@dataclass(frozen=True)
class Claims:
    """All that a prompt asks for; `place` is one of `captions.PLACES` or None, `ground` the
    characters of its noun."""

    prompt: str
    things: tuple[Claim, ...]
    place: str | None = None
    ground: tuple[int, int] | None = None


def read(prompt: str) -> Claims:
    """Read a prompt.

    Parameters
    ----------
    prompt
        In the words of the toy world's captions.

    Raises
    ------
    DaamkitError
        If a word is not of the toy world, or the prompt names no thing.
    """
    things: list[Claim] = []
    looks: dict[str, Any] = {}
    count, relation, place, ground = 1, None, None, None
    for match in _PHRASE.finditer(prompt.lower()):
        word = match.group()
        if word in RELATIONS or word == ",":
            relation = "and" if word == "," else word
        elif word in COLOURS:
            looks["colour"] = word
        elif word in TEXTURES:
            looks["texture"] = word
        elif word in SIZES:
            looks["size"] = word
        elif word in _COUNTS:
            count = _COUNTS[word]
        elif word in _NOUNS:
            noun, link = prompt[slice(*match.span())], relation if things else None
            things.append(
                Claim(_NOUNS[word], noun, *match.span(), **looks, count=count, relation=link)
            )
            looks, count, relation = {}, 1, None
        elif word in PLACES:
            place, ground = word, match.span()
        elif word not in _SILENT:
            raise DaamkitError(
                wanted=f"a prompt in the words of the toy world, {prompt!r}",
                got=f"the word {word!r}",
                mend=f"things: {', '.join(THINGS)}; "
                f"looks: {', '.join((*COLOURS, *TEXTURES, *SIZES))}; "
                f"places: {', '.join(PLACES)}; between things: {', '.join(RELATIONS)}",
            )
    if not things:
        raise DaamkitError(
            wanted="a prompt that names a thing of the toy world",
            got=repr(prompt),
            mend=f"name one of {', '.join(THINGS)}",
        )
    return Claims(prompt, tuple(things), place, ground)
