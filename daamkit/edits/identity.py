"""Blind cells: each attends to itself, and to no other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from daamkit.attention.taps import Attention
from daamkit.edits import part
from daamkit.edits.edit import Edit, Output


@dataclass(eq=False)
class Identity(Edit):
    """Cells that attend to no other cell (Ahn et al. 2024, section 4).

    Self-attention is then the identity: its output is the values. Where text is attended to in the
    same softmax, a cell attends to itself and to the text, as diffusers has it for Stable
    Diffusion 3.

    Parameters
    ----------
    layers, heads, steps, branch
        See `Edit`; the sites are those where cells attend to cells.
    """

    reads = "image"

    def change(self, attention: Attention, output: Output) -> Output:
        """The cells' values, or, in joint attention, attention to the cell itself and the text."""
        attention.mask = part.without(attention.mask, others(attention))
        return attention.fused() if attention.site.kind == "joint" else attention.every_value()


def others(attention: Attention) -> Bool[Tensor, "rows 1 queries keys"]:
    """Which keys each query may not see, if cells see no cell but themselves."""
    rows, _, queries, _ = attention.query.shape
    cells = attention.layout.cells_of(slice(0, rows))
    same = all(own == cells[0] for own in cells)
    shape = (1 if same else rows, 1, queries, attention.key.shape[2])
    hidden = torch.zeros(shape, dtype=torch.bool, device=attention.query.device)
    for row, own in zip(hidden, cells, strict=False):
        row[0, own, own] = True
        row[0].fill_diagonal_(False)
    return hidden
