"""K-means of features: known values on hand-drawn maps, and what must hold of all."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.errors import DaamkitError
from daamkit.measures.clustering import hungarian, kmeans
from daamkit.measures.overlap import iou

labels = arrays.arrays(np.int64, (4, 5), elements=st.integers(-2, 3))
masks = st.lists(arrays.arrays(bool, (8, 10)), max_size=5)
numbers = st.one_of(
    st.sampled_from([0.0, 0.1, 1.0, -1e300, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
features = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)), elements=numbers
)


def quarters() -> np.ndarray:
    """Four plateaus, one of them far away in a channel of large numbers, and a constant channel."""
    drawn = np.full((3, 6, 8), 0.1)
    drawn[0, 3:], drawn[1, :, 4:] = 1.0, 1e6
    drawn[0] += np.random.default_rng(0).normal(scale=0.01, size=(6, 8))
    return drawn


def test_plateaus_are_clusters_whatever_their_scale() -> None:
    for seed in range(5):
        found = kmeans(quarters(), 4, seed)
        assert found[:3, :4].tolist() == [[0] * 4] * 3 and found[:3, 4:].tolist() == [[1] * 4] * 3
        assert found[3:, :4].tolist() == [[2] * 4] * 3 and found[3:, 4:].tolist() == [[3] * 4] * 3


def spread(drawn: np.ndarray, found: np.ndarray) -> float:
    """Squares within the clusters, of features of mean 0 and deviation 1."""
    data = (drawn - drawn.mean((1, 2), keepdims=True)) / drawn.std((1, 2), keepdims=True)
    parts = [data[:, found == label] for label in np.unique(found)]
    return sum(((part - part.mean(1, keepdims=True)) ** 2).sum() for part in parts)


def test_the_best_of_some_starts_is_kept() -> None:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(12, 2)) * 5
    drawn = np.stack([centres[i % 12] + rng.normal(0, 0.3, 2) for i in range(96)], 1)
    drawn = drawn.reshape(2, 8, 12)
    once = [spread(drawn, kmeans(drawn, 12, seed, restarts=1)) for seed in range(12)]
    often = [spread(drawn, kmeans(drawn, 12, seed)) for seed in range(12)]
    assert max(often) < np.mean(once) < max(once)
    with pytest.raises(DaamkitError, match="one start"):
        kmeans(drawn, 2, restarts=0)


def test_fewer_different_places_than_clusters() -> None:
    assert kmeans(np.full((2, 3, 4), 0.1, np.float32), 5).tolist() == [[0] * 4] * 3
    assert kmeans(np.array([[[0.1, 0.1, 2.0]]]), 5).tolist() == [[0, 0, 1]]


def test_arguments_that_make_no_clusters() -> None:
    with pytest.raises(DaamkitError, match="k = 0"):
        kmeans(np.zeros((1, 2, 2)), 0)
    with pytest.raises(DaamkitError, match="1 others among 4"):
        kmeans(np.array([[[0, 1], [np.nan, 1]]]), 2)
    with pytest.raises(DaamkitError, match="finite features"):
        kmeans(np.zeros((0, 2, 2)), 2)


@settings(max_examples=100, deadline=None)
@given(features, st.integers(1, 6), st.integers(0, 3))
def test_any_features_have_at_most_k_clusters(drawn: np.ndarray, k: int, seed: int) -> None:
    found = kmeans(drawn, k, seed)
    assert found.shape == drawn.shape[1:]
    assert np.unique(found).tolist() == list(range(found.max() + 1)) and found.max() < k
    assert np.array_equal(found, kmeans(drawn, k, seed))


def test_each_truth_gets_a_cluster_of_its_own() -> None:
    clusters = np.array([[0, 0, 1, 1], [0, 0, 2, 2]])
    left, right, corner = np.zeros((3, 4, 8), bool)
    left[:, :4], right[:, 4:], corner[2:, 4:] = True, True, True
    given = hungarian(clusters, [right, left, corner])
    assert np.array_equal(given[1], left) and np.array_equal(given[2], corner)
    assert np.array_equal(given[0], right & ~corner)  # the better half is the corner's


def test_too_few_clusters_leave_a_truth_empty() -> None:
    half = np.zeros((4, 4), bool)
    half[:2] = True
    first, second = hungarian(np.zeros((2, 2), int), [half, np.ones((4, 4), bool)])
    assert not first.any() and second.all()
    assert hungarian(np.zeros((2, 2), int), []) == []


def test_clusters_are_enlarged_by_the_nearest_neighbour() -> None:
    clusters = np.array([[0, 1, 2]])
    middle = np.zeros((2, 7), bool)
    middle[:, 2:5] = True  # the middles of 7 columns that lie in the second third
    assert np.array_equal(hungarian(clusters, [middle])[0], middle)
    small = hungarian(np.repeat(np.arange(4), 3)[None], [np.array([[False, False, True, False]])])
    assert small[0].tolist() == [[False, False, True, False]]


@settings(max_examples=60)
@given(labels)
def test_a_perfect_clustering_has_iou_1(drawn: np.ndarray) -> None:
    large = drawn.repeat(2, 0).repeat(2, 1)
    truths = [large == label for label in np.unique(drawn)]
    assert [iou(a, b) for a, b in zip(hungarian(drawn, truths), truths, strict=True)] == [1] * len(
        truths
    )


@settings(max_examples=60)
@given(labels, masks, st.permutations(range(6)))
def test_what_the_labels_are_does_not_matter(drawn, truths, order) -> None:
    renamed = np.array(order)[drawn + 2] * 10
    for a, b in zip(hungarian(drawn, truths), hungarian(renamed, truths), strict=True):
        assert np.array_equal(a, b)


@settings(max_examples=60)
@given(labels, masks)
def test_no_other_assignment_is_better(drawn: np.ndarray, truths: list[np.ndarray]) -> None:
    given = hungarian(drawn, truths)
    assert (np.sum(given, axis=0) <= 1).all()  # no cluster twice
    got = sum(iou(a, b) for a, b in zip(given, truths, strict=True))
    large = drawn.repeat(2, 0).repeat(2, 1)
    cut = [large == label for label in np.unique(drawn)]
    cut += [np.zeros((8, 10), bool)] * len(truths)
    scores = [[iou(truth, each) for each in cut] for truth in truths]
    best = max(
        sum(row[i] for row, i in zip(scores, picked, strict=True))
        for picked in itertools.islice(itertools.permutations(range(len(cut)), len(truths)), 500)
    )
    assert best - 1e-9 <= got <= len(truths)
