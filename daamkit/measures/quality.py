"""How good generated pictures are as a set, in the features of some network.

Any features will do: Inception's for photographs, the oracle's (`toybox.oracle.features`) for the
toy world. Numbers in different features cannot be compared.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg
from scipy.spatial.distance import cdist

from daamkit.errors import DaamkitError
from daamkit.measures.intervals import mean

Features = Float[np.ndarray, "n features"]


def fid(real: Features, generated: Float[np.ndarray, "m others"]) -> float:
    """Fréchet distance of two normal distributions fitted to the features (arXiv 1706.08500).

    |m_r - m_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)). Smaller is better; sets of few pictures give
    too much, so compare sets of one size.

    Raises
    ------
    DaamkitError
        If a set has fewer than two pictures, or the sets' features differ in number.
    """
    _check(real, generated, 2)
    gap = real.mean(0) - generated.mean(0)
    a, b = (np.cov(each, rowvar=False).reshape(each.shape[1], -1) for each in (real, generated))
    # tr (C_r C_g)^(1/2) by way of the symmetric C_r^(1/2) C_g C_r^(1/2), whose roots are real
    values, vectors = linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(linalg.eigvalsh(root @ b @ root).clip(0)).sum()
    return float(gap @ gap + np.trace(a) + np.trace(b) - 2 * cross)


def precision_recall(
    real: Features, generated: Float[np.ndarray, "m others"], k: int = 3
) -> tuple[float, float]:
    """Share of generated pictures in the real ones' manifold, and the reverse.

    Improved precision and recall (arXiv 1904.06991).

    A set's manifold is the union of balls around its pictures, each reaching to its k-th nearest
    neighbour within the set.

    Raises
    ------
    DaamkitError
        If a set has no more than k pictures, or the sets' features differ in number.
    """
    _check(real, generated, k + 1)
    apart = cdist(real, generated)
    reach = [np.partition(cdist(each, each), k, axis=1)[:, k] for each in (real, generated)]
    precision = (apart <= reach[0][:, None]).any(0).mean()
    recall = (apart <= reach[1]).any(1).mean()
    return float(precision), float(recall)


def halves(n: int, seed: int = 0, draws: int = 200) -> list[Int[np.ndarray, " half"]]:
    """Random halves of n pictures, by their indices; for `interval`."""
    rng = np.random.default_rng((seed, 54))
    return [rng.permutation(n)[: n // 2] for _ in range(draws)]


def interval(name: str, values: Float[np.ndarray, " sets"], share_of: int = 0) -> dict[str, float]:
    """A number of a whole set, the first of `values`, with its 95% interval by those of its halves.

    The halves' numbers lie about their own mean as those of whole sets do about the truth
    (half-sampling, a delete-d jackknife: Shao and Wu 1989). A bootstrap would have pictures twice,
    which raises FID and lowers recall.

    Parameters
    ----------
    name
        What the number is called.
    values
        Of the whole set, then of each of its `halves`.
    share_of
        If it is a share of so many pictures: the interval is no narrower than theirs would be if
        the manifold were known (`intervals.mean`), for near 0 and 1 all halves are alike.

    Returns
    -------
    row
        A row with ``name``, ``name_low`` and ``name_high``.
    """
    low, high = values[0] + np.quantile(values[1:], (0.025, 0.975)) - values[1:].mean()
    if share_of:
        _, least, most = mean(np.arange(share_of) < round(values[0] * share_of))
        low, high = max(min(low, least), 0), min(max(high, most), 1)
    found = {name: values[0], f"{name}_low": low, f"{name}_high": high}
    return {key: float(value) for key, value in found.items()}


def _check(real: np.ndarray, generated: np.ndarray, least: int) -> None:
    if min(len(real), len(generated)) < least:
        raise DaamkitError(
            wanted=f"at least {least} pictures in each set",
            got=f"{len(real)} real and {len(generated)} generated",
            mend="generate more; some hundred make a stable number",
        )
    if real.shape[1] != generated.shape[1]:
        raise DaamkitError(
            wanted="features of one network for both sets",
            got=f"{real.shape[1]} and {generated.shape[1]} features a picture",
            mend="compute both with the same one",
        )
