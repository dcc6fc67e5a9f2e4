"""Compiled denoisers: they run as they were written while they are observed, or are refused.

What `torch.compile` has made of a model ignores hooks that come after. The model within gives the
same picture bit for bit where the backend runs its own operations; others fuse and reorder them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from daamkit import compat
from daamkit.attention.faces import wear
from daamkit.errors import DaamkitError

EXACT = ("eager", "aot_eager")  # backends


def run_as_written(stack: ExitStack, name: str, denoiser: nn.Module, listener: Any) -> None:
    """Let a denoiser run its own code until the stack closes, if it is compiled at all.

    Parameters
    ----------
    stack
        What undoes it is pushed here.
    name
        The pipeline's name for the denoiser, for errors.
    denoiser
        As the pipeline has it.
    listener
        Who wants it so.

    Raises
    ------
    DaamkitError
        If its pictures could be others then.
    """
    inner = compat.uncompiled(denoiser)
    for path, module in inner.named_modules():
        if compat.is_compiled(module):
            raise DaamkitError(
                wanted="a denoiser whose attention can be observed",
                got=f"a compiled one ({path or type(inner).__name__}): hooks added after "
                "torch.compile are ignored",
                mend="load the pipeline without torch.compile for tracing and guidance",
            )
    if inner is denoiser:
        return
    if (backend := compat.compiler(denoiser)) not in EXACT:
        raise DaamkitError(
            wanted="a denoiser whose attention can be observed",
            got=f"one compiled by {backend or 'an unknown backend'}, which rounds otherwise than "
            "the model within",
            mend=f"trace that: `pipe.{name} = pipe.{name}._orig_mod`",
        )
    wear(stack, denoiser, _verbs, listener)


def _verbs(own: Any, listeners: list[Any]) -> dict[str, Any]:
    return {"forward": property(compat.uncompiled)}
