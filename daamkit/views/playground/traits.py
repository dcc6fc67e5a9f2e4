"""The playground's state as traits: what a person sets, and what it says."""

from __future__ import annotations

import random
from typing import Any

import traitlets

from daamkit.errors import DaamkitError
from daamkit.views.playground.recipe import METHODS, Recipe, words
from daamkit.views.widget import Widget

SEEDS = 2**32  # as many as a click on the dice chooses from
SIZES = 4096  # pixels a side at most


class PlaygroundTraits(Widget):
    """The state of a `Playground`, which describes it."""

    keep: tuple[str, ...]

    prompt = traitlets.Unicode("").tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    steps = traitlets.Int(25).tag(sync=True)
    height = traitlets.Int(0).tag(sync=True)
    width = traitlets.Int(0).tag(sync=True)
    scale = traitlets.Float(None, allow_none=True).tag(sync=True)
    methods = traitlets.List(traitlets.Unicode()).tag(sync=True)
    subjects = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pinned = traitlets.List(traitlets.Int()).tag(sync=True)
    shown = traitlets.Int(None, allow_none=True).tag(sync=True)
    folder = traitlets.Unicode("runs").tag(sync=True)

    words: traitlets.List[Any] = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    progress = traitlets.Float(0.0, read_only=True).tag(sync=True)
    status = traitlets.Unicode("", read_only=True).tag(sync=True)
    problem = traitlets.Unicode("", read_only=True).tag(sync=True)
    unstoppable = traitlets.Unicode("", read_only=True).tag(sync=True)
    code = traitlets.Unicode("", read_only=True).tag(sync=True)
    cells: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)  # [caption, PNG]
    history: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)  # [title, PNG]
    _offered = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)  # to be changed
    _called = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)  # what differs
    _known = traitlets.List(traitlets.Unicode(), list(METHODS)).tag(sync=True)

    def recipe(self) -> Recipe:
        """What is set now, as how to make a picture."""
        return Recipe(
            self.prompt,
            self.seed,
            self.steps,
            self.height,
            self.width,
            self.scale,
            tuple(self.methods),
            tuple(self.subjects),
            self.keep,
        )

    def dice(self) -> int:
        """Set another seed, any."""
        self.seed = random.SystemRandom().randrange(SEEDS)
        return self.seed

    def _say(self, **values: Any) -> None:
        """Set what only this tells."""
        for name, value in values.items():
            self.set_trait(name, value)

    def _shown(self) -> int:
        if self.shown is None:
            raise DaamkitError(
                wanted="a picture", got="none yet", mend="generate one: `playground.generate()`"
            )
        return int(self.shown)

    @traitlets.observe("prompt")
    def _new_words(self, change: Any) -> None:
        """What can be ticked; ticks of words that are gone go with them."""
        named = list(words(change["new"]))
        self.set_trait("words", named)
        if not set(self.subjects) <= set(named):
            self.subjects = [word for word in self.subjects if word in named]

    @traitlets.validate("subjects")
    def _of_the_prompt(self, proposal: Any) -> list[str]:
        named = list(words(self.prompt))
        unknown = [word for word in proposal["value"] if word not in named]
        if unknown:
            raise DaamkitError(
                wanted="words of the prompt",
                got=", ".join(map(repr, unknown)),
                mend=f"`playground.words` are {', '.join(map(repr, named)) or 'none yet'}",
            )
        return [word for word in named if word in proposal["value"]]

    @traitlets.validate("methods")
    def _known_methods(self, proposal: Any) -> list[str]:
        unknown = [name for name in proposal["value"] if name not in METHODS]
        if unknown:
            raise DaamkitError(
                wanted=f"guidance methods out of {', '.join(METHODS)}",
                got=", ".join(unknown),
                mend="name only these; any other method works with `daamkit.guide`",
            )
        return [name for name in METHODS if name in proposal["value"]]

    @traitlets.validate("seed", "steps", "height", "width")
    def _in_bounds(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {"seed": (0, 2**63 - 1), "steps": (1, 1000)}.get(name, (0, SIZES))
        if not low <= value <= high:
            raise DaamkitError(
                wanted=f"{name} from {low} to {high}", got=f"{value}", mend="set it so"
            )
        return value

    @traitlets.validate("pinned", "shown")
    def _made_already(self, proposal: Any) -> Any:
        value = proposal["value"]
        given = value if isinstance(value, list) else [] if value is None else [value]
        if not all(0 <= index < len(self.history) for index in given):
            raise DaamkitError(
                wanted=f"pictures from 0 to {len(self.history) - 1}"
                if self.history
                else "a picture that was made",
                got=f"{value}",
                mend="`playground.runs` has them; generate one first",
            )
        return list(dict.fromkeys(value)) if isinstance(value, list) else value
