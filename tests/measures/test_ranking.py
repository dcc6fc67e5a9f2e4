"""Average precision and its kin: by hand, and whatever the values' scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daamkit.measures import ranking


def by_hand(values, mask):
    """Precision at each threshold, times the recall won there."""
    total, before = 0.0, 0.0
    for cut in np.unique(values)[::-1]:
        chosen = values >= cut
        recall = (chosen & mask).sum() / mask.sum()
        total += (recall - before) * (chosen & mask).sum() / chosen.sum()
        before = recall
    return total


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_average_precision_is_that_of_every_threshold(seed, levels):
    rng = np.random.default_rng(seed)
    values, mask = rng.integers(0, levels, (4, 5)) / levels, rng.random((4, 5)) < 0.4
    found = ranking.average_precision(values, mask)
    if not mask.any():
        assert np.isnan(found)
        return
    assert found == pytest.approx(by_hand(values, mask))
    assert ranking.average_precision(np.exp(3 * values), mask) == pytest.approx(found)


def test_what_knows_all_and_what_knows_nothing():
    mask = np.zeros((4, 5), bool)
    mask[1, 2:4] = True
    assert ranking.average_precision(mask.astype(float), mask) == 1
    assert ranking.average_precision(np.ones((4, 5)), mask) == pytest.approx(mask.mean())
    assert ranking.average_precision(-mask.astype(float), mask) == pytest.approx(0.1)


def test_the_change_within_as_many_pixels():
    change = np.arange(6.0).reshape(2, 3)
    assert ranking.within(change, change, 2) == pytest.approx(9 / 15)
    assert ranking.within(change, -change, 2) == pytest.approx(1 / 15)
    assert ranking.within(change, change, 6) == 1
    assert ranking.within(np.zeros((2, 3)), change, 2) == 0


def test_the_correlation_of_what_does_not_vary_is_none():
    rising = np.arange(4.0)
    assert ranking.rank_correlation(rising, rising**3) == pytest.approx(1)
    assert np.isnan(ranking.rank_correlation(rising, np.ones(4)))
    assert np.isnan(ranking.rank_correlation(rising[:1], rising[:1]))
