"""Thresholds, areas, centres and overlaps of one map."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word

WORD = Word("cat", 0, 3, (1,))
RULES = ("max", "minmax", "quantile")
maps = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(0, 8, width=32),
)


def word_map(values: np.ndarray, size: tuple[int, int] = (12, 20)) -> WordMap:
    return WordMap(torch.from_numpy(values), WORD, size)


def square() -> WordMap:
    """A bright square, rows 2 to 3 and columns 1 to 2 of 8 x 8, on an image of 64 x 32."""
    values = np.zeros((8, 8), np.float32)
    values[2:4, 1:3] = 1
    return word_map(values, (64, 32))


@given(maps, st.floats(0, 1), st.floats(0, 1), st.sampled_from(RULES))
def test_a_higher_threshold_keeps_less(values, one, other, rule):
    low, high = sorted((one, other))
    found = word_map(values)
    assert found.mask(low, rule).shape == (12, 20)
    assert (found.mask(high, rule) <= found.mask(low, rule)).all()


@given(maps, st.floats(0.25, 4))
def test_the_scale_of_a_map_does_not_matter(values, factor):
    values = np.round(values, 2)
    a, b = word_map(values), word_map(values * np.float32(2.0 ** round(factor)))
    assert np.array_equal(a.mask(0.4), b.mask(0.4))
    assert np.array_equal(a.mask(0.5, "otsu"), b.mask(0.5, "otsu"))


@given(maps)
def test_overlap_with_itself_and_order(values):
    a, b = word_map(values), word_map(values[::-1].copy())
    assert a.iou(b) == pytest.approx(b.iou(a), abs=1e-6)
    assert -1e-6 <= a.iou(b) <= 1 + 1e-6 and -1e-6 <= a.ioa(b) <= 1 + 1e-6
    assert a.iou(b) <= a.ioa(b) + 1e-5


def test_the_rules_on_a_square():
    found = square()
    mask = found.mask(0.5)
    assert mask[18:30, 5:11].all() and mask.sum() < 1.3 * 16 * 8
    assert found.area(0.5) == mask.mean()
    assert np.array_equal(found.mask(0.5, "absolute"), found.expand(absolute=True).numpy() >= 0.5)
    expanded = found.expand(absolute=True)
    scaled = (expanded - expanded.min()) / (expanded.max() - expanded.min() + 1e-8)
    assert np.array_equal(found.mask(0.5, "minmax"), scaled.numpy() > 0.5)
    otsu = found.mask(rule="otsu")
    assert otsu[18:30, 5:11].all() and not otsu[40:].any()


def test_a_quantile_is_a_share_of_the_pixels():
    values = np.random.default_rng(0).random((12, 20), np.float32)
    assert word_map(values).mask(0.75, "quantile").mean() == pytest.approx(0.25, abs=0.01)


def test_centre_and_peak_are_in_pixels_of_the_image():
    found = square()
    assert found.centre() == pytest.approx((24.0, 8.0))
    y, x = found.peak()
    assert 16 <= y < 32 and 4 <= x < 12


def test_an_empty_map_has_an_empty_mask():
    found = word_map(np.zeros((4, 4), np.float32))
    for rule in ("max", "minmax", "absolute", "quantile", "otsu"):
        assert not found.mask(0.4, rule).any()


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan"), 40])
def test_a_threshold_outside_0_to_1(threshold):
    with pytest.raises(DaamkitError, match=r"threshold in \[0, 1\]; got"):
        square().mask(threshold)
    square().mask(1e9, rule="absolute")


def test_an_unknown_rule():
    with pytest.raises(DaamkitError, match=r"rules max, minmax.*got 'mean'"):
        inspect.unwrap(WordMap.mask)(square(), 0.4, "mean")  # without the tests' type checker


def test_a_map_that_has_overflowed():
    values = np.ones((4, 4), np.float32)
    values[0, 0] = np.nan
    with pytest.raises(DaamkitError, match=r"finite map of 'cat'.*float32"):
        word_map(values).mask()


def test_maps_of_different_sizes():
    with pytest.raises(DaamkitError, match=r"one size; got \(8, 8\) and \(4, 4\)"):
        square().iou(word_map(np.zeros((4, 4), np.float32)))
