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
    kernel: Float[Tensor, "rows columns"],
    mend: str,
) -> Float[Tensor, "samples channels height width"]:
    """Each channel of an image under a kernel.

    Parameters
    ----------
    image, kernel
        The kernel is an odd number of cells high and wide.
    mend
        What to do where the image is too small to be mirrored.

    Raises
    ------
    DaamkitError
        If the image is too small.
    """
    channels, height, width = image.shape[1:]
    down, across = (side // 2 for side in kernel.shape)
    if down >= height or across >= width:
        raise DaamkitError(
            wanted=f"more than {max(down, across)} cells a side for a blur {max(kernel.shape)} "
            "cells wide",
            got=f"{height} x {width}",
            mend=mend,
        )
    padded = F.pad(image, (across, across, down, down), mode="reflect")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)
