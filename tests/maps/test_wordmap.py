"""Thresholds, areas, centres and overlaps of one map."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import overlap

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
    assert a.soft_iou(b) == pytest.approx(b.soft_iou(a), abs=1e-6)
    assert -1e-6 <= a.soft_iou(b) <= 1 + 1e-6 and -1e-6 <= a.soft_ioa(b) <= 1 + 1e-6
    assert a.soft_iou(b) <= a.soft_ioa(b) + 1e-5


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
        square().soft_iou(word_map(np.zeros((4, 4), np.float32)))


def test_what_is_not_finite_is_not_answered():
    """NaN is larger than nothing and smaller than nothing: each answer would be a wrong one."""
    for wrong in (np.nan, np.inf, -np.inf):
        values = np.ones((4, 4), np.float32)
        values[1, 2] = wrong
        broken, whole = word_map(values), word_map(np.ones((4, 4), np.float32))
        asked = (
            broken.peak, broken.centre, broken.area, broken.expand, broken.mask,
            lambda b=broken: b.expand(8), lambda b=broken: b.mask("minmax"),
            lambda b=broken: b.expand(absolute=True),
            *(lambda m=m, b=broken, w=whole: getattr(w, m)(b) for m in OVERLAPS),
            *(lambda m=m, b=broken, w=whole: getattr(b, m)(w) for m in OVERLAPS),
        )  # fmt: skip
        for ask in asked:
            with pytest.raises(DaamkitError, match=r"finite map of 'cat'"):
                ask()


OVERLAPS = ("iou", "ioa", "soft_iou", "soft_ioa")


@given(maps, st.floats(0, 1), st.sampled_from(("max", "minmax", "quantile", "otsu")))
def test_overlap_is_of_masks(values, threshold, rule):
    a, b = word_map(values), word_map(values[::-1].copy())
    one, other = a.mask(threshold, rule), b.mask(threshold, rule)
    assert a.iou(b, threshold, rule) == overlap.iou(one, other) == b.iou(a, threshold, rule)
    assert a.ioa(b, threshold, rule) == overlap.ioa(one, other)
    assert a.iou(a, threshold, rule) == float(one.any())


def test_another_words_map_is_wanted():
    for name in OVERLAPS:
        for wrong in ("car", np.eye(4), None):
            with pytest.raises(DaamkitError, match="another word's map; got"):
                inspect.unwrap(getattr(WordMap, name))(square(), wrong)


def test_a_map_with_itself():
    assert square().iou(square()) == square().ioa(square()) == 1.0
    assert square().soft_iou(word_map(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))) < 0.5
    ramp = word_map(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    assert ramp.iou(ramp) == 1.0 and ramp.soft_iou(ramp) == pytest.approx(0.508, abs=0.01)


def test_masks_of_maps_of_two_grids_are_compared_on_the_image():
    coarse = word_map(np.eye(4, dtype=np.float32), (64, 32))
    assert 0 < square().iou(coarse) < 1
    with pytest.raises(DaamkitError, match=r"one size; got \(64, 32\) and \(12, 20\)"):
        square().iou(word_map(np.eye(4, dtype=np.float32)))


def test_a_rule_alone_and_a_side_alone():
    found = square()
    assert np.array_equal(found.mask("otsu"), found.mask(rule="otsu"))
    assert found.area("minmax") == found.area(0.4, "minmax")
    assert torch.equal(found.expand(16), found.expand((16, 16)))
    assert torch.equal(found.expand(np.int64(16)), found.expand(16))
    assert torch.equal(found.expand(Image.new("RGB", (24, 16))), found.expand((16, 24)))
    for size in (0, -4, 0.5, "16", (8,), (8, 0), (8, 8, 8)):
        with pytest.raises(DaamkitError, match="a size"):
            inspect.unwrap(WordMap.expand)(found, size)
    for threshold in (None, [0.4], "mean"):
        with pytest.raises(DaamkitError):
            inspect.unwrap(WordMap.mask)(found, threshold)
