"""What a prompt about the toy world asks for: things, their looks, how they are set, the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from daamkit.errors import DaamkitError
from daamkit.toybox.captions import NUMBERS, PLACES, PLURALS
from daamkit.toybox.sprites import COLOURS, SIZES, TEXTURES, THINGS

RELATIONS = (
    "and", "with", "next to", "above", "below", "to the left of", "to the right of",
    "wearing", "holding", "sitting on", "chasing",
)  # fmt: skip
_COUNTS = {word: number for number, word in NUMBERS.items()}
_NOUNS = {name: name for name in THINGS} | {PLURALS.get(name, name + "s"): name for name in THINGS}
_ARTICLES = ("a", "an", "the", "its")
_PHRASE = re.compile(rf"\b(?:{'|'.join(sorted(RELATIONS, key=len, reverse=True))})\b|[a-z]+|,|\S")


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
    pending: dict[str, Any] = {}  # said of the noun to come
    place, ground = None, None
    for match in _PHRASE.finditer(prompt.lower()):
        word = match.group()
        if word in _NOUNS:
            if "place" in pending:
                _refuse(prompt, pending["place"], _WORLD)
            plural = word not in THINGS
            if plural != (pending.get("count", 1) > 1) and word != "glasses":
                _refuse(prompt, word, "write a number and a plural, or a singular: 'two cats'")
            things.append(
                Claim(_NOUNS[word], prompt[slice(*match.span())], *match.span(), **pending)
            )
            pending = {}
        elif word in PLACES and place is None and pending == {"place": PLACES[word][0]}:
            place, ground, pending = word, match.span(), {}
        elif word in _ARTICLES:
            continue
        else:
            said = _said(word)
            if word == "and" and pending == {"relation": "and"}:
                continue  # "a cat, a dog, and a bear"
            if said is None or said[0] in pending or (said[0] == "relation" and not things):
                _refuse(prompt, word, _WORLD)
            pending[said[0]] = said[1]
    if pending:
        _refuse(prompt, str(next(iter(pending.values()))), "name the thing that it belongs to")
    if not things:
        raise DaamkitError(
            wanted="a prompt that names a thing of the toy world",
            got=repr(prompt),
            mend=f"name one of {', '.join(THINGS)}",
        )
    return Claims(prompt, tuple(things), place, ground)


_WORLD = (
    f"say it in the toy world's words, each of its kind once for a noun: things: "
    f"{', '.join(THINGS)}; looks: {', '.join((*COLOURS, *TEXTURES, *SIZES))}; between things: "
    f"{', '.join(RELATIONS)}; places: "
    f"{', '.join(' '.join((*words, place)) for place, words in PLACES.items())}"
)


def _said(word: str) -> tuple[str, Any] | None:
    """What a word says of the noun after it: an attribute of `Claim`, or a place's preposition."""
    kinds = {"colour": COLOURS, "texture": TEXTURES, "size": SIZES, "relation": RELATIONS}
    for kind, words in kinds.items():
        if word in words:
            return kind, word
    if word == ",":
        return "relation", "and"
    if word in _COUNTS:
        return "count", _COUNTS[word]
    return ("place", word) if word in ("on", "in", "at") else None


def _refuse(prompt: str, word: str, mend: str) -> NoReturn:
    raise DaamkitError(
        wanted=f"a prompt about the toy world, {prompt!r}", got=f"the word {word!r}", mend=mend
    )
