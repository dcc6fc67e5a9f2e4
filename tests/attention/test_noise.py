"""Noise levels are the schedulers' own, and every kind of prediction says the same x0 and eps."""

import inspect
import math

import diffusers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daamkit.attention.calls import Call, Pass
from daamkit.attention.noise import PREDICTIONS, Level, noise_level, prediction_type, renoise
from daamkit.errors import DaamkitError

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers, numpy 2

SHAPE = (2, 3, 5, 4)
VE = (
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
)
VP = ("DDIMScheduler", "DDPMScheduler", "LCMScheduler", "TCDScheduler")
SOLVERS = (
    "DPMSolverMultistepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
)
STRANGE = ("EDMEulerScheduler", "IPNDMScheduler", "CMStochasticIterativeScheduler")
TRUTH = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


class Pipe:
    def __init__(self, scheduler) -> None:
        self.scheduler = scheduler


def step_of(scheduler, time) -> Pass:
    return Pass(Call(Pipe(scheduler), {}), 0, time, {}, SHAPE[-2:])


def made(name: str, steps: int = 6, **config):
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(steps)
    return scheduler


def walk(scheduler, check) -> torch.Tensor:
    """Where a denoiser that knows the truth is led; `check` sees pass, sample and level."""
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    sample, said = noise * getattr(scheduler, "init_noise_sigma", 1.0), prediction_type(scheduler)
    takes_draws = "generator" in inspect.signature(scheduler.step).parameters
    for index, time in enumerate(scheduler.timesteps):
        seen = sample
        if hasattr(scheduler, "scale_model_input"):
            seen = scheduler.scale_model_input(sample, time)
        step = Pass(Call(Pipe(scheduler), {}), index, time, {}, SHAPE[-2:])
        at = noise_level(step)
        assert torch.allclose(at.scale * sample, seen, rtol=1e-6)
        check(step, sample, at)
        prediction = at.join(TRUTH, (sample - at.signal * TRUTH) / at.noise, said)
        draws = {"generator": torch.Generator().manual_seed(3)} if takes_draws else {}
        sample = scheduler.step(prediction, time, sample, **draws).prev_sample
    return sample


# -- what a prediction says


@st.composite
def levels(draw) -> tuple[str, Level]:
    mixes = draw(st.sampled_from(["vp", "ve", "flow"]))
    at = draw(st.floats(0.05, 0.95))
    if mixes == "flow":
        numbers = (1 - at, at, 1.0)
    elif mixes == "vp":
        numbers = (math.cos(at * math.pi / 2), math.sin(at * math.pi / 2), 1.0)
    else:
        numbers = (1.0, math.tan(at * math.pi / 2), math.cos(at * math.pi / 2))
    return mixes, Level(*(torch.tensor(number, dtype=torch.float64) for number in numbers))


@given(levels(), st.integers(0, 2**16))
def test_every_prediction_is_split_and_joined(chosen, seed):
    mixes, at = chosen
    draws = torch.Generator().manual_seed(seed)
    x0, eps = (torch.randn(SHAPE, generator=draws, dtype=torch.float64) for _ in range(2))
    noisy = at.signal * x0 + at.noise * eps
    alpha = at.signal**2 / (at.signal**2 + at.noise**2)  # the product of alphas, as papers have it
    by_hand = {
        "epsilon": eps,
        "v_prediction": alpha**0.5 * eps - (1 - alpha) ** 0.5 * x0,
        "sample": x0,
    }
    if mixes == "flow":
        by_hand = {"epsilon": eps, "sample": x0, "flow_prediction": eps - x0}
    for said, prediction in by_hand.items():
        found = at.split(prediction, noisy, said)
        assert torch.allclose(found[0], x0, atol=1e-10), said
        assert torch.allclose(found[1], eps, atol=1e-10), said
        assert torch.allclose(at.join(*found, said), prediction, atol=1e-10), said
    assert torch.allclose(at.add(x0, eps), noisy)
    assert set(by_hand) <= set(PREDICTIONS)


def test_a_learned_variance_is_not_noise():
    at = Level(torch.tensor(0.8), torch.tensor(0.6), torch.tensor(1.0))
    noise, noisy = torch.randn(SHAPE), torch.randn(SHAPE)
    with_variance = torch.cat([noise, torch.full(SHAPE, torch.nan)], 1)
    for said in PREDICTIONS:
        for ours, alone in zip(
            at.split(with_variance, noisy, said), at.split(noise, noisy, said), strict=True
        ):
            assert torch.equal(ours, alone)


# -- the schedulers' levels


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", VE)
def test_scaled_schedulers_in_both_stages(name, prediction):
    """The scale is the scheduler's, and the truth is reached, as no wrong sigma would reach it."""
    scheduler, stages = made(name, prediction_type=prediction), []

    def check(step, sample, at):
        assert at.signal == 1
        stages.append(getattr(scheduler, "state_in_first_order", True))

    assert torch.allclose(walk(scheduler, check), TRUTH, atol=1e-3)
    assert (False in stages) == (scheduler.order == 2)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", (*VP, *SOLVERS))
def test_variance_preserving_schedulers(name, prediction):
    config = {"clip_sample": False} if name in VP else {}
    scheduler = made(name, prediction_type=prediction, **config)

    def check(step, sample, at):
        alpha = scheduler.alphas_cumprod[step.time]
        assert torch.equal(at.signal, alpha**0.5) and torch.equal(at.noise, (1 - alpha) ** 0.5)

    walk(scheduler, check)


@pytest.mark.parametrize(
    "config", ["use_karras_sigmas", "use_exponential_sigmas", "use_flow_sigmas"]
)
@pytest.mark.parametrize("name", SOLVERS[:3])
def test_solvers_with_sigmas_of_their_own(name, config):
    flow = config == "use_flow_sigmas"
    said = "flow_prediction" if flow else "v_prediction"
    scheduler = made(name, **{config: True}, prediction_type=said, flow_shift=3.0)

    def check(step, sample, at):
        signal, noise = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[step.index])
        assert torch.allclose(at.signal, signal) and torch.allclose(at.noise, noise)
        if step.index:  # the solver's own idea of x0, DEIS' of eps
            prediction = torch.randn(SHAPE)
            theirs = scheduler.convert_model_output(prediction, sample=sample)
            deis = name == "DEISMultistepScheduler"
            assert torch.allclose(at.split(prediction, sample, said)[deis], theirs, atol=1e-4)

    walk(scheduler, check)


@pytest.mark.parametrize(
    "name", ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"]
)
def test_flow_matching(name):
    def check(step, sample, at):
        assert float(at.signal + at.noise) == pytest.approx(1)
        assert float(at.noise) == pytest.approx(float(step.time) / 1000, abs=1e-6)

    assert torch.allclose(walk(made(name, shift=3.0), check), TRUTH, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", [*VE, *VP[:2]])
def test_x0_is_the_schedulers(name, prediction):
    """Schedulers return their own x0 beside the sample; theirs and ours of any prediction."""
    scheduler = made(
        name, prediction_type=prediction, **{"clip_sample": False} if name in VP else {}
    )
    sample = torch.randn(SHAPE) * scheduler.init_noise_sigma
    for index, time in enumerate(scheduler.timesteps):
        scheduler.scale_model_input(sample, time)
        said = torch.randn(SHAPE)
        step = Pass(Call(Pipe(scheduler), {}), index, time, {}, SHAPE[-2:])
        x0, _ = noise_level(step).split(said, sample, prediction)
        stepped = scheduler.step(said, time, sample)
        error = (x0 - stepped.pred_original_sample).abs().max() / x0.abs().max()
        assert error < 1e-4, (index, error)
        sample = stepped.prev_sample


def test_a_generation_that_begins_in_the_middle():
    """As image-to-image does: the solver has stepped nowhere yet, but knows where it begins."""
    scheduler = made("DPMSolverMultistepScheduler", use_karras_sigmas=True)
    scheduler.set_begin_index(2)
    sigma, step = scheduler.sigmas[2], step_of(scheduler, scheduler.timesteps[2])
    assert noise_level(step).signal == 1 / (sigma**2 + 1) ** 0.5


@pytest.mark.parametrize("name", STRANGE)
def test_levels_that_are_not_known(name):
    scheduler = made(name)
    with pytest.raises(DaamkitError, match=f"{name}.*[Ee]xchange it.*DDIM"):
        noise_level(step_of(scheduler, scheduler.timesteps[0]))


def test_predictions_that_are_not_known():
    with pytest.raises(DaamkitError, match="'score' in DDIMScheduler"):
        prediction_type(made("DDIMScheduler", prediction_type="score"))
    said = made("EulerDiscreteScheduler", prediction_type="original_sample")
    assert prediction_type(said) == "sample"
    assert prediction_type(made("FlowMatchEulerDiscreteScheduler")) == "flow_prediction"


# -- noise again


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", (*VP, *SOLVERS, "PNDMScheduler"))
def test_noise_as_the_scheduler_adds_it(name, dtype):
    scheduler = made(name)
    x0, eps = torch.randn(SHAPE, dtype=dtype), torch.randn(SHAPE, dtype=dtype)
    for time in scheduler.timesteps:
        step = step_of(scheduler, time)
        theirs = scheduler.add_noise(x0, eps, time[None])
        assert torch.equal(renoise(step, x0, eps, exact=True), theirs)
        ours = renoise(step, x0, eps)
        assert ours.dtype == dtype
        if name not in SOLVERS and dtype == torch.float32:
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_level(dtype):
    """Little noise beside 1 is lost when alphas are rounded first, which `exact` does."""
    scheduler = made("DDIMScheduler", beta_schedule="scaled_linear")
    step, eps = step_of(scheduler, torch.tensor(1)), torch.ones(SHAPE, dtype=dtype)
    wanted = (1 - scheduler.alphas_cumprod[1].double()) ** 0.5
    ours, theirs = (
        renoise(step, eps * 0, eps, exact=exact).mean().double() for exact in (False, True)
    )
    assert ours == pytest.approx(wanted, rel=2**-8)
    assert abs(theirs / wanted - 1) > 0.01


@pytest.mark.parametrize("name", [*VE, "FlowMatchEulerDiscreteScheduler"])
def test_noise_again_is_the_noisy_image(name):
    scheduler = made(name)

    def check(step, sample, at):
        x0, eps = at.split(torch.randn(SHAPE), sample, prediction_type(scheduler))
        again = renoise(step, x0, eps)
        assert torch.allclose(again, sample, atol=1e-4 * float(sample.abs().max()))
        assert torch.equal(renoise(step, x0, eps, exact=True), again)

    walk(scheduler, check)
