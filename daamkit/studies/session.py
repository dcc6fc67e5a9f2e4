"""A session: an open pipeline, on which a study has its images drawn and traced."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from daamkit import zoo
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method, guide
from daamkit.maps.run import Run
from daamkit.tracing.trace import trace

if TYPE_CHECKING:
    from daamkit.studies.study import Study

Case = dict[str, Any]  # plain data: "prompt", "seed", and what the study needs to know of it
Row = dict[str, Any]  # plain data: what was measured
AT_ONCE = 4  # cases on a CPU


class UnreadWarning(UserWarning):
    """A prompt beyond the model's limit: the words that it has not read are not measured."""


class Session:
    """An open pipeline, on which a study has its images drawn and traced."""

    def __init__(self, study: Study, pipe: Any = None) -> None:
        self.study = study
        pipe = study.pipe if pipe is None else pipe
        if pipe is None:
            pipe = study.open()
            if getattr(pipe, "safety_checker", None) is not None:
                pipe.safety_checker = None
            pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe
        self.record: Mapping[str, Any] = {}

    @property
    def at_once(self) -> int:
        """Cases to measure together; more leave the caches of a CPU (benchmarks/studies.py)."""
        return AT_ONCE if self.pipe.device.type == "cpu" else 1_000_000

    def call(self, texts: Sequence[str], seeds: Sequence[int]) -> Any:
        """What the pipeline makes of these prompts, under the study's settings."""
        call = zoo.arguments(self.pipe, list(texts), self.study.guidance)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return self.pipe(**call, generator=generators, num_inference_steps=self.study.steps)

    def runs(
        self,
        texts: Sequence[str],
        seeds: Sequence[int],
        methods: Sequence[Method] = (),
        **options: Any,
    ) -> list[Run]:
        """Draw one image a prompt, each with a generator of its own, guided by these methods.

        Options are those of `trace`. An image is the same in whatever batch, up to rounding.
        """
        guided = guide(self.pipe, *methods) if methods else nullcontext()
        with guided, trace(self.pipe, **options) as tracer:
            made = self.call(texts, seeds)
        if any(getattr(made, "nsfw_content_detected", None) or []):
            raise DaamkitError(
                wanted="images to measure",
                got=f"black ones from the pipeline's safety checker, among those of {texts}",
                mend="open it with `safety_checker=None`, or leave these prompts out",
            )
        for run in tracer.runs:
            for cut in run.maps.prompt.cuts.values():
                warnings.warn(
                    f"the model has not read {run.prompt[cut:].strip()!r}; it is left out",
                    UnreadWarning,
                    stacklevel=2,
                )
        shared = dict(tracer.runs[0].record)
        for of_one in ("seed", "sample", "made"):
            shared.pop(of_one, None)
        shared["arguments"] = {k: v for k, v in shared["arguments"].items() if k != "prompt"}
        self.record = shared
        return tracer.runs
