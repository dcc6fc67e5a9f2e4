"""Clusters of values, by their sums and numbers, and the intervals of their mean."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from daamkit.errors import DaamkitError

Ends = tuple[float, float]  # the least and the greatest mean possible
ANY: Ends = (-np.inf, np.inf)
FEW = 8  # clusters: a bootstrap of less has too few different draws
ALIKE, AS_IF = 0.3, 2  # what is taken for the correlation within clusters, and its weight
Sums = Float[np.ndarray, " clusters"]


def known_values(
    values: Shaped[np.ndarray, " n"] | Sequence[float], clusters: Sequence[Hashable] | None
) -> tuple[Float[np.ndarray, " known"], list[Hashable]]:
    """Values that are not missing, and what they belong to."""
    values = np.asarray(values, np.float64)
    labels = list(range(len(values))) if clusters is None else list(clusters)
    if len(labels) != len(values):
        raise DaamkitError(
            wanted="a cluster for each value",
            got=f"{len(labels)} for {len(values)} values",
            mend="give as many, or None",
        )
    there = ~np.isnan(values)
    return values[there], [label for label, k in zip(labels, there, strict=True) if k]


def is_share(values: np.ndarray, within: Ends = ANY) -> bool:
    """Whether all are 0 or 1, missing ones (NaN) aside, and none might have been below 0: 0 may be
    all there is of a correlation or of a difference, which is no share.

    Examples
    --------
    >>> is_share(np.zeros(5)), is_share(np.zeros(5), within=(-1, 1))
    (True, False)
    """
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return bool(np.isin(known, (0, 1)).all()) and not -np.inf < within[0] < 0


def by_cluster(
    values: np.ndarray, labels: Sequence[Hashable]
) -> tuple[Float[np.ndarray, " clusters"], np.ndarray]:
    """Sum and number of each cluster's values, in the order in which they come."""
    index = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    rows = np.array([index[label] for label in labels], int)
    return np.bincount(rows, values).astype(float), np.bincount(rows).astype(float)


def share_beyond(chance: np.ndarray, found: float, scale: float) -> float:
    """Share of what chance gives that is as far from 0, the found itself counted.

    `scale` is the size of what was summed: sums in another order differ by its rounding.
    """
    beyond = np.abs(chance) >= abs(found) - 1e-12 * scale
    return float((1 + beyond.sum()) / (1 + len(chance)))


def share_interval(sums: Sums, counts: Sums, level: float) -> tuple[float, float]:
    """Of a share: see `intervals.mean`."""
    total = counts.sum()
    share, seen = float(sums.sum() / total), 1.0
    if 0 < share < 1:
        seen = max(1.0, error_of(sums, counts) ** 2 * (total - 1) / (share * (1 - share)))
    told = min(int((sums < counts).sum()), int((sums > 0).sum()))  # the rarer outcome's
    return beta_interval(share, independent(counts, told, seen, level), level)


def independent(counts: Sums, told: int, seen: float, level: float) -> float:
    """How many independent values of 0 and 1 vary as much as those of clusters do.

    Parameters
    ----------
    counts
        Values of each cluster.
    told
        Clusters that show the rarer outcome.
    seen
        The variance of the mean, over that of as many independent values. It is known by what
        `told` clusters show, and averaged with that of values correlated by `ALIKE`, as if `AS_IF`
        more had shown it.
    level
        Of the interval.
    """
    total = counts.sum()
    spread = 1 + ((counts**2).sum() / total - 1) * ALIKE
    found = total * (told + AS_IF) / (told * seen + AS_IF * spread)
    if len(counts) < total:  # the spread itself is known from so few clusters
        tail = (1 + level) / 2
        found *= (stats.t.ppf(tail, total - 1) / stats.t.ppf(tail, len(counts) - 1)) ** 2
    return float(found)


def beta_interval(share: float, values: float, level: float) -> tuple[float, float]:
    """Clopper and Pearson's, of a share of so many independent values, a whole number or not."""
    hits, tail = share * values, (1 - level) / 2
    low = stats.beta.ppf(tail, hits, values - hits + 1) if share > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, values - hits) if share < 1 else 1.0
    return float(low), float(high)


def gain_interval(sums: Sums, counts: Sums, level: float) -> tuple[float, float]:
    """Of the differences of two shares: see `intervals.mean`."""
    size = counts.mean()
    sums, more = np.r_[sums, -size, size], np.r_[counts, size, size]
    middle = sums.sum() / more.sum()
    own = np.sqrt(((sums - middle * more) ** 2).sum()) / more.sum()
    far = stats.t.ppf((1 + level) / 2, len(counts) - 1) * own
    return float(middle - far), float(middle + far)


def number_interval(
    sums: Sums, counts: Sums, level: float, draws: int, seed: int
) -> tuple[float, float]:
    """Of any numbers: see `intervals.mean`."""
    found, own = float(sums.sum() / counts.sum()), error_of(sums, counts)
    below = above = float(stats.t.ppf((1 + level) / 2, len(sums) - 1))
    if len(sums) >= FEW and own > 1e-12 * np.abs(sums).max() / counts.mean():
        gaps = sums - found * counts
        columns = np.stack([gaps, counts, gaps**2, gaps * counts, counts**2], 1)
        drawn = _times(len(sums), draws, seed) @ columns
        drawn = drawn[drawn[:, 1] != 0]  # a ratio's denominators may all be 0
        total, many, squares, cross, sizes = drawn.T
        again = total / many
        squares = (squares - 2 * again * cross + again**2 * sizes).clip(min=0)
        errors = np.sqrt(len(sums) / (len(sums) - 1) * squares) / many
        some = errors > 1e-6 * own  # a draw of clusters that are all alike tells nothing
        lower, upper = np.quantile(again[some] / errors[some], ((1 - level) / 2, (1 + level) / 2))
        below, above = max(below, float(upper)), max(above, -float(lower))
    return found - below * own, found + above * own


@lru_cache(maxsize=16)
def _times(clusters: int, draws: int, seed: int) -> Float[np.ndarray, "draws clusters"]:
    """How often each cluster is drawn, of as many drawn with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), draws).astype(float)


def error_of(sums: Sums, counts: Sums) -> float:
    """Standard error of the mean, by the clusters' deviations from it (to first order, that of any
    ratio of sums)."""
    middle, clusters = sums.sum() / counts.sum(), len(sums)
    squares = ((sums - middle * counts) ** 2).sum()
    return float(np.sqrt(clusters / (clusters - 1) * squares) / counts.sum())
