"""How much two maps share: of both, or of one.

Of a head and its dependent, the DAAM paper (arXiv 2210.04885) calls `iou` mIoU when averaged, the
share of the dependent's area mIoD, ``ioa(dependent, head)``, and of the head's mIoH,
``ioa(head, dependent)``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from daamkit.errors import DaamkitError

_SLACK = 1e-6  # of rounding, below 0 and above 1
Maps = Bool[np.ndarray, "*maps height width"] | Float[np.ndarray, "*maps height width"]


def iou(a: Maps, b: Maps, *, bounded: bool = True) -> np.ndarray | float:
    """Intersection over union of masks, or of stacks of them; 0 where both are empty.

    Maps of numbers from 0 to 1 are taken softly: sum(ab) / (sum a + sum b - sum ab). With `bounded`
    off, numbers may be others, of which this is no share.

    Raises
    ------
    DaamkitError
        If they are not of one size, or numbers are not from 0 to 1.

    >>> a, b = np.zeros((2, 2, 4), bool)
    >>> a[:, :2], b[:, 1:3] = True, True
    >>> round(iou(a, b), 4)
    0.3333
    """
    both = _both(a, b, bounded)
    return _share(both, _area(a) + _area(b) - both)


def ioa(a: Maps, b: Maps, *, bounded: bool = True) -> np.ndarray | float:
    """Intersection over the area of the first, softly as in `iou`; 0 where the first is empty.

    >>> a, b = np.zeros((2, 2, 4), bool)
    >>> a[:, :1], b[:, :4] = True, True
    >>> ioa(a, b), ioa(b, a)
    (1.0, 0.25)
    """
    return _share(_both(a, b, bounded), _area(a))


def _both(a: Maps, b: Maps, bounded: bool) -> np.ndarray:
    if a.shape[-2:] != b.shape[-2:]:
        raise DaamkitError(
            wanted="maps of one size",
            got=f"{a.shape[-2:]} and {b.shape[-2:]}",
            mend="enlarge both to the image's size",
        )
    for each in (a, b) if bounded else ():  # comparisons with NaN are false
        if (
            each.dtype != bool
            and each.size
            and not (each.min() >= -_SLACK and each.max() <= 1 + _SLACK)
        ):
            raise DaamkitError(
                wanted="masks, or maps of numbers from 0 to 1",
                got=f"numbers from {each.min():g} to {each.max():g}",
                mend="cut the maps, or scale them: `WordMap.expand()` does",
            )
    return _area(a * b)


def _area(a: Maps) -> np.ndarray:
    return np.asarray(a.sum((-2, -1), dtype=float))


def _share(part: ArrayLike, whole: ArrayLike) -> np.ndarray | float:
    part, whole = np.asarray(part), np.asarray(whole)
    share = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return float(share) if share.ndim == 0 else share
