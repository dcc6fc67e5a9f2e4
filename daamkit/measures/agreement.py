"""What raters say together: how far they agree, mean opinions, and which run they prefer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from daamkit.errors import DaamkitError
from daamkit.measures.clusters import AS_IF, FEW, error_of, number_interval
from daamkit.measures.intervals import mean, means
from daamkit.measures.ratings import TIE

Metric = Literal["nominal", "ordinal", "interval"]
IMAGE = ["prompt", "seed"]


def alpha(
    rows: pd.DataFrame,
    units: Sequence[str],
    value: str,
    metric: Metric,
    *,
    rater: str = "rater",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Krippendorff's alpha: 1 is agreement, 0 what chance gives, below 0 disagreement by system.

    Alpha is 1 - D_o / D_e, the observed disagreement over the expected ([1]_, section E). Raters
    may be any number, and answers missing. The interval is that of a mean, of what each unit says
    of 1 - alpha (its jackknife pseudo-value, [2]_, chapter 11): Student's, after two units have
    been added whose raters agree as chance has it, so that an alpha of 1 has a width. Where the
    raters of enough units differ (`measures.clusters.FEW`) it is no narrower than that of a
    "number" in `measures.intervals.mean`.

    Parameters
    ----------
    rows
        Tidy: an answer a row, one at most of each rater on each unit.
    units, value, rater
        Columns: those that say what was rated, the answer (missing: None or NaN), and who gave it.
    metric
        How two answers c and k differ. "nominal": 1 if they differ at all; "ordinal": the square
        of the number of answers ranked from c to k, those at both ends counted half; "interval":
        (c - k) squared.
    level, draws, seed
        Of the interval and its bootstrap.

    Returns
    -------
    found
        metric, alpha, low, high; units, raters and answers that could be compared. Alpha is NaN if
        no unit has two answers, or all answers are alike: then nobody could have disagreed. No
        interval (NaN) of a single unit.

    Raises
    ------
    DaamkitError
        If the metric or level is unknown, someone has answered twice, or the answers of a metric
        other than "nominal" are no numbers.

    References
    ----------
    .. [1] K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011,
       https://repository.upenn.edu/asc_papers/43; "Content Analysis", 4th edition, 2018, chapter
       12.
    .. [2] B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993.

    >>> rows = pd.DataFrame({"thing": [1, 1, 2, 2], "rater": list("abab"), "score": [1, 1, 5, 4]})
    >>> round(alpha(rows, ["thing"], "score", "interval")["alpha"], 3)
    0.941
    """
    if metric not in get_args(Metric) or not 0 < level < 1:
        raise DaamkitError(
            wanted=f"a metric of {', '.join(get_args(Metric))}, and a level between 0 and 1",
            got=f"{metric!r} and {level}",
            mend="choose one of these and 0.95, for instance",
        )
    units = list(units)
    _need(rows, [*units, value, rater])
    rows = rows[rows[value].notna()]
    twice = rows[rows.duplicated([*units, rater])]
    if len(twice):
        raise DaamkitError(
            wanted="one answer of each rater on each unit",
            got=f"{len(twice)} more, the first by {twice[rater].iloc[0]!r}",
            mend="read the file with `ratings.answers`, or name more columns in `units`",
        )
    counts, values, raters = _counted(rows, units, value, rater, metric)
    distance = _distance(counts.sum(0)[None], values, metric)
    found = float(_alpha(counts, np.ones((1, len(counts))), distance)[0])
    low = high = np.nan
    if len(counts) > 1 and not np.isnan(found):
        parts = _parts(counts, values, metric, found)
        lower, upper = _ends(parts, int((counts.max(1) < counts.sum(1)).sum()), level, draws, seed)
        low, high = min(found, max(-1.0, 1 - upper)), max(found, min(1.0, 1 - lower))
    about = {"units": len(counts), "raters": raters, "answers": int(counts.sum())}
    return {"metric": metric, "alpha": found, "low": low, "high": high} | about


def opinion(rows: pd.DataFrame, by: Sequence[str], value: str = "score") -> pd.DataFrame:
    """Mean opinion scores with their 95% intervals over images (prompt and seed).

    Parameters
    ----------
    rows
        As `ratings.answers` gives them, with whatever columns the groups need.
    by
        Columns of the groups: "run", "rater", a part of speech.
    value
        What to average: "score", or "present" for shares of yes.

    Returns
    -------
    frame
        A row a group: the columns of `by`, mean, low, high, n (answers).
    """
    _need(rows, [*IMAGE, *by, value])
    images = pd.Series(list(zip(*(rows[name] for name in IMAGE), strict=True)), rows.index, object)
    scale: dict[str, Any] = {"kind": "number", "within": (1, 5)} if value == "score" else {}
    return means(rows.assign(image=images), by, value, cluster="image", **scale)


def preferences(rows: pd.DataFrame) -> pd.DataFrame:
    """How often each of two runs is preferred, for every pair of names.

    Parameters
    ----------
    rows
        As ``ratings.answers(file, "preferred")`` gives them.

    Returns
    -------
    frame
        A row a pair: first, second; first_wins, second_wins, ties (answers); share (of answers
        that prefer the first, ties counted half), low, high (its 95% interval over images); p that
        neither is the better (two-sided sign test over images: an image is won by whom more of its
        raters prefer, images without a winner left out); images, n (answers).

    Raises
    ------
    DaamkitError
        If a column is missing.
    """
    _need(rows, [*IMAGE, "first", "second", "preferred"])
    out = []
    for (first, second), part in rows.groupby(["first", "second"], sort=False):
        said = part["preferred"]
        points = (said == first) + 0.5 * (said == TIE)
        images = list(zip(*(part[name] for name in IMAGE), strict=True))
        share, low, high = mean(points.to_numpy(float), images, within=(0, 1))
        margins = part.assign(margin=points - 0.5).groupby(IMAGE)["margin"].sum()
        won, lost = int((margins > 0).sum()), int((margins < 0).sum())
        out.append(
            {
                "first": first,
                "second": second,
                "first_wins": int((said == first).sum()),
                "second_wins": int((said == second).sum()),
                "ties": int((said == TIE).sum()),
                "share": share,
                "low": low,
                "high": high,
                "p": stats.binomtest(won, won + lost).pvalue if won + lost else np.nan,
                "images": len(margins),
                "n": len(part),
            }
        )
    columns = ["first", "second", "first_wins", "second_wins", "ties", "share", "low", "high"]
    return pd.DataFrame(out, columns=[*columns, "p", "images", "n"])


def _need(rows: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise DaamkitError(
            wanted=f"answers with the columns {', '.join(columns)}",
            got=f"no {', '.join(missing)}",
            mend="take them from `measures.ratings.answers` or a rating's `table()`",
        )


# -- pieces of alpha


def _counted(
    rows: pd.DataFrame, units: list[str], value: str, rater: str, metric: Metric
) -> tuple[Float[np.ndarray, "units values"], np.ndarray, int]:
    """How many raters gave each unit each value, where two or more did; the values; the raters."""
    answers = rows[value]
    if metric != "nominal":
        try:
            answers = answers.astype(float)
        except (TypeError, ValueError) as error:
            raise DaamkitError(
                wanted=f"numbers in the column {value!r}, which the metric {metric!r} compares",
                got=f"{error}",
                mend="take the metric 'nominal'",
            ) from error
    unit = rows.groupby(units).ngroup() if len(rows) else pd.Series(dtype=int)
    paired = unit.map(unit.value_counts()) > 1
    codes, values = pd.factorize(answers[paired], sort=metric != "nominal")
    places, found = pd.factorize(unit[paired])
    counts = np.zeros((len(found), len(values)))
    np.add.at(counts, (places, codes), 1)
    return counts, np.asarray(values), int(rows.loc[paired, rater].nunique())


def _distance(
    totals: Float[np.ndarray, "draws values"], values: np.ndarray, metric: Metric
) -> Float[np.ndarray, "#draws values values"]:
    """Squared differences of two values; ordinal ones depend on how often each was said."""
    if metric == "nominal":
        return 1 - np.eye(len(values))[None]
    if metric == "interval":
        return (values[:, None] - values).astype(float)[None] ** 2
    ranks = totals.cumsum(1) - totals / 2  # the middle of each value's ranks
    return (ranks[:, :, None] - ranks[:, None, :]) ** 2


def _parts(
    counts: Float[np.ndarray, "units values"], values: np.ndarray, metric: Metric, found: float
) -> Float[np.ndarray, " units"]:
    """What each unit says of 1 - alpha: the jackknife's pseudo-values. A unit without which all
    answers would be alike says what all say."""
    many = len(counts)
    times = 1 - np.eye(many)
    without = _alpha(counts, times, _distance(times @ counts, values, metric))
    return 1 - np.where(np.isnan(without), found, many * found - (many - 1) * without)


def _ends(
    parts: Float[np.ndarray, " units"], differ: int, level: float, draws: int, seed: int
) -> tuple[float, float]:
    """The interval of the mean of parts, among which so many units' raters differ."""
    more = np.r_[parts, np.ones(AS_IF)]
    far = stats.t.ppf((1 + level) / 2, len(parts) - 1) * error_of(more, np.ones(len(more)))
    low, high = float(more.mean() - far), float(more.mean() + far)
    if differ >= FEW:
        lower, upper = number_interval(parts, np.ones(len(parts)), level, draws, seed)
        low, high = min(low, lower), max(high, upper)
    return low, high


def _alpha(
    counts: Float[np.ndarray, "units values"],
    times: np.ndarray,
    distance: Float[np.ndarray, "#draws values values"],
) -> Float[np.ndarray, " draws"]:
    """Alpha with each unit taken `times` (draws, units) over; NaN where all values are alike."""
    pairs = counts[:, :, None] * counts[:, None, :]  # with oneself too, at no distance
    weights = times / (counts.sum(1) - 1)
    observed = (np.tensordot(weights, pairs, 1) * distance).sum((1, 2))
    totals = times @ counts
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - (totals.sum(1) - 1) * observed / expected
    return np.where(expected > 0, found, np.nan)
