"""Curves of deletion and insertion: what knows where a word works has all of it early."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.measures.faithfulness import SHARES, area, effects, highest, parts

MAPS = arrays.arrays(
    np.float64, st.tuples(st.integers(3, 9), st.integers(3, 9)), elements=st.floats(-5, 5)
)


@given(MAPS, st.floats(0, 1))
def test_the_highest_are_as_many_as_asked_and_none_outside_is_higher(values, share):
    found = highest(values, share)
    assert found.sum() == round(share * values.size)
    assert not found.any() or found.all() or values[found].min() >= values[~found].max()


def test_parts_are_within_and_without():
    values = np.arange(100.0).reshape(10, 10)
    found = parts(values, (0.1, 0.5))
    assert found.sum((1, 2)).tolist() == [10, 50, 90, 50]
    assert found[0, 9].all() and found[1, 5:].all()  # the last rows are the highest
    assert (found[2] == ~found[0]).all() and (found[3] == ~found[1]).all()


def pictures(work: np.ndarray, where: np.ndarray) -> tuple:
    """A picture of nothing, one in which a word's work is undone, and with it undone in parts."""
    work = work[..., None].repeat(3, -1)
    return np.zeros_like(work), work, np.stack([work * part[..., None] for part in where])


@pytest.mark.parametrize("tall", [False, True])
def test_who_knows_has_all_of_it_early_who_is_wrong_late_who_knows_nothing_a_half(tall):
    work = np.zeros((20, 20))
    work[(slice(3, 7), slice(10, 15)) if tall else (slice(10, 15), slice(3, 7))] = 1.0  # a 20th
    found = {}
    chance = np.random.default_rng(0).random(work.shape)
    for name, values in {"knows": work, "wrong": -work, "nothing": chance}.items():
        deletion, insertion = effects(*pictures(work, parts(values)))
        assert deletion == pytest.approx(insertion)  # where nothing spreads, they are one
        found[name] = area(deletion)
        if name == "knows":
            assert deletion.tolist() == [1.0] * len(SHARES)
    assert found["knows"] > 0.95 and found["wrong"] < 0.2
    assert found["nothing"] == pytest.approx(0.5, abs=0.1)


def test_deletion_and_insertion_are_told_apart():
    """What spreads is undone everywhere by a silence anywhere: nothing is left alone."""
    plain, silenced = np.zeros((4, 4, 3)), np.ones((4, 4, 3))
    spread = np.ones((2 * len(SHARES), 4, 4, 3))
    deletion, insertion = effects(plain, silenced, spread)
    assert (deletion == 1).all() and (insertion == 0).all()
    assert area(deletion) > 0.9 and area(insertion) < 0.2


def test_a_word_that_does_nothing_has_no_curve():
    plain = np.ones((2, 2, 3))
    assert all(np.isnan(each).all() for each in effects(plain, plain, np.ones((12, 2, 2, 3))))
