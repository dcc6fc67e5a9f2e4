"""What the words of a drawn scene's caption are: part of speech, relation, and kin beside it."""

from __future__ import annotations

from functools import cache

from daamkit.language import taxonomy
from daamkit.studies.cohyponyms import VOCABULARIES
from daamkit.studies.session import Row
from daamkit.toybox import claims
from daamkit.toybox.captions import CaptionWord
from daamkit.toybox.claims import Claim
from daamkit.toybox.oracle import SMALLEST
from daamkit.toybox.scenes import Scene

BESIDE = ("co-hyponym", "others", "nothing")  # what a caption names beside a thing


def of(scene: Scene, start: int, world: int) -> Row:
    """What the word is that begins at a character: thing (whether it names one), pos and relation
    (of a name of several words, its head's), and, of a thing's name, `BESIDE`; else ""."""
    things = claims.parse(scene.caption).things
    named = next((each for each in things if each.start == start), None)
    word = next(each for each in scene.words if each.start == start)
    word = word if named is None else _head(scene, named)
    said: Row = {"thing": named is not None, "pos": word.pos, "relation": word.relation}
    return said | {"beside": "" if named is None else _beside(named.name, things, world)}


def others(scene: Scene) -> list[CaptionWord]:
    """Words that mention something that shows, and are no part of a thing's name."""
    taken = [(each.start, each.end) for each in claims.parse(scene.caption).things]
    return [
        word
        for word in scene.words
        if not any(start <= word.start < end for start, end in taken)
        for mask in [scene.mask(word)]
        if mask.sum() >= SMALLEST and not mask.all()
    ]


def _head(scene: Scene, named: Claim) -> CaptionWord:
    """The word of a name on which its others depend."""
    inside = [word for word in scene.words if named.start <= word.start < named.end]
    heads = [word for word in inside if scene.words[word.head] not in inside]
    return heads[0] if heads else next(w for w in inside if scene.words[w.head] is w)


def _beside(name: str, things: tuple[Claim, ...], world: int) -> str:
    rest = {each.name for each in things} - {name}
    if not rest:
        return BESIDE[2]
    both = _kin(world)
    return BESIDE[0] if any({name, each} in both for each in rest) else BESIDE[1]


@cache
def _kin(world: int) -> tuple[set[str], ...]:
    """The pairs of a world's things that are co-hyponyms, as `Cohyponyms` has them."""
    words, breadth = VOCABULARIES["toybox" if world == 1 else "toybox-2"]
    pairs = taxonomy.cohyponyms(words, breadth=breadth)
    return tuple({a, b} for a, b in zip(pairs["a"], pairs["b"], strict=True))
