"""Law 1: a traced image is the untraced one, bit for bit."""

import numpy as np
import pytest
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from PIL import Image

import daamkit
from tests.tiny import generate

PROMPTS = ["a red cat and a blue car", "two dogs"]


@pytest.mark.parametrize("name", ["sd", "sdxl", "toybox"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prompt": PROMPTS, "num_images_per_prompt": 2},
        {"guidance_scale": 1.0},
        {"negative_prompt": "a dog"},
    ],
    ids=["one", "batch", "unguided", "negative"],
)
def test_one_context(request, name, options):
    pipe = request.getfixturevalue(name)
    before = generate(pipe, **options)
    with daamkit.trace(pipe, self_attention=True, keep=("step", "site", "head")):
        during = generate(pipe, **options)
    assert np.array_equal(before, during)
    assert np.array_equal(before, generate(pipe, **options))


@pytest.mark.parametrize("name", ["sd", "sdxl", "toybox"])
@pytest.mark.parametrize("inner_leaves_first", [True, False])
def test_two_contexts_nested_in_both_orders(request, name, inner_leaves_first):
    pipe = request.getfixturevalue(name)
    before = generate(pipe)
    outer, inner = daamkit.trace(pipe), daamkit.trace(pipe, self_attention=True)
    first, second = (inner, outer) if inner_leaves_first else (outer, inner)
    outer.__enter__()
    inner.__enter__()
    assert np.array_equal(before, generate(pipe))
    first.__exit__(None, None, None)
    assert np.array_equal(before, generate(pipe))
    second.__exit__(None, None, None)
    assert np.array_equal(before, generate(pipe))
    assert (len(first.runs), len(second.runs)) == (1, 2)
    assert (first.runs[0].maps.pool() == second.runs[0].maps.pool()).all()


def test_image_to_image_and_inpainting(sd):
    picture = Image.fromarray(np.full((64, 64, 3), 120, np.uint8))
    hole = Image.fromarray(np.eye(64, dtype=np.uint8) * 255)
    for pipeline, options in [
        (StableDiffusionImg2ImgPipeline, {"strength": 0.6}),
        (StableDiffusionInpaintPipeline, {"mask_image": hole, "height": 64, "width": 64}),
    ]:
        pipe = pipeline(**sd.components, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        options |= {"image": picture, "steps": 4}
        before = generate(pipe, **options)
        with daamkit.trace(pipe) as tracer:
            assert np.array_equal(before, generate(pipe, **options))
        assert tracer.run.maps.word("cat").mask().shape == (64, 64)
        assert tracer.run.maps.steps == len(tracer.run.record["timesteps"]) > 0
