"""A Gaussian blur that mirrors an image at its edges."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError


def line(width: int, sigma: float) -> Float[Tensor, " width"]:
    """One line of a kernel, an odd number of cells wide, that sums to 1."""
    x = torch.arange(width, device="cpu", dtype=torch.float32) - width // 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def blurred(
    image: Float[Tensor, "samples channels height width"],
    kernel: Float[Tensor, "size size"],
    mend: str,
) -> Float[Tensor, "samples channels height width"]:
    """Each channel of an image under a square kernel.

    Parameters
    ----------
    image, kernel
        The kernel is an odd number of cells wide.
    mend
        What to do where the image is too small to be mirrored.

    Raises
    ------
    DaamkitError
        If the image is too small.
    """
    reach, (channels, height, width) = len(kernel) // 2, image.shape[1:]
    if reach >= min(height, width):
        raise DaamkitError(
            wanted=f"more than {reach} cells a side for a blur {len(kernel)} cells wide",
            got=f"{height} x {width}",
            mend=mend,
        )
    padded = F.pad(image, (reach,) * 4, mode="reflect")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)
