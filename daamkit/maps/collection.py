"""Runs, however they are given: one, a list, a tracer, or these mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run


@runtime_checkable
class HasRuns(Protocol):
    """A tracer."""

    runs: list[Run]


Runs = Run | HasRuns | Iterable[Run | HasRuns]


def several(*given: Any) -> list[Run]:
    """The runs among runs, lists of runs, and tracers, in order.

    Raises
    ------
    DaamkitError
        If one is something else, or there is none.
    """
    found: list[Run] = []
    for each in given:
        if isinstance(each, Run):
            found.append(each)
        elif isinstance(each, HasRuns):
            found.extend(each.runs)
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            found.extend(several(*each) if (each := list(each)) else [])
        else:
            raise DaamkitError(
                wanted="runs, lists of runs, or tracers",
                got=f"{type(each).__name__}",
                mend="give `tracer.run`, or open a saved one with `daamkit.open(folder)`",
            )
    if not found:
        raise DaamkitError(
            wanted="a run", got="none", mend="call the traced pipeline before, inside the context"
        )
    return found
