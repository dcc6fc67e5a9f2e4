"""While a picture is made: how far it is, what there is of it, and whether to stop."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tqdm import tqdm

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
        self.began, self.done = time.monotonic(), 0

    @contextmanager
    def hears(self, pipe: Any, tracer: Any) -> Iterator[dict[str, Any]]:
        """While it lasts, the bar of progress that every pipeline has tells of steps, undrawn.

        Yields
        ------
        options
            For the pipeline's call: what stops it.
        """

        def bar(iterable: Any = None, total: int | None = None) -> Any:
            silent = tqdm(iterable, total=total, disable=True)
            silent.update = lambda n=1: self.step(tracer)
            return silent

        before = vars(pipe).get("progress_bar")
        pipe.progress_bar = bar
        try:
            yield {} if unstoppable(pipe) else {"callback_on_step_end": self.end}
        finally:
            del pipe.progress_bar
            if before is not None:
                pipe.progress_bar = before

    def step(self, tracer: Any) -> None:
        """A step is done."""
        self.done += 1
        total, done = self.recipe.steps, self.done
        left = (time.monotonic() - self.began) / done * max(total - done, 0)
        self.shown.set_trait("progress", min(done / total, 1.0))
        self.shown.set_trait("status", f"step {done} of {total}, {left:.0f} s left")
        if self.every and done % self.every == 0 and done < total:
            for run in tracer.so_far()[:1]:
                meant = run.record.get("previews")  # none of what has no small picture
                image = from_uri(meant[-1]) if meant else None
                seen = replace(previews.seen(run, stopped=False), image=image)
                self.shown.set_trait("cells", previews.cells(seen, list(self.recipe.subjects)))

    def end(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """`callback_on_step_end`: makes this step the last if that is wanted."""
        if self.stopping.is_set() and step + 1 < (compat.planned_passes(pipe) or 0):
            compat.interrupt(pipe)
            self.recipe = replace(self.recipe, stopped=step + 1)
        return tensors


def unstoppable(pipe: Any) -> str:
    """That a pipeline cannot be stopped between its steps, as a sentence; "" if it can."""
    kind = type(pipe)
    hears = "callback_on_step_end" in inspect.signature(kind.__call__).parameters
    if hears and hasattr(kind, "interrupt"):
        return ""
    return f"{kind.__name__} cannot be stopped: it makes all its steps."


def sentence(error: Exception) -> str:
    """An error as a person reads it."""
    text = str(error).strip()
    if isinstance(error, DaamkitError):
        return text[:1].upper() + text[1:]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
