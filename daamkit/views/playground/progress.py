"""While a picture is made: how far it is, what there is of it, and whether to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from daamkit import compat
from daamkit.errors import DaamkitError
from daamkit.views.playground import previews
from daamkit.views.playground.recipe import Recipe
from daamkit.views.playground.traits import PlaygroundTraits
from daamkit.views.png import from_uri


class Watching:
    """Hears of each step of one picture.

    Parameters
    ----------
    shown
        The widget that says how far it is.
    recipe
        What is made; `stopped` is set where it is.
    every
        After how many steps the picture so far is shown; 0: never.
    stopping
        Set by whoever wants it to stop.
    """

    def __init__(
        self, shown: PlaygroundTraits, recipe: Recipe, every: int, stopping: threading.Event
    ) -> None:
        self.shown, self.recipe, self.every, self.stopping = shown, recipe, every, stopping
        self.began = time.monotonic()

    def step(
        self, tracer: Any, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """`callback_on_step_end`, with the tracer first."""
        total, done = self.recipe.steps, step + 1
        left = (time.monotonic() - self.began) / done * max(total - done, 0)
        self.shown.set_trait("progress", min(done / total, 1.0))
        self.shown.set_trait("status", f"step {done} of {total}, {left:.0f} s left")
        if self.every and done % self.every == 0 and done < total:
            for run in tracer.so_far()[:1]:
                meant = run.record.get("previews")  # none of what has no small picture
                seen = replace(run, image=from_uri(meant[-1]) if meant else None)
                self.shown.set_trait("cells", previews.cells(seen, list(self.recipe.subjects)))
        if self.stopping.is_set() and done < total:
            compat.interrupt(pipe)
            if self.recipe.stopped is None:
                self.recipe = replace(self.recipe, stopped=done)
        return tensors


def sentence(error: Exception) -> str:
    """An error as a person reads it."""
    text = str(error).strip()
    if isinstance(error, DaamkitError):
        return text[:1].upper() + text[1:]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
