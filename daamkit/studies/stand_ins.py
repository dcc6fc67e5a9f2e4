"""Another word of a word's kind in its place: what its vectors are exchanged for."""

from __future__ import annotations

from typing import Any

from daamkit import prompts
from daamkit.toybox import claims, sprites
from daamkit.toybox.captions import PLURALS, CaptionWord
from daamkit.toybox.claims import Claim
from daamkit.toybox.scenes import Scene

KINDS = (  # another is of the same
    sprites.THINGS, sprites.MORE, sprites.COMPOUNDS, sprites.NAMES,
    tuple(sprites.COLOURS), sprites.TEXTURES, sprites.SIZES,
)  # fmt: skip


def instead(pipe: Any, scene: Scene, word: CaptionWord) -> str | None:
    """A scene's caption with another in the word's place (of a thing's name of several words, in
    the name's: `place`), whose tokens stand where the word's do in every text encoder; None where
    none fits."""
    start, end = place(scene, word)
    before, after = scene.caption[:start], scene.caption[end:]
    own = prompts.tokenized(pipe, scene.caption).span(start, end)
    for each in others(scene, word):
        text = before + each + after
        stands = prompts.tokenized(pipe, text).span(start, start + len(each))
        if stands.columns == own.columns:
            return text
    return None


def place(scene: Scene, word: CaptionWord) -> tuple[int, int]:
    """Where a word stands, or all of the thing's name that it is part of: its characters."""
    thing = _named(scene, word)
    return (word.start, word.end) if thing is None else (thing.start, thing.end)


def others(scene: Scene, word: CaptionWord) -> list[str]:
    """Things for a thing, colours for a colour, textures and sizes, that are not in the caption and
    ask for the same article; in the plural for a plural."""
    thing = _named(scene, word)
    name = word.text if thing is None else thing.name
    there = {claim.name for claim in claims.parse(scene.caption).things}
    there |= {other.text for other in scene.words}
    kin = next((kind for kind in KINDS if name in kind), ())
    found = [_said(each) for each in kin if each not in there]
    if thing is not None and thing.noun != _said(name):
        found = [_plural(each) for each in found]
    first = scene.caption[place(scene, word)[0]]
    return [each for each in found if (each[0] in "aeiou") == (first in "aeiou")]


def _named(scene: Scene, word: CaptionWord) -> Claim | None:
    """The thing in whose name a word stands."""
    things = claims.parse(scene.caption).things
    return next((each for each in things if each.start <= word.start < each.end), None)


def _said(name: str) -> str:
    return name.removeprefix("the ")


def _plural(name: str) -> str:
    *before, last = name.split()
    return " ".join((*before, PLURALS.get(last, last + "s")))
