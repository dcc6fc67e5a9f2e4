"""Attention replay: one image drawn with the cross-attention of another."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.edits.edit import Edit, Output
from daamkit.edits.order import Field
from daamkit.errors import DaamkitError


class Tape(Tap):
    """Records the attention to text of calls, one after the other: `attach` it to a pipeline.

    Attributes
    ----------
    calls
        How many calls it has recorded.
    passes
        By call and pass: its time, and how many the call has.
    kept
        By call, pass and site: (samples, heads, queries, keys) in half precision, not on the GPU.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.passes: dict[tuple[int, int], tuple[float, int]] = {}
        self.kept: dict[tuple[int, int, str], Tensor] = {}

    def wants(self, site: Site) -> bool:
        """Wherever the image attends to text."""
        return site.reads_text

    def start(self, call: Call) -> None:
        """Another call."""
        self.calls += 1

    def begin(self, now: Pass) -> None:
        """Note which pass it is."""
        self.passes[self.calls, now.index] = now.timestep, now.call.planned_passes()

    def observe(self, attention: Attention) -> None:
        """Keep the probabilities of the prompt."""
        if "cond" in attention.branches:
            place = (self.calls, attention.now.index, attention.site.name)
            self.kept[place] = attention.probabilities("cond").half().cpu()


@dataclass(eq=False)
class Replay(Edit):
    """Gives every site the attention of a tape, call by call; the values stay the words' own.

    As in Prompt-to-Prompt (arXiv 2208.01626, word swap, all steps, the conditional rows). The two
    prompts must have their words' tokens at the same places, which cannot be checked here.

    Parameters
    ----------
    tape
        A tape of earlier calls.
    layers, heads, steps, branch
        Where and when attention is changed, as for every `Edit`.

    Raises
    ------
    DaamkitError
        In a call whose passes, sites, sizes or batches differ from the tape's, or after an edit
        whose attention it would replace.
    """

    tape: Tape
    calls: int = field(default=0, init=False)

    undoes: ClassVar[Set[Field]] = frozenset({"query", "key", "mask", "more keys"})

    def settings(self) -> dict[str, Any]:
        """What it was told to do, as plain data; without the tape, which is too large for that."""
        return super().settings() | {"tape": f"a tape of {self.tape.calls} calls"}

    def start(self, call: Call) -> None:
        """Go on to the tape's next call."""
        super().start(call)
        self.calls += 1

    def begin(self, now: Pass) -> None:
        """Refuse a pass that the tape does not have."""
        kept = self.tape.passes.get((self.calls, now.index))
        found = now.timestep, now.call.planned_passes()
        if kept != found:
            raise DaamkitError(
                wanted=f"a recorded pass at time {found[0]:g}, one of {found[1]}",
                got="none" if kept is None else f"one at {kept[0]:g}, of {kept[1]}",
                mend="record calls of the same batches, size, steps and guidance",
            )

    def change(self, attention: Attention, output: Output) -> Output:
        """Weigh this call's values with the tape's probabilities."""
        kept = self.tape.kept.get((self.calls, attention.now.index, attention.site.name))
        wanted = (*attention.query.shape[:3], attention.key.shape[2])
        if kept is None or kept.shape != wanted:
            raise DaamkitError(
                wanted=f"recorded attention of shape {wanted} at {attention.site.name}",
                got="none" if kept is None else f"{tuple(kept.shape)}",
                mend="record calls of the same batches, size, steps and guidance",
            )
        shares = kept.to(attention.query.device).to(torch.float32, copy=True)
        output = shares @ attention.every_value().float()
        attention.query = torch.zeros_like(attention.query)  # the softmax is that of the mask then
        attention.mask = shares.log_().to(attention.query.dtype)
        return output
