"""How evenly a map lies on its places."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats


def evenness(values: Float[np.ndarray, "*cells"]) -> float:
    """Entropy of a map as a distribution over its places, over that of an even one.

    Parameters
    ----------
    values
        From 0 on, of any scale.

    Returns
    -------
    share
        From 0 (all in one place) to 1 (even; a map of zeros is).

    >>> round(evenness(np.ones((2, 3))), 6), evenness(np.eye(1, 4))
    (1.0, 0.0)
    """
    if not values.any():
        return 1.0
    return float(stats.entropy(values.ravel()) / np.log(values.size))
