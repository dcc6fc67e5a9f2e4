"""What checks annotations and tensor shapes while the tests run.

jaxtyping binds the arguments of every function of the package and checks them twice, to compare the
sizes that their shapes name. Of a function that names no shape it would find nothing more than
beartype alone does, at ten times the cost: there beartype is alone.
"""

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float
with_shapes = jaxtyping.jaxtyped


def jaxtyped(thing: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """In the place of jaxtyping's own, which its import hook calls with each function and class."""
    if thing is None:
        return lambda each: jaxtyped(each, typechecker=typechecker)
    if not hasattr(thing, "__code__"):
        return with_shapes(thing, typechecker=typechecker)  # a class
    hints = {name: _said(hint, thing.__globals__) for name, hint in thing.__annotations__.items()}
    if any("jaxtyping." in repr(hint) for hint in hints.values()):
        return with_shapes(thing, typechecker=typechecker)
    named = FunctionType(
        thing.__code__, thing.__globals__, thing.__name__, thing.__defaults__, thing.__closure__
    )
    named.__kwdefaults__, named.__annotations__ = thing.__kwdefaults__, hints
    named.__module__, named.__qualname__ = thing.__module__, thing.__qualname__
    checked = typechecker(named)

    @functools.wraps(thing)
    def checks(*args: Any, **kwargs: Any) -> Any:
        return (thing if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

    return checks


def _said(hint: Any, names: dict[str, Any]) -> Any:
    """What an annotation says; Any where it names what is imported for type checkers alone."""
    try:
        return eval(hint, names) if isinstance(hint, str) else hint
    except Exception:
        return Any


jaxtyping.jaxtyped = jaxtyped
