"""What a method of attribution costs: how often the denoiser runs for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from daamkit.attention.calls import Call
from daamkit.attention.families import denoisers
from daamkit.attention.sites import Site
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Again, Attribution
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


class Passes(Tap):
    """Counts how often the denoisers of calls run, beside the pipeline's own passes too.

    Attributes
    ----------
    passes, backwards
        All, and those of them with a graph, through which gradients go back.
    """

    def __init__(self) -> None:
        self.passes, self.backwards = 0, 0
        self._handles: list[Any] = []

    def wants(self, site: Site) -> bool:
        return False

    def start(self, call: Call) -> None:
        for denoiser in denoisers(call.pipe).values():
            self._handles.append(denoiser.register_forward_pre_hook(self._ran))

    def _ran(self, *_: Any) -> None:
        self.passes += 1
        self.backwards += torch.is_grad_enabled()

    def finish(self, call: Call, images: Any) -> None:
        while self._handles:
            self._handles.pop().remove()

    def fail(self, call: Call) -> None:
        self.finish(call, None)


class Counted:
    """A method of attribution whose passes are counted.

    Attributes
    ----------
    relations, by
        The method's own, where it has them.
    spent
        "passes" and "backwards" of the latest maps.
    """

    def __init__(self, method: Attribution) -> None:
        self.method = method
        self.relations: tuple[str, ...] = getattr(method, "relations", ())
        self.by: str = getattr(method, "by", "")
        self.spent = {"passes": 0, "backwards": 0}

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """The method's."""
        tap = Passes()
        found = self.method.maps(run, words, lambda *taps: again(*taps, tap))
        self.spent = {"passes": tap.passes, "backwards": tap.backwards}
        return found
