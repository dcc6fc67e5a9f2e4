"""Where the things of a scene go: side by side, above each other, worn, held, sat upon, chased."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daamkit.toybox import sprites
from daamkit.toybox.captions import Noun

SCALES = {"small": 0.6, "big": 1.45}


@dataclass
class Placed:
    """A thing on its way to the canvas: where its centre goes and how long its longer side is."""

    noun: Noun
    thing: int  # its index in the scene
    x: float
    y: float
    pixels: float
    angle: int = 0


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
    animal = Placed(subject, 0, x, y, min(size(rng, subject, 66, 80), 92.0))
    if verb == "wearing":
        return [animal, _worn(animal, object_)]
    if verb == "holding":
        return [animal, _held(rng, animal, object_)]
    if verb == "sitting on":
        return _seated(rng, subject, object_, x)
    y = rng.uniform(52, 84)  # chasing: both lean forward, the chaser behind
    hunter, prey = min(size(rng, subject, 46, 54), 58.0), min(size(rng, object_, 38, 46), 54.0)
    return [
        Placed(object_, 1, 30 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), prey, 14),
        Placed(subject, 0, 92 + rng.uniform(-3, 3), y + rng.uniform(-5, 5), hunter, 14),
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
    return Placed(noun, 1, x, y, pixels)


def _held(rng: np.random.Generator, animal: Placed, noun: Noun) -> Placed:
    """A balloon floats at the animal's side, an apple lies in its paw."""
    side = 1 if animal.x < 64 else -1
    floats = noun.name == "balloon"
    pixels = size(rng, noun, *((34, 40) if floats else (22, 27)))
    reach = _extent(animal.noun.name, animal.pixels)[0] * 0.42
    dy = (-0.38 if floats else 0.16) * animal.pixels
    return Placed(noun, 1, animal.x + side * reach, animal.y + dy, pixels)


def _seated(rng: np.random.Generator, subject: Noun, seat: Noun, x: float) -> list[Placed]:
    """The seat, and before it an animal whose lower part rests on it."""
    wide = min(size(rng, seat, 62, 72), 88.0)
    pixels = min(size(rng, subject, 42, 50), 60.0)
    below = rng.uniform(84, 90)
    depth = {"chair": 0.02, "bench": -0.02, "suitcase": -0.46, "car": -0.40}[seat.name]
    height = _extent(subject.name, pixels)[1]
    y = below + depth * _extent(seat.name, wide)[1] - 0.40 * height
    return [Placed(seat, 1, x, below, wide), Placed(subject, 0, x, max(y, 24.0), pixels)]
