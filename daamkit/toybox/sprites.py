"""The things of the toy world: pictures with transparency, tinted, patterned and sized."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw

from daamkit import resources
from daamkit.errors import DaamkitError

ANIMALS = (
    "cat", "dog", "bird", "bear", "lion", "horse",
    "elephant", "monkey", "frog", "turtle", "rabbit", "mouse",
)  # fmt: skip
OBJECTS = (
    "backpack", "glasses", "crown", "suitcase", "chair", "balloon",
    "bow", "car", "bowl", "bench", "clock", "apple",
)  # fmt: skip
THINGS = ANIMALS + OBJECTS  # the things of world 1
# What world 2 adds: beings, things that look like others that are no kin of theirs (a coin and a
# cookie) or are kin of some that look otherwise (a flamingo and a bird), compounds, names.
BEINGS = (*ANIMALS, "tiger", "penguin", "flamingo")
MORE = (
    "tiger", "penguin", "flamingo", "banana", "tomato", "boat", "wheel", "cookie", "coin", "donut",
    "ball", "pumpkin", "mushroom", "umbrella", "snowman",
)  # fmt: skip
COMPOUNDS = (
    "teddy bear", "ice cream", "fire engine", "traffic light", "birthday cake", "alarm clock",
    "hot dog",
)  # fmt: skip
NAMES = ("Mount Fuji", "Tokyo Tower", "the Statue of Liberty", "Saturn", "Santa Claus")
EVERYTHING = THINGS + MORE + COMPOUNDS + NAMES
CATEGORIES = {  # of `taxonomy`, where WordNet has the thing in it
    "animal": BEINGS,
    "food": (
        "apple", "banana", "tomato", "cookie", "donut", "pumpkin", "mushroom", "ice cream",
        "birthday cake", "hot dog",
    ),
    "object": (
        *(name for name in OBJECTS if name != "apple"), "boat", "wheel", "ball", "umbrella",
        "snowman", "teddy bear", "fire engine", "alarm clock",
    ),
}  # fmt: skip
# Co-hyponyms: carnivores, seats, containers.
FAMILIES = (
    ("cat", "dog", "bear", "lion"),
    ("chair", "bench"),
    ("backpack", "suitcase", "bowl"),
)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 32, 38),
    "orange": (246, 136, 20),
    "yellow": (250, 216, 40),
    "green": (44, 168, 62),
    "blue": (38, 92, 224),
    "purple": (140, 56, 190),
    "pink": (250, 132, 190),
    "brown": (132, 82, 42),
    "gray": (134, 134, 138),
    "black": (38, 38, 42),
    "white": (244, 244, 246),
}
TEXTURES = ("striped", "spotted")
SIZES = ("small", "big")

# Where a head is in an animal's sprite: centre x, top y, eyes' y and width, in parts of its size.
HEADS: dict[str, tuple[float, float, float, float]] = {
    "cat": (0.17, 0.08, 0.30, 0.36),
    "dog": (0.50, 0.08, 0.43, 0.62),
    "bird": (0.38, 0.04, 0.25, 0.44),
    "bear": (0.50, 0.12, 0.48, 0.66),
    "lion": (0.50, 0.10, 0.44, 0.66),
    "horse": (0.21, 0.06, 0.20, 0.34),
    "elephant": (0.22, 0.08, 0.32, 0.46),
    "monkey": (0.30, 0.10, 0.28, 0.40),
    "frog": (0.50, 0.10, 0.30, 0.76),
    "turtle": (0.12, 0.30, 0.50, 0.32),
    "rabbit": (0.20, 0.30, 0.47, 0.38),
    "mouse": (0.20, 0.22, 0.38, 0.40),
    "tiger": (0.50, 0.10, 0.50, 0.70),
    "penguin": (0.50, 0.06, 0.20, 0.52),
    "flamingo": (0.26, 0.04, 0.10, 0.34),
}


def _check(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise DaamkitError(
            wanted=f"a {what} of the toy world", got=repr(name), mend=f"take one of {[*known]}"
        )


def file_name(name: str) -> str:
    """A thing's name as its file has it: no spaces, no article."""
    return name.removeprefix("the ").replace(" ", "_")


@cache
def original(name: str) -> Image.Image:
    """The sprite of a thing as it was drawn: RGBA, 96 pixels on its longer side.

    Raises
    ------
    DaamkitError
        If the thing is not one of `EVERYTHING`.
    """
    _check("thing", name, EVERYTHING)
    with Image.open(resources.path("sprites", f"{file_name(name)}.png")) as image:
        return image.convert("RGBA")


def likeness(a: str, b: str) -> float:
    """How alike two things look as they come: of the pixels that either covers, both centred in
    squares of their longer sides, the share that both cover in like colours.

    A pixel of colours half the scale apart, in the mean of red, green and blue, counts nothing.

    >>> round(likeness("coin", "cookie"), 2), round(likeness("flamingo", "bird"), 2)
    (0.63, 0.32)
    """
    (one, there), (other, here) = (_square(name) for name in (a, b))
    alike = np.clip(1 - 2 * np.abs(one - other).mean(-1), 0, 1)
    return float((np.minimum(there, here) * alike).sum() / np.maximum(there, here).sum())


@cache
def _square(name: str, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A sprite in the middle of a square: colours (y, x, 3) and opacity (y, x), from 0 to 1."""
    image = original(name)
    whole = Image.new("RGBA", (max(image.size),) * 2)
    whole.paste(image, ((whole.width - image.width) // 2, (whole.height - image.height) // 2))
    pixels = np.asarray(whole.resize((side, side), Image.Resampling.BOX), np.float64) / 255
    return pixels[..., :3], pixels[..., 3]


def tint(image: Image.Image, rgb: tuple[int, int, int]) -> Image.Image:
    """Give a sprite one colour; its light and shade stay.

    Parameters
    ----------
    image
        An RGBA picture.
    rgb
        The colour of middling light, 0 to 255.
    """
    pixels = np.asarray(image, np.float32)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    # no product of matrices, whose rounding is another on other processors
    light = (np.float32(0.30) * red + np.float32(0.59) * green + np.float32(0.11) * blue) / 255
    inside = light[pixels[..., 3] > 128]
    low, high = np.quantile(inside, (0.02, 0.98))
    shade = np.clip((light - low) / max(high - low, 1e-3), 0, 1)[..., None] * 0.60 + 0.60
    colour = np.array(rgb, np.float32)
    tinted = colour * np.minimum(shade, 1) + (255 - colour) * np.maximum(shade - 1, 0)
    return Image.fromarray(np.concatenate([tinted, pixels[..., 3:]], -1).round().astype(np.uint8))


def pattern(image: Image.Image, texture: str) -> Image.Image:
    """Lay stripes or spots over a sprite: dark ones on a light sprite, light ones on a dark one.

    Parameters
    ----------
    image
        An RGBA picture.
    texture
        One of `TEXTURES`.

    Raises
    ------
    DaamkitError
        If the texture is unknown.
    """
    _check("texture", texture, TEXTURES)
    width, height = image.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if texture == "striped":
        on = ((x + 0.35 * y) % 24) < 10
    else:
        row = np.floor(y / 17)
        on = ((x + (row % 2) * 8.5) % 17 - 8.5) ** 2 + (y % 17 - 8.5) ** 2 < 5.0**2
    pixels = np.asarray(image, np.float32).copy()
    inside = pixels[..., 3] > 128
    dark = pixels[inside][:, :3].mean() < 90
    ink = np.array([235, 235, 235] if dark else [40, 34, 40], np.float32)
    pixels[on, :3] = 0.30 * pixels[on, :3] + 0.70 * ink
    return Image.fromarray(pixels.round().astype(np.uint8))


@cache
def _dressed(name: str, colour: str | None, texture: str | None) -> Image.Image:
    """A thing in its colour and pattern, at full size."""
    image = original(name)
    if colour is not None:
        _check("colour", colour, COLOURS)
        image = tint(image, COLOURS[colour])
    return image if texture is None else pattern(image, texture)


@lru_cache(maxsize=16384)
def sprite(
    name: str, pixels: int, colour: str | None = None, texture: str | None = None, angle: int = 0
) -> Image.Image:
    """A thing ready to be pasted: RGBA. It is cached; copy it before drawing on it.

    Parameters
    ----------
    name
        One of `EVERYTHING`.
    pixels
        Length of the longer side before the rotation.
    colour, texture
        One of `COLOURS` and `TEXTURES`, or None for the thing as it is.
    angle
        Degrees, counter-clockwise.

    Raises
    ------
    DaamkitError
        If the thing, the colour or the texture is unknown.
    """
    image = _dressed(name, colour, texture)
    scale = pixels / max(image.size)
    size = (max(2, round(image.width * scale)), max(2, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    if angle:
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    return image


def draw_bench() -> Image.Image:
    """A bench, which the emoji set lacks, drawn at 256 pixels."""
    image = Image.new("RGBA", (1024, 1024))
    pen = ImageDraw.Draw(image)
    wood, light, iron = (150, 84, 44, 255), (190, 118, 66, 255), (84, 60, 70, 255)
    for x in (130, 834):  # legs and arms
        pen.rounded_rectangle((x, 250, x + 60, 900), 24, iron)
        pen.rounded_rectangle((x - 40, 500, x + 100, 545), 20, iron)
    for y in (270, 380):  # back
        pen.rounded_rectangle((60, y, 964, y + 86), 36, wood)
        pen.rounded_rectangle((70, y + 8, 954, y + 38), 18, light)
    pen.rounded_rectangle((30, 590, 994, 690), 40, wood)  # seat
    pen.rounded_rectangle((44, 598, 980, 636), 20, light)
    return image.resize((256, 256), Image.Resampling.LANCZOS)


def draw_bowl() -> Image.Image:
    """An empty bowl, drawn at 256 pixels."""
    image = Image.new("RGBA", (1024, 1024))
    pen = ImageDraw.Draw(image)
    pen.pieslice((60, -60, 964, 860), 0, 180, (216, 52, 78, 255))
    pen.rounded_rectangle((330, 800, 694, 900), 40, (176, 34, 66, 255))
    pen.pieslice((110, -40, 560, 800), 60, 180, (234, 92, 112, 255))
    pen.ellipse((60, 290, 964, 510), (240, 120, 134, 255))
    pen.ellipse((110, 322, 914, 488), (140, 24, 58, 255))
    return image.resize((256, 256), Image.Resampling.LANCZOS)


def draw_alarm_clock() -> Image.Image:
    """A digital alarm clock, since the emoji set's alarm clock is world 1's clock; 256 pixels."""
    image = Image.new("RGBA", (1024, 1024))
    pen = ImageDraw.Draw(image)
    for x in (190, 754):  # feet
        pen.rounded_rectangle((x, 700, x + 80, 780), 20, (40, 44, 52, 255))
    pen.rounded_rectangle((380, 230, 644, 330), 40, (206, 60, 60, 255))  # the button on top
    pen.rounded_rectangle((60, 290, 964, 730), 110, (70, 78, 92, 255))
    pen.rounded_rectangle((84, 304, 940, 420), 90, (104, 114, 130, 255))
    pen.rounded_rectangle((140, 380, 884, 650), 50, (18, 26, 24, 255))
    lit, sides = (96, 250, 140, 255), {"7": "top right_up right_down"}
    sides["3"] = "top middle bottom right_up right_down"
    sides["0"] = "top bottom right_up right_down left_up left_down"
    for x, digit in ((210, "7"), (490, "3"), (690, "0")):
        at = {
            "top": (x, 410, x + 120, 436), "middle": (x, 500, x + 120, 526),
            "bottom": (x, 594, x + 120, 620), "left_up": (x, 410, x + 26, 520),
            "left_down": (x, 510, x + 26, 620), "right_up": (x + 94, 410, x + 120, 520),
            "right_down": (x + 94, 510, x + 120, 620),
        }  # fmt: skip
        for side in sides[digit].split():
            pen.rectangle(at[side], lit)
    for y in (470, 560):
        pen.rectangle((392, y, 424, y + 32), lit)
    return image.resize((256, 256), Image.Resampling.LANCZOS)
