"""What the inspector shows as an SVG: pictures as they are, text as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from daamkit.views import palettes
from daamkit.views.png import data_uri

GAP, TALL = 8, 256


def svg(
    pictures: Sequence[tuple[str, np.ndarray]], caption: Sequence[tuple[str, int | None]]
) -> str:
    """Pictures by name beside each other under a line of words.

    Parameters
    ----------
    pictures
        Name and (height, width, 3) uint8 of each.
    caption
        Words, each with the place of its hue, or None for black.
    """
    named = sum(len(word) + 2 for word, _ in caption) * 8  # about as wide as it is written
    scale = TALL / max(picture.shape[0] for _, picture in pictures)
    hues = palettes.distinct(5)
    words = "".join(
        f'<tspan fill="{"black" if hue is None else "rgb({} {} {})".format(*hues[hue % 5])}">'
        f"{escape(word)}  </tspan>"
        for word, hue in caption
    )
    parts, x = [], 0.0
    for name, picture in pictures:
        height, width = (side * scale for side in picture.shape[:2])
        uri = data_uri(Image.fromarray(picture))
        parts.append(
            f'<image href="{uri}" x="{x:g}" y="22" width="{width:g}" height="{height:g}"/>'
        )
        parts.append(f'<text x="{x:g}" y="{38 + height:g}" font-size="12">{escape(name)}</text>')
        x += width + GAP
    wide = max(x - GAP, named)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} 300" '
        f'width="{wide:g}" height="300" font-family="sans-serif">'
        f'<text y="14" font-size="13" font-weight="bold">{words}</text>{"".join(parts)}</svg>\n'
    )
