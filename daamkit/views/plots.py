"""Pictures of heat maps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from daamkit.maps.wordmap import WordMap
from daamkit.views import palettes


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
        heat[_outline(word.mask(threshold))] = 255
    return Image.fromarray(heat.round().astype(np.uint8))


def _outline(mask: np.ndarray) -> np.ndarray:
    """The mask's pixels that touch the outside, one pixel wide; two on large images."""
    inner = mask
    for _ in range(max(1, min(mask.shape) // 256)):
        padded = np.pad(inner, 1, constant_values=True)
        inner = (
            padded[1:-1, 1:-1]
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    return mask & ~inner
