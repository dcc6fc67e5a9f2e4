"""Classifier guidance: the noise moves against the gradient, whatever the model predicts."""

import math

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    IPNDMScheduler,
    UNet2DModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit.attention.calls import Call, Pass
from daamkit.attention.noise import noise_level
from daamkit.errors import DaamkitError
from daamkit.guidance.classifier import ClassifierGuidance
from daamkit.guidance.denoising import guide
from daamkit.guidance.notes import Notes
from daamkit.guidance.self_attention import SelfAttentionGuidance
from tests import tiny
from tests.tiny import generate

SHAPE = (2, 4, 6, 5)


def linear(classes: int = 3, seed: int = 0, size: int = math.prod(SHAPE[1:])):
    """A classifier whose gradient is known: that of log softmax of Wx is W_label - p W."""
    weights = torch.randn(classes, size, generator=torch.Generator().manual_seed(seed)) / size**0.5
    weights = weights.double()

    def classify(x, time):
        assert time.shape == (len(x),)
        return x.flatten(1).double() @ weights.T

    return classify, weights


def halves(x, time):
    """Two classes: is the upper half or the lower one brighter?"""
    upper, lower = x.chunk(2, dim=2)
    return torch.stack([upper.mean((1, 2, 3)), lower.mean((1, 2, 3))], 1)


class Pipe:
    def __init__(self, scheduler) -> None:
        self.scheduler = scheduler


def step_of(scheduler, noisy: torch.Tensor, at: int = 2) -> Pass:
    scheduler.set_timesteps(5)
    call = Call(Pipe(scheduler), {"batch_size": len(noisy)})
    for notes in call.notes:
        notes["guidance"] = [Notes("ClassifierGuidance")]
    step = Pass(call, at, scheduler.timesteps[at], {"cond": slice(0, len(noisy))}, SHAPE[-2:])
    step.noisy = noisy
    if hasattr(scheduler, "scale_model_input"):
        scheduler.scale_model_input(noisy, step.time)
    return step


def guided_noise(step, noise, classify_gradient, scale: float):
    """eps - scale * noise level * gradient, written out."""
    sigma = float(noise_level(step).seen[1])
    return noise - scale * sigma * classify_gradient


CASES = [
    (DDIMScheduler, {"prediction_type": "epsilon"}),
    (DDIMScheduler, {"prediction_type": "v_prediction"}),
    (DDIMScheduler, {"prediction_type": "sample"}),
    (DPMSolverMultistepScheduler, {"prediction_type": "v_prediction", "use_karras_sigmas": True}),
    (EulerDiscreteScheduler, {"prediction_type": "epsilon"}),
    (EulerDiscreteScheduler, {"prediction_type": "v_prediction"}),
    (FlowMatchEulerDiscreteScheduler, {}),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join([case[0].__name__, *map(str, case[1].values())])
)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**16), scale=st.floats(0.1, 5))
def test_the_noise_moves_against_the_gradient(case, seed, scale):
    """For every prediction type: split by hand, move eps, and x0 with it, join by hand."""
    scheduler = case[0](**case[1])
    draws = torch.Generator().manual_seed(seed)
    x0, eps = (torch.randn(SHAPE, generator=draws, dtype=torch.float64) for _ in range(2))
    step = step_of(scheduler, torch.zeros(SHAPE, dtype=torch.float64))
    at = noise_level(step)
    step.noisy = at.signal.double() * x0 + at.noise.double() * eps
    a, b = (float(each) for each in at.seen)
    classify, weights = linear()
    x = (at.scale * step.noisy).flatten(1)
    labels = [2, 0]
    chances = (x @ weights.T).softmax(-1)
    slope = torch.stack([weights[k] for k in labels]) - chances @ weights
    wanted = eps - scale * b * slope.view(SHAPE)
    moved = (at.scale * step.noisy - b * wanted) / a  # the x0 that agrees with it
    kind = case[1].get("prediction_type", "flow")
    said = {"epsilon": eps, "sample": x0, "v_prediction": a * eps - b * x0, "flow": eps - x0}
    then = {"epsilon": wanted, "sample": moved, "v_prediction": a * wanted - b * moved}
    then["flow"] = wanted - moved
    method = ClassifierGuidance(classify, labels, scale=scale)
    method.start(step.call)
    found = method.after(step, said[kind])
    assert torch.allclose(found, then[kind], rtol=1e-4, atol=1e-4)
    notes = [notes["guidance"][0].steps[0] for notes in step.call.notes]
    for k, note in enumerate(notes):
        assert note["log_probability"] == pytest.approx(
            float(chances[k, labels[k]].log()), abs=1e-4
        )
        assert note["gradient"] == pytest.approx(float(slope[k].norm()), rel=1e-3)


def test_a_learned_variance_stays():
    step = step_of(DDPMScheduler(), torch.randn(SHAPE))
    prediction = torch.randn(2, 8, 6, 5)
    method = ClassifierGuidance(linear()[0], 1)
    method.start(step.call)
    found = method.after(step, prediction)
    assert torch.equal(found[:, 4:], prediction[:, 4:])
    assert not torch.allclose(found[:, :4], prediction[:, :4])


def test_pure_noise_says_nothing():
    """A schedule with zero terminal signal-to-noise: no eps but x itself would agree with x."""
    config = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = DDIMScheduler(prediction_type="v_prediction", **config)
    step = step_of(scheduler, torch.randn(SHAPE), at=0)
    assert noise_level(step).signal == 0
    method, prediction = ClassifierGuidance(linear()[0], 1), torch.randn(SHAPE)
    method.start(step.call)
    assert torch.equal(method.after(step, prediction), prediction)


def small(pipe, *methods, **options):
    options = {"output_type": "latent", "height": 32, "width": 32, "steps": 4} | options
    if not methods:
        return generate(pipe, **options), None
    with guide(pipe, *methods) as context:
        latents = generate(pipe, **options)
    return latents, context.table()


@pytest.mark.parametrize(
    "kind", [DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler]
)
@pytest.mark.parametrize("scale", [7.5, 1.0])
def test_each_image_nears_its_class(kind, scale):
    pipe = tiny.sd()
    pipe.scheduler = kind.from_config(pipe.scheduler.config)
    logits = []
    for labels in ([0, 1], [1, 0]):
        method = ClassifierGuidance(halves, labels, scale=20.0)
        latents, table = small(pipe, method, prompt=["a cat", "a car"], guidance_scale=scale)
        logits.append(halves(latents, None))
        assert list(table.columns) == ["image", "method", "step", "log_probability", "gradient"]
        assert len(table) == 8 and (table["log_probability"] < 0).all()
    gain = logits[0] - logits[1]
    assert gain[0, 0] > 0.1 > -0.1 > gain[0, 1]
    assert gain[1, 0] < -0.1 < 0.1 < gain[1, 1]


def test_scale_zero_asks_nobody(sd):
    def never(x, time):
        raise AssertionError

    plain, _ = small(sd)
    latents, table = small(sd, ClassifierGuidance(never, 0, scale=0.0))
    assert torch.equal(latents, plain) and table.empty


def test_weights_of_a_classifier_are_left_alone(sd):
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4 * 16 * 16, 5)

        def forward(self, x, time):
            return self.layer(x.flatten(1))

    net = Net()
    with torch.no_grad():  # the pipelines' own; the method turns gradients on for itself
        small(sd, ClassifierGuidance(net, 3), steps=1)
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())
    assert all(weight.grad is None and weight.requires_grad for weight in sd.unet.parameters())


def test_the_order_beside_self_attention_guidance_does_not_matter(sd):
    """Both add to what the denoiser said: neither amplifies the other."""
    classifier, attention = ClassifierGuidance(halves, 0, scale=20.0), SelfAttentionGuidance()
    for scale in (7.5, 1.0):
        one, table = small(sd, classifier, attention, guidance_scale=scale)
        other, _ = small(sd, attention, classifier, guidance_scale=scale)
        assert torch.allclose(one, other, atol=1e-5)
        assert set(table["method"]) == {"ClassifierGuidance", "SelfAttentionGuidance"}
        for alone in (classifier, attention):
            assert not torch.allclose(one, small(sd, alone, guidance_scale=scale)[0], atol=1e-3)


def test_pixels():
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
    )
    pipe = DDIMPipeline(unet=unet.eval(), scheduler=DDIMScheduler(clip_sample=False))
    pipe.set_progress_bar_config(disable=True)
    bright = []
    for label in (0, 1):
        with guide(pipe, ClassifierGuidance(halves, label, scale=100.0), SelfAttentionGuidance()):
            images = pipe(
                generator=torch.Generator().manual_seed(0), num_inference_steps=4, output_type="np"
            ).images
        bright.append(images[0, :8].mean() - images[0, 8:].mean())
    assert bright[0] > bright[1] + 0.01


@pytest.mark.parametrize(
    ("classifier", "label", "wrong"),
    [
        (halves, [0, 1], "a label for each of 1 images.*got 2"),
        (halves, 2, "labels from 0 to 1.*got 2"),
        (halves, -1, "labels from 0 to 1.*got -1"),
        (lambda x, time: halves(x, time)[0], 0, r"logits of shape \(1, classes\).*got \(2,\)"),
        (lambda x, time: halves(x, time).detach(), 0, "follow from the noisy image"),
        (lambda x, time: torch.zeros(1, 2, requires_grad=True), 0, "follow from the noisy image"),
    ],
)
def test_what_does_not_fit_is_refused(sd, classifier, label, wrong):
    before = type(sd), type(sd.scheduler)
    with pytest.raises(DaamkitError, match=wrong):
        small(sd, ClassifierGuidance(classifier, label))
    assert (type(sd), type(sd.scheduler)) == before


def test_schedulers_whose_level_is_not_known():
    pipe = tiny.sd()
    pipe.scheduler = IPNDMScheduler()
    with pytest.raises(DaamkitError, match="IPNDMScheduler"):
        small(pipe, ClassifierGuidance(halves, 0))


def test_without_autograd(sd):
    with torch.inference_mode(), pytest.raises(DaamkitError, match="ClassifierGuidance.*inference"):
        small(sd, ClassifierGuidance(halves, 0))
