"""Knock out heads: what they would say is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from daamkit.attention.sites import of_rows
from daamkit.attention.taps import Attention
from daamkit.edits.edit import Edit, Output


@dataclass(eq=False)
class KnockOut(Edit):
    """Heads that say nothing: their output is 0, or its mean over the image's cells.

    Parameters
    ----------
    by
        "zero"; or "mean", which keeps what a head says of the image as a whole.
    layers, heads, steps, branch
        See `Edit`; the sites are those where the image attends to text.
    """

    by: Literal["zero", "mean"] = "zero"

    starts: ClassVar[Literal["attention", "output"]] = "output"

    def change(self, attention: Attention, output: Output) -> Output:
        """0, or the mean; all values become this too, whatever is attended to."""
        if self.by == "zero":
            attention.value = torch.zeros_like(attention.value)
            return torch.zeros_like(output)
        cells = attention.layout.cells_of(slice(0, len(output)))
        mean = of_rows(output, cells, 2).mean(2, keepdim=True)
        attention.value = mean.expand(-1, -1, attention.key.shape[2], -1)
        return mean.expand_as(output)


@dataclass(eq=False)
class KnockOutSelf(KnockOut):
    """`KnockOut` of heads of self-attention."""

    reads = "image"
