"""How noisy a scheduler's samples are, and what a prediction says of the image and the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import compat
from daamkit.attention.calls import Pass
from daamkit.errors import DaamkitError

Latents = Float[Tensor, "samples *latent"]  # as the scheduler has them: some models pack theirs
Process = Literal["vp", "ve", "flow"]  # variance preserving, variance exploding, rectified flow
Prediction = Literal["epsilon", "v_prediction", "sample", "flow_prediction"]
PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")


@dataclass(frozen=True)
class Level:
    """The noise of a pass: noisy = signal * x0 + noise * eps; the denoiser sees scale * noisy.

    The levels of variance preserving schedulers have signal^2 + noise^2 = 1, those of flows
    signal + noise = 1, and both have scale 1. Variance exploding ones have signal 1 and, seen
    through scale = 1 / sqrt(noise^2 + 1), the levels of the others.
    """

    signal: Float[Tensor, ""]
    noise: Float[Tensor, ""]
    scale: Float[Tensor, ""]

    @property
    def seen(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Signal and noise in what the denoiser sees."""
        return self.signal * self.scale, self.noise * self.scale

    def add(self, x0: Latents, eps: Latents) -> Latents:
        """x0 with this much of the noise eps."""
        return self.signal * x0 + self.noise * eps

    def split(
        self,
        prediction: Float[Tensor, samples * predicted],
        noisy: Latents,
        kind: Prediction,
    ) -> tuple[Latents, Latents]:
        """x0 and eps, as a prediction has them.

        Parameters
        ----------
        prediction
            Its first channels, as many as `noisy` has; a learned variance beyond is not looked at.
        noisy
            What was denoised, as the scheduler has it.
        kind
            Of the prediction: eps, v = signal * eps - noise * x0 (Salimans and Ho 2022, arXiv
            2202.00512, appendix D), x0 itself, or the flow eps - x0 (Liu et al. 2022, arXiv
            2209.03003, equation 1).
        """
        (a, b), x = self.seen, self.scale * noisy
        said = prediction[:, : noisy.shape[1]]
        match kind:
            case "epsilon":
                return (x - b * said) / a, said
            case "v_prediction":
                return a * x - b * said, b * x + a * said
            case "sample":
                return said, (x - a * said) / b
            case "flow_prediction":
                return x - b * said, x + a * said

    def join(self, x0: Latents, eps: Latents, kind: Prediction) -> Latents:
        """The prediction that says x0 and eps: the inverse of `split`."""
        a, b = self.seen
        match kind:
            case "epsilon":
                return eps
            case "v_prediction":
                return a * eps - b * x0
            case "sample":
                return x0
            case "flow_prediction":
                return eps - x0


def process(scheduler: Any) -> Process:
    """How a scheduler mixes image and noise.

    Raises
    ------
    DaamkitError
        If that is not known: EDM, IPNDM, consistency models and other kinds.
    """
    if "FlowMatch" in type(scheduler).__name__ or scheduler.config.get("use_flow_sigmas"):
        return "flow"
    if not hasattr(scheduler, "alphas_cumprod"):
        raise DaamkitError(
            wanted="a scheduler whose noise level is known",
            got=type(scheduler).__name__,
            mend="exchange it, `pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)`;"
            " DDPM, PNDM, LCM, DPM-Solver, DEIS, UniPC, Euler, Heun, LMS, KDPM2 and flow matching "
            "are known as well, each only for models trained for it",
        )
    return "vp" if compat.is_solver(scheduler) or not hasattr(scheduler, "sigmas") else "ve"


def prediction_type(scheduler: Any) -> Prediction:
    """What a scheduler takes the denoiser's output for.

    Raises
    ------
    DaamkitError
        If it is none of `PREDICTIONS`.
    """
    flow = "flow_prediction" if process(scheduler) == "flow" else None
    told: Any = scheduler.config.get("prediction_type", flow)
    told = "sample" if told == "original_sample" else told
    if told not in PREDICTIONS:
        raise DaamkitError(
            wanted=f"a prediction type out of {', '.join(PREDICTIONS)}",
            got=f"{told!r} in {type(scheduler).__name__}",
            mend="set `prediction_type` in the scheduler's config to what the model was trained on",
        )
    return told


def noise_level(now: Pass) -> Level:
    """The noise level of what a pass denoises, in float32.

    It is asked of the scheduler as it stands, so ask before the scheduler steps on.

    Raises
    ------
    DaamkitError
        If the scheduler is none that `process` knows.
    """
    scheduler, one = now.call.pipe.scheduler, torch.ones((), dtype=torch.float32, device="cpu")
    mixes = process(scheduler)
    if mixes == "vp" and not _own_sigmas(scheduler):
        alpha = scheduler.alphas_cumprod[_time(now).long()]
        return Level(alpha**0.5, (1 - alpha) ** 0.5, one.to(alpha))
    sigma = _sigma(now)
    one = one.to(sigma)
    if mixes == "flow":
        return Level(1 - sigma, sigma, one)
    scale = 1 / (sigma**2 + 1) ** 0.5
    return Level(scale, sigma * scale, one) if mixes == "vp" else Level(one, sigma, scale)


def renoise(now: Pass, x0: Latents, eps: Latents, *, exact: bool = False) -> Latents:
    """x0 with the noise eps, as noisy as what the pass denoises.

    Parameters
    ----------
    exact
        Round as the scheduler's own ``add_noise`` does, which in half precision is several per cent
        off where there is little noise.
    """
    scheduler = now.call.pipe.scheduler
    if exact and process(scheduler) == "vp" and not _own_sigmas(scheduler):
        noisy: Tensor = scheduler.add_noise(x0, eps, _time(now)[None])
        return noisy
    return noise_level(now).add(x0, eps)


def _own_sigmas(scheduler: Any) -> bool:
    """Whether the time steps, being rounded, do not tell the level: Karras' sigmas and others."""
    options = (f"use_{name}" for name in (
        "karras_sigmas", "exponential_sigmas", "beta_sigmas", "flow_sigmas", "lu_lambdas",
    ))  # fmt: skip
    return any(scheduler.config.get(option) for option in options)


def _time(now: Pass) -> Tensor:
    return torch.as_tensor(now.time, device=getattr(now.time, "device", "cpu")).flatten()[0]


def _sigma(now: Pass) -> Float[Tensor, ""]:
    """The sigma of a pass, be it the first or the second of its step."""
    scheduler = now.call.pipe.scheduler
    at = scheduler.step_index  # None before the first step of those that do not scale
    at = scheduler.begin_index if at is None else at
    if at is None and process(scheduler) == "flow":  # whose time each model is told in its own unit
        at = now.index
    at = scheduler.index_for_timestep(_time(now)) if at is None else at
    second = not getattr(scheduler, "state_in_first_order", True)
    if second and hasattr(scheduler, "mid_point_sigma"):  # DPM-Solver++ SDE
        return torch.as_tensor(scheduler.mid_point_sigma, dtype=torch.float32, device="cpu")
    if second and hasattr(scheduler, "sigmas_interpol"):  # KDPM2
        back = 1 if "Ancestral" in type(scheduler).__name__ else 0
        return scheduler.sigmas_interpol[at - back].float()
    return scheduler.sigmas[at].float()
