"""Overlaps: known values on hand-drawn masks, and what must hold of all."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.errors import DaamkitError
from daamkit.maps.overlap import _both, ioa, iou

masks = arrays.arrays(bool, (5, 6))
maps = arrays.arrays(np.float64, (5, 6), elements=st.floats(0, 1))


def test_a_collar_on_a_dog() -> None:
    dog, collar = np.zeros((2, 8, 10), bool)
    dog[2:8, 2:8] = True  # 36 pixels
    collar[1:4, 3:7] = True  # 12 pixels, 8 of them on the dog
    assert iou(collar, dog) == pytest.approx(8 / 40)
    assert ioa(collar, dog) == pytest.approx(8 / 12)  # over the dependent: IoD
    assert ioa(dog, collar) == pytest.approx(8 / 36)  # over the head: IoH


def test_soft_maps() -> None:
    a, b = np.full((2, 2), 0.5), np.array([[1.0, 1.0], [0.0, 0.0]])
    assert iou(a, b) == pytest.approx(1 / (2 + 2 - 1))
    assert ioa(a, b) == pytest.approx(1 / 2)


def test_stacks_are_compared_one_by_one() -> None:
    a = np.zeros((2, 3, 3), bool)
    b = a.copy()
    a[0], b[0, 0] = True, True
    assert iou(a, b).tolist() == [pytest.approx(1 / 3), 0.0]
    assert ioa(a, b).tolist() == [pytest.approx(1 / 3), 0.0]


@settings(max_examples=60)
@given(masks, masks)
def test_of_masks(a: np.ndarray, b: np.ndarray) -> None:
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= min(ioa(a, b), ioa(b, a)) <= 1 or not a.any() or not b.any()
    assert iou(a, a) == float(a.any()) == ioa(a, a)
    assert iou(a, b) == pytest.approx(iou(a.astype(float), b.astype(float)))


@settings(max_examples=60)
@given(maps, maps, maps)
def test_of_maps(a: np.ndarray, b: np.ndarray, more: np.ndarray) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert -1e-9 <= iou(a, b) <= 1 + 1e-9 and -1e-9 <= ioa(a, b) <= 1 + 1e-9
    assert ioa(a, np.maximum(b, more)) >= ioa(a, b) - 1e-9  # a larger other covers more


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = np.full((4, 4), 0.5), np.ones((4, 4), bool)
    for wrong in (np.nan, np.inf, 1.5, -0.5):
        spoiled = a.copy()
        spoiled[1, 2] = wrong
        for one, other in ((spoiled, b), (b, spoiled), (spoiled, a)):
            with pytest.raises(DaamkitError, match="from 0 to 1"):
                iou(one, other)
            with pytest.raises(DaamkitError, match="from 0 to 1"):
                ioa(one, other)
    with pytest.raises(DaamkitError, match="one size"):
        inspect.unwrap(_both)(b, np.ones((1, 4), bool), True)  # NumPy would stretch it
