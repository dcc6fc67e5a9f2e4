"""Probabilities against outcomes: known values, SciPy's, and what a bootstrap of rows gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from daamkit.measures import calibration

MEASURES = (calibration.auroc, calibration.brier, calibration.error)
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


@given(cases, st.integers(0, 99))
def test_a_weight_is_a_case_counted_again(pairs, seed):
    said, happened = np.array([p for p, _ in pairs]), np.array([h for _, h in pairs])
    times = np.random.default_rng(seed).integers(1, 4, len(said))
    for measure in (calibration.auroc, calibration.brier):
        whole = measure(np.repeat(said, times), np.repeat(happened, times))
        assert measure(said, happened, times.astype(float)) == pytest.approx(whole, nan_ok=True)


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
    """Of probabilities that are right, the area and the score are in 95 of 100 intervals."""
    rng, held = np.random.default_rng(1), {calibration.auroc: 0, calibration.brier: 0}
    truth = {}
    large = rng.random(200_000)
    came = rng.random(200_000) < large
    for measure in held:
        truth[measure] = measure(large, came)
    for seed in range(60):
        said = rng.random(150)
        happened = rng.random(150) < said
        for measure in held:
            found, low, high = calibration.interval(measure, said, happened, range(150), 400, seed)
            assert low <= found <= high
            held[measure] += low <= truth[measure] <= high
    assert all(50 <= count <= 60 for count in held.values())


def test_clusters_are_drawn_whole():
    """Twenty cases that are one are no twenty."""
    rng = np.random.default_rng(0)
    said = rng.random(30)
    happened = rng.random(30) < said
    many = [np.repeat(each, 20) for each in (said, happened)]
    one = calibration.interval(calibration.brier, said, happened, range(30))
    same = calibration.interval(calibration.brier, *many, [i // 20 for i in range(600)])
    assert same == pytest.approx(one)
    alone = calibration.interval(calibration.brier, *many, range(600))
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
