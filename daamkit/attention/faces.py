"""Exchanging an object's class for a subclass of it with other verbs, for a while.

Python looks special methods up on the class: a ``__call__`` set on an instance has no effect. The
exchange is counted, so that several who watch one object may come and go in any order.
"""

from __future__ import annotations

import copyreg
import threading
from collections.abc import Callable
from contextlib import ContextDecorator, ExitStack
from dataclasses import dataclass, field
from typing import Any

Verbs = Callable[[type, list[Any]], dict[str, Any]]
_LOCK = threading.RLock()


class locked(ContextDecorator):  # noqa: N801 - a decorator
    """One thread at a time; without a line of its own that an interrupt could fall into."""

    __enter__ = _LOCK.__enter__
    __exit__ = _LOCK.__exit__


class Undo(ContextDecorator, ExitStack):
    """A stack that is closed when the function that it decorates returns or raises.

    A ``with`` statement has a moment between its last line and the closing in which an interrupt
    would leave it open.
    """


@dataclass(eq=False)
class _Face:
    thing: Any
    own: type
    listeners: list[Any] = field(default_factory=list)


_WORN: dict[int, _Face] = {}  # by the object's id


@locked()
def wear(stack: ExitStack, thing: Any, verbs: Verbs, listener: Any) -> None:
    """Give an object other verbs until the stack closes.

    Parameters
    ----------
    stack
        Takes the undoing, before anything is done.
    thing
        Any object whose class has a ``__dict__``.
    verbs
        Given the object's own class and the list of its listeners, which changes with time, the
        verbs by name. Of several for one object, the first one's are used.
    listener
        Joins the list that the verbs are given.
    """
    for _ in range(2):  # an interrupt within the first undoing leaves the rest to the second
        stack.callback(take_off, thing, listener)
    face = _WORN.get(id(thing)) or _Face(thing, type(thing))
    face.listeners.append(listener)
    _WORN[id(thing)] = face
    if type(thing) is face.own:
        object.__setattr__(thing, "__class__", _subclass(face.own, verbs(face.own, face.listeners)))


@locked()
def take_off(thing: Any, listener: Any) -> None:
    """Undo `wear`; nothing happens where it is undone already."""
    face = _WORN.get(id(thing))
    if face is None:
        return
    face.listeners[:] = [each for each in face.listeners if each is not listener]
    if not face.listeners:
        object.__setattr__(thing, "__class__", face.own)
        _WORN.pop(id(thing), None)


def _subclass(own: type, verbs: dict[str, Any]) -> type:
    """A subclass that nothing but its verbs tells from the class; copies are of the own class."""

    def reduce(thing: Any, protocol: Any) -> Any:
        face = type(thing)
        made = super(face, thing).__reduce_ex__(protocol)
        if isinstance(made, tuple) and made[0] is copyreg.__newobj__:  # type: ignore[attr-defined]
            made = (made[0], (own, *made[1][1:]), *made[2:])
        return made

    def new(face: type, *args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    names = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(own.__name__, (own,), names | {"__reduce_ex__": reduce, "__new__": new} | verbs)
