"""Blind self-attention: every cell attends to itself alone."""

from __future__ import annotations

from dataclasses import dataclass

from daamkit.attention.taps import Attention
from daamkit.edits.edit import Edit, Output


@dataclass(eq=False)
class Identity(Edit):
    """Self-attention that is the identity: its output is the values (Ahn et al. 2024, section 4).

    Parameters
    ----------
    layers, heads, steps, branch
        See `Edit`; self-attention sites.
    """

    reads = "image"

    def change(self, attention: Attention, output: Output) -> Output:
        """The values of the cells."""
        value = attention.value
        groups = attention.query.shape[1] // value.shape[1]
        return value if groups == 1 else value.repeat_interleave(groups, dim=1)
