"""Scenes of the toy world: an image, its caption, exact masks and an exact parse.

    >>> from daamkit.toybox import scenes
    >>> scene = scenes.sample(1, seed=7)[0]
    >>> scene.image.shape
    (128, 128, 3)

What is said is drawn: a thing "to the left of" another is to its left, "striped" has stripes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from daamkit.errors import DaamkitError
from daamkit.toybox import backgrounds, heldout, sprites
from daamkit.toybox.captions import BACKGROUND, PLACES, CaptionWord, Sentence
from daamkit.toybox.layouts import Placed
from daamkit.toybox.worlds import WORLDS

SIDE = 128
HIDDEN = "half hidden"
SPLITS = ("any", "training", "held-out")
TRIES = 10_000  # captions, until one is of the split


@dataclass(frozen=True)
class Thing:
    """One thing as it is drawn.

    Attributes
    ----------
    name, colour, texture, size
        As in `sprites`; None is the thing's own colour, no pattern, the ordinary size.
    box
        Left, top, right, bottom in pixels, of all its pixels, hidden ones too.
    hidden
        Whether a board stands in front of its lower half.
    """

    name: str
    colour: str | None
    texture: str | None
    size: str | None
    box: tuple[int, int, int, int]
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene and all that is known of it.

    Attributes
    ----------
    image
        (128, 128, 3) uint8.
    caption, words
        The text, and its words with characters, heads and relations.
    things
        What was drawn, in the order of their indices in `CaptionWord.things`.
    masks
        (things, 128, 128) bool: each thing's visible pixels.
    ground
        (128, 128) bool: what the place's noun names (the grass, the snow, the night's sky and
        ground), where no thing covers it. Empty without a place.
    place
        One of `captions.PLACES`, or None.
    relation
        How the things are set: "and", "above", "wearing", "bigger than", "while", ...; None for one
        thing and for several of one kind.
    """

    image: UInt8[np.ndarray, "128 128 3"]
    caption: str
    words: tuple[CaptionWord, ...]
    things: tuple[Thing, ...]
    masks: Bool[np.ndarray, "things 128 128"]
    ground: Bool[np.ndarray, "128 128"]
    place: str | None
    relation: str | None

    def mask(self, word: CaptionWord) -> Bool[np.ndarray, "128 128"]:
        """The visible pixels of all that a word mentions; empty if it mentions nothing."""
        mask = np.zeros((SIDE, SIDE), bool)
        for thing in word.things:
            mask |= self.ground if thing == BACKGROUND else self.masks[thing]
        return mask


def sample(
    n: int, seed: int, kind: str | None = None, world: int = 1, split: str = "any"
) -> list[Scene]:
    """Draw scenes.

    Parameters
    ----------
    n
        How many, from 1. The i-th of a kind depends on `seed` and i alone.
    seed
        Any integer from 0.
    kind
        One of a world's kinds (`worlds.WORLDS`): "single", "pair", "three", "verb" or "count" of
        world 1; None mixes them as the training does.
    world
        1, the Attend-and-Excite benchmark's things, or 2, which has twice as many, sentences with
        verbs and scenes of up to five things.
    split
        "training" scenes hold no composition of `heldout`, "held-out" scenes at least one.

    Raises
    ------
    DaamkitError
        If there is nothing to draw, the seed is negative, the kind, world or split is unknown, or
        a kind has no scene of the split.
    """
    if n < 1:
        raise DaamkitError(wanted="at least one scene", got=f"n={n}", mend="ask for n >= 1")
    if seed < 0:
        raise DaamkitError(wanted="a seed from 0", got=f"seed={seed}", mend="take one >= 0")
    return [draw(np.random.default_rng((seed, index)), kind, world, split) for index in range(n)]


def draw(
    rng: np.random.Generator, kind: str | None = None, world: int = 1, split: str = "any"
) -> Scene:
    """Draw one scene from a random number generator.

    Parameters
    ----------
    rng
        All that varies comes from it.
    kind, world, split
        As in `sample`.

    Raises
    ------
    DaamkitError
        If the kind, the world or the split is unknown, or the kind has no scene of the split.
    """
    sentence, placed, place, relation = _said(rng, kind, world, split)
    return paint(rng, sentence, placed, place, relation)


def say(
    rng: np.random.Generator, kind: str | None = None, world: int = 1, split: str = "any"
) -> Sentence:
    """The caption of one scene, undrawn: much faster; see `draw`."""
    return _said(rng, kind, world, split)[0]


def _said(
    rng: np.random.Generator, kind: str | None, world: int, split: str
) -> tuple[Sentence, list[Placed], str | None, str | None]:
    """A caption, where its things stand, the place, and the relation."""
    kinds = _one_of("world", WORLDS, world)
    _one_of("split", dict.fromkeys(SPLITS), split)
    if kind is None:
        kind = str(rng.choice(list(kinds), p=[weight for weight, _ in kinds.values()]))
    _, plan = _one_of("kind of scene", kinds, kind)
    place = str(rng.choice(list(PLACES))) if rng.random() < (0.38, 0.30)[world - 1] else None
    for _ in range(TRIES):
        sentence = Sentence()
        placed, relation, root = plan(rng, sentence)
        if split == "any" or heldout.holds(sentence) == (split == "held-out"):
            break
    else:
        raise DaamkitError(
            wanted=f"a {split} scene of the kind {kind!r} in world {world}",
            got=f"none among {TRIES} captions",
            mend="take another kind, or the split 'any'",
        )
    if place is not None:
        _place(sentence, place, root)
    if world == 2 and rng.random() < (0.45 if sentence.words[root].pos == "VERB" else 0.04):
        sentence.add(".", "PUNCT", "punct", root)
    return sentence, placed, place, relation


def _one_of(what: str, known: Mapping[Any, Any], name: Any) -> Any:
    if name not in known:
        raise DaamkitError(
            wanted=f"a {what} of the toy world", got=repr(name), mend=f"take one of {[*known]}"
        )
    return known[name]


def _place(sentence: Sentence, place: str, root: int) -> None:
    """Say where it is, of the verb if there is one, of the root otherwise."""
    verbs = [i for i, word in enumerate(sentence.words) if word.pos == "VERB"]
    head = root if root in verbs or not verbs else verbs[0]
    acts = sentence.words[head].pos in ("VERB", "ADJ")
    sentence.place(place, head, "obl" if acts else "nmod")


def paint(
    rng: np.random.Generator,
    sentence: Sentence,
    placed: list[Placed],
    place: str | None,
    relation: str | None,
) -> Scene:
    """Put the things on the background, in order, and keep what stays visible of each."""
    canvas, ground = backgrounds.draw(rng, place, SIDE)
    for runner in placed:
        if runner.runs:
            backgrounds.speed_lines(rng, canvas, round(runner.x), round(runner.y))
    things: dict[int, Thing] = {}
    masks = np.zeros((len(placed), SIDE, SIDE), bool)
    for item in placed:
        noun = item.noun
        pixels = max(12, round(item.pixels / 2) * 2)  # even: fewer sprites to cache
        image = sprites.sprite(noun.name, pixels, noun.drawn_colour, noun.texture, item.angle)
        left = int(np.clip(round(item.x - image.width / 2), 0, SIDE - image.width))
        top = int(np.clip(round(item.y - image.height / 2), 0, SIDE - image.height))
        right, bottom = left + image.width, top + image.height
        canvas.paste(image, (left, top), image)
        alpha = np.asarray(image.getchannel("A")) > 127
        masks[:, top:bottom, left:right] &= ~alpha  # it covers what came before
        masks[item.thing, top:bottom, left:right] = alpha
        box = (left, top, right, bottom)
        if noun.manner == HIDDEN:
            board = backgrounds.board(rng, canvas, box)
            masks[:, board[1] : board[3], board[0] : board[2]] = False
        things[item.thing] = Thing(
            noun.name, noun.drawn_colour, noun.texture, noun.size, box, noun.manner == HIDDEN
        )
    return Scene(
        image=np.asarray(canvas),
        caption=sentence.text,
        words=tuple(sentence.words),
        things=tuple(things[index] for index in sorted(things)),
        masks=masks,
        ground=ground & ~masks.any(0),
        place=place,
        relation=relation,
    )
