"""A part of the picture, as an edit is told of it and as a site's queries have it."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError

Part = Tensor | np.ndarray  # (height, width), or one for each image, of any size


def require(where: Part, images: int) -> None:
    """Refuse what is no part of a picture, nor one for each image."""
    shape = np.shape(where)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != images):
        raise DaamkitError(
            wanted=f"a part of the picture (height, width), or one for each of {images} images",
            got=f"an array of the shape {tuple(shape)}",
            mend="pass a mask, such as `run.maps.word('cat').mask()`",
        )


def share(where: Part) -> float:
    """How much of the picture it is."""
    meant = torch.as_tensor(where, dtype=torch.float32, device="cpu")
    return round(meant.mean().item(), 6)


def queries(where: Part, attention: Attention) -> Bool[Tensor, "samples queries"]:
    """The queries that are cells of the part: those of which more than half is meant, or half and
    their first pixel, so that each cell is of a mask or of its complement."""
    images, *frames = len(attention.query), *attention.layout.grid
    height, width = frames.pop(-2), frames.pop(-1)
    part = torch.as_tensor(where, dtype=torch.float32, device=attention.query.device)
    part = part.expand(images, *part.shape[-2:])
    share = F.adaptive_avg_pool2d(part, (height, width))
    rows = [row * part.shape[1] // height for row in range(height)]
    columns = [column * part.shape[2] // width for column in range(width)]
    first = part[:, rows][:, :, columns]
    cells = torch.where(share == 0.5, first, share).flatten(1) > 0.5
    cells = cells.repeat(1, math.prod(frames))
    found = cells.new_zeros(images, attention.query.shape[2])
    for row, place in enumerate(attention.layout.cells_of(slice(0, images))):
        found[row, place] = cells[row]
    return found


def without(mask: Tensor | None, silent: Bool[Tensor, "#rows #heads #queries keys"]) -> Tensor:
    """A mask that hides keys besides."""
    if mask is None:
        return ~silent
    if mask.dtype == torch.bool:
        return mask & ~silent
    return mask.masked_fill(silent, -torch.inf)
