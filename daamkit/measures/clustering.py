"""Segments without names: k-means of features, the unsupervised baseline of segmentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment

from daamkit.errors import DaamkitError
from daamkit.measures.overlap import iou

ROUNDS = 30  # of k-means


def kmeans(
    features: Float[np.ndarray, "channels y x"], k: int, seed: int = 0, restarts: int = 10
) -> Int[np.ndarray, "y x"]:
    """Cluster the places of a feature map: k-means++ (Arthur and Vassilvitskii 2007) and k-means.

    Of some starts that one is kept whose places lie nearest to their centres, for a single one may
    end anywhere.

    Parameters
    ----------
    features
        Each channel is brought to mean 0 and deviation 1; one that is constant says nothing.
    k
        How many clusters at most: there are fewer if fewer places differ, or if some end empty.
    seed
        Of the first centres.
    restarts
        How often to begin, each time with other centres.

    Returns
    -------
    clusters
        Counted from 0 without gaps, in the order in which rows from the top meet them.

    Raises
    ------
    DaamkitError
        If k or `restarts` is below 1, or a feature is not finite or there is none.
    """
    if k < 1 or restarts < 1:
        raise DaamkitError(
            wanted="at least one cluster and one start",
            got=f"k = {k}, restarts = {restarts}",
            mend="raise k, or leave `restarts`",
        )
    if not features.size or not np.isfinite(features).all():
        raise DaamkitError(
            wanted="finite features",
            got=f"{np.count_nonzero(~np.isfinite(features))} others among {features.size}",
            mend="look for what makes them, such as a sum in half precision",
        )
    data = features.reshape(len(features), -1).T.astype(np.float64)  # (places, channels)
    largest = np.abs(data).max(0)
    data /= np.where(largest > 0, largest, 1)  # so that no square overflows
    data -= data.mean(0)
    spread = data.std(0)
    data = np.where(spread > 1e-9, data, 0) / np.where(spread > 1e-9, spread, 1)
    different, which = np.unique(data.round(9), axis=0, return_inverse=True)
    if len(different) <= k:
        return _in_order(which.reshape(features.shape[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a cluster is empty: that is allowed here
        rng = np.random.default_rng(seed)
        starts = [
            kmeans2(data.round(9), k, iter=ROUNDS, minit="++", seed=rng) for _ in range(restarts)
        ]
    spreads = [((data.round(9) - centres[labels]) ** 2).sum() for centres, labels in starts]
    _, which = starts[int(np.argmin(spreads))]
    return _in_order(which.reshape(features.shape[1:]))


def hungarian(
    clusters: Int[np.ndarray, "y x"], truths: Sequence[Bool[np.ndarray, "height width"]]
) -> list[Bool[np.ndarray, "height width"]]:
    """Give each truth a cluster of its own, such that the sum of their IoU is the greatest.

    This looks at the truth, and so flatters the baseline, as the evaluations of PiCIE+H
    (arXiv 2103.17070) and STEGO (arXiv 2203.08414) do.

    Parameters
    ----------
    clusters
        Enlarged to the truths' size by the nearest neighbour. What the labels are does not matter.
    truths
        Masks of one size.

    Returns
    -------
    masks
        One for each truth, in their order; empty where there were too few clusters.

    >>> clusters = np.array([[7, 7, 3, 3]])
    >>> cat, car = clusters == 3, np.array([[True, False, False, False]])
    >>> [mask.astype(int).tolist() for mask in hungarian(clusters, [cat, car])]
    [[[0, 0, 1, 1]], [[1, 1, 0, 0]]]
    """
    if not truths:
        return []
    labels = _in_order(_nearest(clusters, truths[0].shape))  # ties fall alike for any labels
    cut = labels == np.arange(labels.max() + 1)[:, None, None]  # (clusters, height, width)
    scores = np.array([iou(np.broadcast_to(truth, cut.shape), cut) for truth in truths])
    masks = [np.zeros(labels.shape, bool) for _ in truths]
    for truth, cluster in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
        masks[truth] = cut[cluster]
    return masks


def _nearest(labels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Each pixel takes the label of the place that its middle falls in."""
    rows, columns = (
        (2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(size, labels.shape, strict=True)
    )
    return labels[rows][:, columns]


def _in_order(labels: np.ndarray) -> np.ndarray:
    """Labels counted from 0 in the order in which they come."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which].reshape(labels.shape)
