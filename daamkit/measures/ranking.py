"""How well a map's values rank an image's pixels, whatever the threshold."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats


def average_precision(
    values: Float[np.ndarray, "height width"], mask: Bool[np.ndarray, "height width"]
) -> float:
    """Area under the curve of precision over recall (Davis and Goadrich 2006): the mean precision
    at each pixel of the mask, of the pixels with values as high; NaN of an empty mask.

    A map that knows nothing has the mask's share of the image.

    >>> map = np.array([[0.9, 0.8], [0.3, 0.1]])
    >>> average_precision(map, np.array([[True, False], [True, False]]))
    0.8333333333333333
    """
    if not mask.any():
        return float("nan")
    order = np.argsort(-values, axis=None, kind="stable")
    found = np.cumsum(mask.ravel()[order])
    last = np.append(np.diff(values.ravel()[order]) != 0, True)  # ties come together
    recall = np.diff(found[last], prepend=0) / mask.sum()
    return float((recall * found[last] / (np.flatnonzero(last) + 1)).sum())


def within(
    change: Float[np.ndarray, "height width"], values: Float[np.ndarray, "height width"], area: int
) -> float:
    """The share of a change that lies in so many pixels, those with the highest values.

    >>> change = np.array([[3.0, 1.0], [0.0, 0.0]])
    >>> within(change, np.array([[0.9, 0.1], [0.2, 0.3]]), 1)
    0.75
    """
    order = np.argsort(-values, axis=None, kind="stable")[:area]
    return float(change.ravel()[order].sum() / max(change.sum(), 1e-30))


def rank_correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Spearman's; NaN where one of them does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)
