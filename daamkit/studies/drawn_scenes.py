"""Studies of drawn scenes, whose masks are exact, and of what is generated from their captions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from daamkit import characters
from daamkit.attention import families
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.studies import localisation, prompts, truths
from daamkit.studies.denoised import Denoised, Mask, exact
from daamkit.studies.located import Located
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims
from daamkit.toybox.scenes import SPLITS, Scene, draw

GENERATED = -1  # the level of an image that is generated


@dataclass(frozen=True)
class Known:
    """A case's image, and its nouns by their numbers.

    Attributes
    ----------
    run
        The image, traced.
    nouns
        Which words all nouns are.
    masks
        Where the things are of those that are there.
    named
        What stands in all rows of these.
    """

    run: Run
    nouns: dict[int, Word]
    masks: dict[int, Mask]
    named: dict[int, Row]

    @property
    def words(self) -> dict[int, Word]:
        """The nouns that are there."""
        return {noun: self.nouns[noun] for noun in self.masks}


@dataclass(frozen=True, kw_only=True)
class OfScenes(Located):
    """Settings of such a study; see `Study` for the common ones.

    Attributes
    ----------
    levels
        Levels to which scenes are noised: time steps of the schedule, from 0 to 999.
    world
        The toy world of the scenes, 1 or 2. Compositions are seen or held out for models of world
        2; the model of world 1 has seen them all.
    truth
        What says where the things of generated images are; see `truths.truth`.
    """

    parses: ClassVar[bool] = False
    levels: tuple[int, ...] = (300, 600)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts is not None or not all(0 <= level < 1000 for level in self.levels):
            raise DaamkitError(
                wanted="scenes of the toy world, and levels from 0 to 999",
                got=f"prompts={self.prompts!r}, levels={self.levels}",
                mend="leave `prompts` out; `daamkit study objects` takes prompts of any kind",
            )

    def cases(self) -> list[Case]:
        """Each scene at each level, then its caption: prompt, seed, split, scene (which of its
        split) and level."""
        return [
            {"prompt": scene.caption, "seed": self.seed + i, "level": level}
            | {"split": SPLITS[1 + i % 2], "scene": i // 2}
            for i, scene in enumerate(self._scenes)
            for level in self.every_level
        ][: self.n]

    @property
    def every_level(self) -> tuple[int, ...]:
        """Each scene's caption is a case too, where the study generates."""
        return (*self.levels, GENERATED) if self.generates else self.levels

    @cached_property
    def _scenes(self) -> list[Scene]:
        """Of both splits in turn, no caption twice. What is held out a caption also says: for "a
        cat without a dog" nothing is generated that training has not seen."""
        many = -(-self.n // len(self.every_level))
        each = [self._of(split, (many + 1) // 2) for split in SPLITS[1:]]
        return [scene for pair in zip(*each, strict=True) for scene in pair][:many]

    def _of(self, split: str, many: int) -> list[Scene]:
        found: dict[str, Scene] = {}
        numbers = itertools.count()
        while len(found) < many:
            rng = np.random.default_rng((self.seed, next(numbers)))
            scene = draw(rng, world=self.world, split=split)
            if prompts.held_out(claims.parse(scene.caption)) == (split == SPLITS[2]):
                found.setdefault(scene.caption, scene)
        return [*found.values()]

    # -- one image

    def scene(self, case: Case) -> Scene:
        """The scene of a case."""
        return self._scenes[SPLITS.index(case["split"]) - 1 + 2 * case["scene"]]

    def seen(self, case: Case, run: Run) -> Known:
        """The case's image, with the nouns whose things are there."""
        asked = claims.parse(run.prompt)
        masks = exact(self.scene(case))
        if case["level"] == GENERATED:
            names = [thing.name for thing in asked.things]
            found = self.masks(run, case["prompt"], case["seed"], names)
            own = truths.apart(np.stack(truths.certain(found, names, self.truth)))
            masks = {noun: own[noun] for noun in masks if truths.present(own[noun])}
        said = {"set": called(case["level"]), "split": case["split"], "prompt": case["prompt"]}
        named: dict[int, Row] = {
            noun: said | {"seed": case["seed"], "noun": noun, "word": asked.things[noun].name}
            for noun in masks
        }
        return Known(run, localisation.words(run.maps, asked), masks, named)

    def tracing(self, pipe: Any, prompt: str) -> dict[str, Any]:
        """What is kept of the image of a prompt: options of `trace`."""
        return {"self_attention": True}

    def drawing(self, session: Session, case: Case) -> Callable[..., Run]:
        """Draws the case's image, under taps."""
        scene = self.scene(case)
        options = self.tracing(session.pipe, scene.caption)

        def denoise(*taps: Tap) -> Run:
            denoised = Denoised(session.pipe)
            return denoised.runs([scene], [case["seed"]], case["level"], taps, **options)[0]

        def generate(*taps: Tap) -> Run:
            with attach(session.pipe, *taps):
                return session.runs([case["prompt"]], [case["seed"]], **options)[0]

        return generate if case["level"] == GENERATED else denoise


def relations(pipe: Any, prompt: str, names: Sequence[str]) -> dict[str, Any]:
    """Of a model with joint attention, relations of a prompt's nouns: an option of `trace`."""
    if not names or not families.share_a_softmax(pipe):
        return {}
    spans = [(thing.start, thing.end) for thing in claims.parse(prompt).things]
    nouns = [(prompt[slice(*span)], characters.occurrence(prompt, *span)) for span in spans]
    return {"relations": dict.fromkeys(names, nouns)}


def called(level: int) -> str:
    """What cases of a level are called."""
    return "generated" if level == GENERATED else f"drawn, noise {level}"
