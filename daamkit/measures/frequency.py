"""How fine the detail of a picture's patches is, and of those that are attended to.

A grid of h x w cells cuts a picture into as many patches, cell (y, x) of a self-attention map
looking at patch (y, x). Each patch has a spectrum, that of its two-dimensional Fourier transform,
which is told by radial frequency: the frequency analysis of Self-Attention Guidance (Hong et al.
2023, arXiv 2210.00939, section 4).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from daamkit.errors import DaamkitError

Patches = Float[np.ndarray, "cells channels y x"]


class Contrast(NamedTuple):
    """Spectra of the patches that are attended to, beside those of all.

    Attributes
    ----------
    frequency
        Cycles per pixel, ascending, from 0 (the patch's mean) to 1/2.
    above, everywhere
        Log magnitude (`profiles`), averaged over the patches whose score is above the threshold,
        and over all. `above` is NaN if there is none.
    """

    frequency: Float[np.ndarray, " rings"]
    above: Float[np.ndarray, " rings"]
    everywhere: Float[np.ndarray, " rings"]


def contrast(picture: ArrayLike, scores: Float[np.ndarray, "h w"], psi: float = 1.0) -> Contrast:
    """Compare the patches whose attention score is above a threshold with all patches.

    Parameters
    ----------
    picture
        (height, width) or (height, width, channels), in grey levels from 0 to 255.
    scores
        Of each cell: how much attention it receives from all cells, heads averaged; 1 is the mean
        (`maps.selfmaps.SelfMaps.received`).
    psi
        The score above which a patch is taken; 1 is the mean.

    Raises
    ------
    DaamkitError
        If the picture is none that `patches` takes.
    """
    height, width = scores.shape
    cut = patches(picture, (height, width))
    of_each, chosen = profiles(cut), scores.ravel() > psi
    above = of_each[chosen].mean(0) if chosen.any() else np.full(of_each.shape[1], np.nan)
    return Contrast(frequencies(*cut.shape[-2:]), above, of_each.mean(0))


def patches(picture: ArrayLike, grid: tuple[int, int]) -> Patches:
    """A picture cut by a grid, row by row.

    Parameters
    ----------
    picture
        (height, width) or (height, width, channels).
    grid
        (height, width) in cells.

    Raises
    ------
    DaamkitError
        If it is no picture, or the grid does not part its sides into whole pixels, two or more.
    """
    pixels = np.asarray(picture, np.float64)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    rows, columns = grid
    if (
        pixels.ndim != 3
        or pixels.shape[0] % rows
        or pixels.shape[1] % columns
        or min(pixels.shape[0] // rows, pixels.shape[1] // columns) < 2
    ):
        raise DaamkitError(
            wanted=f"a picture, (height, width, channels), that {rows} x {columns} cells part into "
            "patches of whole pixels, two or more a side",
            got=f"shape {np.shape(picture)}",
            mend="crop it, or take a coarser grid",
        )
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    cells = pixels.reshape(rows, height, columns, width, -1)  # (rows, y, columns, x, channels)
    return cells.transpose(0, 2, 4, 1, 3).reshape(rows * columns, -1, height, width)


def magnitudes(cut: Patches) -> Patches:
    """|F| of each patch, not shifted: [0, 0] is its mean.

    F = sum of x[m, n] exp(-2 pi i (u m / height + v n / width)) / sqrt(height width), so that the
    squares add up to those of the pixels (Parseval) and white noise of deviation s has s at every
    frequency, whatever the size of the patch. No window: a patch meets its own other side.
    """
    return np.abs(np.fft.fft2(cut, norm="ortho"))


def profiles(cut: Patches) -> Float[np.ndarray, "cells rings"]:
    """Log magnitude of each patch at each of `frequencies`, averaged over the ring and channels.

    ln(1 + |F|), with pixels in grey levels: what is less than one level weighs next to nothing, for
    there rounding to 8 bits decides. Frequencies above 1/2, which diagonals alone have, are left
    out.
    """
    height, width = cut.shape[-2:]
    ring, logs = rings(height, width), np.log1p(magnitudes(cut)).mean(1)
    inside = range(len(frequencies(height, width)))
    return np.stack([logs[:, ring == i].mean(1) for i in inside], axis=1)


def rings(height: int, width: int) -> Int[np.ndarray, "y x"]:
    """Which ring each coefficient of a patch belongs to: its distance from frequency 0, in cycles
    along the patch's shorter side, rounded."""
    v, u = np.fft.fftfreq(height), np.fft.fftfreq(width)
    return np.rint(min(height, width) * np.hypot(v[:, None], u)).astype(int)


def frequencies(height: int, width: int) -> Float[np.ndarray, " rings"]:
    """Of the rings up to 1/2, in cycles per pixel."""
    side = min(height, width)
    return np.arange(side // 2 + 1) / side
