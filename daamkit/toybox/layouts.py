"""Where the things of a scene go: side by side, above each other, worn, held, sat upon, chased."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daamkit.toybox import sprites
from daamkit.toybox.captions import Noun

SCALES = {"small": 0.6, "big": 1.45, "very small": 0.42, "very big": 1.7}


@dataclass
class Placed:
    """A thing on its way to the canvas: where its centre goes and how long its longer side is."""

    noun: Noun
    thing: int  # its index in the scene
    x: float
    y: float
    pixels: float
    angle: int = 0
    runs: bool = False  # speed lines behind it


# What to draw, from back to front; how it is set; the index of the sentence's root
Plan = tuple[list[Placed], str | None, int]


def size(rng: np.random.Generator, noun: Noun, low: int, high: int) -> float:
    """Pixels of a thing's longer side, its adjective heeded."""
    return rng.uniform(low, high) * SCALES.get(noun.size or "", 1.0)


def beside(rng: np.random.Generator, first: Noun, second: Noun, link: str) -> list[Placed]:
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
        Placed(noun, i, x, y, min(size(rng, noun, 42, 56), 66.0))
        for i, (noun, (x, y)) in enumerate(zip((first, second), spots, strict=True))
    ]


def act(rng: np.random.Generator, subject: Noun, object_: Noun, verb: str) -> list[Placed]:
    """Set an animal and what it acts upon; later things cover earlier ones."""
    x, y = rng.uniform(50, 78), rng.uniform(62, 80)
    animal = Placed(subject, subject.things[0], x, y, min(size(rng, subject, 66, 80), 92.0))
    if verb == "wearing":
        return [animal, _worn(animal, object_)]
    if verb == "holding":
        return [animal, _held(rng, animal, object_)]
    if verb == "sitting on":
        return _seated(rng, subject, object_, x)
    if verb == "riding":
        return _astride(rng, subject, object_, x)
    y = rng.uniform(52, 84)  # chasing: both lean forward, the chaser behind
    hunter, prey = min(size(rng, subject, 46, 54), 58.0), min(size(rng, object_, 38, 46), 54.0)
    return [
        Placed(
            object_, object_.things[0], 30 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), prey, 14
        ),
        Placed(
            subject,
            subject.things[0],
            92 + rng.uniform(-3, 3),
            y + rng.uniform(-5, 5),
            hunter,
            14,
            True,
        ),
    ]


def _extent(name: str, pixels: float) -> tuple[float, float]:
    """Width and height of a thing whose longer side has so many pixels."""
    width, height = sprites.original(name).size
    scale = pixels / max(width, height)
    return width * scale, height * scale


def _worn(animal: Placed, noun: Noun) -> Placed:
    """A crown on top of the head, glasses before the eyes, a bow below them."""
    width, height = _extent(animal.noun.name, animal.pixels)
    centre, top, eyes, part = sprites.HEADS[animal.noun.name]
    x = animal.x + (centre - 0.5) * width
    top, eyes = (animal.y + (y - 0.5) * height for y in (top, eyes))
    head = part * width
    grow = SCALES.get(noun.size or "", 1.0) ** 0.5
    pixels = max(24.0, {"crown": 0.9, "glasses": 1.0, "bow": 0.85}[noun.name] * head) * grow
    tall = _extent(noun.name, pixels)[1]
    y = {"crown": top - 0.3 * tall, "glasses": eyes, "bow": eyes + 0.55 * head}[noun.name]
    return Placed(noun, noun.things[0], x, y, pixels)


def _held(rng: np.random.Generator, animal: Placed, noun: Noun) -> Placed:
    """A balloon floats at the animal's side, so does an umbrella; an apple lies in its paw."""
    side = 1 if animal.x < 64 else -1
    floats = noun.name in ("balloon", "umbrella")
    pixels = size(rng, noun, *((34, 40) if floats else (22, 27)))
    reach = _extent(animal.noun.name, animal.pixels)[0] * 0.42
    dy = (-0.38 if floats else 0.16) * animal.pixels
    return Placed(noun, noun.things[0], animal.x + side * reach, animal.y + dy, pixels)


def _seated(rng: np.random.Generator, subject: Noun, seat: Noun, x: float) -> list[Placed]:
    """The seat, and before it an animal whose lower part rests on it."""
    wide = min(size(rng, seat, 62, 72), 88.0)
    pixels = min(size(rng, subject, 42, 50), 60.0)
    below = rng.uniform(84, 90)
    depth = {"chair": 0.02, "bench": -0.02, "suitcase": -0.46, "car": -0.40}[seat.name]
    height = _extent(subject.name, pixels)[1]
    y = below + depth * _extent(seat.name, wide)[1] - 0.40 * height
    return [
        Placed(seat, seat.things[0], x, below, wide),
        Placed(subject, subject.things[0], x, max(y, 24.0), pixels),
    ]


# Where a rider sits: the mount's back, in parts of its size (x from the left, y from the top)
_BACKS = {
    "horse": (0.60, 0.42), "elephant": (0.58, 0.16), "turtle": (0.56, 0.14),
    "rabbit": (0.60, 0.30), "cat": (0.58, 0.34),
}  # fmt: skip


def _astride(rng: np.random.Generator, rider: Noun, mount: Noun, x: float) -> list[Placed]:
    """The mount, and on its back the rider, whose lower part covers it."""
    wide = min(size(rng, mount, 72, 84), 92.0)
    pixels = min(size(rng, rider, 36, 44), 50.0)
    y = rng.uniform(80, 88)
    width, height = _extent(mount.name, wide)
    back, top = _BACKS[mount.name]
    seat = y + (top - 0.5) * height
    tall = _extent(rider.name, pixels)[1]
    return [
        Placed(mount, mount.things[0], x, y, wide),
        Placed(
            rider, rider.things[0], x + (back - 0.5) * width, max(seat - 0.28 * tall, 22), pixels
        ),
    ]


def halved(placed: list[Placed], upper: bool) -> list[Placed]:
    """A scene's things drawn smaller, in the upper or the lower half."""
    part = 0.62
    return [
        replace(
            item,
            x=64 + (item.x - 64) * 0.85,
            y=(2 if upper else 62) + (item.y - 24) * part + 4,
            pixels=item.pixels * part,
        )
        for item in placed
    ]


def compared(rng: np.random.Generator, first: Noun, second: Noun, bigger: bool) -> list[Placed]:
    """Two things side by side, one at least 1.6 times as long as the other."""
    large = rng.uniform(58, 66)
    small = large / rng.uniform(1.7, 2.3)
    xs = [36 + rng.uniform(-3, 3), 98 + rng.uniform(-3, 3)]
    if rng.random() < 0.5:
        xs.reverse()
    y = rng.uniform(54, 78)
    sizes = (large, small) if bigger else (small, large)
    return [
        Placed(noun, noun.things[0], x, y + rng.uniform(-8, 8), pixels)
        for noun, x, pixels in zip((first, second), xs, sizes, strict=True)
    ]


# Where one to five things go: columns and rows
_SPOTS: dict[int, list[tuple[float, float]]] = {
    1: [(64, 64)],
    2: [(34, 64), (94, 64)],
    3: [(24, 64), (64, 64), (104, 64)],
    4: [(36, 36), (92, 36), (36, 92), (92, 92)],
    5: [(24, 36), (64, 36), (104, 36), (42, 92), (86, 92)],
}
_ROOM = {1: (54, 74), 2: (44, 56), 3: (34, 42), 4: (36, 46), 5: (32, 38)}


def spread(rng: np.random.Generator, nouns: list[Noun], alike: bool = False) -> list[Placed]:
    """One to five things, apart from each other; of one size if they are alike."""
    n = len(nouns)
    spots = [_SPOTS[n][int(i)] for i in rng.permutation(n)]
    low, high = _ROOM[n]
    drop = rng.uniform(-14, 18) if n < 4 else rng.uniform(-4, 6)
    wander = 14.0 if n < 4 else 4.0
    common = rng.uniform(low, high)
    placed = []
    for index, (noun, (x, y)) in enumerate(zip(nouns, spots, strict=True)):
        pixels = (common if alike else rng.uniform(low, high)) * SCALES.get(noun.size or "", 1.0)
        at = x + rng.uniform(-3, 3), y + drop + rng.uniform(-wander, wander)
        placed.append(Placed(noun, index, *at, min(pixels, 60.0 if n < 3 else 44.0)))
    return placed


def bunched(rng: np.random.Generator, noun: Noun) -> list[Placed]:
    """Things of a kind close together, partly over each other, each of which shows."""
    n, pixels = len(noun.things), rng.uniform(38, 46)
    x, y = rng.uniform(56, 72), rng.uniform(56, 74)
    turn = rng.uniform(0, 2 * np.pi)
    placed = []
    for index in range(n):
        angle = turn + 2 * np.pi * index / n + rng.uniform(-0.15, 0.15)
        radius = 0.62 * pixels if n > 3 else 0.52 * pixels
        at = x + radius * np.cos(angle), y + radius * np.sin(angle)
        placed.append(Placed(noun, index, float(at[0]), float(at[1]), pixels))
    return placed
