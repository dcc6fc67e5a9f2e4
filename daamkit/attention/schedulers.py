"""Watching a scheduler: what is denoised, when it steps, what guidance makes of a prediction."""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.attention.faces import wear
from daamkit.attention.taps import at_work
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.attention.audience import Audience


class Watch:
    """What one call's scheduler does.

    Attributes
    ----------
    unscaled
        What it was last asked to scale for the denoiser; None where it scales nothing.
    stepped
        Whether it has stepped since the last pass began.
    """

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
        self.forget()

    def forget(self) -> None:
        """Nothing of one call stays for the next."""
        self.unscaled: Tensor | None = None
        self.stepped = False

    def install(self, scheduler: Any, stack: ExitStack) -> None:
        """Watch a scheduler until the stack closes."""
        wear(stack, scheduler, _verbs, self)

    def scales(self, sample: Tensor) -> None:
        """The scheduler is asked to scale a sample."""
        if self.audience.active and self.audience.extra is None and not self.audience.passes:
            self.unscaled = sample

    def steps(self, given: dict[str, Any]) -> None:
        """The scheduler is about to step: what was really denoised, and what is made of it."""
        audience = self.audience
        if not audience.active or audience.extra is not None or not audience.turn or self.stepped:
            return
        latest, guides = audience.turn[-1], audience.guides()
        if not all(tap.looks for tap in guides):
            _require_form(given["sample"], latest)
        if latest.moved:
            given["sample"] = _moved(given["sample"], latest)
        else:
            latest.noisy = given["sample"]
        for tap in guides:
            with at_work(tap, latest):
                given["model_output"] = tap.after(latest, given["model_output"])
        self.unscaled, self.stepped = None, True


def _require_form(sample: Tensor, now: Pass) -> None:
    """Refuse to guide what the scheduler has in another form than the denoiser."""
    if sample.shape != now.noisy.shape:
        raise DaamkitError(
            wanted=f"a scheduler that is given what is denoised, {tuple(now.noisy.shape)}",
            got=f"{type(now.call.pipe).__name__}, which gives it {tuple(sample.shape)}",
            mend="guide a pipeline that begins with noise alone; this one can be traced and edited",
        )


def _moved(sample: Tensor, now: Pass) -> Tensor:
    """A sample, moved as far as what the denoiser was given of it, which may have been rounded to
    another precision: the sample is not."""
    if sample.dtype == now.noisy.dtype:
        return now.noisy
    return sample + (now.noisy.to(sample.dtype) - now.start.to(sample.dtype))


def _verbs(own: Any, listeners: list[Watch]) -> dict[str, Any]:
    signature = inspect.signature(own.step)

    @functools.wraps(own.step)  # pipelines look for `eta` and `generator` in its signature
    def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(scheduler, *args, **kwargs)
        for watch in list(listeners):
            watch.steps(given.arguments)
        return own.step(*given.args, **given.kwargs)

    @functools.wraps(getattr(own, "scale_model_input", step))
    def scale(scheduler: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for watch in list(listeners):
            watch.scales(sample)
        scaled: Tensor = own.scale_model_input(scheduler, sample, *args, **kwargs)
        return scaled

    return {"step": step} | (
        {"scale_model_input": scale} if hasattr(own, "scale_model_input") else {}
    )


def scaled(now: Pass, noisy: Tensor) -> Tensor:
    """What is to be denoised, scaled for the denoiser as the scheduler does.

    Parameters
    ----------
    now
        The pass whose scheduler and time scale the sample.
    noisy
        (rows, ...), as the scheduler has it.
    """
    scheduler = now.call.pipe.scheduler
    if hasattr(scheduler, "scale_model_input"):
        noisy = scheduler.scale_model_input(noisy, now.time)
    return noisy
