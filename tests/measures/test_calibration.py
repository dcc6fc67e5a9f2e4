"""Probabilities against outcomes: known values, SciPy's, DeLong's error, widths at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from daamkit.measures import calibration
from daamkit.measures.calibration import INTERVALS

cases = st.lists(
    st.tuples(st.sampled_from((0.0, 0.1, 0.25, 0.6, 0.9)), st.booleans()), min_size=2, max_size=40
)


@given(cases)
def test_auroc_is_mann_and_whitneys(pairs):
    said, happened = np.array([p for p, _ in pairs]), np.array([h for _, h in pairs])
    found = calibration.auroc(said, happened)
    if happened.all() or not happened.any():
        assert np.isnan(found)
        return
    u = stats.mannwhitneyu(said[happened], said[~happened]).statistic
    assert found == pytest.approx(u / (happened.sum() * (~happened).sum()))
    assert calibration.auroc(-said, happened) == pytest.approx(1 - found)


def test_known_values():
    said, happened = np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, True, True, True])
    assert calibration.brier(said, happened) == 0.25
    assert calibration.auroc(said, happened) == pytest.approx(5 / 6)
    sure = np.repeat([0.2, 0.8], 50)
    right = np.r_[np.tile([1, 0, 0, 0, 0], 10), np.tile([1, 1, 1, 0, 1], 10)] > 0
    assert calibration.error(sure, right) == pytest.approx(0)
    assert calibration.error(1 - sure, right) == pytest.approx(0.6)
    assert calibration.error(np.full(100, 0.5), np.tile([True, False], 50)) == 0.0


def test_intervals_hold_what_they_should():
    """Of probabilities that are right, the area, the score and an error of 0 are in 95 of 100."""
    rng, held = np.random.default_rng(1), dict.fromkeys(INTERVALS, 0)
    large = rng.random(200_000)
    came = rng.random(200_000) < large
    truth = {name: getattr(calibration, name)(large, came) for name in held} | {"error": 0.0}
    for _ in range(60):
        said = rng.random(150)
        happened = rng.random(150) < said
        for name, interval in INTERVALS.items():
            found, low, high = interval(said, happened, range(150))
            assert low <= found <= high and found == getattr(calibration, name)(said, happened)
            held[name] += low <= truth[name] <= high
    assert all(52 <= count <= 60 for count in held.values()), held


def test_the_error_of_an_area_is_delongs():
    """By its kernel, pair by pair, over clusters of two: Obuchowski 1997, equations 3 to 5."""
    rng = np.random.default_rng(3)
    happened = rng.random(600) < 0.4
    said = np.repeat(rng.normal(size=300), 2) + rng.normal(size=600) + happened
    pairs = said[happened][:, None] - said[~happened]
    kernel = (pairs > 0) + 0.5 * (pairs == 0)
    labels = np.arange(600) // 2
    area, yes, no = kernel.mean(), labels[happened], labels[~happened]
    ones = np.bincount(yes, kernel.mean(1) - area, 300)
    zeros = np.bincount(no, kernel.mean(0) - area, 300)
    (m, n), (of_ones, of_zeros) = kernel.shape, (len(set(yes)), len(set(no)))
    s10 = of_ones / ((of_ones - 1) * m) * (ones**2).sum()
    s01 = of_zeros / ((of_zeros - 1) * n) * (zeros**2).sum()
    s11 = 300 / 299 * (ones * zeros).sum()
    error = np.sqrt(s10 / m + s01 / n + 2 * s11 / (m * n))
    found, low, high = calibration.auroc_interval(said, happened, labels.tolist())
    assert found == pytest.approx(area)
    assert (low, high) == pytest.approx((area - 1.96 * error, area + 1.96 * error), abs=0.006)


@pytest.mark.parametrize("rarer", [True, False])
def test_an_area_of_one_has_the_width_of_a_share_of_the_rarer_kind(rarer):
    for few in (5, 20):
        happened = (np.arange(200) < few) == rarer
        found, low, high = calibration.auroc_interval(happened.astype(float), happened, range(200))
        assert (found, low, high) == pytest.approx((1, 0.025 ** (1 / few), 1))
        turned = calibration.auroc_interval(-happened.astype(float), happened, range(200))
        assert turned == pytest.approx((0, 0, 1 - low))
    one = calibration.auroc_interval(np.arange(9.0), np.arange(9) == 8, range(9))
    assert one[0] == 1 and np.isnan(one[1:]).all()


def known(values: float, clusters: int) -> float:
    """How many independent values stand for as many alike by 0.3 in clusters, where none failed."""
    spread = 1 + (values / clusters - 1) * 0.3
    few, many = (stats.t.ppf(0.975, n - 1) for n in (clusters, values))
    return values / spread * (many / few) ** 2


@pytest.mark.parametrize("sign", [1, -1])
def test_an_area_without_a_failure_is_told_by_no_cluster(sign):
    happened = np.tile([True, True, False, False, False], 10)
    labels = np.repeat(np.arange(10), 5).tolist()
    found, low, high = calibration.auroc_interval(sign * happened.astype(float), happened, labels)
    least = 0.025 ** (1 / known(20, 10))
    assert (found, low, high) == pytest.approx((1, least, 1) if sign > 0 else (0, 0, 1 - least))


def test_a_score_without_a_failure_is_told_by_no_cluster():
    labels = np.repeat(np.arange(25), 4).tolist()
    for said, happened in ((0.9, True), (0.1, False)):
        found = calibration.brier_interval(np.full(100, said), np.full(100, happened), labels)
        n = known(100, 25)
        ends = stats.beta.ppf((0.025, 0.975), (0.01 * n, 0.01 * n + 1), (0.99 * n + 1, 0.99 * n))
        assert found == pytest.approx((0.01, *ends), abs=1e-6)


def test_probabilities_that_were_all_right_may_fail_yet():
    said, happened = np.full(30, 0.999), np.ones(30, bool)
    for interval in (calibration.brier_interval, calibration.error_interval):
        found, low, high = interval(said, happened, range(30))
        assert low == pytest.approx(0, abs=1e-4) and found < 0.002 and 0.05 < high < 0.2
    shaken = np.arange(30) > 3
    score, low, high = calibration.brier_interval(said, shaken, range(30))
    exact = stats.binomtest(4, 30).proportion_ci()
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.02)


def test_a_sum_of_gaps_is_off_by_no_more_than_what_moved():
    """Where all gaps have one sign the high end is a gain's of these gaps."""
    rng = np.random.default_rng(5)
    said = 0.5 + 0.5 * rng.random(400)
    happened = rng.random(400) < said - 0.3
    found, low, high = calibration.error_interval(said, happened, range(400))
    gaps = np.r_[said - happened, 1, -1]
    far = stats.t.ppf(0.975, 399) * np.sqrt(((gaps - gaps.mean()) ** 2).sum()) / 402
    assert found == pytest.approx((said - happened).mean())
    assert high - found == pytest.approx(far) and found - low >= far - 1e-12
    assert low > 0.15


def test_gaps_of_both_signs_do_not_make_up_for_each_other():
    """What is said too low and too high of one prompt adds up."""
    first = np.random.default_rng(6).random(300) < 0.5
    said, happened = np.tile([0.1, 0.9], 300), np.stack([first, ~first], 1).ravel()
    found, _, high = calibration.error_interval(said, happened, (np.arange(600) // 2).tolist())
    gaps = (happened - said).reshape(-1, 2) @ [1, -1]
    sums, counts = np.r_[gaps, 2, -2], 2 * 302
    far = stats.t.ppf(0.975, 299) * np.sqrt(((sums - sums.mean()) ** 2).sum()) / counts
    assert found == pytest.approx(gaps.mean() / 2)
    assert high - found == pytest.approx(far)


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
def test_clusters_count_whole(interval):
    """Twenty cases that are one are no twenty."""
    rng = np.random.default_rng(0)
    said = rng.random(60)
    happened = rng.random(60) < said
    many = [np.repeat(each, 20) for each in (said, happened)]
    one, same = interval(said, happened, range(60)), interval(*many, [i // 20 for i in range(1200)])
    assert same[0] == pytest.approx(one[0], abs=0.01)
    assert same[2] - same[1] == pytest.approx(one[2] - one[1], rel=0.25)
    alone = interval(*many, range(1200))
    assert alone[2] - alone[1] < 0.5 * (same[2] - same[1])


def test_a_diagram_tells_high_from_low():
    said = np.linspace(0.01, 0.99, 400)
    happened = np.random.default_rng(2).random(400) < said
    frame = calibration.diagram(said, happened, range(400))
    assert len(frame) == 10 and frame["n"].tolist() == [40] * 10
    assert frame["said"].is_monotonic_increasing
    assert ((frame["low"] <= frame["said"]) & (frame["said"] <= frame["high"])).mean() >= 0.8
    wrong = calibration.diagram(said, ~happened, range(400))
    assert ((wrong["low"] <= wrong["said"]) & (wrong["said"] <= wrong["high"])).mean() < 0.5
