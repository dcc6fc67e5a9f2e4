"""How much two masks share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def iou(
    a: Bool[np.ndarray, "*masks height width"], b: Bool[np.ndarray, "*masks height width"]
) -> np.ndarray | float:
    """Intersection over union of masks, or of stacks of them; 0 where both are empty.

    >>> a, b = np.zeros((2, 2, 4), bool)
    >>> a[:, :2], b[:, 1:3] = True, True
    >>> iou(a, b)
    0.3333333333333333
    """
    both = (a & b).sum((-2, -1))
    either = (a | b).sum((-2, -1))
    share = both / np.maximum(either, 1)
    return float(share) if share.ndim == 0 else share
