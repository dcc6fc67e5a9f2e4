"""Moving what is denoised down a loss of its attention."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.attention.schedulers import scaled
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Latents

# Schedulers that step from samples of their own: what is moved in the one they are given is lost.
IGNORES_MOVED_SAMPLE = (
    "UniPCMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
)

# The steps of a generation in the papers of Attend-and-Excite and SynGen, and how many are guided.
PAPER_STEPS, PAPER_GUIDED = 50, 25


def leaf(latents: Latents) -> Latents:
    """A copy from which gradients are taken, where they are on."""
    return latents.clone().detach().requires_grad_(torch.is_grad_enabled())


def descend(
    now: Pass, latents: Latents, loss: Float[Tensor, ""], size: float
) -> tuple[Latents, float]:
    """Latents a step down the loss, and the gradient's norm; where the loss is 0, the same ones.

    Step and gradient are those of the samples that the denoiser sees: of schedulers that scale
    theirs (Euler, Heun, LMS), whose samples are many times as large, they are scaled back.

    Raises
    ------
    DaamkitError
        If the gradient is not a number.
    """
    if loss == 0:
        return latents, 0.0
    unit = scaled(now, torch.ones_like(latents)).detach()
    gradient = torch.autograd.grad(loss, [latents])[0] / unit
    norm = gradient.float().norm().item()
    check(now, "gradient", norm)
    return latents - size * gradient / unit, norm


def check(now: Pass, what: str, number: float) -> None:
    """Refuse a loss or a gradient that is not a number.

    Raises
    ------
    DaamkitError
        If it is not.
    """
    if not math.isfinite(number):
        dtype = str(now.noisy.dtype).removeprefix("torch.")
        raise DaamkitError(
            wanted=f"a {what} that is a number",
            got=f"{number} at step {now.step} in {dtype}",
            mend="load the pipeline in torch.bfloat16 or float32, or lower `scale_factor`",
        )


def guided_steps(given: int | None, out_of: int | None, steps: int) -> int:
    """How many steps of a call are guided.

    Parameters
    ----------
    given
        So many, or None: as many as in the papers, half of them, rounded up.
    out_of
        The number of steps that `given` is counted in; None: the call's own.
    steps
        How many steps the call makes.
    """
    if given is None:
        return math.ceil(PAPER_GUIDED * steps / PAPER_STEPS)  # also of a single step, one
    return given if out_of is None else round(given * steps / out_of)


class StepsWarning(UserWarning):
    """Steps that a method was told of and that a call does not make."""


def tell_unmade(method: str, told: Sequence[int], out_of: int | None, steps: int) -> None:
    """Warn of steps that a call does not make: constants of another number of steps.

    Parameters
    ----------
    method
        Whose they are.
    told
        The steps, from 0, that its settings name.
    out_of
        The number of steps that they are counted in; None: the call's own, where all must be.
    steps
        How many the call makes.
    """
    beyond = sorted(step for step in told if step >= steps)
    if out_of is None and beyond:
        warnings.warn(
            f"{method} was told of step {', '.join(map(str, beyond))}, and the call makes {steps}, "
            "from 0. Say of how many steps these were meant, `out_of=50`, and they are scaled",
            StepsWarning,
            stacklevel=2,
        )
