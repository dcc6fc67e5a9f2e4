"""Hooks on a module that leave with their context and that copies of the module do not have."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from torch import nn

from daamkit import compat
from daamkit.attention.faces import locked

Hook = Callable[..., Any]
_OURS: dict[int, list[Hook]] = {}  # by the module's id


@locked()
def hook(stack: ExitStack, module: nn.Module, before: Hook, after: Hook | None = None) -> None:
    """Hooks around a module's forward until the stack closes.

    Parameters
    ----------
    stack
        Takes the undoing, before anything is done.
    module
        Any module.
    before, after
        Given the arguments by name; the second runs after an exception too.
    """
    own = [each for each in (before, after) if each is not None]
    for _ in range(2):  # an interrupt within the first undoing leaves the rest to the second
        stack.callback(unhook, module, own)
    _OURS.setdefault(id(module), []).extend(own)
    module.__dict__["__deepcopy__"] = functools.partial(_copy, module)
    module.register_forward_pre_hook(before, with_kwargs=True)
    if after is not None:
        module.register_forward_hook(after, with_kwargs=True, always_call=True)


@locked()
def unhook(module: nn.Module, own: list[Hook]) -> None:
    """Undo `hook`; nothing happens where it is undone already."""
    compat.drop_hooks(module, own)
    left = [each for each in _OURS.get(id(module), []) if each not in own]
    if left:
        _OURS[id(module)] = left
    else:
        module.__dict__.pop("__deepcopy__", None)
        _OURS.pop(id(module), None)


def _copy(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy without our hooks."""
    state = compat.state_without(module, _OURS.get(id(module), []))
    state.pop("__deepcopy__", None)
    twin = type(module).__new__(type(module))
    memo[id(module)] = twin
    twin.__setstate__(copy.deepcopy(state, memo))
    return twin
