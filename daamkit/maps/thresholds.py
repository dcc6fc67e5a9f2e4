"""Where a map is cut, so that a word has places and others have not."""

from __future__ import annotations

import math
from typing import Any, Literal, cast, get_args

import numpy as np
from jaxtyping import Bool, Float

from daamkit.errors import DaamkitError

Rule = Literal["max", "minmax", "absolute", "quantile", "otsu"]


def asked(threshold: Any, rule: Any) -> tuple[float, Rule]:
    """A threshold and a rule; a rule may stand in the threshold's place.

    Raises
    ------
    DaamkitError
        If the threshold is not in [0, 1], or the rule unknown.
    """
    if isinstance(threshold, str):
        threshold, rule = 0.4, threshold
    if rule not in get_args(Rule):
        raise DaamkitError(
            wanted=f"one of the rules {', '.join(get_args(Rule))}",
            got=repr(rule),
            mend="name one of these",
        )
    number = isinstance(threshold, int | float | np.number) and math.isfinite(threshold)
    if not (number and (0 <= threshold <= 1 or rule == "absolute")):
        raise DaamkitError(
            wanted="a threshold in [0, 1]",
            got=f"{threshold}",
            mend="give a share of the maximum, such as 0.4, or take `rule='absolute'`",
        )
    return float(threshold), cast("Rule", rule)


def cut(
    values: Float[np.ndarray, "*frames height width"], threshold: float, rule: Rule
) -> Bool[np.ndarray, "*frames height width"]:
    """The places where a map is high enough, by the rules of `WordMap.mask`; those of "minmax" are
    of a map from 0 to 1."""
    if rule == "minmax":
        return values > threshold
    if not values.max() > 0:
        return np.zeros(values.shape, bool)
    if rule == "otsu":
        return values >= _otsu(values)
    if rule == "quantile":
        return values >= np.quantile(values, threshold)
    return values >= (threshold if rule == "absolute" else threshold * values.max())


def _otsu(values: np.ndarray, bins: int = 256) -> float:
    if np.ptp(values) <= 1e-6 * abs(values.max()):
        return float("inf")  # all alike: nothing to part
    counts, edges = np.histogram(values.astype(np.float64), bins)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = values.size - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        between = np.where((below > 0) & (above > 0), below * above * gap**2, 0.0)
    return float(edges[int(between.argmax()) + 1])
