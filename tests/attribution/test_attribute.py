"""A method of attribution is asked about the image that a call makes."""

import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler

import daamkit
from daamkit.attribution.method import UnsuitedError
from daamkit.attribution.occlusion import Occlusion
from daamkit.errors import DaamkitError
from daamkit.maps.words import WordError
from tests import tiny
from tests.families import tiny_joint

PROMPT = "a red cat and a blue car"


def drawing(pipe, **options):
    """A `draw`, and the seeds of its calls."""
    seeds = []

    def draw():
        seeds.append(3)
        return tiny.generate(pipe, PROMPT, seed=3, output_type="pil", **options)

    return draw, seeds


def test_a_map_is_that_of_the_run():
    pipe = tiny.sd()
    draw, drawn = drawing(pipe)
    with daamkit.trace(pipe) as tracer:
        draw()
    car, cat = daamkit.attribute(pipe, draw, "car", "cat")
    assert torch.equal(car.values, tracer.run.maps.word("car").values)
    assert not torch.equal(car.values, cat.values)
    assert [each.word.text for each in daamkit.attribute(pipe, draw)] == PROMPT.split()
    assert len(drawn) == 3


def test_methods_draw_again_and_read_relations():
    pipe = tiny.sd()
    draw, drawn = drawing(pipe)
    by_name = daamkit.attribute(pipe, draw, "cat", "car", method="occlusion")
    assert len(drawn) == 3 and len(by_name) == 2
    (silenced,) = daamkit.attribute(pipe, draw, "cat", method=Occlusion(by="silence"))
    assert silenced.values.max() > 0 and not torch.equal(silenced.values, by_name[0].values)
    with pytest.raises(UnsuitedError, match="joint attention"):
        daamkit.attribute(pipe, draw, "cat", method="text_to_image")
    (spread,) = daamkit.attribute(pipe, draw, "cat", method="propagation")
    assert spread.values.std() > 0
    flux = tiny_joint.flux1()
    draw, _ = drawing(flux)
    cat, car = daamkit.attribute(flux, draw, "cat", "car", method="text_to_image")
    assert not torch.equal(cat.values, car.values)
    assert len(daamkit.attribute(flux, draw, method="text_to_image")) == len(PROMPT.split())


def test_what_is_drawn_otherwise_is_refused():
    pipe, generator = tiny.sd(), torch.Generator().manual_seed(0)
    short = {"num_inference_steps": 1, "height": 64, "width": 64}

    def used():
        return pipe(PROMPT, generator=generator, **short)

    with pytest.raises(DaamkitError, match="same image each time; got a generator that has been"):
        daamkit.attribute(pipe, used, "cat", method="occlusion")
    side = 64 // pipe.vae_scale_factor
    latents = torch.randn(1, 4, side, side, generator=generator)
    stochastic = tiny.sd()
    stochastic.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)

    def noisy():
        return stochastic(PROMPT, latents=latents.clone(), **short | {"num_inference_steps": 2})

    torch.randn(1)
    with pytest.raises(DaamkitError, match="same image each time; got a generator that has been"):
        daamkit.attribute(stochastic, noisy, "cat", method="occlusion")
    prompts = iter((PROMPT, "a red cat and a blue dog"))

    def other():
        return pipe(next(prompts), generator=torch.Generator().manual_seed(0), **short)

    with pytest.raises(DaamkitError, match="same image each time; got another call"):
        daamkit.attribute(pipe, other, "cat", method="occlusion")
    with pytest.raises(DaamkitError, match="a method of attribution"):
        daamkit.attribute(pipe, used, method="oclusion")
    with pytest.raises(WordError):
        daamkit.attribute(pipe, used, "dog")
