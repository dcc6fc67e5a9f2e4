"""Odds ratios: known ones are found again, and nothing runs away."""

import numpy as np
import pytest
from scipy.special import expit

from daamkit.errors import DaamkitError
from daamkit.measures.regression import logistic


def simulated(seed: int, prompts: int = 500) -> tuple[dict, np.ndarray, list[int]]:
    """Three cases a prompt; odds ratios e for "red", e^0.7 a deviation of "size", 1 for "noise"."""
    rng = np.random.default_rng(seed)
    n = 3 * prompts
    red, size, noise = rng.random(n) < 0.4, rng.normal(50, 20, n), rng.normal(0, 1, n)
    odds = -0.5 + red + 0.7 * (size - 50) / 20
    happened = rng.random(n) < expit(odds)
    predictors = {"red": red, "size": size, "noise": noise}
    return predictors, happened, np.repeat(np.arange(prompts), 3).tolist()


def test_known_odds_ratios_are_found_again() -> None:
    frame = logistic(*simulated(0), draws=100)
    assert list(frame.columns) == ["predictor", "odds_ratio", "low", "high", "n"]
    assert frame["predictor"].tolist() == ["red", "size", "noise"]
    assert (frame["n"] == 1500).all()
    assert np.log(frame["odds_ratio"]).to_numpy() == pytest.approx([1, 0.7, 0], abs=0.2)
    assert (frame["low"] < frame["odds_ratio"]).all() and (
        frame["odds_ratio"] < frame["high"]
    ).all()
    assert (frame["low"] > 1).tolist() == [True, True, False]
    assert frame["low"][2] < 1 < frame["high"][2]


def test_the_unit_of_a_number_does_not_matter() -> None:
    predictors, happened, prompts = simulated(1, prompts=60)
    one = logistic(predictors, happened, prompts, draws=20)
    predictors["size"] = predictors["size"] * 1000 - 7
    other = logistic(predictors, happened, prompts, draws=20)
    wanted = one[["odds_ratio", "low", "high"]].to_numpy()
    assert other[["odds_ratio", "low", "high"]].to_numpy() == pytest.approx(wanted, rel=1e-2)


def test_the_opposite_outcome_has_the_inverse_ratio() -> None:
    predictors, happened, prompts = simulated(2, prompts=60)
    one = logistic(predictors, happened, prompts, draws=0)["odds_ratio"].to_numpy()
    other = logistic(predictors, ~happened, prompts, draws=0)["odds_ratio"].to_numpy()
    assert other == pytest.approx(1 / one, rel=1e-3)


def test_cases_of_one_prompt_make_the_interval_no_narrower() -> None:
    predictors, happened, prompts = simulated(3, prompts=30)
    many = {name: np.repeat(values, 6) for name, values in predictors.items()}
    often, ids = np.repeat(happened, 6), np.repeat(prompts, 6).tolist()
    within = logistic(many, often, ids, draws=60)
    free = logistic(many, often, list(range(len(ids))), draws=60)
    width = [np.log(frame["high"] / frame["low"])[1] for frame in (within, free)]
    assert width[0] > 1.5 * width[1]


def test_a_line_that_parts_all_keeps_ratios_finite() -> None:
    size = np.r_[np.linspace(-2, -1, 20), np.linspace(1, 2, 20)]
    frame = logistic({"size": size, "large": size > 0}, size > 0, list(range(40)), draws=30)
    found = frame[["odds_ratio", "low", "high"]].to_numpy()
    assert np.isfinite(found).all() and (found[:, 0] > 10).all()


@pytest.mark.parametrize("always", [True, False])
def test_an_outcome_that_never_differs_has_no_ratio(always: bool) -> None:
    frame = logistic({"x": np.arange(6.0)}, [always] * 6, list(range(6)), draws=10)
    assert frame[["odds_ratio", "low", "high"]].isna().all(axis=None)
    assert frame["n"].tolist() == [6]


@pytest.mark.parametrize("value", [0.1, 3, True])
def test_a_predictor_that_never_differs_has_the_ratio_one(value: float) -> None:
    rng = np.random.default_rng(4)
    size = rng.normal(size=60)
    predictors = {"same": [value] * 60, "size": size}
    frame = logistic(predictors, rng.random(60) < expit(size), list(range(60)), draws=20)
    assert frame["odds_ratio"][0] == pytest.approx(1, abs=1e-2)
    assert frame["odds_ratio"][1] > 1.5


def test_one_cluster_has_no_interval() -> None:
    frame = logistic({"x": [1.0, 2.0, 3.0, 4.0]}, [0, 1, 0, 1], ["a"] * 4)
    assert np.isfinite(frame["odds_ratio"]).all()
    assert frame[["low", "high"]].isna().all(axis=None)


def test_the_seed_says_which_clusters_are_drawn() -> None:
    case = simulated(5, prompts=40)
    assert logistic(*case, draws=20).equals(logistic(*case, draws=20))
    assert not logistic(*case, draws=20).equals(logistic(*case, draws=20, seed=1))


@pytest.mark.parametrize(("x", "outcome", "clusters"), [(2, 3, 3), (3, 2, 3), (3, 3, 2)])
def test_lengths_that_differ_are_an_error(x: int, outcome: int, clusters: int) -> None:
    with pytest.raises(DaamkitError, match="of one length"):
        logistic({"x": np.arange(x)}, [True] * outcome, list(range(clusters)))
