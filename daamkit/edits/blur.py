"""Blurred queries: neighbouring cells attend alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from daamkit.attention import gaussian
from daamkit.attention.sites import Grid
from daamkit.attention.taps import Attention
from daamkit.edits.edit import Edit, Output
from daamkit.errors import DaamkitError


@dataclass(eq=False)
class Blur(Edit):
    """Self-attention whose queries are blurred over the grid (Hong 2024, section 4).

    Parameters
    ----------
    sigma
        Standard deviation of the blur, in cells of the layer's own grid; infinity: all cells share
        the mean query.
    layers, heads, steps, branch
        See `Edit`; the sites are those where cells attend to cells.

    Raises
    ------
    DaamkitError
        If sigma is not above 0.
    """

    sigma: float = math.inf

    reads = "image"

    def __post_init__(self) -> None:
        check(self.sigma)

    def settings(self) -> dict[str, Any]:
        """What it was told to do, as plain data; infinity as a word, since JSON has none."""
        return super().settings() | ({"sigma": "infinity"} if math.isinf(self.sigma) else {})

    def change(self, attention: Attention, output: Output) -> Output:
        """The attention of cells with blurred queries; other queries stay as they are."""
        query, grid = attention.query, attention.layout.grid
        cells = attention.layout.cells_of(slice(0, len(query)))
        if all(len(range(*own.indices(query.shape[2]))) == query.shape[2] for own in cells):
            attention.query = blur(query, grid, self.sigma)
            return attention.fused()
        attention.query = query.clone()
        for row, own in enumerate(cells):
            one = slice(row, row + 1)
            attention.query[one, :, own] = blur(query[one, :, own], grid, self.sigma)
        return attention.fused()


def check(sigma: float) -> None:
    """Refuse a blur that is none.

    Raises
    ------
    DaamkitError
        If sigma is not above 0.
    """
    if not sigma > 0:
        raise DaamkitError(
            wanted="a `sigma` above 0, in cells",
            got=repr(sigma),
            mend="give a number such as 2.0, or math.inf for the mean query",
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
        Its (height, width); of frames, each is blurred alone.
    sigma
        Standard deviation of the Gaussian, in cells of the site's grid.
    """
    if math.isinf(sigma):
        return query.float().mean(-2, keepdim=True).to(query.dtype).expand_as(query).contiguous()
    image = query.float().transpose(-1, -2).reshape(-1, 1, *grid[-2:])
    rows, columns = (_kernel(side, sigma).to(image) for side in grid[-2:])
    for kernel in (rows[:, None], columns[None]):
        image = gaussian.blurred(image, kernel, "take a smaller `sigma`")
    return image.reshape(*query.mT.shape).mT.to(query.dtype).contiguous()


def _kernel(side: int, sigma: float) -> Float[Tensor, " width"]:
    """One line of the kernel for a grid of so many cells a side."""
    width = min(math.ceil(6 * sigma) // 2 * 2 + 1, side // 2 * 2 + 1)
    return gaussian.line(width, sigma)
