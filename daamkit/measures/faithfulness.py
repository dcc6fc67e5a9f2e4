"""Is a word's map where the word works? Deletion and insertion (Petsiuk et al. 2018, arXiv
1806.07421), with a word silenced in cells where they blank pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75)  # of the picture, highest values first


def highest(
    values: Float[np.ndarray, "height width"], share: float
) -> Bool[np.ndarray, "height width"]:
    """The pixels with the highest values, so many that they are a share of all.

    >>> highest(np.array([[0.9, 0.1], [0.2, 0.3]]), 0.5)
    array([[ True, False],
           [False,  True]])
    """
    found = np.zeros(values.size, bool)
    found[np.argsort(-values, axis=None, kind="stable")[: round(share * values.size)]] = True
    return found.reshape(values.shape)


def parts(
    values: Float[np.ndarray, "height width"], shares: Sequence[float] = SHARES
) -> Bool[np.ndarray, "parts height width"]:
    """Where a word is to be silenced for both curves: in each share of the pixels where its map is
    highest (deletion), then outside of each (insertion)."""
    inside = np.stack([highest(values, share) for share in shares])
    return np.concatenate([inside, ~inside])


def effects(
    plain: Float[np.ndarray, "height width colours"],
    silenced: Float[np.ndarray, "height width colours"],
    pictures: Float[np.ndarray, "parts height width colours"],
) -> tuple[Float[np.ndarray, " shares"], Float[np.ndarray, " shares"]]:
    """How much of what a word does is undone by silencing it in each of its `parts`.

    Parameters
    ----------
    plain, silenced
        The picture, and that with the word silenced everywhere.
    pictures
        With it silenced in each part.

    Returns
    -------
    deletion
        The change where it is silenced in the highest pixels alone, as a share of the change where
        it is silenced everywhere. A map of where the word works rises early.
    insertion
        One minus that share where it is silenced outside of them: what of its work is left. It
        rises early too. NaN, both, of a word that does nothing.
    """
    whole = np.abs(silenced - plain).mean()
    if whole == 0:
        nothing = np.full(len(pictures) // 2, np.nan)
        return nothing, nothing
    changes = np.abs(pictures - plain).mean((1, 2, 3)) / whole
    half = len(changes) // 2
    return changes[:half], 1 - changes[half:]


def area(effect: Float[np.ndarray, " shares"], shares: Sequence[float] = SHARES) -> float:
    """Under a curve of effects over the share of the picture, from (0, 0) to (1, 1). What knows
    nothing has about a half.

    >>> area(np.array([1.0, 1.0]), [0.25, 0.5])
    0.875
    """
    return float(np.trapezoid([0.0, *effect, 1.0], [0.0, *shares, 1.0]))
