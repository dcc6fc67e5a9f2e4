"""What some keys get of each cell's attention, without a softmax over all keys where that is known.

The fused kernel computes of each query the log-sum-exp of its products with all keys: with it, the
probability of a key is exp(product - log-sum-exp), whatever the other keys are.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.taps import Attention


def of_keys(
    attention: Attention, branch: str, keys: slice, bytes_at_once: int = 2**26
) -> Iterator[tuple[slice, Float[Tensor, "samples heads block keys"]]]:
    """The image's cells' probabilities of some keys, a block of cells at a time, in float32.

    Parameters
    ----------
    attention
        Of one site; with its `statistic` if the kernel has told it, else all keys are computed.
    branch
        Of whose rows the attention is.
    keys
        Consecutive ones.
    bytes_at_once
        How large a block may be.
    """
    statistic, cells = attention.statistic, attention.layout.cells
    if statistic is None or not isinstance(cells, slice):
        for block, shares in attention.blocks(branch, bytes_at_once):
            yield block, shares[..., keys]
        return
    rows = attention.branches[branch]
    own = slice(*keys.indices(attention.key.shape[2]))
    key = attention.key[rows, :, own].float().transpose(-1, -2)
    width = key.shape[0] * key.shape[1] * key.shape[3] * 4
    size = max(1, bytes_at_once // width)
    start, stop, _ = cells.indices(attention.query.shape[2])
    for at in range(start, stop, size):
        block = slice(at, min(at + size, stop))
        with torch.no_grad(), torch.autocast(key.device.type, enabled=False):
            scores = (attention.query[rows, :, block].float() * attention.scale) @ key
            mask = _mask(attention, rows, block, own)
            if mask is not None:
                scores += mask
            scores -= statistic[rows, :, block, None]
            yield slice(block.start - start, block.stop - start), scores.exp_()


def _mask(attention: Attention, rows: slice, queries: slice, keys: slice) -> Tensor | None:
    """What is added to these products."""
    if attention.mask is None:
        return None
    mask = attention.mask.expand(len(attention.query), *attention.mask.shape[1:])[rows, ..., keys]
    mask = mask[:, :, queries] if mask.shape[2] > 1 else mask
    if mask.dtype != torch.bool:
        return mask.float()
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)
