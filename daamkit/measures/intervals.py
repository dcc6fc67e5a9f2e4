"""How sure a mean is: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
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
    index = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    if len(index) < 2:
        return float(values[known].mean()), np.nan, np.nan
    rows = np.array([index[label] for label in labels])
    sums = np.bincount(rows, values[known])
    counts = np.bincount(rows)
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(sums), (draws, len(sums)))
    means = sums[picked].sum(1) / counts[picked].sum(1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(values[known].mean()), float(low), float(high)
