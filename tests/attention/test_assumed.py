"""What a pipeline, a callback or a processor does otherwise than assumed: an error, no number."""

import copy

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.nn import functional as F

import daamkit
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from tests import tiny
from tests.families import every, tiny_joint
from tests.tiny import generate


@pytest.fixture
def pipe():
    return tiny.sd()


def exchanging(name, part):
    def callback(pipe, index, time, given):
        if index == 0:
            setattr(pipe, name, part)
        return given

    return callback


@pytest.mark.parametrize("name", ["unet", "scheduler"])
def test_a_part_that_is_exchanged_midway(pipe, name):
    other = copy.deepcopy(getattr(pipe, name))
    if name == "scheduler":
        other.set_timesteps(4)
    with (
        daamkit.trace(pipe),
        pytest.raises(DaamkitError, match=f"the same {name} in all steps of a call"),
    ):
        generate(pipe, steps=4, callback_on_step_end=exchanging(name, other))
    with daamkit.trace(pipe) as tracer:  # with its new part it is a pipeline as any other
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        generate(pipe)
    assert tracer.run.maps.steps == 2


def test_layers_whose_forward_is_compiled():
    pipe = tiny_joint.flux1()
    for block in pipe.transformer.single_transformer_blocks:
        block.forward = torch.compile(block.forward, backend="eager")
    tiny_joint.generate(pipe, max_sequence_length=32)
    with (
        daamkit.trace(pipe),
        pytest.raises(DaamkitError, match="attention of single_transformer_blocks.0.attn"),
    ):
        tiny_joint.generate(pipe, max_sequence_length=32)
    torch._dynamo.reset()


class Other(AttnProcessor2_0):
    """Calls the kernel another way."""

    def __init__(self, **given):
        super().__init__()
        self.given = given

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        heads = self.given.get("heads", attn.heads)
        query, key, value = (
            to(x).unflatten(-1, (attn.heads, -1)).transpose(1, 2)[:, :heads]
            for to, x in (
                (attn.to_q, hidden_states),
                (attn.to_k, text),
                (attn.to_v, text),
            )
        )
        causal = self.given.get("causal", False)
        output = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        output = F.pad(output, (0, 0, 0, 0, 0, attn.heads - heads))
        return attn.to_out[0](output.transpose(1, 2).flatten(-2))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"heads": 2}, "wanted 4 heads at .*; got 2"),
        ({"causal": True}, "got a causal one"),
        ({}, None),
    ],
)
def test_a_kernel_that_does_not_have_all(pipe, given, match):
    pipe.unet.set_attn_processor(Other(**given))
    if match is None:
        with daamkit.trace(pipe) as tracer:
            generate(pipe)
        assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
        return
    with daamkit.trace(pipe), pytest.raises(DaamkitError, match=match):
        generate(pipe)


class Nowhere(Tap):
    """Moves what is denoised, and by nothing."""

    guides = True

    def wants(self, site):
        return False

    def before(self, now):
        return now.noisy.clone()


@pytest.mark.parametrize("name", ["zimage", "sana", "wan"])
def test_a_move_by_nothing_moves_nothing_in_half_precision(name):
    """The latents are float32 beside a denoiser in bfloat16: they are not rounded on the way."""
    case = every.CASES[name]
    pipe = case.build()
    for part, module in pipe.components.items():
        if part.startswith(("transformer", "text_encoder")) and module is not None:
            module.to(torch.bfloat16)
    plain = every.generate(case, pipe)
    with attach(pipe, Nowhere()):
        assert torch.equal(every.generate(case, pipe), plain)


@pytest.mark.parametrize(
    "edit", [daamkit.Silence("cat"), daamkit.Exchange("cat", "a red dog and a blue car")]
)
def test_an_edit_of_words_while_the_text_is_exchanged(pipe, edit):
    other = pipe.encode_prompt("a lantern", "cpu", 1, False)[0]

    def exchange(pipe, index, time, given):
        return {"prompt_embeds": other}

    with (
        daamkit.edit(pipe, edit),
        pytest.raises(DaamkitError, match="one text for all passes"),
    ):
        generate(
            pipe,
            guidance_scale=1.0,
            callback_on_step_end=exchange,
            callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
        )


@pytest.mark.parametrize(
    ("make", "match"),
    [(tiny_joint.qwen, "packs or normalizes"), (every.CASES["wan"].build, "a video")],
)
def test_previews_of_what_has_none(make, match):
    pipe = make()
    with daamkit.trace(pipe, previews=True), pytest.raises(DaamkitError, match=match):
        pipe("a red cat", num_inference_steps=2, height=32, width=48)
