"""What some keys get of some queries' attention, without a softmax over all keys.

The fused kernel computes of each query the log-sum-exp of its products with all keys: with it, the
probability of a key is exp(product - log-sum-exp), whatever the other keys are. Where the kernel
does not tell it (`Attention.statistic`), the softmax is computed, a block of queries at a time.

Where cells look at text alone and the whole is small, as in UNets, the softmax is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.sites import within
from daamkit.attention.taps import Attention

AT_ONCE = 2**26  # bytes
Places = slice | Sequence[int]


def large(attention: Attention) -> bool:
    """Whether a site's probabilities, of all rows, are too many to be held at once."""
    return 4 * attention.query[..., 0].numel() * attention.key.shape[2] > AT_ONCE


def of_keys(
    attention: Attention, branch: str, keys: slice, bytes_at_once: int | None = None
) -> Iterator[tuple[slice, Float[Tensor, "samples heads block keys"]]]:
    """The image's cells' probabilities of some keys, a block of cells at a time, in float32.

    Parameters
    ----------
    attention
        Of one site; with its `statistic` if the kernel has told it, else all keys are computed.
    branch
        Of whose rows the attention is.
    keys
        A run of consecutive keys.
    bytes_at_once
        How large a block may be; None: `AT_ONCE`.
    """
    bytes_at_once = bytes_at_once or AT_ONCE
    if attention.statistic is None:
        for block, shares in attention.blocks(branch, bytes_at_once):
            yield block, shares[..., keys]
        return
    rows = attention.branches[branch]
    parts = attention.layout.together(rows, attention.query.shape[2])
    count = len(parts[0][1])
    for block in _blocks(attention, rows, slice(0, count), keys, bytes_at_once):
        each = [between(attention, own, within(cells, block), keys) for own, cells in parts]
        yield block, each[0] if len(each) == 1 else torch.cat(each)


def between(
    attention: Attention, rows: slice, queries: Places, keys: Places
) -> Float[Tensor, "rows heads queries keys"]:
    """What some queries pay to some keys, out of all keys, in float32 and without gradients.

    Parameters
    ----------
    attention
        What one site computes in one pass.
    rows
        Which rows of the batch.
    queries, keys
        Which queries look, and at which keys.
    """
    with torch.no_grad(), torch.autocast(attention.key.device.type, enabled=False):
        if attention.statistic is None:
            return attention.softmax(rows, queries)[..., keys]
        mask = None if attention.mask is None else attention.every_mask()[rows]
        return shares(
            attention.query[rows, :, queries],
            attention.key[rows, :, keys],
            attention.statistic[rows, :, queries],
            None if mask is None else cut(mask, queries)[..., keys],
            attention.scale,
        )


def received(attention: Attention, branch: str) -> Float[Tensor, "samples cells"]:
    """How much each of the image's cells is attended to by all of them, a mean over heads.

    What Self-Attention Guidance compares with 1 (arXiv 2210.00939). Where text is attended to in
    the same softmax, the mean is below 1.
    """
    rows = attention.branches[branch]
    found = []
    for at, cells in enumerate(attention.layout.cells_of(rows), rows.start):
        row = slice(at, at + 1)
        blocks = _blocks(attention, row, cells, cells, AT_ONCE)
        parts = [between(attention, row, block, cells).sum(2).mean(1) for block in blocks]
        found.append(torch.stack(parts).sum(0))
    return torch.cat(found)


def statistic(
    attention: Attention, rows: slice, queries: slice
) -> Float[Tensor, "rows heads queries"]:
    """What `Attention.statistic` is, of some queries of some batch rows, where the kernel has not
    told it: computed a block of queries at a time, without gradients."""
    found = []
    with torch.no_grad(), torch.autocast(attention.key.device.type, enabled=False):
        key = attention.every_key()[rows]
        mask = None if attention.mask is None else attention.every_mask()[rows]
        for block in _blocks(attention, rows, queries, slice(None), AT_ONCE):
            hidden = None if mask is None else cut(mask, block)
            scores = _scores(attention.query[rows, :, block], key, hidden, attention.scale)
            own = scores.logsumexp(-1)
            found.append(own.masked_fill(own.isneginf(), 0.0))  # of a query that may see no key
    return torch.cat(found, -1)


def shares(
    query: Float[Tensor, "rows heads queries channels"],
    key: Float[Tensor, "rows heads keys channels"],
    statistic: Float[Tensor, "rows heads queries"],
    mask: Tensor | None,
    scale: float,
) -> Float[Tensor, "rows heads queries keys"]:
    """exp(scale * query @ key^T + mask - statistic), in float32."""
    scores = _scores(query, key, mask, scale)
    scores -= statistic[..., None]
    return scores.exp_()


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = (query.float() * scale) @ key.float().transpose(-1, -2)
    if mask is not None and mask.dtype == torch.bool:
        scores.masked_fill_(~mask, -torch.inf)
    elif mask is not None:
        scores += mask.float()
    return scores


def cut(mask: Tensor, queries: Places) -> Tensor:
    """A mask's rows of some queries, if each has its own."""
    return mask[..., queries, :] if mask.shape[-2] > 1 else mask


def _blocks(
    attention: Attention, rows: slice, queries: slice, keys: slice, bytes_at_once: int
) -> Iterator[slice]:
    """Some queries in blocks, whose probabilities take so many bytes."""
    width = attention.key.shape[2]
    if attention.statistic is not None:
        width = len(range(*keys.indices(width)))
    width *= (rows.stop - rows.start) * attention.query.shape[1] * 4
    size = max(1, bytes_at_once // max(width, 1))
    start, stop, _ = queries.indices(attention.query.shape[2])
    for at in range(start, stop, size):
        yield slice(at, min(at + size, stop))
