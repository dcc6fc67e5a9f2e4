"""What a pipeline's call says: prompts, images per prompt, which batch rows are which."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch

from daamkit import compat
from daamkit.attention.sites import Grid
from daamkit.errors import DaamkitError

Rows = slice  # consecutive batch rows, one per sample


@dataclass(eq=False)
class Call:
    """One call of a pipeline, as long as it lasts.

    Attributes
    ----------
    pipe
        The pipeline.
    arguments
        What it was called with, defaults filled in.
    times
        The time of each pass of its denoiser so far, extra passes not counted, as the denoiser was
        told it: a number, or a tensor that may still lie on a GPU.
    notes
        What taps want to be remembered of each image, as plain data by name; a trace puts it into
        the run's record.
    """

    pipe: Any
    arguments: dict[str, Any]
    times: list[Any] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.notes = [{} for _ in range(self.samples)]

    @property
    def timesteps(self) -> list[float]:
        """`times` as numbers; on a GPU this waits for it."""
        return [_number(time) for time in self.times]

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
        """Number of images."""
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
        return int(self.arguments.get("num_images_per_prompt") or 1)

    def planned_passes(self) -> int:
        """How many passes the call will make; known once its first pass begins."""
        return compat.planned_passes(self.pipe) or len(self.pipe.scheduler.timesteps)

    def branches(self, rows: int) -> dict[str, Rows]:
        """Which of a pass's batch rows are which, by name.

        Names are "cond", "uncond" (called "negative" where a negative prompt was given), "image"
        (InstructPix2Pix) and "perturbed" (PAG).

        Raises
        ------
        DaamkitError
            If the rows are not as many as the pipeline's call asks for.
        """
        names = self._branch_names()
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

    def _branch_names(self) -> list[str]:
        negative = any(self.negative_prompts)
        embedded = self.arguments.get("negative_prompt_embeds") is not None
        without = "negative" if negative or embedded else "uncond"
        guided = getattr(self.pipe, "do_classifier_free_guidance", None)
        if guided is None:  # pipelines without the property
            guided = float(self.arguments.get("guidance_scale") or 0.0) > 1.0
            guided &= float(self.arguments.get("image_guidance_scale", 1.0)) >= 1.0
        if guided and "image_guidance_scale" in self.arguments:
            return ["cond", "image", without]
        names = [without, "cond"] if guided else ["cond"]
        if getattr(self.pipe, "do_perturbed_attention_guidance", False):
            names.append("perturbed")
        return names


@dataclass(eq=False)
class Pass:
    """One run of the denoiser within a call.

    Attributes
    ----------
    call
        The pipeline's call.
    index
        Which pass it is, from 0; a second-order scheduler makes two a step.
    time
        The denoiser's time, as it was told it.
    branches
        Batch rows by name.
    latents
        (height, width) of the denoiser's input.
    denoiser
        The model that runs.
    inputs
        What it is given, by the names of its arguments.
    noisy
        (samples, channels, height, width): what is to be denoised, as the scheduler has it, before
        it is scaled for the denoiser.
    moved
        Whether a tap has moved `noisy` from where the pipeline had it.
    prediction
        (rows, channels, height, width): what the denoiser has said, once it has.
    """

    call: Call
    index: int
    time: Any
    branches: dict[str, Rows]
    latents: Grid
    denoiser: Any = None
    inputs: dict[str, Any] = field(default_factory=dict)
    noisy: Any = None
    moved: bool = False
    prediction: Any = None

    @property
    def timestep(self) -> float:
        """`time` as a number; on a GPU this waits for it."""
        return _number(self.time)


def _number(time: Any) -> float:
    return float(torch.as_tensor(time).flatten()[0])


def read(pipe: Any, signature: inspect.Signature, args: tuple, kwargs: dict[str, Any]) -> Call:
    """Read a pipeline's call before it runs; arguments it refuses are left for it to refuse."""
    try:
        bound = signature.bind(pipe, *args, **kwargs)
    except TypeError:
        return Call(pipe, dict(kwargs))
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    arguments.pop("self", None)
    arguments.update(arguments.pop("kwargs", {}))
    return Call(pipe, arguments)
