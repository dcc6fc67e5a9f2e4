"""How sure a mean is: bootstrap intervals and permutation tests."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from daamkit.errors import DaamkitError


def bootstrap(
    values: Float[np.ndarray, " n"] | Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """A mean and its percentile interval (Efron 1979), drawing whole clusters with replacement.

    Parameters
    ----------
    values
        What to average; missing ones (NaN) are left out.
    clusters
        What each value belongs to, such as its prompt; values of one prompt are not independent.
        None: each value stands for itself.
    level
        Of the interval, in (0, 1).
    draws, seed
        Of the resampling.

    Returns
    -------
    mean, low, high
        All NaN if there is no value; no interval (NaN) of a single cluster. Values that are all
        alike give an interval of no width: nothing drawn again from them can differ.

    Raises
    ------
    DaamkitError
        If `clusters` is of another length, or the level is not in (0, 1).
    """
    values = np.asarray(values, np.float64)
    labels = list(range(len(values))) if clusters is None else list(clusters)
    if len(labels) != len(values):
        raise DaamkitError(
            wanted="a cluster for each value",
            got=f"{len(labels)} for {len(values)} values",
            mend="give as many, or None",
        )
    if not 0 < level < 1:
        raise DaamkitError(
            wanted="a level between 0 and 1", got=f"{level}", mend="take 0.95, for instance"
        )
    known = ~np.isnan(values)
    if not known.any():
        return np.nan, np.nan, np.nan
    labels = [label for label, k in zip(labels, known, strict=True) if k]
    sums, counts = _by_cluster(values[known], labels)
    if len(sums) < 2:
        return float(values[known].mean()), np.nan, np.nan
    means = _drawn(sums, counts, draws, np.random.default_rng(seed))
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(values[known].mean()), float(low), float(high)


def means(
    rows: pd.DataFrame, by: Sequence[str], value: str, cluster: str = "prompt", draws: int = 1000
) -> pd.DataFrame:
    """The mean of a column in each group of rows, with its 95% interval; see `bootstrap`.

    Parameters
    ----------
    rows
        Tidy.
    by, value, cluster
        Columns: of the groups, of what to average, and of what values belong to.

    Returns
    -------
    frame
        A row a group, in the order in which they come: the columns of `by`, mean, low, high, n
        (values that are not missing).
    """
    out = []
    for key, part in rows.groupby(list(by), sort=False):
        found = bootstrap(part[value].to_numpy(float), part[cluster].tolist(), draws=draws)
        row = dict(zip((*by, "mean", "low", "high"), (*key, *found), strict=True))
        out.append(row | {"n": int(part[value].notna().sum())})
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "n"])


def difference(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    clusters_a: Sequence[Hashable],
    clusters_b: Sequence[Hashable],
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """The difference of two groups' means, its bootstrap interval and a permutation test's p.

    Parameters
    ----------
    a, b
        Values of both groups.
    clusters_a, clusters_b
        What each value belongs to. Whole clusters are drawn again for the interval, and exchanged
        between the groups for the test (two-sided; Davison and Hinkley 1997, section 4.3).
    level, draws, seed
        As in `bootstrap`.

    Returns
    -------
    difference, low, high, p
        mean(a) - mean(b). No interval and no p (NaN) if a group has fewer than two clusters.
    """
    known_a, known_b = ~np.isnan(a), ~np.isnan(b)
    if not known_a.any() or not known_b.any():
        return np.nan, np.nan, np.nan, np.nan
    gap = float(np.mean(a[known_a]) - np.mean(b[known_b]))
    groups = [
        _by_cluster(values[known], [c for c, k in zip(clusters, known, strict=True) if k])
        for values, known, clusters in ((a, known_a, clusters_a), (b, known_b, clusters_b))
    ]
    if min(len(sums) for sums, _ in groups) < 2:
        return gap, np.nan, np.nan, np.nan
    rng = np.random.default_rng(seed)
    gaps = _drawn(*groups[0], draws, rng) - _drawn(*groups[1], draws, rng)
    low, high = np.quantile(gaps, ((1 - level) / 2, (1 + level) / 2))
    sums, counts = (np.concatenate(each) for each in zip(*groups, strict=True))
    order = rng.permuted(np.tile(np.arange(len(sums)), (draws, 1)), axis=1)
    first, rest = order[:, : len(groups[0][0])], order[:, len(groups[0][0]) :]
    chance = sums[first].sum(1) / counts[first].sum(1) - sums[rest].sum(1) / counts[rest].sum(1)
    scale = float(np.abs(sums / counts).max())
    return gap, float(low), float(high), _share_beyond(chance, gap, scale)


def paired(
    differences: Float[np.ndarray, " n"],
    clusters: Sequence[Hashable] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> float:
    """p that paired differences have the mean 0: signs of whole clusters flipped, two-sided.

    Parameters
    ----------
    differences
        Of the pairs; missing ones (NaN) are left out.
    clusters
        As in `bootstrap`.

    Returns
    -------
    p
        NaN if there is no difference.
    """
    labels = list(range(len(differences))) if clusters is None else list(clusters)
    known = ~np.isnan(differences)
    if not known.any():
        return np.nan
    labels = [label for label, k in zip(labels, known, strict=True) if k]
    sums, _ = _by_cluster(differences[known], labels)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(sums)))
    scale = float(np.abs(sums).sum())
    return _share_beyond((signs * sums).sum(1), float(sums.sum()), scale)


def ratio(
    above: Float[np.ndarray, " n"],
    below: Float[np.ndarray, " n"],
    clusters: Sequence[Hashable],
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The ratio of two paired means, and its bootstrap interval over clusters.

    Pairs with a missing value (NaN) are left out. NaN where nothing is left, or one cluster.
    """
    known = ~(np.isnan(above) | np.isnan(below))
    if not known.any():
        return np.nan, np.nan, np.nan
    labels = [label for label, k in zip(clusters, known, strict=True) if k]
    found = float(above[known].sum() / below[known].sum())
    sums, _ = _by_cluster(above[known], labels)
    others, _ = _by_cluster(below[known], labels)
    if len(sums) < 2:
        return found, np.nan, np.nan
    picked = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    again = sums[picked].sum(1) / others[picked].sum(1)
    low, high = np.quantile(again, ((1 - level) / 2, (1 + level) / 2))
    return found, float(low), float(high)


def _by_cluster(
    values: np.ndarray, labels: Sequence[Hashable]
) -> tuple[Float[np.ndarray, " clusters"], np.ndarray]:
    """Sum and number of each cluster's values, in the order in which they come."""
    index = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    rows = np.array([index[label] for label in labels])
    return np.bincount(rows, values), np.bincount(rows)


def _drawn(
    sums: np.ndarray, counts: np.ndarray, draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """Means of clusters drawn again with replacement."""
    picked = rng.integers(0, len(sums), (draws, len(sums)))
    return sums[picked].sum(1) / counts[picked].sum(1)


def _share_beyond(chance: np.ndarray, found: float, scale: float) -> float:
    """Share of what chance gives that is as far from 0, the found itself counted.

    `scale` is the size of what was summed: sums in another order differ by its rounding.
    """
    beyond = np.abs(chance) >= abs(found) - 1e-12 * scale
    return float((1 + beyond.sum()) / (1 + len(chance)))
