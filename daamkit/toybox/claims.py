"""What a prompt about the toy world asks for: things, their looks, how they are set, the place."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from daamkit.errors import DaamkitError
from daamkit.toybox.captions import NUMBERS, PLACES, PLURALS
from daamkit.toybox.clauses import VERBS
from daamkit.toybox.sprites import COLOURS, EVERYTHING, NAMES, SIZES, TEXTURES

RELATIONS = (
    "and", "with", "next to", "above", "below", "to the left of", "to the right of",
    "bigger than", "smaller than", "while", *VERBS,
)  # fmt: skip
_COUNTS = {word: number for number, word in NUMBERS.items()} | {"one": 1}
_WHOLES = {"a pair of": 2, "a group of": 3, "a bunch of": 3}  # how many, of the last two at least
_ARTICLES = ("a", "an", "the", "its")
_MANNERS = ("brightly coloured", "half hidden")
_ABSENT = ("without", "with no", "and no")
_SIDES = {"on the left": "left", "on the right": "right"}


def _plural(name: str) -> str:
    """A thing's name for several of it."""
    *before, last = name.split()
    return " ".join((*before, PLURALS.get(last, last + "s")))


_ONE = {name.lower().removeprefix("the "): name for name in EVERYTHING}
_NOUNS = _ONE | {_plural(name): name for name in EVERYTHING if name not in NAMES}
# What a verb is called: "chases" and "is chasing" are "chasing"
_ACTS = {
    form: verb
    for verb, (simple, preposition, *_) in VERBS.items()
    for form in (verb, f"is {verb}", f"that is {verb}", f"{simple} {preposition or ''}".strip())
}
_LINKS = {f"is {link}": link for link in RELATIONS if link not in ("and", "with", "while")}
_LINKS |= {link: link for link in RELATIONS} | _ACTS | {",": "and"}
_LOOKS = {
    **dict.fromkeys(COLOURS, "colour"),
    **dict.fromkeys(TEXTURES, "texture"),
    **dict.fromkeys((*SIZES, *(f"very {size}" for size in SIZES)), "size"),
    **dict.fromkeys(_MANNERS, "manner"),
}
_AFTER = {f"that is {no}{colour}": (no, colour) for no in ("", "not ") for colour in COLOURS}
_PHRASES = (*_NOUNS, *_LINKS, *_WHOLES, *_ABSENT, *_SIDES, *_AFTER, *_LOOKS)
_PHRASE = re.compile(
    rf"\b(?:{'|'.join(map(re.escape, sorted(set(_PHRASES) - {','}, key=len, reverse=True)))})\b"
    r"|[a-z]+|,|\S"
)


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
        Where its noun phrase stands: ``prompt[start:end]``.
    colour, texture, size
        Its adjectives; None for none.
    count
        How many; at least so many where `more`.
    more
        Whether more are right too: of "a group" and "a bunch".
    relation
        One of `RELATIONS`, from the thing before it; None for the first. Two things "on the left"
        and "on the right" are "to the left of" each other.
    manner
        "brightly coloured" or "half hidden"; None for neither.
    not_colour
        A colour that it must not have ("that is not red").
    side
        "left" or "right", where that is said.
    """

    name: str
    noun: str
    start: int
    end: int
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    count: int = 1
    more: bool = False
    relation: str | None = None
    manner: str | None = None
    not_colour: str | None = None
    side: str | None = None


@dataclass(frozen=True)
class Claims:
    """All that a prompt asks for; `place` is one of `captions.PLACES` or None, `ground` the
    characters of its noun; `absent` are things that must not be there ("without a crown")."""

    prompt: str
    things: tuple[Claim, ...]
    place: str | None = None
    ground: tuple[int, int] | None = None
    absent: tuple[Claim, ...] = ()


def parse(prompt: str) -> Claims:
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
    absent: list[Claim] = []
    pending: dict[str, Any] = {}  # said of the noun to come
    place, ground = None, None
    for match in _PHRASE.finditer(prompt.lower()):
        word = match.group()
        if word in _NOUNS:
            if "place" in pending:
                _refuse(prompt, pending["place"], _WORLD)
            plural, several = word not in _ONE, pending.get("count", 1) > 1
            if plural != several and word != "glasses":
                _refuse(prompt, word, "write a number and a plural, or a singular: 'two cats'")
            if "more" in pending and word == "glasses":  # "a pair of glasses" is one thing
                pending |= {"count": 1, "more": False}
            found = absent if pending.pop("absent", None) else things
            span = match.span()
            found.append(Claim(_NOUNS[word], prompt[slice(*span)], *span, **pending))
            pending = {}
        elif word in PLACES and place is None and pending == {"place": PLACES[word][0]}:
            place, ground, pending = word, match.span(), {}
        elif word in _ARTICLES or (word == "." and match.end() == len(prompt.rstrip())):
            continue
        elif word in (*_AFTER, *_SIDES) and things and not pending:
            things[-1] = _completed(prompt, things, word)
        else:
            said = _said(word)
            if word == "and" and pending == {"relation": "and"}:
                continue  # "a cat, a dog, and a bear"
            relates = said is not None and next(iter(said)) in ("relation", "absent")
            if said is None or said.keys() & pending.keys() or (relates and not things):
                _refuse(prompt, word, _WORLD)
            pending |= said
    if pending:
        _refuse(prompt, str(next(iter(pending.values()))), "name the thing that it belongs to")
    if not things:
        raise DaamkitError(
            wanted="a prompt that names a thing of the toy world",
            got=repr(prompt),
            mend=f"name one of {', '.join(EVERYTHING)}",
        )
    return Claims(prompt, tuple(things), place, ground, tuple(absent))


def _completed(prompt: str, things: list[Claim], word: str) -> Claim:
    """The last thing with what is said after its noun: its colour, its side."""
    last = things[-1]
    if word in _AFTER:
        denied, colour = _AFTER[word]
        if last.colour is not None:
            _refuse(prompt, word, "name one colour")
        return replace(last, not_colour=colour) if denied else replace(last, colour=colour)
    side = _SIDES[word]
    before = things[-2].side if len(things) > 1 else None
    if before is not None and last.relation == "and" and before != side:
        return replace(last, side=side, relation=f"to the {before} of")
    return replace(last, side=side)


_WORLD = (
    f"say it in the toy world's words, each of its kind once for a noun: things: "
    f"{', '.join(EVERYTHING)}; looks: {', '.join(_LOOKS)}; between things: "
    f"{', '.join(RELATIONS)}; places: "
    f"{', '.join(' '.join((*words, place)) for place, words in PLACES.items())}"
)


def _said(word: str) -> dict[str, Any] | None:
    """What a phrase says of the noun after it: attributes of `Claim`, or a place's preposition."""
    if word in _LOOKS:
        return {_LOOKS[word]: word}
    if word in _LINKS:
        return {"relation": _LINKS[word]}
    if word in _ABSENT:
        return {"absent": word}
    if word in _WHOLES:
        return {"count": _WHOLES[word], "more": _WHOLES[word] > 2}
    if word in _COUNTS:
        return {"count": _COUNTS[word]}
    return {"place": word} if word in ("on", "in", "at") else None


def _refuse(prompt: str, word: str, mend: str) -> NoReturn:
    raise DaamkitError(
        wanted=f"a prompt about the toy world, {prompt!r}", got=f"the word {word!r}", mend=mend
    )
