"""How sure a mean is: intervals that cover what they say, and permutation tests.

Values of one prompt, or of one pair of words, are not independent: whole clusters are what is
counted. Three kinds of values have intervals of their own, for a percentile bootstrap (Efron 1979)
covers too rarely: .64 in place of .95 for a share of .99 among 100, .88 to .91 of eleven pairs of
words, and a share of 1 has no width by it. How often each covers: `benchmarks/coverage.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from daamkit.errors import DaamkitError
from daamkit.measures.clusters import (
    ANY,
    Ends,
    by_cluster,
    gain_interval,
    is_share,
    known_values,
    number_interval,
    share_beyond,
    share_interval,
)

Kind = Literal["share", "gain", "number"]
DRAWS = 2000


def mean(
    values: Shaped[np.ndarray, " n"] | Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    kind: Kind | None = None,
    within: Ends = ANY,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """A mean and its interval.

    Parameters
    ----------
    values
        What to average; missing ones (NaN) are left out.
    clusters
        What each value belongs to, such as its prompt. None: each value stands for itself.
    kind
        "share": of values 0 and 1. Clopper and Pearson's interval by the beta distribution, with as
        many independent values as would vary as much as these clusters do (Korn and Graubard 1998).
        Few clusters with the rarer outcome tell little of that, none nothing: the variance's
        inflation is averaged with that of values correlated by `ALIKE`, as if `AS_IF` more clusters
        had shown it (both in `clusters`). Never without a width.
        "gain": differences of two such, -1, 0 and 1. Student's interval after one cluster at each
        end has been added (Bonett and Price 2012).
        "number": Student's statistic, bootstrapped over clusters (Hall 1988), no tail narrower than
        Student's own, which stand for both where there are fewer than `clusters.FEW` clusters.
        Values that are all alike have an interval of no width.
        None: a share if it `is_share`, else a number.
    within
        The least and the greatest mean possible: no interval reaches beyond. Of a share 0 and 1, of
        a gain -1 and 1.
    level
        Of the interval, in (0, 1).
    draws, seed
        Resamples of the bootstrap, and the seed they are drawn with.

    Returns
    -------
    mean, low, high
        All NaN if there is no value; no interval (NaN) of a single cluster.

    Raises
    ------
    DaamkitError
        If `clusters` is of another length, the level is not in (0, 1), or values are not of the
        kind.

    Examples
    --------
    >>> [round(each, 3) for each in mean([True] * 100)]
    [1.0, 0.964, 1.0]
    """
    values, labels = known_values(values, clusters)
    if not 0 < level < 1:
        raise DaamkitError(
            wanted="a level between 0 and 1", got=f"{level}", mend="take 0.95, for instance"
        )
    found = float(values.mean()) if len(values) else np.nan
    sums, counts = by_cluster(values, labels)
    if kind is None:
        kind = "share" if is_share(values, within) else "number"
    elif kind != "number" and not np.isin(values, (0, 1) if kind == "share" else (-1, 0, 1)).all():
        raise DaamkitError(
            wanted="a share's values, 0 and 1" if kind == "share" else "a gain's, -1, 0 and 1",
            got=f"others among {len(values)}",
            mend="name the kind 'number', or none",
        )
    if len(sums) < 2:
        return found, np.nan, np.nan
    if kind == "share":
        return found, *share_interval(sums, counts, level)
    if kind == "gain":
        low, high, within = *gain_interval(sums, counts, level), (-1.0, 1.0)
    else:
        low, high = number_interval(sums, counts, level, draws, seed)
    return found, float(np.clip(low, *within)), float(np.clip(high, *within))


def means(
    rows: pd.DataFrame,
    by: Sequence[str],
    value: str,
    cluster: str = "prompt",
    *,
    kind: Kind | None = None,
    within: Ends | Mapping[str, Ends] = ANY,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """The mean of a column in each group of rows, with its 95% interval; see `mean`.

    Parameters
    ----------
    rows
        A tidy table: one observation a row.
    by, value, cluster
        Columns: of the groups, of what to average, and of what values belong to.
    kind, within, draws
        As in `mean`; without a kind each group's values tell it. `within` may also tell the ends of
        each measure by its name in the column "measure" of `by`.

    Returns
    -------
    frame
        A row a group, in the order in which they come: the columns of `by`, mean, low, high, n
        (values that are not missing).
    """
    out = []
    for key, part in rows.groupby(list(by), sort=False):
        values, clusters = part[value].to_numpy(float), part[cluster].tolist()
        ends = within
        if isinstance(ends, Mapping):
            ends = ends.get(part["measure"].iloc[0], ANY)
        found = mean(values, clusters, kind=kind, within=ends, draws=draws)
        row = dict(zip((*by, "mean", "low", "high"), (*key, *found), strict=True))
        out.append(row | {"n": int(part[value].notna().sum())})
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "n"])


def gain(
    after: Float[np.ndarray, " n"],
    before: Float[np.ndarray, " n"],
    clusters: Sequence[Hashable] | None = None,
    *,
    within: Ends = ANY,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """What is gained, pair by pair: the mean of after - before and its interval.

    Of shares (all values of both are 0 or 1) the interval is that of a "gain", else of a "number";
    see `mean`. Pairs with a missing value (NaN) are left out.
    """
    known = ~(np.isnan(after) | np.isnan(before))
    shares = all(is_share(values[known]) for values in (after, before))
    kind: Kind = "gain" if shares else "number"
    about: dict[str, Any] = {"within": within, "level": level, "draws": draws, "seed": seed}
    return mean(after - before, clusters, kind=kind, **about)


def difference(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    clusters_a: Sequence[Hashable],
    clusters_b: Sequence[Hashable],
    *,
    kind: Kind | None = None,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """The difference of two groups' means, its interval and a permutation test's p.

    The interval is made of both means' (Zou and Donner 2008): its low end is as far below the
    difference as the low end of a and the high end of b are from their means, squares added.

    Parameters
    ----------
    a, b
        Values of both groups.
    clusters_a, clusters_b
        What each value belongs to. Whole clusters are exchanged between the groups for the test
        (two-sided; Davison and Hinkley 1997, section 4.3).
    kind
        "share" or "number", of both groups; None: a share if both are by `is_share`.
    level, draws, seed
        Coverage, resamples and seed, as in `mean`.

    Returns
    -------
    difference, low, high, p
        mean(a) - mean(b). No interval and no p (NaN) if a group has fewer than two clusters.
    """
    groups = [known_values(a, clusters_a), known_values(b, clusters_b)]
    if not all(len(values) for values, _ in groups):
        return np.nan, np.nan, np.nan, np.nan
    if kind is None:
        kind = "share" if all(is_share(values) for values, _ in groups) else "number"
    (one, low_a, high_a), (other, low_b, high_b) = (
        mean(values, labels, kind=kind, level=level, draws=draws, seed=seed)
        for values, labels in groups
    )
    gap, parts = one - other, [by_cluster(*group) for group in groups]
    if min(len(sums) for sums, _ in parts) < 2:
        return gap, np.nan, np.nan, np.nan
    low = gap - float(np.hypot(one - low_a, high_b - other))
    high = gap + float(np.hypot(high_a - one, other - low_b))
    sums, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(sums)), (draws, 1)), axis=1)
    first, rest = order[:, : len(parts[0][0])], order[:, len(parts[0][0]) :]
    chance = sums[first].sum(1) / counts[first].sum(1) - sums[rest].sum(1) / counts[rest].sum(1)
    scale = float(np.abs(sums / counts).max())
    return gap, low, high, share_beyond(chance, gap, scale)


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
        Which observations belong together, as in `mean`.

    Returns
    -------
    p
        NaN if there is no difference.
    """
    values, labels = known_values(differences, clusters)
    if not len(values):
        return np.nan
    sums, _ = by_cluster(values, labels)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(sums)))
    scale = float(np.abs(sums).sum())
    return share_beyond((signs * sums).sum(1), float(sums.sum()), scale)


def ratio(
    above: Float[np.ndarray, " n"],
    below: Float[np.ndarray, " n"],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The ratio of two paired means, and its interval over clusters, as that of a "number".

    Pairs with a missing value (NaN) are left out. All NaN where the mean below is 0 or of nothing;
    no interval (NaN) of a single cluster.
    """
    known = ~(np.isnan(above) | np.isnan(below))
    if not below[known].sum():
        return np.nan, np.nan, np.nan
    labels = [label for label, k in zip(clusters, known, strict=True) if k]
    found = float(above[known].sum() / below[known].sum())
    sums, _ = by_cluster(above[known], labels)
    others, _ = by_cluster(below[known], labels)
    if len(sums) < 2:
        return found, np.nan, np.nan
    return found, *number_interval(sums, others, level, draws, seed)


def columns(name: str) -> tuple[str, str, str]:
    """What a table calls a mean and the ends of its interval.

    >>> columns("ap")
    ('ap', 'ap_low', 'ap_high')
    """
    return name, f"{name}_low", f"{name}_high"
