"""Spectra of patches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daamkit.errors import DaamkitError
from daamkit.measures import frequency

GREY = st.floats(0, 255)


def wave(side: int, u: int, v: int, height: float = 60.0) -> np.ndarray:
    """A picture of v cycles downwards and u to the right every `side` pixels."""
    y, x = np.mgrid[: 2 * side, : 3 * side]
    return 128 + height * np.cos(2 * np.pi * (v * y + u * x) / side + 0.3)


def test_patches_lie_as_the_cells_do() -> None:
    picture = np.arange(6 * 8 * 3, dtype=float).reshape(6, 8, 3)
    cut = frequency.patches(picture, (3, 2))
    assert cut.shape == (6, 3, 2, 4)
    for cell in range(6):
        y, x = divmod(cell, 2)
        part = picture[2 * y : 2 * y + 2, 4 * x : 4 * x + 4]
        np.testing.assert_array_equal(cut[cell], part.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("picture", "grid"),
    [(np.zeros(16), (2, 2)), (np.zeros((9, 8)), (4, 4)), (np.zeros((8, 8)), (8, 4))],
)
def test_what_cannot_be_cut(picture, grid) -> None:
    with pytest.raises(DaamkitError, match="whole pixels, two or more"):
        frequency.patches(picture, grid)


@given(hnp.arrays(np.float64, (6, 8, 2), elements=GREY))
def test_squares_add_up_to_those_of_the_pixels(picture: np.ndarray) -> None:
    cut = frequency.patches(picture, (3, 2))
    found = (frequency.magnitudes(cut) ** 2).sum((-2, -1))
    np.testing.assert_allclose(found, (cut**2).sum((-2, -1)), rtol=1e-9, atol=1e-9)


@given(hnp.arrays(np.float64, (8, 8), elements=GREY), st.floats(0.01, 100))
def test_magnitudes_scale_with_the_picture(picture: np.ndarray, by: float) -> None:
    cut = frequency.patches(picture, (2, 2))
    once, scaled = frequency.magnitudes(cut), frequency.magnitudes(by * cut)
    np.testing.assert_allclose(scaled, by * once, rtol=1e-9, atol=1e-9)
    assert (frequency.profiles(cut * max(by, 1)) >= frequency.profiles(cut) - 1e-9).all()


@settings(max_examples=30)
@given(st.integers(-4, 4), st.integers(-4, 4), st.sampled_from([8, 16]))
def test_a_waves_energy_lies_at_its_frequency(u: int, v: int, side: int) -> None:
    cut = frequency.patches(wave(side, u, v) - 128, (2, 3))
    energy = (frequency.magnitudes(cut) ** 2)[:, 0]
    ring = np.rint(np.hypot(u, v))
    at_it = energy[:, frequency.rings(side, side) == ring].sum(1)
    np.testing.assert_allclose(at_it, energy.sum((1, 2)), rtol=1e-6)
    if ring <= side / 2:
        profile = frequency.profiles(cut)
        assert (profile.argmax(1) == ring).all()
        assert frequency.frequencies(side, side)[int(ring)] == ring / side


def test_rings_and_frequencies_of_an_oblong_patch() -> None:
    np.testing.assert_array_equal(frequency.rings(2, 4), [[0, 0, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(frequency.frequencies(2, 4), [0, 0.5])
    np.testing.assert_allclose(frequency.frequencies(8, 8), np.arange(5) / 8)
    np.testing.assert_allclose(frequency.frequencies(5, 7), [0, 0.2, 0.4])


@pytest.mark.parametrize("grid", [(8, 8), (16, 16), (32, 32)])
def test_white_noise_is_flat_whatever_the_patch(grid: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).normal(0, 50, (512, 512))
    cut = frequency.patches(picture, grid)
    energy = (frequency.magnitudes(cut) ** 2).mean((0, 1))
    assert energy.mean() == pytest.approx(50**2, rel=0.01)
    ring = frequency.rings(*cut.shape[-2:])
    each = [energy[ring == i].mean() for i in range(1, ring.max() + 1)]
    np.testing.assert_allclose(each, 50**2, rtol=0.25)
    profile = frequency.profiles(cut).mean(0)[1:]
    assert np.ptp(profile) < 0.15


def test_an_even_picture_has_nothing_but_its_mean() -> None:
    profile = frequency.profiles(frequency.patches(np.full((8, 8), 100.0), (2, 2)))
    np.testing.assert_allclose(profile[:, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(profile[:, 0], np.log1p(100 * 4))  # sqrt(16) pixels


# -- above the threshold


def test_patches_above_the_threshold_are_compared_with_all() -> None:
    picture = np.full((16, 32), 100.0)
    picture[:8, 8:16] = wave(8, 2, 0)[:8, :8]
    scores = np.array([[0.9, 3.0, 0.5, 0.6], [0.5, 1.0, 0.5, 1.0]])
    found = frequency.contrast(picture, scores, psi=1.0)
    of_each = frequency.profiles(frequency.patches(picture, (2, 4)))
    np.testing.assert_array_equal(found.frequency, np.arange(5) / 8)
    np.testing.assert_allclose(found.above, of_each[1])  # 1 itself is not above
    np.testing.assert_allclose(found.everywhere, of_each.mean(0))
    assert (found.above - found.everywhere).argmax() == 2  # the wave's two cycles


def test_nothing_above_and_everything_above() -> None:
    rng = np.random.default_rng(1)
    picture, scores = rng.uniform(0, 255, (16, 16, 3)), rng.uniform(0, 2, (4, 4))
    assert np.isnan(frequency.contrast(picture, scores, psi=2.0).above).all()
    every = frequency.contrast(picture, scores, psi=-1.0)
    np.testing.assert_array_equal(every.above, every.everywhere)


def test_a_picture_of_pillow_is_read_in_grey_levels() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)
    a = frequency.contrast(pixels, np.ones((2, 2)), 0.5)
    b = frequency.contrast(pixels.astype(float), np.ones((2, 2)), 0.5)
    np.testing.assert_array_equal(a.everywhere, b.everywhere)
    channels = [frequency.contrast(pixels[..., c], np.ones((2, 2)), 0.5) for c in range(3)]
    np.testing.assert_allclose(a.above, np.mean([c.above for c in channels], axis=0))
