"""A compiled denoiser is traced where it runs the model's own operations, else it is refused."""

import numpy as np
import pytest
import torch

import daamkit
from daamkit import fingerprint
from daamkit.errors import DaamkitError
from tests import tiny
from tests.attention.test_restoration import snapshot
from tests.tiny import generate

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own


def small():
    return tiny.sd(
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


def wrapped(backend):
    pipe = small()
    pipe.unet = torch.compile(pipe.unet, backend=backend)
    return pipe


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_same_picture_and_the_same_maps(backend):
    pipe, plain, call = wrapped(backend), small(), {"steps": 1, "guidance_scale": 1.0}
    with daamkit.trace(plain) as alone:
        image = generate(plain, **call)
    assert np.array_equal(generate(pipe, **call), image)  # compiled now
    before, forward = snapshot(pipe), pipe.unet.forward
    with daamkit.trace(pipe) as tracer:
        assert np.array_equal(generate(pipe, **call), image)
    assert snapshot(pipe) == before and pipe.unet.forward == forward
    assert torch.equal(tracer.run.maps.pool(), alone.run.maps.pool())
    assert tracer.run.record["model"] == alone.run.record["model"]
    assert fingerprint.model_facts(pipe) == fingerprint.model_facts(plain)


def test_guidance_finds_the_model_within():
    images = []
    for pipe in (small(), wrapped("eager")):
        with daamkit.guide(pipe, daamkit.PerturbedAttentionGuidance()):
            images.append(generate(pipe, steps=1))
    assert np.array_equal(*images)


def fusing(graph, inputs):
    return graph.forward


@pytest.mark.parametrize("backend", ["inductor", fusing])
def test_one_that_rounds_otherwise_is_refused_with_the_way_out(backend):
    pipe = wrapped(backend)
    before = snapshot(pipe)
    told = rf"compiled by {getattr(backend, '__name__', backend)}.*`pipe\.unet = pipe\.unet\._orig"
    with pytest.raises(DaamkitError, match=told), daamkit.trace(pipe):
        pass
    assert snapshot(pipe) == before
    pipe.unet = pipe.unet._orig_mod
    with daamkit.trace(pipe) as tracer:
        generate(pipe, steps=1)
    assert len(tracer.runs) == 1


@pytest.mark.parametrize("part", ["whole", "block", "wrapped block"])
def test_one_compiled_in_place_is_refused(part):
    pipe = small()
    match part:
        case "whole":
            pipe.unet.compile(backend="eager")
        case "block":
            pipe.unet.mid_block.compile(backend="eager")
        case "wrapped block":
            pipe.unet.mid_block = torch.compile(pipe.unet.mid_block, backend="eager")
    with pytest.raises(DaamkitError, match=r"without torch\.compile"), daamkit.trace(pipe):
        pass
