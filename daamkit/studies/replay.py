"""Attention replay: one image drawn with the cross-attention of another."""

from __future__ import annotations

import torch
from torch import Tensor

from daamkit.attention.calls import Call
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError


class Tape(Tap):
    """Records the cross-attention of calls, one after the other."""

    def __init__(self) -> None:
        self.calls = 0
        self.kept: dict[tuple[int, int, str, str], Tensor] = {}  # by call, pass, site and branch

    def wants(self, site: Site) -> bool:
        """All cross-attention."""
        return site.kind == "cross"

    def start(self, call: Call) -> None:
        """Another call."""
        self.calls += 1

    def observe(self, attention: Attention) -> None:
        """Keep the probabilities, in float32."""
        for branch in attention.branches:
            place = (self.calls, attention.step.index, attention.site.name, branch)
            self.kept[place] = attention.probabilities(branch)


class Replay(Tap):
    """Gives every site the attention of a tape, call for call; the values stay the words' own.

    As in Prompt-to-Prompt (arXiv 2208.01626, word swap, all steps). The prompts must have their
    words' tokens at the same places.

    Raises
    ------
    DaamkitError
        In a call whose passes, sites or tokens are not the tape's.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape, self.calls = tape, 0

    def wants(self, site: Site) -> bool:
        """All cross-attention."""
        return site.kind == "cross"

    def start(self, call: Call) -> None:
        """Another call."""
        self.calls += 1

    def edit(self, attention: Attention, output: Tensor) -> Tensor:
        """Weigh this call's values with the tape's probabilities."""
        parts = []
        for branch, rows in attention.branches.items():
            place = (self.calls, attention.step.index, attention.site.name, branch)
            kept = self.tape.kept.get(place)
            value = attention.value[rows].float()
            wanted = (*value.shape[:2], attention.query.shape[2], value.shape[2])
            if kept is None or kept.shape != wanted:
                raise DaamkitError(
                    wanted=f"recorded attention of shape {wanted} at {attention.site.name}",
                    got="none" if kept is None else f"{tuple(kept.shape)}",
                    mend="record calls of the same batches, size, steps and guidance",
                )
            parts.append(kept @ value)
        return torch.cat(parts).to(output.dtype)
