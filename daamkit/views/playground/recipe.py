"""How one image is made: as settings, as the call itself, and as the Python that a person runs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import daamkit
from daamkit import characters, resources
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.views.labels import told_apart

# Guidance methods of the public face, and whether they are told which words to guide.
METHODS = {
    "AttendAndExcite": True,
    "DivideAndBind": True,
    "SynGen": False,
    "SelfAttentionGuidance": False,
    "PerturbedAttentionGuidance": False,
    "SmoothedEnergyGuidance": False,
}
FLOAT32 = "torch.float32"  # what `daamkit.load` opens a model in
# Given a pipeline and its tracer, around a call, for which it has further arguments
Watch = Callable[[Any, Any], AbstractContextManager[dict[str, Any]]]


@dataclass(frozen=True)
class Recipe:
    """What a picture is made from.

    Raises
    ------
    DaamkitError
        If one side alone is given, which pipelines pass over.

    Attributes
    ----------
    prompt, seed, steps
        The text, the seed of the noise, and how many denoising steps.
    height, width
        In pixels, both; 0: the model's own.
    scale
        Guidance scale; None: the model's own.
    methods
        Names of guidance methods, out of `METHODS`.
    subjects
        The words that methods guide, as `words` names them; none: the prompt's nouns.
    keep
        What the trace does not sum over; see `trace`.
    stopped
        After how many steps it was stopped; None: it was not.
    opened
        The line of Python that has opened its pipeline, or what there is to say; see `opened`.
    """

    prompt: str
    seed: int = 0
    steps: int = 25
    height: int = 0
    width: int = 0
    scale: float | None = None
    methods: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    keep: tuple[str, ...] = ("step", "site", "head")
    stopped: int | None = None
    opened: str = "# pipe: the pipeline that the playground was given"

    def __post_init__(self) -> None:
        if bool(self.height) != bool(self.width):
            raise DaamkitError(
                wanted="both height and width, or neither, which is the model's own size",
                got=f"height {self.height}, width {self.width}",
                mend="set both, or both to 0",
            )

    @property
    def facts(self) -> tuple[str, ...]:
        """What tells a picture of it from others, the plainest first."""
        subjects = f" of {', '.join(self.subjects)}" if self.methods and self.subjects else ""
        return (
            self.prompt or "no prompt",
            f"seed {self.seed}",
            (" + ".join(self.methods) or "unguided") + subjects,
            f"{self.steps} steps",
            f"{self.width} x {self.height}" if self.height else "usual size",
            "usual scale" if self.scale is None else f"scale {self.scale:g}",
            "whole" if self.stopped is None else f"stopped after {self.stopped} steps",
        )

    @property
    def title(self) -> str:
        """What a picture of it is called."""
        prompt, seed, *_, stopped = self.facts
        said = [prompt, seed, *self.methods, *([] if self.stopped is None else [stopped])]
        return ", ".join(said)

    def options(self, pipe: Any) -> dict[str, Any]:
        """Arguments of a pipeline's call, but for the generator; see `daamkit.arguments`."""
        found = daamkit.arguments(pipe, self.prompt, self.scale)
        if self.height:
            found |= {"height": self.height, "width": self.width}
        return found | {"num_inference_steps": self.steps}

    def make(self, pipe: Any, watch: Watch | None = None, previews: bool = False) -> Run:
        """Make the picture, traced and watched; `previews` keeps what the model means in each step,
        where it can be shown small."""
        import torch

        options = self.options(pipe)
        with ExitStack() as around:
            if self.methods:
                around.enter_context(daamkit.guide(pipe, *map(self._method, self.methods)))
            kept = None if previews else False
            tracer = around.enter_context(daamkit.trace(pipe, keep=self.keep, previews=kept))
            if watch is not None:
                options |= around.enter_context(watch(pipe, tracer))
            pipe(generator=torch.Generator().manual_seed(self.seed), **options)
        return tracer.run

    def _method(self, name: str) -> Any:
        make = getattr(daamkit, name)
        return make(self.asked()) if METHODS[name] else make()

    def asked(self) -> list[Any] | str:
        """The subjects as guidance takes them: the first of two cats is ("cat", 0)."""
        named = {name.casefold() for name in words(self.prompt)}
        repeated = [f"{each} (2)".casefold() in named for each in self.subjects]
        found = [(s, 0) if twice else s for s, twice in zip(self.subjects, repeated, strict=True)]
        return found or "nouns"

    def code(self, pipe: Any) -> str:
        """The same as Python, which gives the same picture of a pipeline bit for bit."""
        lines = ["import daamkit", "import torch", "", self.opened]
        context = f"daamkit.trace(pipe, keep={self.keep!r}) as tracer"
        for name in self.methods:
            given = repr(self.asked()) if METHODS[name] else ""
            lines.append(f"{_variable(name)} = daamkit.{name}({given})")
        if self.methods:
            context = f"daamkit.guide(pipe, {', '.join(map(_variable, self.methods))}), {context}"
        last = None if self.stopped is None else self.stopped - 1
        if last is not None:
            lines += [
                "", "", "def stop(pipe, step, timestep, tensors):",
                f"    pipe._interrupt = step >= {last}", "    return tensors", "", "",
            ]  # fmt: skip
        lines += [f"with {context}:", "    pipe("]
        lines += [f"        {name}={value!r}," for name, value in self.options(pipe).items()]
        lines += ["        callback_on_step_end=stop,"] * (last is not None)
        lines += [f"        generator=torch.Generator().manual_seed({self.seed}),", "    )"]
        return "\n".join([*lines, "run = tracer.run", ""])

    def changed(self, word: str, to: str) -> Recipe:
        """The same with another word in the place of one; the seed stays.

        Raises
        ------
        DaamkitError
            If the prompt has no such word.
        """
        named = words(self.prompt)
        if word not in named:
            raise DaamkitError(
                wanted="a word of the prompt",
                got=repr(word),
                mend=f"choose from {', '.join(named)}",
            )
        start, end = named[word]
        prompt = self.prompt[:start] + to + self.prompt[end:]
        kept = words(prompt)
        subjects = [to if each == word else each for each in self.subjects]
        known = tuple(each for each in subjects if each in kept)
        return replace(self, prompt=prompt, subjects=known, stopped=None)


def words(prompt: str) -> dict[str, tuple[int, int]]:
    """The words of a prompt by name, a second "cat" as "cat (2)", with their characters."""
    spans = list(characters.words(prompt))
    texts = [prompt[start:end] for start, end in spans]
    seen = told_apart(text.casefold() for text in texts)
    names = [text + name[len(text.casefold()) :] for text, name in zip(texts, seen, strict=True)]
    return dict(zip(names, spans, strict=True))


def opened(pipe: Any) -> str:
    """The line of Python that opens this pipeline, in its precision and on its device, as far as
    the pipeline tells."""
    name = str(getattr(pipe, "name_or_path", "") or "")
    if not name:
        return Recipe.opened
    if Path(name).parent == resources.path("toybox").parent:  # a shipped model
        name = Path(name).name
    weights = {
        part: weight
        for part, of in pipe.components.items()
        for weight in itertools.islice(getattr(of, "parameters", tuple)(), 1)
    }
    types = {part: str(weight.dtype) for part, weight in weights.items()}
    ((most, _),) = Counter(types.values()).most_common(1)
    others = {"default": most} | {part: kind for part, kind in types.items() if kind != most}
    each = ", ".join(f"{part!r}: {kind}" for part, kind in others.items())
    dtype = f"{{{each}}}" if len(others) > 1 else most
    return f"pipe = {loading(name, dtype, next(iter(weights.values())).device)}"


def loading(model: str, dtype: str = FLOAT32, device: Any = "cpu") -> str:
    """The Python that opens a model, in a precision ("torch.float16") and on a device."""
    how = "" if dtype == FLOAT32 else f", dtype={dtype}"
    place = str(device).removesuffix(":0")
    where = "" if place in ("cpu", "meta") else f".to({place!r})"
    return f"daamkit.load({model!r}{how}){where}"


def _variable(name: str) -> str:
    """AttendAndExcite as attend_and_excite."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def free(folder: Path, recipes: Sequence[Recipe], place: int) -> Path:
    """A folder for one of several pictures within another, where nothing lies yet."""
    stem = file_name(recipes[place])
    name = told_apart(map(file_name, recipes))[place].replace(" (", "_").removesuffix(")")
    others = (f"{stem}_{number}" for number in itertools.count(2))
    targets = (folder / each for each in itertools.chain([name], others))
    return next(each for each in targets if not (each.exists() or each.is_symlink()))


def file_name(recipe: Recipe) -> str:
    """What a picture's folder is called: its words and its seed."""
    text = "-".join(recipe.prompt[start:end] for start, end in words(recipe.prompt).values())
    return f"{text.lower()[:48].strip('-') or 'empty'}-{recipe.seed}"
