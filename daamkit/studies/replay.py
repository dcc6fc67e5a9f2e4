"""Attention replay: one image drawn with the cross-attention of another."""

from __future__ import annotations

import torch
from torch import Tensor

from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError


class Tape(Tap):
    """Records the cross-attention of calls, one after the other."""

    def __init__(self) -> None:
        self.calls = 0
        self.passes: dict[tuple[int, int], tuple[float, int]] = {}  # time, and how many of them
        self.kept: dict[tuple[int, int, str], Tensor] = {}  # by call, pass and site

    def wants(self, site: Site) -> bool:
        """All cross-attention."""
        return site.kind == "cross"

    def start(self, call: Call) -> None:
        """Another call."""
        self.calls += 1

    def begin(self, step: Pass) -> None:
        """Note which pass it is."""
        self.passes[self.calls, step.index] = step.timestep, step.call.planned_passes()

    def observe(self, attention: Attention) -> None:
        """Keep the probabilities of the prompt, in half precision and not on the GPU."""
        place = (self.calls, attention.step.index, attention.site.name)
        self.kept[place] = attention.probabilities("cond").half().cpu()


class Replay(Tap):
    """Gives every site the attention of a tape, call for call; the values stay the words' own.

    As in Prompt-to-Prompt (arXiv 2208.01626, word swap, all steps, the conditional rows). The two
    prompts must have their words' tokens at the same places: nothing here can tell.

    Raises
    ------
    DaamkitError
        In a call of other passes, sites, sizes or batches than the tape's.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape, self.calls = tape, 0

    def wants(self, site: Site) -> bool:
        """All cross-attention."""
        return site.kind == "cross"

    def start(self, call: Call) -> None:
        """Another call."""
        self.calls += 1

    def begin(self, step: Pass) -> None:
        """Refuse a pass that is not the tape's."""
        kept = self.tape.passes.get((self.calls, step.index))
        found = step.timestep, step.call.planned_passes()
        if kept != found:
            raise DaamkitError(
                wanted=f"a recorded pass at time {found[0]:g}, one of {found[1]}",
                got="none" if kept is None else f"one at {kept[0]:g}, of {kept[1]}",
                mend="record calls of the same batches, size, steps and guidance",
            )

    def edit(self, attention: Attention, output: Tensor) -> Tensor:
        """Weigh this call's values with the tape's probabilities."""
        rows = attention.branches["cond"]
        kept = self.tape.kept.get((self.calls, attention.step.index, attention.site.name))
        value = attention.value[rows].float()
        wanted = (*value.shape[:2], attention.query.shape[2], value.shape[2])
        if kept is None or kept.shape != wanted:
            raise DaamkitError(
                wanted=f"recorded attention of shape {wanted} at {attention.site.name}",
                got="none" if kept is None else f"{tuple(kept.shape)}",
                mend="record calls of the same batches, size, steps and guidance",
            )
        replayed = kept.to(value.device).float() @ value
        return torch.cat([output[: rows.start], replayed.to(output.dtype), output[rows.stop :]])
