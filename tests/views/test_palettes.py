"""Hues of words are told apart as they are shown: over grey, and without one of the cones."""

import itertools

import numpy as np
import pytest

from daamkit.views import palettes

SEEN = {  # linear RGB (Machado et al. 2009, doi 10.1109/TVCG.2009.113, severity 1.0)
    "all cones": np.eye(3),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
}  # fmt: skip
XYZ = np.array([  # of linear sRGB (IEC 61966-2-1)
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
HUE, GREY = 0.7, 128  # how much of a word's hue lies over which grey, as the inspector paints


def linear(colour: np.ndarray) -> np.ndarray:
    share = np.asarray(colour, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB, white at (1, 1, 1)."""
    x, y, z = np.cbrt(XYZ @ light / XYZ.sum(1))  # none is nearly black
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SEEN)
def test_hues_over_grey_differ_from_each_other_and_from_grey(eye) -> None:
    hues = np.array(palettes.distinct(5), float)
    mixed = [*(HUE * hues + (1 - HUE) * GREY), np.full(3, float(GREY))]
    seen = [lab(np.clip(SEEN[eye] @ linear(each), 0, 1)) for each in mixed]
    apart = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(apart) > 12  # CIE76; a difference of about 2.3 is just seen


def test_hues_bear_white_text() -> None:
    """Contrast of 4.5, as WCAG 2 asks for."""
    for hue in palettes.distinct(5):
        assert 1.05 / (XYZ[1] @ linear(np.array(hue)) + 0.05) > 4.5
