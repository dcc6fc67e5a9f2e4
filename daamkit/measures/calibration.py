"""How good probabilities are: do they tell apart, and do they come true as often as they say?

Each is told with an interval over clusters, such as prompts, that has a width where nothing failed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from daamkit.measures.clusters import beta_interval, error_of, gain_interval, independent
from daamkit.measures.intervals import mean

BINS = 10
Said = Float[np.ndarray, " n"]
Happened = Bool[np.ndarray, " n"]
Labels = Sequence[Hashable]


def auroc(said: Said, happened: Happened) -> float:
    """Area under the ROC curve: how often a case that happened was said to be likelier than one
    that did not (Hanley and McNeil 1982); ties count half. NaN if all are of one kind.

    Parameters
    ----------
    said, happened
        A probability, or any score, and the outcome of each case.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    both = happened.any() and not happened.all()
    return float(_above(said, happened)[happened].mean()) if both else np.nan


def brier(said: Said, happened: Happened) -> float:
    """Mean square of what was said less what happened (Brier 1950)."""
    return float(((said - happened) ** 2).mean())


def error(said: Said, happened: Happened) -> float:
    """Expected calibration error: how far the share that happened is from the mean probability
    said, over `BINS` bins of equally many cases (Nixon et al. 2019, arXiv 1904.01685). Of few
    cases it is above 0 by chance alone."""
    gaps = np.bincount(_bins(said), said - happened)
    return float(np.abs(gaps).sum() / len(said))


# -- how sure they are


def auroc_interval(
    said: Said, happened: Happened, clusters: Labels, *, level: float = 0.95
) -> tuple[float, float, float]:
    """`auroc` with its interval.

    The error is DeLong's (1988) over clusters (Obuchowski 1997). The area is taken for a share of
    the rarer kind's cases: the interval is Clopper and Pearson's, of as many independent ones as
    would vary as much; see "share" in `intervals.mean`. So an area of 1 has a width, which the
    number of the rarer cases decides.

    Parameters
    ----------
    said, happened, clusters
        What was said of each case, its outcome, and what it belongs to.
    level
        Of the interval.

    Returns
    -------
    auroc, low, high
        No interval (NaN) if one kind is of a single cluster.
    """
    found, labels = auroc(said, happened), _numbers(clusters)
    rarer = happened if happened.mean() <= 0.5 else ~happened
    if min(len(set(labels[happened])), len(set(labels[~happened]))) < 2:
        return found, np.nan, np.nan
    above = _above(said, happened)
    parts = (above - found) / np.where(happened, happened.sum(), (~happened).sum())
    sums = np.bincount(labels, parts)
    variance = float((sums**2).sum() * len(sums) / (len(sums) - 1))
    counts = np.bincount(labels, rarer)
    crossed = (above < 1) if found > 0.5 else (above > 0)
    told = len(set(labels[rarer & crossed]))
    seen = variance * rarer.sum() / (found * (1 - found)) if 0 < found < 1 else 1.0
    values = independent(counts[counts > 0], told, seen, level)
    return found, *beta_interval(found, values, level)


def brier_interval(
    said: Said, happened: Happened, clusters: Labels, *, level: float = 0.95
) -> tuple[float, float, float]:
    """`brier` with its interval: Clopper and Pearson's of as many independent cases as would vary
    as much. What is told of that are clusters where a probability was on the wrong side of 0.5: of
    probabilities that were all right the score has a width. Parameters as for `auroc_interval`."""
    found, labels = brier(said, happened), _numbers(clusters)
    squares, counts = (said - happened) ** 2, np.bincount(labels).astype(float)
    if len(counts) < 2:
        return found, np.nan, np.nan
    told, seen = len(set(labels[squares > 0.25])), 1.0
    if 0 < found < 1:
        own = error_of(np.bincount(labels, squares), counts)
        seen = own**2 * (len(said) - 1) / (found * (1 - found))
    return found, *beta_interval(found, independent(counts, told, seen, level), level)


def error_interval(
    said: Said,
    happened: Happened,
    clusters: Labels,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """`error` with an interval that holds the error of endlessly many cases, in the same bins.

    Chance moves each bin's gap, and so makes the sum of their sizes too large rather than too
    small: a bootstrap's quantiles lie above an error of 0. But by the triangle inequality the sum
    is off by no more than the sizes of all that moved, which are bootstrapped over clusters: so far
    is the low end. The high end is as far as the gaps with their signs, a mean of values between -1
    and 1, would be by Bonett and Price's interval (2012; "gain" in `intervals.mean`); the low end
    is no nearer. Other parameters as for `auroc_interval`.

    Parameters
    ----------
    draws, seed
        Of the bootstrap.
    """
    found, labels, bins = error(said, happened), _numbers(clusters), _bins(said)
    counts = np.bincount(labels).astype(float)
    many = len(counts)
    if many < 2:
        return found, np.nan, np.nan
    gaps = np.zeros((many, BINS))
    np.add.at(gaps, (labels, bins), said - happened)
    low, high = gain_interval(gaps @ np.sign(gaps.sum(0)), counts, level)
    times = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), draws)
    moved = np.abs((times - 1) @ gaps).sum(1) / len(said)
    tail = (1 + level) / 2
    wider = stats.t.ppf(tail, many - 1) / stats.norm.ppf(tail)  # of so few clusters
    below, above = float(np.quantile(moved, tail) * wider), (high - low) / 2
    return found, max(0.0, found - max(below, above)), min(1.0, found + above)


INTERVALS: dict[str, Callable[..., tuple[float, float, float]]] = {
    "auroc": auroc_interval, "brier": brier_interval, "error": error_interval,
}  # fmt: skip


def diagram(said: Said, happened: Happened, clusters: Labels) -> pd.DataFrame:
    """The reliability diagram: for `BINS` bins of equally many cases, the mean probability said,
    and the share that happened with its interval.

    Returns
    -------
    frame
        said, happened, low, high, n.
    """
    bins, names = _bins(said), np.array(list(clusters), dtype=object)
    rows = []
    for part in (np.flatnonzero(bins == number) for number in np.unique(bins)):
        found = mean(happened[part].astype(float), list(names[part]), kind="share")
        row = dict(zip(("happened", "low", "high"), found, strict=True))
        rows.append({"said": float(said[part].mean())} | row | {"n": len(part)})
    return pd.DataFrame(rows)


def _above(said: Said, happened: Happened) -> Said:
    """Of each case, with which share of the other kind it is in the right order; ties count half
    (DeLong's placements)."""
    ranks, own = stats.rankdata(said), np.empty(len(said))
    for kind in (happened, ~happened):
        own[kind] = (ranks[kind] - stats.rankdata(said[kind])) / (~kind).sum()
    return np.where(happened, own, 1 - own)


def _bins(said: Said) -> np.ndarray:
    """The number of each case's bin; of fewer cases than `BINS`, some bins are empty."""
    bins = np.empty(len(said), int)
    for number, part in enumerate(np.array_split(np.argsort(said, kind="stable"), BINS)):
        bins[part] = number
    return bins


def _numbers(clusters: Labels) -> np.ndarray:
    return pd.factorize(pd.Series(list(clusters)))[0]
