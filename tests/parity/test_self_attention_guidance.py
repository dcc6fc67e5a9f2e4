"""Final latents equal to those of diffusers' own Self-Attention Guidance pipeline, bit for bit.

``--parity-seed`` chooses other noise, ``--parity-seeds 3`` tries more of it.
"""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionSAGPipeline,
    UniPCMultistepScheduler,
)

from daamkit.guidance.denoising import guide
from daamkit.guidance.self_attention import SelfAttentionGuidance
from tests import tiny
from tests.tiny import generate

SCHEDULERS = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
    "dpm++": (DPMSolverMultistepScheduler, {}),
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
    "deis": (DEISMultistepScheduler, {}),
    "unipc": (UniPCMultistepScheduler, {}),
}
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def model():
    """Eight heads of four channels in the middle; diffusers asks the config's last entry."""
    return tiny.sd(seed=7, attention_head_dim=[4, 4, 8])


def both(pipe, name: str, **config) -> tuple:
    """The same parts in an ordinary pipeline and in diffusers' own for this guidance."""
    kind, options = SCHEDULERS[name]
    options = {**options, "steps_offset": 1, **config}
    parts = {key: part for key, part in pipe.components.items() if key != "image_encoder"}
    made = []
    for own in (StableDiffusionPipeline, StableDiffusionSAGPipeline):
        parts["scheduler"] = kind.from_config(pipe.scheduler.config, **options)
        made.append(own(**parts, requires_safety_checker=False))
        made[-1].set_progress_bar_config(disable=True)
    return tuple(made)


def check(pipe, name: str, seed: int, config: dict | None = None, **options) -> None:
    ours, theirs = both(pipe, name, **(config or {}))
    options = {"output_type": "latent", "seed": seed, "steps": 3} | options
    scale = options.pop("scale", 0.75)
    wanted = generate(theirs, sag_scale=scale, **options)
    for exact in (True, False):
        with guide(ours, SelfAttentionGuidance(scale=scale, exact=exact)):
            found = generate(ours, **options)
        assert torch.equal(found, wanted) or not exact
        assert (found - wanted).norm() < TOLERANCE * wanted.norm()


@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", ["ddim", "pndm", "dpm++"])
def test_random_weights(model, parity_seeds, name, prediction, guidance_scale):
    options = {"guidance_scale": guidance_scale, "height": 32, "width": 32}
    for seed in parity_seeds:
        check(model, name, seed, {"prediction_type": prediction}, **options)


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers, numpy 2
@pytest.mark.parametrize("name", ["ddpm", "deis", "unipc"])
def test_other_schedulers(model, parity_seed, name):
    check(model, name, parity_seed)


@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
@pytest.mark.parametrize("name", ["ddim", "pndm", "dpm++"])
def test_the_toybox(toybox, parity_seeds, name, guidance_scale):
    assert toybox.scheduler.config.prediction_type == "v_prediction"
    for seed in parity_seeds:
        check(toybox, name, seed, guidance_scale=guidance_scale, steps=2)


def test_several_images_with_a_negative_prompt(model, parity_seed):
    options = {"prompt": ["a red cat", "two dogs"], "negative_prompt": ["a car", "grass"]}
    options |= {"height": 32, "width": 32}
    check(model, "ddim", parity_seed, **options, num_images_per_prompt=2, scale=1.0)


def test_an_image_that_is_not_square(model, parity_seed):
    check(model, "ddim", parity_seed, height=64, width=96, scale=0.3)


def test_x0_itself(model, parity_seed):
    check(model, "ddim", parity_seed, {"prediction_type": "sample"}, guidance_scale=2.0)


def test_without_guidance_it_is_another_image(model, parity_seed):
    """The tolerance is fine enough to tell."""
    ours, theirs = both(model, "ddim")
    options = {"output_type": "latent", "seed": parity_seed, "steps": 3}
    plain, wanted = generate(ours, **options), generate(theirs, **options)
    assert (plain - wanted).norm() > 10 * TOLERANCE * wanted.norm()
