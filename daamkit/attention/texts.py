"""Whether each branch of a call is given one text throughout."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from daamkit.attention.calls import Pass


class Texts:
    """What each branch of a call was given first, and whether it was given anything else since."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[Any, ...]] = {}
        self.changes: list[Tensor | bool] = []

    def hear(self, now: Pass) -> None:
        """A pass begins; this waits for no GPU."""
        for branch, rows in now.branches.items():
            text = tuple(each[rows] for each in now.text)
            if branch not in self.first:
                self.first[branch] = tuple(map(_copied, text))
                continue
            for old, new in zip(self.first[branch], text, strict=True):
                self.changes.extend(_differ(old, new))

    def changed(self) -> bool:
        """Whether a branch was given another text than at first; on a GPU this waits for it."""
        return any(map(bool, self.changes))


def _copied(text: Any) -> Any:
    """A text that nobody else writes to."""
    if isinstance(text, Tensor):
        return text.detach().clone()
    return [_copied(each) for each in text]


def _differ(old: Any, new: Any) -> list[Tensor | bool]:
    """Whether two texts differ; what is not a number in both does not."""
    if not isinstance(old, Tensor):
        if len(old) != len(new):
            return [True]
        return [each for a, b in zip(old, new, strict=True) for each in _differ(a, b)]
    if old.shape != new.shape:
        return [True]
    return [((old != new) & ~(old.isnan() & new.isnan())).any()]
