"""FID, precision and recall against what theory says."""

import numpy as np
import pytest

from daamkit.errors import DaamkitError
from daamkit.measures import quality


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(400, 6))


def test_fid_of_a_set_with_itself_is_nothing(cloud) -> None:
    assert quality.fid(cloud, cloud) == pytest.approx(0, abs=1e-9)


def test_fid_of_a_shift_is_its_square(cloud) -> None:
    shift = np.array([1.0, -2, 0, 0, 0, 3])
    assert quality.fid(cloud, cloud + shift) == pytest.approx(14, rel=1e-9)


def test_fid_of_a_scaling(cloud) -> None:
    # covariances C and s^2 C: tr(C + s^2 C - 2 s C) = (1 - s)^2 tr C, and the mean moves
    moved = 3 * cloud
    gap = ((3 - 1) * cloud.mean(0)) ** 2
    expected = gap.sum() + 4 * np.trace(np.cov(cloud, rowvar=False))
    assert quality.fid(cloud, moved) == pytest.approx(expected, rel=1e-9)


def test_fid_of_covariances_that_do_not_commute() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(300, 4))
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(ca @ cb).real).sum()
    gap = a.mean(0) - b.mean(0)
    assert quality.fid(a, b) == pytest.approx(gap @ gap + np.trace(ca + cb) - 2 * roots)
    assert quality.fid(a, b) == pytest.approx(quality.fid(b, a))


def test_precision_and_recall(cloud) -> None:
    assert quality.precision_recall(cloud, cloud) == (1.0, 1.0)
    assert quality.precision_recall(cloud, cloud + 100) == (0.0, 0.0)
    some = cloud[np.linalg.norm(cloud, axis=1) < 1.6]  # all true, not all that there is
    precision, recall = quality.precision_recall(cloud, some)
    assert precision == 1.0 and recall < 0.7


def test_too_few_and_unlike_sets(cloud) -> None:
    with pytest.raises(DaamkitError, match="at least 2"):
        quality.fid(cloud, cloud[:1])
    with pytest.raises(DaamkitError, match="at least 4"):
        quality.precision_recall(cloud[:3], cloud)
    with pytest.raises(DaamkitError, match="one network"):
        quality.fid(cloud, cloud[:, :5])
