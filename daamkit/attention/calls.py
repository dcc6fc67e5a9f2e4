"""What a pipeline's call says, and what a pass of its denoiser is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float

from daamkit import compat
from daamkit.attention.sites import Grid, Site
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.attention.families.family import Family

Rows = slice  # consecutive batch rows, one per sample


@dataclass(eq=False)
class Heard:
    """What entered a text encoder or came out of a tokenizer, within a call.

    Attributes
    ----------
    ids
        (texts, places) token ids, as the encoder was given them.
    texts
        What the tokenizer was given; None where only the ids are known.
    """

    ids: list[list[int]]
    texts: list[str] | None = None


@dataclass(eq=False)
class Call:
    """One call of a pipeline, as long as it lasts.

    Attributes
    ----------
    pipe
        The pipeline.
    arguments
        What it was called with, defaults filled in.
    family
        What is known of models of this kind; None for a call that is only read.
    times
        The time of each scheduler's step so far, extra passes not counted, as the denoiser was told
        it: a number, or a tensor that may still lie on a GPU.
    encoded, tokenized
        What each text encoder was given so far, by component name, and each tokenizer.
    checks
        What is to be looked at again when the first pass begins: by then the encoders have run.
    first, changed_text
        The first pass of each branch; in the end, whether one was given another text since.
    notes
        What taps want to be remembered of each image: lists by name, of plain data or of what has a
        method `plain`. A trace puts them into the run's record.
    """

    pipe: Any
    arguments: dict[str, Any]
    family: Family | None = None
    times: list[Any] = field(default_factory=list)
    encoded: dict[str, list[Heard]] = field(default_factory=dict)
    tokenized: dict[str, list[Heard]] = field(default_factory=dict)
    checks: list[Callable[[], None]] = field(default_factory=list)
    first: dict[str, Pass] = field(default_factory=dict)
    changed_text: bool = False
    notes: list[dict[str, list[Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.notes = [{} for _ in range(self.samples)]

    @property
    def timesteps(self) -> list[float]:
        """`times` as numbers; on a GPU this waits for it."""
        return [number(time) for time in self.times]

    @property
    def negative_prompts(self) -> list[str | None]:
        """One negative prompt per image; "" where there is none, None for bare embeddings."""
        texts = self.texts("negative_prompt")
        if self.arguments.get("negative_prompt_embeds") is not None:
            return texts
        return [text or "" for text in texts]

    def texts(self, argument: str = "prompt") -> list[str | None]:
        """A text argument ("prompt", "prompt_2", ...), one per image; None where not given."""
        given = self.arguments.get(argument)
        if not isinstance(given, list | tuple):
            return [given] * self.samples
        return [text for text in given for _ in range(self.images_per_prompt)]

    @property
    def samples(self) -> int:
        """Number of images, or of videos."""
        prompt, embeds = self.arguments.get("prompt"), self.arguments.get("prompt_embeds")
        if prompt is not None:
            prompts = len(prompt) if isinstance(prompt, list | tuple) else 1
        elif embeds is not None:
            prompts = len(embeds)
        else:
            prompts = int(self.arguments.get("batch_size") or 1)  # pipelines without text
        return prompts * self.images_per_prompt

    @property
    def images_per_prompt(self) -> int:
        """How many images, or videos, are made of each prompt."""
        names = ("num_images_per_prompt", "num_videos_per_prompt")
        return next((int(n) for name in names if (n := self.arguments.get(name))), 1)

    def planned_passes(self) -> int:
        """How many times the scheduler will step; known once the first pass begins."""
        return compat.planned_passes(self.pipe) or len(self.pipe.scheduler.timesteps)

    def branches(self, rows: int) -> dict[str, Rows]:
        """Which of a pass's batch rows are which, by name, where one pass holds them all.

        Names are "cond", "uncond" (called "negative" where a negative prompt was given), "image"
        (InstructPix2Pix) and "perturbed" (PAG).

        Raises
        ------
        DaamkitError
            If the rows are not as many as the pipeline's call asks for.
        """
        return self.rows(self._branch_names(), rows)

    def rows(self, names: Sequence[str], rows: int) -> dict[str, Rows]:
        """Batch rows by name, branch after branch, one row an image.

        Raises
        ------
        DaamkitError
            If there are not as many.
        """
        if rows != len(names) * self.samples:
            raise DaamkitError(
                wanted=f"{len(names) * self.samples} batch rows in the denoiser's input "
                f"({self.samples} images x {', '.join(names)})",
                got=f"{rows}",
                mend=f"daamkit does not know how {type(self.pipe).__name__} lays out its batch; "
                "please report it",
            )
        size = self.samples
        return {name: slice(i * size, (i + 1) * size) for i, name in enumerate(names)}

    @property
    def without(self) -> str:
        """What the branch without the prompt is called: "uncond" or "negative"."""
        embedded = self.arguments.get("negative_prompt_embeds") is not None
        return "negative" if any(self.negative_prompts) or embedded else "uncond"

    def _branch_names(self) -> list[str]:
        guided = getattr(self.pipe, "do_classifier_free_guidance", None)
        if guided is None:  # pipelines without the property
            guided = float(self.arguments.get("guidance_scale") or 0.0) > 1.0
            guided &= float(self.arguments.get("image_guidance_scale", 1.0)) >= 1.0
        if guided and "image_guidance_scale" in self.arguments:
            return ["cond", "image", self.without]
        names = [self.without, "cond"] if guided else ["cond"]
        if getattr(self.pipe, "do_perturbed_attention_guidance", False):
            names.append("perturbed")
        return names


@dataclass(eq=False)
class Pass:
    """One run of a denoiser within a call.

    Attributes
    ----------
    call
        The pipeline's call.
    index
        How often the scheduler has stepped before it, from 0. Passes of one index belong together:
        guidance may let the denoiser run once for each branch.
    time
        The denoiser's time, as it was told it.
    branches
        Batch rows by name.
    grid
        The denoiser's own grid of the image: (height, width) or (frames, height, width).
    denoiser, inputs
        The model that runs, and what it is given, by the names of its arguments.
    noisy
        (samples, ...): what is to be denoised, as the scheduler has it, before it is scaled for the
        denoiser.
    moved, start
        Whether a tap has moved `noisy`, and where the pipeline had it.
    prediction
        (rows, ...): what the denoiser has said, once it has.
    text
        The tensors of text that entered the denoiser, batch rows first, each a tensor or a list.
    sites
        All attention sites of the denoiser.
    positional
        The names of those inputs that were given by position.
    earlier
        The passes before it of the same index.
    number
        Which step of the sampler, from 0: second order steps twice. None: as `index`.
    """

    call: Call
    index: int
    time: Any
    branches: dict[str, Rows]
    grid: Grid
    denoiser: Any = None
    inputs: dict[str, Any] = field(default_factory=dict)
    noisy: Float[torch.Tensor, samples * image] | Any = None
    moved: bool = False
    start: Float[torch.Tensor, samples * image] | Any = None
    prediction: Float[torch.Tensor, rows * image] | Any = None
    text: tuple[Any, ...] = ()
    sites: tuple[Site, ...] = ()
    positional: tuple[str, ...] = ()
    earlier: tuple[Pass, ...] = ()
    number: int | None = None
    attended: set[str] = field(default_factory=set)  # sites that taps have seen so far

    @property
    def timestep(self) -> float:
        """`time` as a number; on a GPU this waits for it."""
        return number(self.time)

    @property
    def family(self) -> Family:
        """What is known of models of this kind."""
        assert self.call.family is not None, "a pass of a call that was only read"
        return self.call.family

    @property
    def step(self) -> int:
        """Which step of the sampler it belongs to, from 0."""
        return self.index if self.number is None else self.number

    def holding(self, branch: str) -> Pass:
        """The pass of this index that has a branch: this one or an earlier one.

        Raises
        ------
        DaamkitError
            If none has.
        """
        for each in (self, *reversed(self.earlier)):
            if branch in each.branches:
                return each
        raise DaamkitError(
            wanted=f"a pass of the branch {branch!r}",
            got=f"{', '.join(name for each in (*self.earlier, self) for name in each.branches)}",
            mend="name one of these, or call the pipeline with guidance",
        )

    def names(self) -> list[str]:
        """The branches of this pass and of the earlier ones of the same index."""
        return [name for each in (*self.earlier, self) for name in each.branches]

    def prediction_of(self, branch: str) -> Float[torch.Tensor, samples * image]:
        """A branch's part of what the denoiser has predicted, (samples, ...)."""
        own = self.holding(branch)
        return own.prediction[own.branches[branch]]

    def arguments(self, inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Inputs as the denoiser was given them: by position where the pipeline gave them so."""
        given = dict(inputs)
        return tuple(given.pop(name) for name in self.positional), given


def number(time: Any) -> float:
    """A time as a number, whatever torch's default device is."""
    return float(time.flatten()[0] if isinstance(time, torch.Tensor) else time)


def bind(
    pipe: Any,
    signature: inspect.Signature,
    args: tuple,
    kwargs: dict[str, Any],
    family: Family | None = None,
) -> Call:
    """Read a pipeline's call before it runs; arguments it refuses are left for it to refuse."""
    try:
        bound = signature.bind(pipe, *args, **kwargs)
    except TypeError:
        return Call(pipe, dict(kwargs), family)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    arguments.pop("self", None)
    arguments.update(arguments.pop("kwargs", {}))
    # A pipeline may rewrite a caller's list or dictionary in place: what was said is what is read.
    said = {name: copy.copy(v) if type(v) in (list, dict) else v for name, v in arguments.items()}
    return Call(pipe, said if family is None else family.arguments(said), family)
