"""Pictures of heat maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from daamkit.maps.wordmap import WordMap
from daamkit.views import palettes
from daamkit.views.outline import outline


def overlay(
    image: Image.Image | None,
    word: WordMap,
    *,
    opacity: float = 0.65,
    threshold: float | None = None,
) -> Image.Image:
    """A word's map over the image: dark blue for its lowest value, yellow for its highest.

    Parameters
    ----------
    image
        The image, shown in grey beneath; None shows the map alone.
    word
        Its map.
    opacity
        Of the map.
    threshold
        Draw the outline of the mask at this share of the maximum.
    """
    heat = palettes.colours(word.expand().cpu().numpy()).astype(np.float32)
    if image is not None:
        grey = np.asarray(image.convert("L").resize(word.size[::-1]), np.float32)[..., None]
        heat = opacity * heat + (1 - opacity) * grey
    if threshold is not None:
        heat[outline(word.mask(threshold))] = 255
    return Image.fromarray(heat.round().astype(np.uint8))


def instances(image: Image.Image, frame: pd.DataFrame, scale: int = 2) -> Image.Image:
    """An image with the outline, colour and name of each thing in it.

    Parameters
    ----------
    image
        The image.
    frame
        A row an instance: ``kind`` ("thing" rows are drawn), ``name``, ``colour`` ("own" is not
        written), ``left``, ``bottom`` (pixels) and ``mask`` ((height, width) bool), as
        `toybox.oracle.read` returns them.
    scale
        How many times larger to draw it.
    """
    things = frame[frame["kind"] == "thing"]
    size = (image.width * scale, image.height * scale)
    pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    tints = palettes.distinct(len(things))
    for mask, tint in zip(things["mask"], tints, strict=True):
        large = np.kron(mask, np.ones((scale, scale), bool))
        line = outline(large)
        pixels[line | (outline(large & ~line))] = tint
    page = Image.fromarray(pixels)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(7 * scale)
    for row, tint in zip(things.itertuples(), tints, strict=True):
        text = row.name if row.colour == "own" else f"{row.colour} {row.name}"
        width, height = pen.textlength(text, font) + 4, 9 * scale
        x = min(max(row.left * scale, 0), page.width - width)
        y = min(row.bottom * scale + 2, page.height - height)
        pen.rectangle((x, y, x + width, y + height), tint)
        pen.text((x + 2, y), text, "white", font)
    return page
