"""Studies of what methods of attribution say of drawn scenes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from daamkit import registry
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Again, UnsuitedError, UnsuitedPromptError, related
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.studies import instruments, localisation
from daamkit.studies.costs import Counted
from daamkit.studies.drawn_scenes import Known, OfScenes, relations
from daamkit.studies.session import Case, Session


@dataclass(frozen=True)
class Explained(Known):
    """A case's image and what every method says of it, by the nouns that are there.

    Attributes
    ----------
    run, nouns, masks, named
        As in `Known`.
    maps
        By noun and method, controls too.
    cost
        By method: generations and seconds.
    again
        Draws the image again.
    """

    maps: dict[int, dict[str, WordMap]]
    cost: dict[str, dict[str, float]]
    again: Again


@dataclass(frozen=True, kw_only=True)
class Explaining(OfScenes):
    """Settings of such a study; see `OfScenes`.

    Attributes
    ----------
    methods
        Methods of attribution, by their names in `registry.attributions`; none: all that work with
        the model.
    """

    methods: tuple[str, ...] = ()

    def check(self) -> None:
        """Truth, and the methods."""
        super().check()
        _ = self._methods

    @cached_property
    def _methods(self) -> dict[str, Counted]:
        names = self.methods or tuple(registry.attributions.names())
        return {name: Counted(registry.attributions.find(name)()) for name in names}

    def instruments(self) -> dict[str, str]:
        """The methods, and what was learned of the model."""
        lessons = instruments.learned("attribution", self.model_name)
        own = {"methods": ", ".join(self._methods), "lessons": lessons}
        return super().instruments() | own

    # -- one image

    def tracing(self, pipe: Any, prompt: str) -> dict[str, Any]:
        """Self-attention, and what nouns attend to where a method wants that."""
        wanted = related(*self._methods.values())
        return super().tracing(pipe, prompt) | relations(pipe, prompt, wanted)

    def explained(self, session: Session, case: Case) -> Explained:
        """A case's image, and every method's map of every noun that is there, each asked of all the
        prompt's nouns: where they compete, one that was not drawn does too."""
        draw = self.drawing(session, case)
        seen = self.seen(case, draw())
        words = seen.words
        pooled = {noun: seen.run.maps.of(word) for noun, word in seen.nouns.items()}
        maps: dict[int, dict[str, WordMap]] = {noun: {} for noun in words}
        cost: dict[str, dict[str, float]] = {}
        for name, method in self._methods.items() if words else ():
            again = _Again(draw)
            start = time.perf_counter()
            try:
                found = method.maps(seen.run, [*seen.nouns.values()], again)
            except UnsuitedPromptError:
                continue
            except UnsuitedError:
                if name in self.methods:
                    raise
                continue
            for noun, made in zip(seen.nouns, found, strict=True):
                if noun in words:
                    maps[noun][name] = made
            seconds = time.perf_counter() - start
            cost[name] = {"generations": again.count, "seconds": seconds, **method.spent}
        for noun in words:
            maps[noun] |= localisation.controls(pooled, noun, case["seed"], self.world)
        again = _Again(draw)
        return Explained(**vars(seen), maps=maps, cost=cost, again=again)


class _Again:
    """Draws again, and counts how often."""

    def __init__(self, draw: Callable[..., Run]) -> None:
        self.draw, self.count = draw, 0

    def __call__(self, *taps: Tap) -> Run:
        self.count += 1
        return self.draw(*taps)
