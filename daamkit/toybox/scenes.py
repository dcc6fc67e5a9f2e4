"""Scenes of the toy world: an image, its caption, exact masks and an exact parse.

    >>> from daamkit.toybox import scenes
    >>> scene = scenes.sample(1, seed=7)[0]
    >>> scene.image.shape
    (128, 128, 3)

What is said is drawn: a thing "to the left of" another is to its left, "striped" has stripes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from daamkit.toybox import backgrounds, sprites
from daamkit.toybox.captions import BACKGROUND, PLACES, Noun, Sentence, Word

SIDE = 128
_LINKS = {
    "and": 0.42, "next to": 0.10, "above": 0.10, "below": 0.10,
    "to the left of": 0.10, "to the right of": 0.10, "with": 0.08,
}  # fmt: skip
_VERBS = {
    "wearing": ("crown", "glasses", "bow"),
    "holding": ("balloon", "apple"),
    "sitting on": ("chair", "bench", "suitcase", "car"),
    "chasing": sprites.ANIMALS,
}
_SPEEDS = {"small": 0.6, "big": 1.45}


@dataclass(frozen=True)
class Thing:
    """One thing as it is drawn.

    Attributes
    ----------
    name, colour, texture, size
        As in `sprites`; None is the thing's own colour, no pattern, the ordinary size.
    box
        Left, top, right, bottom in pixels, of all its pixels, hidden ones too.
    """

    name: str
    colour: str | None
    texture: str | None
    size: str | None
    box: tuple[int, int, int, int]


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
        What was drawn, in the order of their indices in `Word.things`.
    masks
        (things, 128, 128) bool: each thing's visible pixels.
    ground
        (128, 128) bool: what the place's noun names (the grass, the snow, the night's sky and
        ground), where no thing covers it. Empty without a place.
    place
        One of `captions.PLACES`, or None.
    relation
        How the things are set, as the caption has it: "and", "above", "wearing", ...; None for one.
    """

    image: UInt8[np.ndarray, "128 128 3"]
    caption: str
    words: tuple[Word, ...]
    things: tuple[Thing, ...]
    masks: Bool[np.ndarray, "things 128 128"]
    ground: Bool[np.ndarray, "128 128"]
    place: str | None
    relation: str | None

    def mask(self, word: Word) -> Bool[np.ndarray, "128 128"]:
        """The visible pixels of all that a word mentions; empty if it mentions nothing."""
        mask = np.zeros((SIDE, SIDE), bool)
        for thing in word.things:
            mask |= self.ground if thing == BACKGROUND else self.masks[thing]
        return mask


@dataclass
class _Placed:
    """A thing on its way to the canvas: where its centre goes and how long its longer side is."""

    noun: Noun
    x: float
    y: float
    pixels: float
    angle: int = 0


def sample(n: int, seed: int, kind: str | None = None) -> list[Scene]:
    """Draw scenes.

    Parameters
    ----------
    n
        How many. The i-th depends on `seed` and i alone.
    seed
        Any integer from 0.
    kind
        "single", "pair", "three", "verb" or "count"; None mixes them as the training does.
    """
    return [draw(np.random.default_rng((seed, index)), kind) for index in range(n)]


def draw(rng: np.random.Generator, kind: str | None = None) -> Scene:
    """Draw one scene from a random number generator."""
    if kind is None:
        kind = str(rng.choice(list(_KINDS), p=[weight for weight, _ in _KINDS.values()]))
    place = str(rng.choice(list(PLACES))) if rng.random() < 0.38 else None
    sentence = Sentence()
    placed, relation, root = _KINDS[kind][1](rng, sentence)
    if place is not None:
        verb = next((i for i, word in enumerate(sentence.words) if word.pos == "VERB"), None)
        sentence.place(place, root if verb is None else verb, "nmod" if verb is None else "obl")
    return _paint(rng, sentence, placed, place, relation)


def _noun(rng: np.random.Generator, name: str, things: tuple[int, ...]) -> Noun:
    """A thing with some adjectives: a colour half of the time, rarely a pattern or a size."""
    colour = str(rng.choice(list(sprites.COLOURS))) if rng.random() < 0.52 else None
    texture = str(rng.choice(sprites.TEXTURES)) if rng.random() < 0.07 else None
    size = str(rng.choice(sprites.SIZES)) if rng.random() < 0.10 else None
    return Noun(name, things, colour, texture, size)


def _names(rng: np.random.Generator, n: int) -> list[str]:
    return [str(name) for name in rng.choice(sprites.THINGS, n, replace=False)]


def _article(rng: np.random.Generator, noun: Noun) -> str:
    """Mostly "a"; "glasses" stand half of the time without."""
    return "" if noun.name == "glasses" and rng.random() < 0.5 else "a"


def _phrase(rng: np.random.Generator, sentence: Sentence, noun: Noun, **where: object) -> int:
    return sentence.phrase(noun, article=_article(rng, noun), **where)  # type: ignore[arg-type]


def _size(rng: np.random.Generator, noun: Noun, low: float, high: float) -> float:
    return float(rng.uniform(low, high)) * _SPEEDS.get(noun.size or "", 1.0)


_Plan = tuple[list[_Placed], str | None, int]


def _single(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    noun = _noun(rng, _names(rng, 1)[0], (0,))
    root = _phrase(rng, sentence, noun)
    x, y = rng.uniform(46, 82), rng.uniform(50, 82)
    return [_Placed(noun, x, y, _size(rng, noun, 54, 74))], None, root


def _pair(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    first, second = (_noun(rng, name, (i,)) for i, name in enumerate(_names(rng, 2)))
    link = str(rng.choice(list(_LINKS), p=list(_LINKS.values())))
    root = _phrase(rng, sentence, first)
    _link(rng, sentence, link, second, root)
    return _beside(rng, first, second, link), link, root


def _link(
    rng: np.random.Generator, sentence: Sentence, link: str, noun: Noun, root: int
) -> None:
    """Append "and a dog", "above a dog", "to the left of a dog"."""
    if link == "and":
        conjunction = len(sentence.words)
        article = _article(rng, noun)
        many = len(noun.things) > 1
        before = bool(article or many) + sum(map(bool, (noun.size, noun.texture, noun.colour)))
        sentence.add("and", "CCONJ", "cc", conjunction + before + 1)
        sentence.phrase(noun, "conj", root, article=article)
    elif link.startswith("to the"):
        side = len(sentence.words) + 2
        sentence.add("to", "ADP", "case", side)
        sentence.add("the", "DET", "det", side)
        sentence.add(link.split()[2], "NOUN", "nmod", root)
        _phrase(rng, sentence, noun, relation="nmod", head=side, case=("of",))
    else:
        _phrase(rng, sentence, noun, relation="nmod", head=root, case=tuple(link.split()))


def _beside(rng: np.random.Generator, first: Noun, second: Noun, link: str) -> list[_Placed]:
    """Set two things as their link says; "and" and "with" mostly side by side, in either order."""
    if link in ("above", "below") or (link == "and" and rng.random() < 0.15):
        up = link == "above" or (link == "and" and rng.random() < 0.5)
        ys = (rng.uniform(30, 38), rng.uniform(92, 99))
        spots = [(rng.uniform(48, 80), y) for y in (ys if up else ys[::-1])]
    else:
        gap = 26 if link in ("with", "next to") else 31
        xs = [64 - gap + rng.uniform(-4, 4), 64 + gap + rng.uniform(-4, 4)]
        flip = link == "to the right of" or (link != "to the left of" and rng.random() < 0.5)
        y = rng.uniform(48, 84)
        wander = 6 if link in ("with", "next to") else 18
        ys = np.clip(y + rng.uniform(-wander, wander, 2), 36, 94)
        spots = list(zip(xs[::-1] if flip else xs, ys, strict=True))
    sizes = [_size(rng, noun, 42, 56) for noun in (first, second)]
    return [
        _Placed(noun, x, y, min(size, 66))
        for noun, (x, y), size in zip((first, second), spots, sizes, strict=True)
    ]


def _three(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    nouns = [_noun(rng, name, (i,)) for i, name in enumerate(_names(rng, 3))]
    root = _phrase(rng, sentence, nouns[0])
    comma = len(sentence.words)
    sentence.add(",", "PUNCT", "punct", comma)
    second = _phrase(rng, sentence, nouns[1], relation="conj", head=root)
    word = sentence.words[comma]
    sentence.words[comma] = Word(word.text, word.start, word.end, word.pos, second, word.relation)
    _link(rng, sentence, "and", nouns[2], root)
    columns = rng.permutation([24, 64, 104])
    y = rng.uniform(46, 84)
    placed = [
        _Placed(noun, x + rng.uniform(-3, 3), y + rng.uniform(-18, 18), _size(rng, noun, 34, 42))
        for noun, x in zip(nouns, columns, strict=True)
    ]
    return placed, "and", root


def _count(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    """Two or three of a kind, or two of a kind and one of another."""
    n = int(rng.choice([2, 3], p=[0.65, 0.35]))
    other = n == 2 and rng.random() < 0.3
    name, *rest = _names(rng, 2 if other else 1)
    noun = _noun(rng, name, tuple(range(n)))
    root = sentence.phrase(noun)
    nouns = [noun] * n
    if other:
        nouns.append(_noun(rng, rest[0], (n,)))
        _link(rng, sentence, "and", nouns[-1], root)
    low, high = ((34, 42), (44, 56))[len(nouns) == 2]
    columns = rng.permutation([24, 64, 104] if len(nouns) == 3 else [34, 94])
    y = rng.uniform(46, 84)
    pixels = _size(rng, noun, low, high)
    placed = [
        _Placed(
            noun, x + rng.uniform(-3, 3), y + rng.uniform(-16, 16),
            min(pixels, 60) if noun is nouns[0] else _size(rng, noun, low, high),
        )
        for noun, x in zip(nouns, columns, strict=True)
    ]  # fmt: skip
    return placed, "and" if other else None, root


def _verb(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    """An animal that wears, holds, sits on or chases something."""
    verb = str(rng.choice(list(_VERBS), p=[0.4, 0.2, 0.22, 0.18]))
    animal = str(rng.choice(sprites.ANIMALS))
    target = str(rng.choice([name for name in _VERBS[verb] if name != animal]))
    subject, object_ = _noun(rng, animal, (0,)), _noun(rng, target, (1,))
    root = _phrase(rng, sentence, subject)
    participle, *preposition = verb.split()
    act = sentence.add(participle, "VERB", "acl", root)
    if preposition:
        _phrase(
            rng, sentence, object_, relation="obl", head=act, case=tuple(preposition)
        )
    elif verb != "chasing" and rng.random() < 0.35:
        sentence.phrase(object_, "obj", act, owner=(0,))
    else:
        _phrase(rng, sentence, object_, relation="obj", head=act)
    return _act(rng, subject, object_, verb), verb, root


def _act(rng: np.random.Generator, subject: Noun, object_: Noun, verb: str) -> list[_Placed]:
    """Set an animal and what it acts upon; later things cover earlier ones."""
    x, y = rng.uniform(50, 78), rng.uniform(62, 80)
    pixels = min(_size(rng, subject, 66, 80), 92)
    original = sprites.original(subject.name)
    scale = pixels / max(original.size)
    left, top = x - original.width * scale / 2, y - original.height * scale / 2
    head_x, head_top, eyes, head_width = sprites.HEADS[subject.name]
    head_x = left + head_x * original.width * scale
    head_top, eyes = (top + part * original.height * scale for part in (head_top, eyes))
    head = head_width * original.width * scale
    animal = _Placed(subject, x, y, pixels)
    if verb == "wearing":
        grow = _SPEEDS.get(object_.size or "", 1.0) ** 0.5
        size = max(24.0, {"crown": 0.9, "glasses": 1.0, "bow": 0.85}[object_.name] * head) * grow
        item = sprites.original(object_.name)
        tall = size * item.height / max(item.size)
        at = {"crown": head_top - 0.3 * tall, "glasses": eyes, "bow": eyes + 0.55 * head}
        return [animal, _Placed(object_, head_x, at[object_.name], size)]
    if verb == "holding":
        side = 1 if x < 64 else -1
        size = _size(rng, object_, 34, 40) if object_.name == "balloon" else _size(
            rng, object_, 22, 27
        )
        reach = original.width * scale * 0.42
        dy = -0.38 * pixels if object_.name == "balloon" else 0.16 * pixels
        return [animal, _Placed(object_, x + side * reach, y + dy, size)]
    if verb == "sitting on":
        size = min(_size(rng, object_, 62, 72), 88)
        pixels = min(_size(rng, subject, 42, 50), 60)
        seat = sprites.original(object_.name)
        tall = seat.height * size / max(seat.size)
        below = rng.uniform(84, 90)
        depth = {"chair": 0.02, "bench": -0.02, "suitcase": -0.46, "car": -0.40}[object_.name]
        sits = below + depth * tall - 0.40 * pixels * original.height / max(original.size)
        return [_Placed(object_, x, below, size), _Placed(subject, x, max(sits, 24), pixels)]
    y = rng.uniform(52, 84)  # chasing: both lean forward, the chaser behind
    hunter, prey = min(_size(rng, subject, 46, 54), 58), min(_size(rng, object_, 38, 46), 54)
    return [
        _Placed(object_, 30 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), prey, 14),
        _Placed(subject, 92 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), hunter, 14),
    ]


_KINDS = {
    "single": (0.24, _single),
    "pair": (0.43, _pair),
    "three": (0.08, _three),
    "verb": (0.17, _verb),
    "count": (0.08, _count),
}


def _paint(
    rng: np.random.Generator,
    sentence: Sentence,
    placed: list[_Placed],
    place: str | None,
    relation: str | None,
) -> Scene:
    """Put the things on the background, in order, and keep what stays visible of each."""
    canvas, ground = backgrounds.draw(rng, place, SIDE)
    if relation == "chasing":
        backgrounds.speed_lines(rng, canvas, round(placed[-1].x), round(placed[-1].y))
    things: dict[int, Thing] = {}
    masks: dict[int, np.ndarray] = {}
    seen: dict[str, int] = {}
    for item in placed:
        noun = item.noun
        index = noun.things[seen.setdefault(str(noun.things), 0)]
        seen[str(noun.things)] += 1
        pixels = max(12, round(item.pixels / 2) * 2)
        image = sprites.sprite(noun.name, pixels, noun.colour, noun.texture, item.angle)
        left = int(np.clip(round(item.x - image.width / 2), 0, max(SIDE - image.width, 0)))
        top = int(np.clip(round(item.y - image.height / 2), 0, max(SIDE - image.height, 0)))
        canvas.paste(image, (left, top), image)
        mask = np.zeros((SIDE, SIDE), bool)
        alpha = np.asarray(image.getchannel("A"))[: SIDE - top, : SIDE - left] > 127
        mask[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha
        for other in masks.values():
            other &= ~mask
        masks[index] = mask
        box = (left, top, left + image.width, top + image.height)
        things[index] = Thing(noun.name, noun.colour, noun.texture, noun.size, box)
    stack = np.stack([masks[index] for index in sorted(masks)])
    return Scene(
        np.asarray(canvas),
        sentence.text,
        tuple(sentence.words),
        tuple(things[index] for index in sorted(things)),
        stack,
        ground & ~stack.any(0),
        place,
        relation,
    )


Kind = Literal["single", "pair", "three", "verb", "count"]


def grid(scenes: list[Scene], columns: int = 6) -> Image.Image:
    """The scenes' images side by side, for looking at."""
    rows = -(-len(scenes) // columns)
    sheet = Image.new("RGB", (columns * SIDE, rows * SIDE), "white")
    for index, scene in enumerate(scenes):
        column, row = index % columns, index // columns
        sheet.paste(Image.fromarray(scene.image), (column * SIDE, row * SIDE))
    return sheet
