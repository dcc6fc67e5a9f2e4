"""Guide an unmodified pipeline: methods that act before a step or after its prediction.

A method is a tap (`attention.taps.Tap`) with two verbs more:

- ``before(step)`` may move what is about to be denoised (Attend-and-Excite);
- ``after(step, prediction)`` may change the prediction (Self-Attention Guidance).

In either it may let the denoiser predict once more with `denoise`; such extra passes are seen by no
trace and draw no random numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import record
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families import denoisers
from daamkit.attention.families.rows import selected
from daamkit.attention.hooks import Ended, attach, attached, extra_passes, flat
from daamkit.attention.noise import Latents as Latents
from daamkit.attention.schedulers import scaled
from daamkit.attention.sites import Site
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.guidance import refusals
from daamkit.guidance.notes import Notes
from daamkit.prompts import unchanged

if TYPE_CHECKING:
    import pandas as pd


class Method(Tap):
    """A guidance method. Its attributes are its settings; override `before` or `after`, and what
    you need of `Tap`.

    `guide` works on a copy of its own, so what `start` sets on it is gone with the context.
    """

    guides = True
    gradient: ClassVar[bool] = False  # whether it needs autograd
    unsupported_schedulers: ClassVar[Sequence[str]] = ()  # schedulers that it does not work with

    def wants(self, site: Site) -> bool:
        """Which attention of the pipeline's own passes to be told of; none, unless overridden."""
        return False

    def read(self, call: Call) -> None:
        """The text encoders have run: which words does the method work on?

        Override it where a method needs words; if it does, the text may not change within the call.
        """

    def settings(self) -> dict[str, Any]:
        """What it was told to do, as plain data."""
        names = [each.name for each in fields(self)] if is_dataclass(self) else list[str]()
        return {name: record.plain(getattr(self, name)) for name in names}

    def note(self, now: Pass, sample: int, **numbers: float) -> None:
        """Remember numbers of a step, for one image: in the run's record and in `guide.table`."""
        self.notes(now.call, sample).steps.append({"step": now.step, **numbers})

    def notes(self, call: Call, sample: int) -> Notes:
        """The method's own notes of one image."""
        kept: list[Notes] = call.notes[sample].setdefault("guidance", [])
        name = type(self).__name__
        for own in kept:
            if own.method == name:
                return own
        kept.append(Notes(name, self.settings()))
        return kept[-1]


class guide(attach):  # noqa: N801 - used like a function: `with daamkit.guide(pipe, method)`
    """Guide a pipeline's generations while the context lasts.

    Methods act in the order given, each on the result of those before it. Guides nest with each
    other and with `trace`, in any order; traces hold only the pipeline's own passes.

    Parameters
    ----------
    pipe
        A diffusers pipeline of a family that daamkit reads. It is not changed.
    methods
        One or several, or lists of them, of different kinds: `AttendAndExcite`,
        `SelfAttentionGuidance`, ...

    Raises
    ------
    DaamkitError
        If there is no method, or two of one kind, in this guide or in one around it. When the
        pipeline is called: if its scheduler does not work with a method, or gradients are needed
        under ``torch.inference_mode``.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> with daamkit.guide(pipe, daamkit.AttendAndExcite(["cat", "car"])) as guided:
    ...     _ = pipe("a cat and a car", num_inference_steps=2, generator=torch.manual_seed(0))
    >>> guided.table()["step"].tolist()
    [0, 1]
    """

    def __init__(self, pipe: Any, *methods: Method | Sequence[Method]) -> None:
        known = flat(methods)
        for method in known:
            if not isinstance(method, Method):
                raise DaamkitError(
                    wanted="guidance methods",
                    got=repr(method),
                    mend="pass one that is made: `daamkit.guide(pipe, daamkit.AttendAndExcite("
                    "['cat']))`",
                )
        if not known:
            raise DaamkitError(
                wanted="a guidance method", got="none", mend="name one after the pipeline"
            )
        self._methods = [copy.copy(method) for method in known]
        self._log = _GuidanceLog(self._methods)
        super().__init__(pipe, self._log, *self._methods)

    def _check(self) -> None:
        kinds = [type(tap) for tap in (*attached(self.pipe), *self._methods)]
        for method in self._methods:
            if kinds.count(type(method)) > 1:
                raise DaamkitError(
                    wanted=f"one {type(method).__name__} at a time",
                    got="a second one, which would guide what is guided already",
                    mend="leave one out, or put all that it shall do into one",
                )

    def table(self) -> pd.DataFrame:
        """What the methods noted, a row for each image, method and step.

        Columns: image (counted through all calls), method, step, and the methods' own numbers.
        """
        import pandas as pd

        rows = [
            {"image": image, "method": entry.method} | numbers
            for image, entries in enumerate(self._log.images)
            for entry in entries
            for numbers in entry.steps
        ]
        return pd.DataFrame(rows, columns=None if rows else ["image", "method", "step"])


class _GuidanceLog(Tap):
    """Checks that the methods can guide a call, then collects what they note of its images."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods, self.images = methods, list[list[Notes]]()

    def wants(self, site: Site) -> bool:
        return False

    def start(self, call: Call) -> None:
        scheduler = call.pipe.scheduler
        for method in self.methods:
            name, kind = type(method).__name__, type(scheduler).__name__
            if kind in method.unsupported_schedulers:
                known = {other.__name__ for other in scheduler.compatibles}
                raise DaamkitError(
                    wanted=f"a scheduler that {name} works with",
                    got=f"{kind}, to which what the method does is lost",
                    mend="exchange it, `pipe.scheduler = DDIMScheduler.from_config("
                    "pipe.scheduler.config)`, or take one of "
                    f"{', '.join(sorted(known - set(method.unsupported_schedulers)))}",
                )
            if method.gradient and torch.is_inference_mode_enabled():
                raise DaamkitError(
                    wanted=f"autograd, through which {name} finds its way",
                    got="a call under torch.inference_mode, which turns it off for good",
                    mend="call the pipeline without it, or under torch.no_grad",
                )
            for component, denoiser in denoisers(call.pipe).items():
                refusals.caches(component, denoiser)
                if method.gradient:
                    refusals.forgetting(component, denoiser, name)

    def begin(self, now: Pass) -> None:
        if now.index == 0 and not now.earlier:
            for method in self.methods:
                for sample in range(now.call.samples):
                    method.notes(now.call, sample)
                method.read(now.call)

    def finish(self, call: Call, images: Any) -> None:
        if any(type(method).read is not Method.read for method in self.methods):
            unchanged(call)
        own = [type(method).__name__ for method in self.methods]
        for notes in call.notes:
            self.images.append(
                [entry for entry in notes.get("guidance", []) if entry.method in own]
            )


def count(now: Pass) -> int:
    """How many steps the call makes."""
    return -(-now.call.planned_passes() // now.call.pipe.scheduler.order)


def is_first_pass(now: Pass) -> bool:
    """Whether a pass is its step's first; what is moved before the others would be lost."""
    return bool(getattr(now.call.pipe.scheduler, "state_in_first_order", True))


def denoise(
    now: Pass,
    noisy: Latents,
    *taps: Tap,
    branch: str = "cond",
    samples: Sequence[int] | None = None,
) -> Float[Tensor, samples * predicted] | None:
    """Let the denoiser predict once more, with the pass's own text and other inputs.

    Parameters
    ----------
    now
        The pass that this one stands beside.
    noisy
        What to denoise, as the scheduler has it; scaled for the denoiser here.
    taps
        What watches this pass, and nothing else does. It ends after the last site that all of them
        need (`Tap.last`).
    branch
        The branch whose text and other inputs the pass takes.
    samples
        Which images `noisy` holds; default all.

    Returns
    -------
    prediction
        Of the form that `noisy` has, a learned variance in more channels; None if the pass has
        ended early.

    Raises
    ------
    DaamkitError
        If the pipeline perturbs attention itself in rows of a batch: its layers take whole batches
        only. If inputs may have rows or not.
    """
    own = now.holding(branch)
    rows = range(own.branches[branch].start, own.branches[branch].stop)
    chosen = [rows[i] for i in (range(len(rows)) if samples is None else samples)]
    inputs = now.family.write(selected(own, chosen), scaled(now, noisy))
    args, kwargs = own.arguments(inputs)
    with extra_passes(now.call.pipe, *taps, branch=branch):
        try:
            return now.family.predicted(own, own.denoiser(*args, **kwargs))
        except Ended:
            return None
