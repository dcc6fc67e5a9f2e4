"""Smoothed Energy Guidance: away from what the model makes of blurred self-attention
(Hong 2024, arXiv 2408.00760)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention.sites import Grid
from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError
from daamkit.guidance.perturbed import Perturbation


@dataclass(eq=False)
class SmoothedEnergyGuidance(Perturbation):
    """Guide away from what the model predicts where neighbouring cells attend alike.

    In the chosen layers the extra pass's queries are blurred over the grid, which blurs the
    attention's logits and lowers the curvature of its energy (section 4). One more conditional
    pass a step; no gradients, no text needed.

    Parameters
    ----------
    scale
        How far; the paper fixes 3.0 and varies sigma. With 0 the image is the unguided one, and
        the distances are still noted.
    layers
        A stage ("mid", the paper's choice), a part of the layers' names ("up_blocks.1"), or
        several: see `layers.find`.
    sigma
        Standard deviation of the blur, in cells of the layer's own grid. The default, infinity, is
        the paper's limit: all cells share the mean query, on a grid of any size.

    Raises
    ------
    DaamkitError
        If sigma is not above 0. When the pipeline is called: if there is no self-attention in these
        layers.

    Notes
    -----
    Noted of each step: distance, the norm of e_c - e_p. For the kernel see `blur`.
    """

    sigma: float = math.inf

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise DaamkitError(
                wanted="a `sigma` above 0, in cells",
                got=repr(self.sigma),
                mend="give a number such as 2.0, or math.inf for the mean query",
            )

    def settings(self) -> dict[str, Any]:
        infinite = {"sigma": "infinity"} if math.isinf(self.sigma) else {}  # JSON has no infinity
        return super().settings() | infinite

    def perturb(self, attention: Attention, output: Tensor) -> Tensor:
        grid = attention.layout.grid
        return F.scaled_dot_product_attention(
            blur(attention.query, grid, self.sigma),
            attention.key,
            attention.value,
            attn_mask=attention.mask,
            scale=attention.scale,
        )


def blur(
    query: Float[Tensor, "batch heads queries channels"], grid: Grid, sigma: float
) -> Float[Tensor, "batch heads queries channels"]:
    """Queries blurred over their grid by a Gaussian, each channel alone, in float32.

    The kernel is ceil(6 sigma) cells wide and at most as wide as the grid, either made odd by one
    cell more where it is even, as in the author's code: so reflection always reaches far enough.
    Height and width have a kernel each. With sigma infinite every query is the mean.

    Parameters
    ----------
    query
        Of cells in rows.
    grid
        Its (height, width).
    sigma
        In cells.
    """
    if math.isinf(sigma):
        return query.float().mean(-2, keepdim=True).to(query.dtype).expand_as(query).contiguous()
    image = query.float().transpose(-1, -2).flatten(0, 2).unflatten(-1, grid)[:, None]
    rows, columns = (_kernel(side, sigma).to(image) for side in grid)
    reach = len(columns) // 2, len(columns) // 2, len(rows) // 2, len(rows) // 2
    padded = F.pad(image, reach, mode="reflect")  # (batch x heads x channels, 1, height, width)
    blurred = F.conv2d(F.conv2d(padded, rows[None, None, :, None]), columns[None, None, None])
    return blurred.reshape(*query.mT.shape).mT.to(query.dtype).contiguous()


def _kernel(side: int, sigma: float) -> Float[Tensor, " width"]:
    """One line of the kernel for a grid of so many cells a side."""
    width = min(math.ceil(6 * sigma) // 2 * 2 + 1, side // 2 * 2 + 1)
    x = torch.arange(width) - width // 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()
