"""A study: settings, cases, what is measured of each, the tables and the plot that follow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import torch

from daamkit import zoo
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method, guide
from daamkit.language import parsing
from daamkit.maps.run import Run
from daamkit.studies import prompts
from daamkit.tracing.trace import trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Case = dict[str, Any]  # plain data: "prompt", "seed", and what the study needs to know of it
Row = dict[str, Any]  # plain data: what was measured
AT_ONCE = 4  # cases on a CPU
DTYPES = ("float32", "float16", "bfloat16")


def said_elsewhere(default: Any) -> Any:
    """A setting that may differ when a study is gone on with: what it decides is compared itself,
    or only the tables need it."""
    return field(default=default, metadata={"compare": False})


@dataclass(frozen=True, kw_only=True)
class Study:
    """Settings that every study has, and what a study must be able to do.

    Attributes
    ----------
    model
        "toybox", a folder, or an id of the Hub. A safety checker is taken off: its black images
        would be measured as if drawn.
    prompts
        A file of prompts (`prompts.texts`); None: captions of the toy world.
    n
        How many cases.
    seed
        Of the choice of prompts; case i draws its image with seed + i.
    steps, guidance
        Of the generation; None: the pipeline's own guidance scale.
    parser
        A spaCy pipeline by name; None: the one that ships.
    device, dtype
        Where and in which precision; None: a GPU if there is one.
    """

    name: ClassVar[str] = ""
    fewest: ClassVar[int] = 1  # cases
    model: str = "toybox"
    prompts: str | None = said_elsewhere(None)
    n: int = 200
    seed: int = 0
    steps: int = 25
    guidance: float | None = None
    parser: str | None = None
    device: str | None = said_elsewhere(None)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.n < self.fewest or self.steps < 1 or self.seed < 0 or self.dtype not in DTYPES:
            raise DaamkitError(
                wanted=f"{self.fewest} or more cases, a step, a seed from 0, and a dtype of "
                f"{', '.join(DTYPES)}",
                got=f"n={self.n}, steps={self.steps}, seed={self.seed}, dtype={self.dtype!r}",
                mend="try n=200, steps=25, seed=0, dtype='float32'",
            )

    @property
    def place(self) -> str:
        """The device that `device` means."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def check(self) -> None:
        """Open what `measure` will need, so that what is missing is said before an image is drawn.

        Raises
        ------
        DaamkitError
            If the parser is not there.
        """
        parsing.load(self.parser)

    def cases(self) -> list[Case]:
        """All cases, in order; the same settings give the same. Unless told otherwise, a prompt
        each."""
        texts = prompts.texts(self.prompts, self.n, self.seed)
        return [{"prompt": text, "seed": self.seed + i} for i, text in enumerate(texts)]

    def measure(self, stage: Stage, cases: Sequence[Case]) -> list[list[Row]]:
        """What is found in a batch of cases: some rows for each."""
        raise NotImplementedError

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What the rows say, with intervals: tables by name, the first the chief one."""
        raise NotImplementedError

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """The tables as a picture."""
        raise NotImplementedError

    def pictures(self) -> list[tuple[str, int]]:
        """Prompt and seed of every image that the study draws."""
        return [(case["prompt"], case["seed"]) for case in self.cases()]

    def run(self, out: str | os.PathLike[str] | None = None, **options: Any) -> pd.DataFrame:
        """All rows; see `runner.run` for the options.

        Parameters
        ----------
        out
            A folder that keeps what is done, to go on after an interruption; None keeps nothing.
        """
        from daamkit.studies import runner

        return runner.run(self, out, **options)


class UnreadWarning(UserWarning):
    """A prompt beyond the model's limit: the words that it has not read are not measured."""


class Stage:
    """An open pipeline, on which a study has its images drawn and traced."""

    def __init__(self, study: Study, pipe: Any = None) -> None:
        self.study = study
        if pipe is None:
            pipe = zoo.load(study.model, dtype=getattr(torch, study.dtype))
            pipe.to(study.place)
            if getattr(pipe, "safety_checker", None) is not None:
                pipe.safety_checker = None
            pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe
        self.record: Mapping[str, Any] = {}

    @property
    def at_once(self) -> int:
        """Cases to measure together; more leave the caches of a CPU (benchmarks/studies.py)."""
        return AT_ONCE if self.pipe.device.type == "cpu" else 1_000_000

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
        call: dict[str, Any] = {"num_inference_steps": self.study.steps}
        if self.study.guidance is not None:
            call["guidance_scale"] = self.study.guidance
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        guided = guide(self.pipe, *methods) if methods else nullcontext()
        with guided, trace(self.pipe, **options) as tracer:
            made = self.pipe(list(texts), generator=generators, **call)
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
