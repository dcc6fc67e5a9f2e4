"""Studies of what methods of attribution say of drawn scenes, and of what is generated from their
captions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from daamkit import registry
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Again, Attribution
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.studies import localisation, truths
from daamkit.studies.denoised import Denoised, both, exact
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims
from daamkit.toybox.scenes import SPLITS, Scene

GENERATED = -1  # the level of an image that is generated


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
class Explaining(Located):
    """Settings of such a study; see `Study` for the common ones.

    Attributes
    ----------
    levels
        To which a scene is noised: time steps of the schedule, from 0 to 999.
    methods
        By their names in `registry.attributions`; none: all that are known.
    truth
        Where the things of generated images are; see `truths.truth`.
    """

    parses: ClassVar[bool] = False
    generates: ClassVar[bool] = True  # whether each scene's caption is a case too
    levels: tuple[int, ...] = (300, 600)
    methods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts is not None or not all(0 <= level < 1000 for level in self.levels):
            raise DaamkitError(
                wanted="scenes of the toy world, and levels from 0 to 999",
                got=f"prompts={self.prompts!r}, levels={self.levels}",
                mend="leave `prompts` out; `daamkit study objects` takes prompts of any kind",
            )

    def check(self) -> None:
        """Truth, and the methods."""
        super().check()
        _ = self._methods

    def cases(self) -> list[Case]:
        """Each scene at each level, then its caption: prompt, seed, split, scene (which of its
        split) and level."""
        return [
            {"prompt": scene.caption, "seed": self.seed + i, "level": level}
            | {"split": SPLITS[1 + i % 2], "scene": i // 2}
            for i, scene in enumerate(self._scenes)
            for level in self._levels
        ][: self.n]

    @property
    def _levels(self) -> tuple[int, ...]:
        return (*self.levels, GENERATED) if self.generates else self.levels

    @cached_property
    def _scenes(self) -> list[Scene]:
        """Of both splits in turn."""
        return both(-(-self.n // len(self._levels)), self.seed)

    @cached_property
    def _methods(self) -> dict[str, Attribution]:
        names = self.methods or tuple(registry.attributions.names())
        return {name: registry.attributions.find(name)() for name in names}

    # -- one image

    def scene(self, case: Case) -> Scene:
        """The scene of a case."""
        return self._scenes[SPLITS.index(case["split"]) - 1 + 2 * case["scene"]]

    def explained(self, session: Session, case: Case) -> Explained:
        """A case's image, and every method's map of every noun that is there."""
        scene = self.scene(case)
        draw = self._drawing(session, case, scene)
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
        said = {"set": _called(case["level"]), "split": case["split"], "prompt": case["prompt"]}
        named = {
            noun: said | {"seed": case["seed"], "noun": noun, "word": asked.things[noun].name}
            for noun in masks
        }
        return Explained(run, masks, words, maps, named, cost, _Again(draw, silenced))

    def _drawing(self, session: Session, case: Case, scene: Scene) -> Callable[..., Run]:
        """Draws the case's image, under taps."""
        options: dict[str, Any] = {"self_attention": True}

        def denoise(*taps: Tap) -> Run:
            denoised = Denoised(session.pipe)
            return denoised.runs([scene], [case["seed"]], case["level"], taps, **options)[0]

        def generate(*taps: Tap) -> Run:
            with attach(session.pipe, *taps):
                return session.runs([case["prompt"]], [case["seed"]], **options)[0]

        return generate if case["level"] == GENERATED else denoise


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


def _called(level: int) -> str:
    return "generated" if level == GENERATED else f"drawn, noise {level}"
