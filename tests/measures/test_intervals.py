"""Bootstrap intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit.errors import DaamkitError
from daamkit.measures import intervals


def test_the_interval_of_a_normal_mean_is_near_the_formula() -> None:
    values = np.random.default_rng(0).normal(size=500)
    mean, low, high = intervals.bootstrap(values, draws=10_000)
    half = 1.96 * values.std() / np.sqrt(500)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.01)


def test_values_of_one_prompt_count_as_one() -> None:
    values = np.random.default_rng(0).normal(size=30)
    repeated, prompts = np.repeat(values, 10), np.repeat(np.arange(30), 10).tolist()
    assert intervals.bootstrap(repeated, prompts) == pytest.approx(intervals.bootstrap(values))
    narrow = intervals.bootstrap(repeated)
    assert narrow[2] - narrow[1] < 0.5 * (
        intervals.bootstrap(values)[2] - intervals.bootstrap(values)[1]
    )


def test_missing_values_are_left_out() -> None:
    assert intervals.bootstrap([1.0, np.nan, 1.0], ["a", "b", "c"]) == (1.0, 1.0, 1.0)
    assert np.isnan(intervals.bootstrap([np.nan])).all()


def test_one_prompt_has_no_interval() -> None:
    mean, low, high = intervals.bootstrap([0.0, 1.0], [("a", 1), ("a", 1)])
    assert mean == 0.5 and np.isnan([low, high]).all()


@settings(max_examples=25)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20))
def test_the_interval_lies_within_the_values(values: list[float]) -> None:
    _, low, high = intervals.bootstrap(values, draws=200)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_bad_arguments() -> None:
    with pytest.raises(DaamkitError, match="a cluster for each"):
        intervals.bootstrap([1.0, 2.0], ["a"])
    with pytest.raises(DaamkitError, match="between 0 and 1"):
        intervals.bootstrap([1.0], level=95)
