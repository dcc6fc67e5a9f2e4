"""Batch rows: what a family says of them, and which inputs have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.attention.families.family import Reading

# What callers may hand on to attention processors, and what of it is known to have no rows.
_HANDED_ON = ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs")
_SHARED = ("ip_adapter_masks",)


def require(reading: Reading, samples: int) -> None:
    """Check that each batch row is in one branch, and each image has a row in all of them.

    Raises
    ------
    DaamkitError
        If the family says otherwise.
    """
    total = len(reading.noisy)
    named = [range(total)[rows] for rows in reading.branches.values()]
    if sorted(row for rows in named for row in rows) != [*range(total)] or any(
        len(rows) != samples for rows in named
    ):
        raise DaamkitError(
            wanted=f"each of {total} batch rows in one branch, a row an image ({samples}) in each",
            got=f"{reading.branches}",
            mend="let the family's `read` name them all, by `call.branches` or `call.rows`",
        )


def selected(now: Pass, rows: Sequence[int]) -> dict[str, Any]:
    """The inputs of some batch rows alone, for an extra pass: `Family.select`.

    Raises
    ------
    DaamkitError
        If the pipeline perturbs some rows itself: its layers take whole batches. If the caller gave
        attention a tensor of which nobody knows whether it has rows. What a pipeline gives has: it
        has made as many of them as the batch.
    """
    if "perturbed" in now.branches and len(now.branches) > 1:
        raise DaamkitError(
            wanted="a denoiser that takes some of the batch's rows alone",
            got=f"{type(now.call.pipe).__name__}, whose perturbed layers take the rows of "
            f"{', '.join(now.branches)} together",
            mend="take the plain pipeline, and PerturbedAttentionGuidance of daamkit",
        )
    total = max(own.stop for own in now.branches.values())
    for name in _HANDED_ON if [*rows] != [*range(total)] else ():
        for key, value in (now.call.arguments.get(name) or {}).items():
            if key not in _SHARED and _is_long(value, total):
                raise DaamkitError(
                    wanted=f"{name}[{key!r}] of which is known whether each batch row has its own",
                    got=f"a tensor that is as long as the batch, {total}, for a pass of {len(rows)}"
                    f" row{'s' * (len(rows) > 1)}",
                    mend="if all rows share it, put an axis of length 1 in front of it; if not, "
                    "let the pipeline put it in, as diffusers' GLIGEN pipeline does",
                )
    return now.family.select(now, rows)


def pick(value: Any, rows: Sequence[int], total: int) -> Any:
    """Some batch rows of an argument, however deep its tensors lie."""
    rows = list(rows)
    if isinstance(value, Tensor) and value.ndim and len(value) == total:
        if rows == [*range(rows[0], rows[-1] + 1)]:
            return value[rows[0] : rows[-1] + 1]
        return value[rows]
    if isinstance(value, dict):
        return {name: pick(each, rows, total) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(pick(each, rows, total) for each in value)
    return value


def _is_long(value: Any, total: int) -> bool:
    """Whether a tensor in it, however deep, is as long as the batch."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return any(_is_long(each, total) for each in inner)
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == total
