"""Probabilities whose graph holds none of them: the way back computes them again.

A softmax of an image's 4,096 cells over all their keys takes 2 GB a layer of FLUX.1 in the graph.
The fused kernel keeps queries, keys and the log-sum-exp instead, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention import columns
from daamkit.attention.columns import cut, shares
from daamkit.attention.sites import places
from daamkit.attention.taps import Attention


def text(attention: Attention, branch: str) -> Float[Tensor, "samples cells places"]:
    """What each cell pays to the text, as `Attention.text` has it: a mean over heads, with
    gradients.

    Parameters
    ----------
    attention
        Of one site; without its `statistic` that is computed, or, of a small site, the whole
        softmax is in the graph.
    branch
        The branch whose rows are read.
    """
    if attention.statistic is None and not columns.large(attention):
        return attention.text(branch, gradient=True).mean(1)
    with torch.autocast(attention.key.device.type, enabled=False):
        return _text(attention, branch)


def _text(attention: Attention, branch: str) -> Tensor:
    rows, key = attention.branches[branch], attention.every_key()
    cells, spans = attention.layout.cells_of(rows), attention.layout.text[rows]
    each: list[Tensor] = []
    for at, own, text in zip(range(rows.start, rows.stop), cells, spans, strict=True):
        one = slice(at, at + 1)
        mask = None if attention.mask is None else cut(attention.every_mask()[one], own)
        if attention.statistic is None:
            statistic = columns.statistic(attention, one, own)
        else:
            statistic = attention.statistic[one, :, own]
        query, scale, keys = attention.query[one, :, own], attention.scale, places(text)
        each.append(_Mean.apply(query, key[one], statistic, mask, scale, keys))
    longest = max(own.shape[-1] for own in each)
    return torch.cat([F.pad(own, (0, longest - own.shape[-1])) for own in each])


class _Mean(torch.autograd.Function):
    """The mean over heads of exp(scale * query @ key^T + mask - log-sum-exp), at some keys.

    With s the products, p the probabilities and g the gradient of those of the chosen keys K,
    dL/ds_ij = p_ij (g_ij [j in K] - d_i), where d_i is the sum over K of p_ij g_ij. What d_i takes
    reaches all keys; it is what the kernel's own way back takes where the keys are its values.
    """

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        query, key, statistic, mask, scale, keys = given
        ctx.save_for_backward(query, key, statistic, mask)
        ctx.scale, ctx.keys = scale, keys
        parts = [part.mean(1) for _, part in _parts(*given)]
        return torch.cat(parts, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        with torch.autocast(gradients[0].device.type, enabled=False):
            return _back(ctx, *gradients)


def _back(ctx: Any, *gradients: Any) -> Any:
    query, key, statistic, mask = ctx.saved_tensors
    scale, keys = ctx.scale, ctx.keys
    gradient = gradients[0][:, None] / query.shape[1]
    to_query = torch.zeros_like(query, dtype=torch.float32)
    to_key = torch.zeros_like(key, dtype=torch.float32)
    taken = torch.zeros_like(query[..., :1], dtype=torch.float32)  # d
    for block, part in _parts(query, key, statistic, mask, scale, keys):
        part *= gradient[:, :, block]
        taken[:, :, block] = part.sum(-1, keepdim=True)
        to_query[:, :, block] = part @ key[:, :, keys].float()
        to_key[:, :, keys] += part.transpose(-1, -2) @ query[:, :, block].float()
    with torch.enable_grad():
        value = key.detach().requires_grad_()
        mean = F.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    (back,) = torch.autograd.grad(mean, value, (taken * query).to(query.dtype))
    to_query -= taken * mean.detach().float()
    to_key -= back.float()
    return (scale * to_query).to(query.dtype), (scale * to_key).to(key.dtype), *[None] * 4


def _parts(
    query: Tensor,
    key: Tensor,
    statistic: Tensor,
    mask: Tensor | None,
    scale: float,
    keys: list[int],
) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities of the chosen keys, a block of queries at a time."""
    chosen, some = key[:, :, keys], None if mask is None else mask[..., keys]
    size = max(1, columns.AT_ONCE // (4 * query.shape[1] * max(1, len(keys))))
    for at in range(0, query.shape[2], size):
        block = slice(at, at + size)
        own = None if some is None else cut(some, block)
        yield block, shares(query[:, :, block], chosen, statistic[:, :, block], own, scale)
