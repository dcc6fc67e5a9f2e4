"""Errors that say what was wanted, what came, and how to mend it."""

from __future__ import annotations

from typing import Any


class DaamkitError(Exception):
    """The base class of daamkit's errors.

    Parameters
    ----------
    wanted, got, mend
        What was asked for, what was found instead, and what to do about it.
    """

    def __init__(self, *, wanted: str, got: str, mend: str) -> None:
        end = "" if mend.endswith("?") else "."
        super().__init__(f"wanted {wanted}; got {got}. {mend[:1].upper()}{mend[1:]}{end}")
        self.wanted, self.got, self.mend = wanted, got, mend

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.wanted, self.got, self.mend)


def _again(kind: type[DaamkitError], wanted: str, got: str, mend: str) -> DaamkitError:
    """An error that comes from another process."""
    return kind(wanted=wanted, got=got, mend=mend)
