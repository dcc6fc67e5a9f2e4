"""Is a word's map where the word works? Deletion and insertion (Petsiuk et al. 2018, arXiv
1806.07421), with a word edited in cells where they blank pixels; and what changes inside a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn import functional as F

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
    """Where a word is to be edited for both curves: in each share of the pixels where its map is
    highest (deletion), then outside of each (insertion)."""
    inside = np.stack([highest(values, share) for share in shares])
    return np.concatenate([inside, ~inside])


def effects(
    whole: Float[np.ndarray, "y x"],
    changes: Float[np.ndarray, "parts y x"],
    least: float = 0.0,
) -> tuple[Float[np.ndarray, " shares"], Float[np.ndarray, " shares"]]:
    """How much of what a word does is undone by an edit of it in each of its `parts`.

    Parameters
    ----------
    whole
        How far each place is from the plain picture's, where the word is edited everywhere; in any
        unit.
    changes
        The same where it is edited in each part.
    least
        Mean change up to which a word does nothing: a share of what is rounding tells nothing.

    Returns
    -------
    deletion
        The change by an edit in the highest pixels alone, as a share of the change by one
        everywhere. A map of where the word works rises early.
    insertion
        One minus that share where it is edited outside of them: what of its work is left. It rises
        early too. NaN, both, of a word that does nothing.
    """
    half, total = len(changes) // 2, whole.mean()
    if total <= least:
        nothing = np.full(half, np.nan)
        return nothing, nothing
    shares = changes.mean((1, 2)) / total
    return shares[:half], 1 - shares[half:]


def area(effect: Float[np.ndarray, " shares"], shares: Sequence[float] = SHARES) -> float:
    """Under a curve of effects over the share of the picture, from (0, 0) to (1, 1). What knows
    nothing has about a half.

    >>> area(np.array([1.0, 1.0]), [0.25, 0.5])
    0.875
    """
    return float(np.trapezoid([0.0, *effect, 1.0], [0.0, *shares, 1.0]))


def inside(
    change: Float[np.ndarray, "y x"], mask: Bool[np.ndarray, "height width"]
) -> tuple[float, float]:
    """The mean change inside and outside of a mask of any size: a place counts as much as the mask
    covers it. NaN of what has no place.

    >>> inside(np.array([[3.0, 1.0]]), np.array([[True, True, False, False]]))
    (3.0, 1.0)
    """
    covered = torch.as_tensor(mask, dtype=torch.float64, device="cpu")[None]
    weight = F.adaptive_avg_pool2d(covered, change.shape)[0].numpy()
    means = [
        float((change * each).sum() / each.sum()) if each.sum() > 0 else float("nan")
        for each in (weight, 1 - weight)
    ]
    return means[0], means[1]


def perceptual(
    one: Sequence[Float[np.ndarray, "_ _ _ _"]], other: Sequence[Float[np.ndarray, "_ _ _ _"]]
) -> Float[np.ndarray, "pictures y x"]:
    """How unlike pictures are, place by place: squared distances of a network's features, each
    place's brought to the length 1, as a mean over layers (LPIPS, Zhang et al. 2018, arXiv
    1801.03924, equation 1, without learned weights and before it averages over places).

    Parameters
    ----------
    one, other
        Features by layer, (pictures, channels, y, x), the largest first, each side of which is a
        multiple of the others'. One picture may be held against several.

    Returns
    -------
    distances
        At the first layer's size, from 0 to 4.
    """
    size, found = one[0].shape[2:], []
    for a, b in zip(one, other, strict=True):
        gap = ((_unit(a) - _unit(b)) ** 2).sum(1)
        found.append(gap.repeat(size[0] // gap.shape[1], 1).repeat(size[1] // gap.shape[2], 2))
    return np.mean(found, axis=0)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-10)
