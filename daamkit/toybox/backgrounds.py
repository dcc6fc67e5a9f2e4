"""What lies behind the things: plain colours, two tones, and the places."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from daamkit.errors import DaamkitError

# place: colours of the upper and the lower part
_TONES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "grass": ((168, 212, 244), (104, 182, 78)),
    "beach": ((150, 212, 248), (238, 216, 160)),
    "snow": ((190, 206, 232), (242, 246, 252)),
    "desert": ((252, 214, 158), (216, 152, 82)),
    "city": ((196, 214, 230), (120, 122, 128)),
    "night": ((22, 26, 66), (44, 44, 62)),
}


def draw(
    rng: np.random.Generator, place: str | None, side: int
) -> tuple[Image.Image, Bool[np.ndarray, "side side"]]:
    """Draw a background.

    Parameters
    ----------
    rng
        Where the variation comes from.
    place
        One of `captions.PLACES`, or None for a plain or two-toned wall.
    side
        Width and height in pixels.

    Returns
    -------
    image
        RGB, side x side.
    ground
        (side, side) bool: what the place's noun names. The lower part for grass, beach, snow and
        desert, the houses and the street for a city, everything for the night, nothing for None.

    Raises
    ------
    DaamkitError
        If the place is unknown.
    """
    if place is None:
        return _wall(rng, side), np.zeros((side, side), bool)
    if place not in _TONES:
        raise DaamkitError(
            wanted="a place of the toy world", got=repr(place), mend=f"take one of {[*_TONES]}"
        )
    upper, lower = (np.array(tone) + rng.uniform(-7, 7) for tone in _TONES[place])
    horizon = side * rng.uniform(0.42, 0.6)
    wave = 0.0 if place in ("city", "beach", "night") else rng.uniform(1, 4)
    line = horizon + wave * np.sin(np.arange(side) / side * 6.3 + rng.uniform(0, 6.3))
    ground = np.arange(side)[:, None] >= line[None]
    image = _image(np.where(ground[..., None], lower, upper))
    pen = ImageDraw.Draw(image)
    if place == "beach":  # the sea between sky and sand
        pen.rectangle((0, round(horizon) - 9, side, round(horizon) - 1), (70, 150, 210))
    elif place == "night":
        ground[:] = True
        for x, y in rng.uniform((0, 0), (side, horizon - 4), (14, 2)):
            pen.ellipse((x, y, x + 1.5, y + 1.5), (236, 232, 190))
    elif place == "city":
        for left, top, right, bottom in _houses(rng, pen, horizon, side):
            ground[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
    return image, ground


def speed_lines(rng: np.random.Generator, image: Image.Image, x: int, y: int) -> None:
    """Draw three strokes on the image, behind a runner whose centre is at (x, y)."""
    pen = ImageDraw.Draw(image)
    for dy in (-10, 2, 13):
        start = x + 14 + int(rng.integers(-2, 3))
        pen.line((start, y + dy, min(start + 26, image.width - 2), y + dy), (150, 150, 156), 2)


def board(
    rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Draw a board in front of the lower half of a box; returns its left, top, right and bottom
    (the last two exclusive)."""
    left, top, right, bottom = box
    edge = round(top + (bottom - top) * rng.uniform(0.46, 0.56))
    place = (max(left - 3, 0), edge, min(right + 3, image.width), min(bottom + 2, image.height))
    tone = np.array((176, 150, 118)) + rng.uniform(-14, 14)
    pen = ImageDraw.Draw(image)
    inside = (place[0], place[1], place[2] - 1, place[3] - 1)
    pen.rectangle(inside, tuple(int(value) for value in tone))
    for y in range(edge, place[3], 9):  # planks
        pen.line((place[0], y, place[2] - 1, y), tuple(int(value) for value in tone * 0.8))
    return place


def _wall(rng: np.random.Generator, side: int) -> Image.Image:
    """One light tone, or now and then two: a wall and a floor."""
    colour = rng.uniform(205, 246) + rng.uniform(-10, 10, 3)
    pixels = np.broadcast_to(colour, (side, side, 3)).copy()
    if rng.random() < 0.3:
        pixels[round(side * rng.uniform(0.5, 0.7)) :] -= rng.uniform(12, 30)
    return _image(pixels)


def _houses(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, horizon: float, side: int
) -> list[tuple[int, int, int, int]]:
    """Draw a row of houses; returns each one's left, top, right and bottom pixel, all within it."""
    houses = []
    foot = round(horizon)
    x = -int(rng.integers(0, 12))
    while x < side:
        wide, tall = int(rng.integers(15, 26)), int(rng.integers(16, round(horizon * 0.75)))
        house = (x, foot - tall, min(x + wide - 2, side - 1), foot)
        shade = int(rng.integers(112, 158))
        pen.rectangle(house, (shade, shade - 4, shade + 10))
        for left in range(x + 3, x + wide - 5, 6):
            for top in range(house[1] + 4, house[3] - 4, 8):
                pen.rectangle((left, top, left + 2, top + 3), (244, 226, 150))
        houses.append(house)
        x += wide
    return houses


def _image(pixels: NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
