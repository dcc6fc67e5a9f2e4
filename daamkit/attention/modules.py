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


class _Shared:
    """All that is told of one module: torch sees one hook before it and one after, whatever comes
    and goes meanwhile, so that threads which run the module find nothing half put on."""

    def __init__(self) -> None:
        self.own: tuple[tuple[Hook, Hook | None], ...] = ()

    def hooks(self) -> tuple[Hook, Hook]:
        return self.before, self.after

    def before(self, module: nn.Module, args: tuple, kwargs: Any = None) -> Any:
        if kwargs is None:  # another thread's, while the first is put on or the last taken off
            return None
        changed = None
        for before, _ in self.own:
            found = before(module, args, kwargs)
            if found is not None:
                changed = args, kwargs = found
        return changed

    def after(self, module: nn.Module, args: tuple, *given: Any) -> Any:
        if len(given) < 2:  # as above
            return None
        kwargs, output = given
        failure: BaseException | None = None
        for _, after in self.own:
            try:
                found = None if after is None else after(module, args, kwargs, output)
            except BaseException as error:  # the others still run
                failure = failure or error
            else:
                output = output if found is None else found
        if failure is not None:
            raise failure
        return output


_OURS: dict[int, _Shared] = {}  # by the module's id


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
    own = before, after
    for _ in range(2):  # an interrupt within the first undoing leaves the rest to the second
        stack.callback(unhook, module, own)
    shared = _OURS.setdefault(id(module), _Shared())
    shared.own += (own,)
    if len(shared.own) == 1:
        module.__dict__["__deepcopy__"] = functools.partial(_copy, module)
        module.register_forward_pre_hook(shared.before, with_kwargs=True)
        module.register_forward_hook(shared.after, with_kwargs=True, always_call=True)


@locked()
def unhook(module: nn.Module, own: tuple[Hook, Hook | None]) -> None:
    """Undo `hook`; nothing happens where it is undone already."""
    shared = _OURS.get(id(module))
    if shared is None:
        return
    shared.own = tuple(each for each in shared.own if each is not own)
    if not shared.own:
        compat.drop_hooks(module, shared.hooks())
        module.__dict__.pop("__deepcopy__", None)
        _OURS.pop(id(module), None)


def _copy(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy without our hooks."""
    state = compat.state_without(module, _OURS[id(module)].hooks())
    state.pop("__deepcopy__", None)
    twin = type(module).__new__(type(module))
    memo[id(module)] = twin
    twin.__setstate__(copy.deepcopy(state, memo))
    return twin
