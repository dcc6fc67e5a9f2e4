"""The colours of every view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import ImageColor

HEAT = "cividis"  # one map; even to the eye, also without colour vision
GLOW = "viridis"  # one map over an image that keeps its colours, the more opaque the higher
DIFFERENCE = "RdBu_r"  # white is no difference, red more, blue less: centre it at 0
HEAD, DEPENDENT = "#0072b2", "#e69f00"  # of a relation


def colours(
    values: Float[np.ndarray, "*shape"], palette: str = HEAT
) -> UInt8[np.ndarray, "*shape 3"]:
    """Numbers from 0 to 1 as RGB."""
    return np.asarray(colormaps[palette](np.clip(values, 0, 1), bytes=True))[..., :3]


def distinct(n: int) -> list[tuple[int, int, int]]:
    """Colours that are told apart, also laid over grey and also without one of the eye's cones, and
    bear white text; after five they come again."""
    known = ["#0072b2", "#b84a00", "#006c48", "#9c0060", "#a80018"]
    return [ImageColor.getrgb(known[i % len(known)])[:3] for i in range(n)]


def laid(colour: bool, cmap: str | None, opacity: float | None) -> tuple[str, float]:
    """Colours and opacity of a map over an image in grey or in its own colours; None: as usual."""
    return cmap or (GLOW if colour else HEAT), (
        0.9 if colour else 0.65
    ) if opacity is None else opacity
