"""Studies of what methods of attribution say of drawn scenes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daamkit import registry
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Again, Attribution
from daamkit.edits.silence import Silence
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.studies import localisation, truths
from daamkit.studies.denoised import exact
from daamkit.studies.drawn_scenes import GENERATED, OfScenes, called
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims


@dataclass(frozen=True)
class Explained:
    """A case's image and what every method says of it, by the nouns that are there.

    Attributes
    ----------
    run
        The image, traced.
    masks, words
        Where each noun's thing is, and which word it is.
    maps
        By method, controls too.
    named
        What stands in all rows of a noun.
    cost
        By method: generations and seconds.
    again
        Draws the image again.
    """

    run: Run
    masks: dict[int, localisation.Mask]
    words: dict[int, Word]
    maps: dict[int, dict[str, WordMap]]
    named: dict[int, Row]
    cost: dict[str, dict[str, float]]
    again: Again


@dataclass(frozen=True, kw_only=True)
class Explaining(OfScenes):
    """Settings of such a study; see `OfScenes`.

    Attributes
    ----------
    methods
        By their names in `registry.attributions`; none: all that are known.
    """

    methods: tuple[str, ...] = ()

    def check(self) -> None:
        """Truth, and the methods."""
        super().check()
        _ = self._methods

    @cached_property
    def _methods(self) -> dict[str, Attribution]:
        names = self.methods or tuple(registry.attributions.names())
        return {name: registry.attributions.find(name)() for name in names}

    # -- one image

    def explained(self, session: Session, case: Case) -> Explained:
        """A case's image, and every method's map of every noun that is there."""
        scene, draw = self.scene(case), self.drawing(session, case)
        run = draw()
        asked = claims.parse(scene.caption)
        nouns = localisation.words(run.maps, asked)
        masks = exact(scene)
        if case["level"] == GENERATED:
            names = [thing.name for thing in asked.things]
            found = self.masks(run, case["prompt"], case["seed"], names)
            own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
            masks = {i: own[i] for i in masks if truths.present(own[i])}
        words = {noun: nouns[noun] for noun in masks}
        pooled = {i: run.maps.of(word) for i, word in nouns.items()}
        maps: dict[int, dict[str, WordMap]] = {noun: {} for noun in masks}
        cost: dict[str, dict[str, float]] = {}
        silenced: dict[Word, Run] = {}
        for name, method in self._methods.items() if masks else ():
            again = _Again(draw, silenced)
            start = time.perf_counter()
            for noun, made in zip(masks, method.maps(run, [*words.values()], again), strict=True):
                maps[noun][name] = made
            seconds = time.perf_counter() - start
            cost[name] = {"generations": again.count, "seconds": seconds}
        for noun in masks:
            maps[noun] |= localisation.controls(pooled, noun, case["seed"])
        said = {"set": called(case["level"]), "split": case["split"], "prompt": case["prompt"]}
        named = {
            noun: said | {"seed": case["seed"], "noun": noun, "word": asked.things[noun].name}
            for noun in masks
        }
        return Explained(run, masks, words, maps, named, cost, _Again(draw, silenced))


class _Again:
    """Draws again, and counts how often; what a word's silence gave is remembered."""

    def __init__(self, draw: Callable[..., Run], silenced: dict[Word, Run]) -> None:
        self.draw, self.silenced, self.count = draw, silenced, 0

    def __call__(self, *taps: Tap) -> Run:
        self.count += 1
        alone = taps[0] if len(taps) == 1 else None
        if not (isinstance(alone, Silence) and isinstance(alone.words, Word)):
            return self.draw(*taps)
        if alone.words not in self.silenced:
            self.silenced[alone.words] = self.draw(alone)
        return self.silenced[alone.words]
