"""How good probabilities are: do they tell apart, and do they come true as often as they say?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from daamkit.measures.intervals import mean

BINS = 10


def auroc(
    said: Float[np.ndarray, " n"],
    happened: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, "*draws n"] | None = None,
) -> Any:
    """Area under the ROC curve: how often a case that happened was said to be likelier than one
    that did not (Hanley and McNeil 1982); ties count half. NaN if all are of one kind.

    Parameters
    ----------
    said, happened
        A probability, or any score, and the outcome of each case.
    weights
        How often each case counts; default once. With draws of a bootstrap, a value for each.

    >>> float(auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])))
    0.75
    """
    order = np.argsort(said, kind="stable")
    weights = (np.ones(len(said)) if weights is None else weights)[..., order]
    first = np.flatnonzero(np.diff(said[order], prepend=-np.inf))
    yes, no = (
        np.add.reduceat(weights * of, first, axis=-1) for of in (happened[order], ~happened[order])
    )
    below = np.cumsum(no, -1) - no / 2
    with np.errstate(invalid="ignore"):
        return (yes * below).sum(-1) / (yes.sum(-1) * no.sum(-1))


def brier(
    said: Float[np.ndarray, " n"],
    happened: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, "*draws n"] | None = None,
) -> Any:
    """Mean square of what was said less what happened (Brier 1950); `weights` as for `auroc`."""
    weights = np.ones(len(said)) if weights is None else weights
    return (weights * (said - happened) ** 2).sum(-1) / weights.sum(-1)


def error(
    said: Float[np.ndarray, " n"],
    happened: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, "*draws n"] | None = None,
) -> Any:
    """Expected calibration error: how far the share that happened is from the mean probability
    said, over `BINS` bins of equally many cases (Nixon et al. 2019, arXiv 1904.01685). Of few
    cases it is above 0 by chance alone. `weights` as for `auroc`."""
    order = np.argsort(said, kind="stable")
    first = np.array([part[0] for part in np.array_split(np.arange(len(said)), BINS) if len(part)])
    weights = (np.ones(len(said)) if weights is None else weights)[..., order]
    gaps = np.add.reduceat(weights * (said - happened)[order], first, axis=-1)
    return np.abs(gaps).sum(-1) / weights.sum(-1)


def interval(
    measure: Callable[..., Any],
    said: Float[np.ndarray, " n"],
    happened: Bool[np.ndarray, " n"],
    clusters: Sequence[Hashable],
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """One of these measures with its 95% percentile bootstrap interval over clusters, such as
    prompts. The bins of `error` stay those of all cases."""
    labels = pd.factorize(pd.Series(list(clusters)))[0]
    many = int(labels.max()) + 1
    counts = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), draws)
    again = measure(said, happened, counts[:, labels].astype(float))
    known = again[~np.isnan(again)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
    return float(measure(said, happened)), float(low), float(high)


def diagram(
    said: Float[np.ndarray, " n"], happened: Bool[np.ndarray, " n"], clusters: Sequence[Hashable]
) -> pd.DataFrame:
    """The reliability diagram: for `BINS` bins of equally many cases, the mean probability said,
    and the share that happened with its interval.

    Returns
    -------
    frame
        said, happened, low, high, n.
    """
    order, names = np.argsort(said, kind="stable"), np.array(list(clusters), dtype=object)
    rows = []
    for part in np.array_split(order, min(BINS, len(said))):
        found = mean(happened[part].astype(float), list(names[part]), kind="share")
        row = dict(zip(("happened", "low", "high"), found, strict=True))
        rows.append({"said": float(said[part].mean())} | row | {"n": len(part)})
    return pd.DataFrame(rows)
