"""Scenes of the toy world: an image, its caption, exact masks and an exact parse.

    >>> from daamkit.toybox import scenes
    >>> scene = scenes.sample(1, seed=7)[0]
    >>> scene.image.shape
    (128, 128, 3)

What is said is drawn: a thing "to the left of" another is to its left, "striped" has stripes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.toybox import backgrounds, sprites
from daamkit.toybox.captions import BACKGROUND, PLACES, Noun, Sentence, Word

SIDE = 128

# How a pair is linked: how often
_LINKS = {
    "and": 0.42, "next to": 0.10, "above": 0.10, "below": 0.10,
    "to the left of": 0.10, "to the right of": 0.10, "with": 0.08,
}  # fmt: skip
# What an animal does: how often, and to what
_VERBS: dict[str, tuple[float, tuple[str, ...]]] = {
    "wearing": (0.40, ("crown", "glasses", "bow")),
    "holding": (0.20, ("balloon", "apple")),
    "sitting on": (0.22, ("chair", "bench", "suitcase", "car")),
    "chasing": (0.18, sprites.ANIMALS),
}
_SCALES = {"small": 0.6, "big": 1.45}


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
        How the things are set, as the caption has it: "and", "above", "wearing", ...; None for one
        thing and for several of one kind.
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
    thing: int  # its index in the scene
    x: float
    y: float
    pixels: float
    angle: int = 0


# What to draw, from back to front; how it is set; the index of the sentence's root
_Plan = tuple[list[_Placed], str | None, int]


def sample(n: int, seed: int, kind: str | None = None) -> list[Scene]:
    """Draw scenes.

    Parameters
    ----------
    n
        How many, from 1. The i-th of a kind depends on `seed` and i alone.
    seed
        Any integer from 0.
    kind
        "single", "pair", "three", "verb" or "count"; None mixes them as the training does.

    Raises
    ------
    DaamkitError
        If there is nothing to draw, the seed is negative or the kind is unknown.
    """
    if n < 1:
        raise DaamkitError(wanted="at least one scene", got=f"n={n}", mend="ask for n >= 1")
    if seed < 0:
        raise DaamkitError(wanted="a seed from 0", got=f"seed={seed}", mend="take one >= 0")
    return [draw(np.random.default_rng((seed, index)), kind) for index in range(n)]


def draw(rng: np.random.Generator, kind: str | None = None) -> Scene:
    """Draw one scene from a random number generator.

    Parameters
    ----------
    rng
        All that varies comes from it.
    kind
        As in `sample`.

    Raises
    ------
    DaamkitError
        If the kind is unknown.
    """
    if kind is None:
        kind = str(rng.choice(list(_KINDS), p=[weight for weight, _ in _KINDS.values()]))
    elif kind not in _KINDS:
        raise DaamkitError(
            wanted="a kind of scene", got=repr(kind), mend=f"take one of {[*_KINDS]} or None"
        )
    place = str(rng.choice(list(PLACES))) if rng.random() < 0.38 else None
    sentence = Sentence()
    placed, relation, root = _KINDS[kind][1](rng, sentence)
    if place is not None:
        verb = next((i for i, word in enumerate(sentence.words) if word.pos == "VERB"), None)
        sentence.place(place, root if verb is None else verb, "nmod" if verb is None else "obl")
    return _paint(rng, sentence, placed, place, relation)


def grid(scenes: list[Scene], columns: int = 6) -> Image.Image:
    """The scenes' images side by side, for looking at.

    Returns
    -------
    RGB, 128 x columns pixels wide.
    """
    rows = -(-len(scenes) // columns)
    sheet = Image.new("RGB", (columns * SIDE, rows * SIDE), "white")
    for index, scene in enumerate(scenes):
        column, row = index % columns, index // columns
        sheet.paste(Image.fromarray(scene.image), (column * SIDE, row * SIDE))
    return sheet


# -- words ----------------------------------------------------------------------------------------


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


# -- kinds of scenes ------------------------------------------------------------------------------


def _single(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    noun = _noun(rng, _names(rng, 1)[0], 0)
    root = _phrase(rng, sentence, noun)
    x, y = rng.uniform(46, 82), rng.uniform(50, 82)
    return [_Placed(noun, 0, x, y, _size(rng, noun, 54, 74))], None, root


def _pair(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    first, second = (_noun(rng, name, i) for i, name in enumerate(_names(rng, 2)))
    link = str(rng.choice(list(_LINKS), p=list(_LINKS.values())))
    root = _phrase(rng, sentence, first)
    _link(rng, sentence, link, second, root)
    return _beside(rng, first, second, link), link, root


def _three(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    nouns = [_noun(rng, name, i) for i, name in enumerate(_names(rng, 3))]
    root = _phrase(rng, sentence, nouns[0])
    _phrase(rng, sentence, nouns[1], "conj", root, coordinator=",")
    _link(rng, sentence, "and", nouns[2], root)
    columns = rng.permutation([24, 64, 104])
    y = rng.uniform(46, 84)
    placed = [
        _Placed(noun, i, x + rng.uniform(-3, 3), y + rng.uniform(-18, 18), _size(rng, noun, 34, 42))
        for i, (noun, x) in enumerate(zip(nouns, columns, strict=True))
    ]
    return placed, "and", root


def _count(rng: np.random.Generator, sentence: Sentence) -> _Plan:
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
    common = min(_size(rng, noun, low, high), 60.0)
    placed = []
    for i, x in enumerate(columns):
        centre = x + rng.uniform(-3, 3), y + rng.uniform(-16, 16)
        pixels = common if nouns[i] is noun else _size(rng, nouns[i], low, high)
        placed.append(_Placed(nouns[i], i, *centre, pixels))
    return placed, "and" if other else None, root


def _verb(rng: np.random.Generator, sentence: Sentence) -> _Plan:
    """An animal that wears, holds, sits on or chases something."""
    verb = str(rng.choice(list(_VERBS), p=[weight for weight, _ in _VERBS.values()]))
    animal = str(rng.choice(sprites.ANIMALS))
    target = str(rng.choice([name for name in _VERBS[verb][1] if name != animal]))
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
    return _act(rng, subject, object_, verb), verb, root


_KINDS: dict[str, tuple[float, Callable[[np.random.Generator, Sentence], _Plan]]] = {
    "single": (0.24, _single),
    "pair": (0.43, _pair),
    "three": (0.08, _three),
    "verb": (0.17, _verb),
    "count": (0.08, _count),
}


# -- positions ------------------------------------------------------------------------------------


def _size(rng: np.random.Generator, noun: Noun, low: int, high: int) -> float:
    return rng.uniform(low, high) * _SCALES.get(noun.size or "", 1.0)


def _beside(rng: np.random.Generator, first: Noun, second: Noun, link: str) -> list[_Placed]:
    """Set two things as their link says; "and" and "with" mostly side by side, in either order."""
    if link in ("above", "below") or (link == "and" and rng.random() < 0.15):
        up = link == "above" or (link == "and" and rng.random() < 0.5)
        ys = [rng.uniform(30, 38), rng.uniform(92, 99)]
        spots = [(rng.uniform(48, 80), y) for y in (ys if up else ys[::-1])]
    else:
        close = link in ("with", "next to")
        gap, wander = (26, 6) if close else (31, 18)
        xs = [64 - gap + rng.uniform(-4, 4), 64 + gap + rng.uniform(-4, 4)]
        flip = link == "to the right of" or (link != "to the left of" and rng.random() < 0.5)
        heights = np.clip(rng.uniform(48, 84) + rng.uniform(-wander, wander, 2), 36, 94)
        spots = list(zip(xs[::-1] if flip else xs, heights, strict=True))
    return [
        _Placed(noun, i, x, y, min(_size(rng, noun, 42, 56), 66.0))
        for i, (noun, (x, y)) in enumerate(zip((first, second), spots, strict=True))
    ]


def _act(rng: np.random.Generator, subject: Noun, object_: Noun, verb: str) -> list[_Placed]:
    """Set an animal and what it acts upon; later things cover earlier ones."""
    x, y = rng.uniform(50, 78), rng.uniform(62, 80)
    animal = _Placed(subject, 0, x, y, min(_size(rng, subject, 66, 80), 92.0))
    if verb == "wearing":
        return [animal, _worn(animal, object_)]
    if verb == "holding":
        return [animal, _held(rng, animal, object_)]
    if verb == "sitting on":
        return _seated(rng, subject, object_, x)
    y = rng.uniform(52, 84)  # chasing: both lean forward, the chaser behind
    hunter, prey = min(_size(rng, subject, 46, 54), 58.0), min(_size(rng, object_, 38, 46), 54.0)
    return [
        _Placed(object_, 1, 30 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), prey, 14),
        _Placed(subject, 0, 92 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), hunter, 14),
    ]


def _extent(name: str, pixels: float) -> tuple[float, float]:
    """Width and height of a thing whose longer side has so many pixels."""
    width, height = sprites.original(name).size
    scale = pixels / max(width, height)
    return width * scale, height * scale


def _worn(animal: _Placed, noun: Noun) -> _Placed:
    """A crown on top of the head, glasses before the eyes, a bow below them."""
    width, height = _extent(animal.noun.name, animal.pixels)
    centre, top, eyes, part = sprites.HEADS[animal.noun.name]
    x = animal.x + (centre - 0.5) * width
    top, eyes = (animal.y + (y - 0.5) * height for y in (top, eyes))
    head = part * width
    grow = _SCALES.get(noun.size or "", 1.0) ** 0.5
    size = max(24.0, {"crown": 0.9, "glasses": 1.0, "bow": 0.85}[noun.name] * head) * grow
    tall = _extent(noun.name, size)[1]
    y = {"crown": top - 0.3 * tall, "glasses": eyes, "bow": eyes + 0.55 * head}[noun.name]
    return _Placed(noun, 1, x, y, size)


def _held(rng: np.random.Generator, animal: _Placed, noun: Noun) -> _Placed:
    """A balloon floats at the animal's side, an apple lies in its paw."""
    side = 1 if animal.x < 64 else -1
    floats = noun.name == "balloon"
    size = _size(rng, noun, *((34, 40) if floats else (22, 27)))
    reach = _extent(animal.noun.name, animal.pixels)[0] * 0.42
    dy = (-0.38 if floats else 0.16) * animal.pixels
    return _Placed(noun, 1, animal.x + side * reach, animal.y + dy, size)


def _seated(rng: np.random.Generator, subject: Noun, seat: Noun, x: float) -> list[_Placed]:
    """The seat, and before it an animal whose lower part rests on it."""
    size = min(_size(rng, seat, 62, 72), 88.0)
    pixels = min(_size(rng, subject, 42, 50), 60.0)
    below = rng.uniform(84, 90)
    depth = {"chair": 0.02, "bench": -0.02, "suitcase": -0.46, "car": -0.40}[seat.name]
    height = _extent(subject.name, pixels)[1]
    y = below + depth * _extent(seat.name, size)[1] - 0.40 * height
    return [_Placed(seat, 1, x, below, size), _Placed(subject, 0, x, max(y, 24.0), pixels)]


# -- painting -------------------------------------------------------------------------------------


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
    masks = np.zeros((len(placed), SIDE, SIDE), bool)
    for item in placed:
        noun = item.noun
        pixels = max(12, round(item.pixels / 2) * 2)  # even: fewer sprites to cache
        image = sprites.sprite(noun.name, pixels, noun.colour, noun.texture, item.angle)
        left = int(np.clip(round(item.x - image.width / 2), 0, SIDE - image.width))
        top = int(np.clip(round(item.y - image.height / 2), 0, SIDE - image.height))
        right, bottom = left + image.width, top + image.height
        canvas.paste(image, (left, top), image)
        alpha = np.asarray(image.getchannel("A")) > 127
        masks[:, top:bottom, left:right] &= ~alpha  # it covers what came before
        masks[item.thing, top:bottom, left:right] = alpha
        box = (left, top, right, bottom)
        things[item.thing] = Thing(noun.name, noun.colour, noun.texture, noun.size, box)
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
