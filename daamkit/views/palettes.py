"""The colours of every view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps

HEAT = "cividis"  # one map; even to the eye, also without colour vision


def colours(
    values: Float[np.ndarray, "*shape"], palette: str = HEAT
) -> UInt8[np.ndarray, "*shape 3"]:
    """Numbers from 0 to 1 as RGB."""
    return np.asarray(colormaps[palette](np.clip(values, 0, 1), bytes=True))[..., :3]
