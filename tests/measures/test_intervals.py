"""Intervals that cover what they say; what each does at the edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from daamkit.errors import DaamkitError
from daamkit.measures import intervals
from daamkit.measures.clusters import error_of


def test_the_interval_of_a_normal_mean_is_near_the_formula() -> None:
    values = np.random.default_rng(0).normal(size=500)
    mean, low, high = intervals.mean(values, draws=10_000)
    half = 1.96 * values.std() / np.sqrt(500)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.01)


def test_values_of_one_prompt_count_as_one() -> None:
    values = np.random.default_rng(0).normal(size=30)
    repeated, prompts = np.repeat(values, 10), np.repeat(np.arange(30), 10).tolist()
    assert intervals.mean(repeated, prompts) == pytest.approx(intervals.mean(values))
    narrow = intervals.mean(repeated)
    assert narrow[2] - narrow[1] < 0.5 * (intervals.mean(values)[2] - intervals.mean(values)[1])


def test_missing_values_are_left_out() -> None:
    some = intervals.mean([1.5, np.nan, 2.5, 1.0], ["a", "b", "c", "d"])
    assert some == intervals.mean([1.5, 2.5, 1.0], ["a", "c", "d"])
    assert np.isnan(intervals.mean([np.nan])).all()


def test_one_prompt_has_no_interval() -> None:
    mean, low, high = intervals.mean([0.0, 1.0], [("a", 1), ("a", 1)])
    assert mean == 0.5 and np.isnan([low, high]).all()


@settings(max_examples=25)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20))
def test_the_interval_holds_the_mean_and_no_more_than_is_possible(values: list[float]) -> None:
    found, low, high = intervals.mean(values, draws=200, within=(-5, 5))
    assert -5 <= low <= found + 1e-9 and found - 1e-9 <= high <= 5


# Shares


def test_a_share_of_independent_values_has_the_exact_interval() -> None:
    for hits, n in ((99, 100), (1, 20), (13, 40)):
        found = intervals.mean(np.arange(n) < hits)
        exact = stats.binomtest(hits, n).proportion_ci()
        assert found == pytest.approx((hits / n, exact.low, exact.high), abs=1e-9)


def test_a_share_of_one_has_a_width_and_more_values_a_smaller_one() -> None:
    assert intervals.mean([1.0] * 20) == pytest.approx((1, 0.025 ** (1 / 20), 1))
    assert intervals.mean([0.0] * 20) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 20)))
    few, many = (intervals.mean([1.0] * n)[1] for n in (10, 100))
    assert few < many < 1
    prompts = np.repeat(np.arange(25), 4).tolist()  # the variance is taken for 1 + 3 * 0.3
    known = 100 / 1.9 * (stats.t.ppf(0.975, 99) / stats.t.ppf(0.975, 24)) ** 2
    assert intervals.mean([1.0] * 100, prompts)[1] == pytest.approx(0.025 ** (1 / known))


def test_one_failure_is_no_surer_than_none() -> None:
    prompts = np.repeat(np.arange(25), 4).tolist()
    values = np.ones(100)
    none = intervals.mean(values, prompts)
    values[7] = 0
    assert intervals.mean(values, prompts)[1] < none[1]


def test_the_opposite_share_has_the_opposite_interval() -> None:
    rng = np.random.default_rng(8)
    values, prompts = (rng.random(60) < 0.8).astype(float), rng.integers(0, 15, 60).tolist()
    there, away = intervals.mean(values, prompts), intervals.mean(1 - values, prompts)
    assert there == pytest.approx((1 - away[0], 1 - away[2], 1 - away[1]))


def test_gains_of_shares_have_a_width_where_nothing_is_gained() -> None:
    found, low, high = intervals.gain(np.ones(52), np.ones(52))
    assert found == 0 and low == pytest.approx(-high) and 0.03 < high < 0.08
    assert intervals.gain(np.full(52, 0.5), np.full(52, 0.5)) == (0, 0, 0)  # no shares
    before, after = np.zeros(40), np.r_[np.ones(30), np.zeros(10)]
    found, low, high = intervals.gain(after, before)
    assert low < found == 0.75 and high <= 1
    missing = np.r_[after, np.nan], np.r_[before, 1.0]
    assert intervals.gain(*missing) == intervals.gain(after, before)


def test_zeros_that_might_have_been_below_zero_are_no_share() -> None:
    zeros, prompts = np.zeros(20), list(range(20))
    assert intervals.mean(zeros, prompts)[2] > 0.1
    assert intervals.mean(zeros, prompts, within=(0, 1))[2] > 0.1
    assert intervals.mean(zeros, prompts, within=(-1, 1)) == (0, 0, 0)


def test_what_is_no_share_is_refused_as_one() -> None:
    with pytest.raises(DaamkitError, match="0 and 1"):
        intervals.mean([0.0, 0.5], kind="share")
    with pytest.raises(DaamkitError, match="-1, 0 and 1"):
        intervals.mean([0.0, 2.0], kind="gain")
    assert intervals.mean([0.0] * 9, kind="number") == (0, 0, 0)


# Coverage, on a small scale; `benchmarks/coverage.py` has it at size


def percentile(values: np.ndarray, clusters: list[int]) -> tuple[float, float]:
    """What is used too often: quantiles of means of clusters drawn again."""
    sums, counts = np.bincount(clusters, values), np.bincount(clusters)
    drawn = np.random.default_rng(0).integers(0, len(sums), (400, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), (0.025, 0.975))
    return float(low), float(high)


def covered(draw, truth: float, **options) -> tuple[float, float]:
    """How often the interval, and how often the percentile bootstrap, holds the truth."""
    rng, own, theirs = np.random.default_rng(9), 0, 0
    for _ in range(300):
        values, clusters = draw(rng)
        _, low, high = intervals.mean(values, clusters.tolist(), draws=400, **options)
        own += low <= truth <= high
        low, high = percentile(values, clusters)
        theirs += low <= truth <= high
    return own / 300, theirs / 300


def rare_failures(rng):
    return (rng.random(100) < 0.99).astype(float), np.arange(100)


def shares_of_eleven_pairs(rng):
    odds = rng.beta(0.85 * 7 / 3, 0.15 * 7 / 3, 11)  # correlated by 0.3 within a pair
    return (rng.random((11, 20)) < odds[:, None]).astype(float).ravel(), np.repeat(
        np.arange(11), 20
    )


def overlaps_of_eleven_pairs(rng):
    own = rng.choice([0.0, 0.02, 0.4, 0.67], 11, p=[0.3, 0.4, 0.2, 0.1])
    return (own[:, None] + rng.exponential(0.02, (11, 20))).ravel(), np.repeat(np.arange(11), 20)


def rare_gains(rng):
    return -1.0 * (rng.random(52) < 0.02), np.arange(52)


@pytest.mark.parametrize(
    ("draw", "truth", "options"),
    [
        (rare_failures, 0.99, {}),
        (shares_of_eleven_pairs, 0.85, {}),
        (overlaps_of_eleven_pairs, 0.155 + 0.02, {"kind": "number"}),
        (rare_gains, -0.02, {"kind": "gain"}),
    ],
)
def test_intervals_cover_where_a_percentile_bootstrap_does_not(draw, truth, options) -> None:
    own, theirs = covered(draw, truth, **options)
    assert own >= 0.92 > theirs + 0.02


def test_bad_arguments() -> None:
    with pytest.raises(DaamkitError, match="a cluster for each"):
        intervals.mean([1.0, 2.0], ["a"])
    with pytest.raises(DaamkitError, match="between 0 and 1"):
        intervals.mean([1.0], level=95)


# Two groups


def test_a_difference_of_two_groups_and_its_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 400), rng.normal(0, 2, 300)
    gap, low, high, p = intervals.difference(a, b, list(range(400)), list(range(300)))
    half = 1.96 * np.sqrt(a.var() / 400 + b.var() / 300)
    assert gap == pytest.approx(a.mean() - b.mean())
    assert (low, high) == pytest.approx((gap - half, gap + half), abs=0.03)
    assert p == pytest.approx(1 / 4001)  # none of 4000 exchanges is as far from 0


def test_each_end_is_made_of_the_ends_that_face_it() -> None:
    """Of shares of 1 and 0 each mean has one end alone that moves."""
    gap, low, high, _ = intervals.difference(np.ones(20), np.zeros(30), range(20), range(30))
    below, above = 1 - 0.025 ** (1 / 20), 1 - 0.025 ** (1 / 30)
    assert (gap, high) == (1, 1) and low == pytest.approx(1 - np.hypot(below, above))


def test_p_of_few_clusters_is_the_share_of_exchanges() -> None:
    a, b = np.array([3.0, 3.0]), np.array([0.0, 0.0])
    gap, low, high, p = intervals.difference(a, b, ["a", "b"], ["c", "d"])
    assert (gap, low, high) == (3, 3, 3)  # numbers without any scatter
    assert p == pytest.approx(2 / 6, abs=0.03)  # 2 of the 6 ways to choose two of four


def test_groups_that_are_alike_have_p_one() -> None:
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.2, 0.1])
    gap, low, high, p = intervals.difference(a, b, [0, 1, 2], [3, 4, 5])
    assert gap == pytest.approx(0, abs=1e-12) and low < 0 < high
    assert p == 1


def test_missing_values_of_a_group_are_left_out() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(1, 1, 20), rng.normal(0, 1, 20)
    some = np.r_[a, np.nan], b, list(range(21)), list(range(20))
    assert intervals.difference(*some) == intervals.difference(a, b, some[2][:-1], some[3])


@pytest.mark.parametrize("a", [[], [np.nan], [1.0], [1.0, 2.0]])
def test_a_group_of_less_than_two_clusters_has_no_interval(a: list[float]) -> None:
    b = np.arange(5.0)
    found = intervals.difference(np.array(a, float), b, ["a"] * len(a), list(range(5)))
    known = [value for value in a if not np.isnan(value)]
    assert found[0] == pytest.approx(np.mean(known) - 2 if known else np.nan, nan_ok=True)
    assert np.isnan(found[1:]).all()


def test_values_of_one_prompt_count_as_one_in_both_groups() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.3, 1, 12), rng.normal(0, 1, 12)
    ids = list(range(12))
    once = intervals.difference(a, b, ids, ids)
    each = [label for label in ids for _ in range(8)]
    again = intervals.difference(np.repeat(a, 8), np.repeat(b, 8), each, each)
    assert again == pytest.approx(once)
    free = intervals.difference(np.repeat(a, 8), np.repeat(b, 8), list(range(96)), list(range(96)))
    assert free[2] - free[1] < 0.5 * (once[2] - once[1]) and free[3] < once[3]


def simulated(rng: np.random.Generator, gap: float = 0.0) -> tuple:
    """Groups of 15 and 20 prompts, three values each that are alike."""

    def group(prompts: int, mean: float) -> tuple[np.ndarray, list[int]]:
        own = np.repeat(rng.normal(mean, 1, prompts), 3)
        return own + rng.normal(0, 0.5, 3 * prompts), np.repeat(np.arange(prompts), 3).tolist()

    (a, of_a), (b, of_b) = group(15, gap), group(20, 0)
    return a, b, of_a, of_b


def test_the_interval_covers_the_true_difference() -> None:
    rng = np.random.default_rng(4)
    found = [intervals.difference(*simulated(rng, gap=0.7), draws=300) for _ in range(300)]
    assert 0.88 <= np.mean([low <= 0.7 <= high for _, low, high, _ in found]) <= 0.98


def test_p_is_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(5)
    p = np.array([intervals.difference(*simulated(rng), draws=300)[3] for _ in range(400)])
    assert 0.02 <= np.mean(p < 0.05) <= 0.085
    assert 0.42 <= np.mean(p < 0.5) <= 0.58


def test_without_clusters_chance_is_taken_for_a_difference() -> None:
    rng = np.random.default_rng(6)
    p = []
    for _ in range(100):
        a, b, *_ = simulated(rng)
        p.append(intervals.difference(a, b, list(range(len(a))), list(range(len(b))), draws=300)[3])
    assert np.mean(np.array(p) < 0.05) > 0.12


groups = st.lists(st.integers(-9, 9).map(lambda n: n / 10), min_size=2, max_size=7)


@settings(max_examples=40, deadline=None)
@given(groups, groups)
def test_the_difference_turns_with_its_groups(one: list[float], other: list[float]) -> None:
    a, b, of_a, of_b = np.array(one), np.array(other), list(range(len(one))), [*range(len(other))]
    there = intervals.difference(a, b, of_a, of_b, draws=1000)
    back = intervals.difference(b, a, of_b, of_a, draws=1000)
    assert there[0] == -back[0] and there[1:3] == pytest.approx((-back[2], -back[1]))
    assert there[3] == pytest.approx(back[3], abs=0.12)  # each draws its own exchanges
    assert there[1] <= there[2]


@settings(max_examples=40, deadline=None)
@given(groups, groups, st.integers(-100, 100))
def test_the_difference_does_not_see_a_shift(
    one: list[float], other: list[float], shift: int
) -> None:
    a, b, of_a, of_b = np.array(one), np.array(other), list(range(len(one))), [*range(len(other))]
    found = intervals.difference(a, b, of_a, of_b, draws=200)
    shifted = intervals.difference(a + shift, b + shift, of_a, of_b, draws=200)
    assert shifted == pytest.approx(found, abs=1e-9)


# Pairs


def test_p_of_few_pairs_is_the_share_of_signs() -> None:
    assert intervals.paired(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8, abs=0.03)
    assert intervals.paired(np.ones(12)) < 0.003
    assert intervals.paired(np.array([1.0, -1.0, 0.0])) == 1
    assert intervals.paired(np.array([0.7])) == 1  # of one pair nothing can be said


def test_missing_pairs_are_left_out() -> None:
    values = np.array([1.0, np.nan, 2.0, 3.0])
    assert intervals.paired(values, ["a", "b", "c", "d"]) == intervals.paired(
        values[[0, 2, 3]], ["a", "c", "d"]
    )
    assert np.isnan(intervals.paired(np.full(3, np.nan)))
    assert np.isnan(intervals.paired(np.array([])))


def test_pairs_of_one_prompt_keep_one_sign() -> None:
    values = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    prompts = ["a", "a", "b", "b", "c", "c"]
    assert intervals.paired(values, prompts) == pytest.approx(2 / 8, abs=0.03)
    assert intervals.paired(values) == pytest.approx(2 / 64, abs=0.015)


def test_p_of_pairs_is_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(7)
    prompts = np.repeat(np.arange(15), 3).tolist()
    with_clusters, without = [], []
    for _ in range(400):
        values = np.repeat(rng.normal(0, 1, 15), 3) + rng.normal(0, 0.5, 45)
        with_clusters.append(intervals.paired(values, prompts, draws=300))
        without.append(intervals.paired(values, draws=300))
    assert 0.02 <= np.mean(np.array(with_clusters) < 0.05) <= 0.085
    assert np.mean(np.array(without) < 0.05) > 0.12


@settings(max_examples=40, deadline=None)
@given(groups, st.floats(0.01, 100))
def test_p_of_pairs_sees_neither_sign_nor_unit(values: list[float], unit: float) -> None:
    differences = np.array(values)
    p = intervals.paired(differences, draws=200)
    assert intervals.paired(-differences, draws=200) == p
    assert intervals.paired(differences * unit, draws=200) == p
    if not round(10 * differences.sum()):
        assert p == 1


# Ratios


def test_a_ratio_is_of_the_means_and_keeps_pairs_together() -> None:
    below = np.array([1.0, 2.0, 4.0, 8.0])
    found = intervals.ratio(3 * below, below, [0, 1, 2, 3], draws=200)
    assert found == pytest.approx((3, 3, 3))  # whichever pairs are drawn
    above = np.array([1.0, 2.0, np.nan, 6.0])
    found = intervals.ratio(above, below, [0, 1, 2, 3])
    assert found[0] == pytest.approx(9 / 11) and found[1] < found[0] < found[2] + 1e-9


def test_a_ratio_of_one_prompt_or_none_has_no_interval() -> None:
    assert intervals.ratio(np.ones(2), np.full(2, 2.0), ["a", "a"])[0] == 0.5
    assert np.isnan(intervals.ratio(np.ones(2), np.full(2, 2.0), ["a", "a"])[1:]).all()
    assert np.isnan(intervals.ratio(np.full(2, np.nan), np.ones(2), ["a", "b"])).all()


def test_a_denominator_of_zero_is_one_of_many() -> None:
    rng = np.random.default_rng(10)
    above, below = np.exp(rng.normal(0, 0.5, (2, 60)))
    ends = []
    for least in (1e-9, 0.0):
        below[7] = least
        ends.append(intervals.ratio(above, below, range(60)))
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)
    found, low, high = ends[1]
    student = stats.t.ppf(0.975, 59) * error_of(above, below)
    assert high - found > 1.02 * student  # bootstrapped: by Student's alone both tails are alike
    below[1:] = 0  # some draws have no denominator at all
    assert np.isfinite(intervals.ratio(above, below, range(60))).all()
    assert np.isnan(intervals.ratio(above, 0 * below, range(60))).all()


def test_means_of_groups_are_those_of_each() -> None:
    rows = pd.DataFrame(
        {"kind": ["b", "b", "a", "b"], "prompt": ["x", "y", "x", "z"], "v": [1.0, 3.0, 5.0, np.nan]}
    )
    table = intervals.means(rows, ["kind"], "v", draws=200)
    assert table["kind"].tolist() == ["b", "a"] and table["n"].tolist() == [2, 1]
    expected = intervals.mean([1.0, 3.0, np.nan], ["x", "y", "z"], draws=200)
    assert tuple(table.loc[0, ["mean", "low", "high"]]) == pytest.approx(expected)
    told = rows.assign(measure=rows["kind"], v=rows["v"] - rows["v"].min())
    ends = {told["kind"].iloc[0]: (0.0, 0.1)}
    held = intervals.means(told, ["measure"], "v", draws=200, within=ends)
    free = intervals.means(told, ["measure"], "v", draws=200)
    assert held["high"].iloc[0] == 0.1 < free["high"].iloc[0]
    assert held.iloc[1:].equals(free.iloc[1:])
    assert intervals.means(rows[:0], ["kind"], "v").columns.tolist() == [
        "kind",
        "mean",
        "low",
        "high",
        "n",
    ]
