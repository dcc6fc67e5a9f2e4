"""Logistic regression with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit

from daamkit.errors import DaamkitError

PRIOR = 0.01  # weight of the square of the slopes: they stay finite where a line parts all


def logistic(
    predictors: Mapping[str, ArrayLike],
    outcome: ArrayLike,
    clusters: Sequence[Hashable],
    draws: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """What makes the outcome likelier: odds ratios with 95% bootstrap intervals over clusters.

    The quantiles are as far out as Student's are of so few clusters (the expanded percentile
    interval: Hesterberg 2015), for plain ones cover too rarely; how often:
    `benchmarks/coverage.py`.

    Parameters
    ----------
    predictors
        Numbers or truths, n each. Numbers are standardised: a ratio is for one deviation more.
    outcome
        Whether it happened, (n,) of bool.
    clusters
        What each of the n values belongs to, such as its prompt.

    Returns
    -------
    frame
        predictor, odds_ratio, low, high, n. NaN where the outcome never differs.

    Raises
    ------
    DaamkitError
        If the outcome and the columns have different lengths.
    """
    columns = {name: np.asarray(values) for name, values in predictors.items()}
    happened = np.asarray(outcome).astype(bool)
    if {len(happened), len(clusters)} != {len(each) for each in columns.values()}:
        raise DaamkitError(
            wanted="predictors, an outcome and clusters of one length",
            got=f"{[len(each) for each in (*columns.values(), happened, clusters)]}",
            mend="give a value of each for each case",
        )
    x = np.stack([np.ones(len(happened)), *map(_standard, columns.values())], 1)
    found = fit(x, happened)
    labels = list(dict.fromkeys(clusters))
    members = [np.flatnonzero([each == label for each in clusters]) for label in labels]
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(draws if len(labels) > 1 else 0):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(labels), len(labels))])
        again.append(fit(x[rows], happened[rows]))
    many = len(labels)
    tail = stats.norm.cdf(np.sqrt(many / max(many - 1, 1)) * stats.t.ppf(0.025, max(many - 1, 1)))
    low, high = (
        np.nanquantile(again, (tail, 1 - tail), axis=0)
        if again and not np.isnan(again).all()
        else np.full((2, x.shape[1]), np.nan)
    )
    out = np.exp(np.stack([found, low, high], 1))[1:]
    frame = pd.DataFrame(out, columns=["odds_ratio", "low", "high"])
    frame.insert(0, "predictor", list(columns))
    return frame.assign(n=len(happened))


def _standard(values: np.ndarray) -> Float[np.ndarray, " n"]:
    if values.dtype == bool:
        return values.astype(float)
    values = values.astype(float)
    return (values - values.mean()) / (values.std() or 1.0)


def fit(
    x: Float[np.ndarray, "n k"], happened: Bool[np.ndarray, " n"], prior: float = PRIOR
) -> Float[np.ndarray, " k"]:
    """Weights of greatest likelihood, the slopes held by the weight of their squares; the first
    column is of ones. NaN where the outcome never differs."""
    if happened.all() or not happened.any():
        return np.full(x.shape[1], np.nan)
    held = np.r_[0.0, np.full(x.shape[1] - 1, prior)]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = x @ weights
        value = np.logaddexp(0, np.where(happened, -odds, odds)).sum() + held @ weights**2 / 2
        return float(value), x.T @ (expit(odds) - happened) + held * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS").x
