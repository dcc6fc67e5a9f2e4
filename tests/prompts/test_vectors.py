"""What text encoders make of a text alone: with the settings of the call, and where words are."""

import functools
import inspect

import pytest
import torch
from diffusers import QwenImageEditPipeline, StableDiffusionInstructPix2PixPipeline
from PIL import Image

import daamkit
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.prompts import vectors
from tests import tiny
from tests.families import every, tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
TEXT = ("prompt", "negative_prompt", "pooled_prompt_embeds")
GUIDED = {"do_classifier_free_guidance", "num_images_per_prompt", "num_videos_per_prompt"}
KWARGS = ("attention_kwargs", "joint_attention_kwargs", "cross_attention_kwargs")


class Said(Tap):
    """What a text alone becomes in the first pass."""

    guides = True

    def __init__(self, text, first=False):
        self.text, self.first, self.found = text, first, None

    def before(self, now):
        if self.found is None:
            joint = any(site.kind == "joint" for site in now.sites)
            self.found = vectors.encoded(now, self.text, first=joint and self.first)


@pytest.fixture(scope="module", params=every.CASES)
def case(request):
    return every.CASES[request.param]


def spied(pipe, monkeypatch):
    """What `encode_prompt` is asked for that a call can say, but for texts and how many. A scale of
    LoRA is not handed on: no text encoder here has one."""
    asked, own = [], pipe.encode_prompt
    signature, takes = inspect.signature(own), inspect.signature(pipe.__call__).parameters

    @functools.wraps(own)
    def spy(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        asked.append(
            {
                name: value
                for name, value in bound.arguments.items()
                if name in {*takes, "lora_scale"} - GUIDED and not name.startswith(TEXT)
            }
        )
        return own(*args, **kwargs | {"lora_scale": None} if "lora_scale" in kwargs else kwargs)

    monkeypatch.setattr(pipe, "encode_prompt", spy)
    return asked


def test_a_concept_is_encoded_with_the_settings_of_the_call(case, monkeypatch):
    pipe = case.build()
    takes, scaled = (
        inspect.signature(each).parameters for each in (pipe.__call__, pipe.encode_prompt)
    )
    options = {"system_prompt": "draw the red dog"} if "system_prompt" in takes else {}
    if "lora_scale" in scaled:
        options |= {name: {"scale": 0.0} for name in KWARGS if name in takes}
    asked = spied(pipe, monkeypatch)
    with hooks.attach(pipe, Said("dog", first=True)):
        every.generate(case, pipe, **case.alone | options)
    *calls, last = asked
    assert last.get("lora_scale", 0.0) == 0.0 and last in calls


def test_behind_the_system_prompt_of_the_call():
    """Gemma's last place is the word's, which no other system prompt stands before."""
    pipe, said = tiny_cross.build("lumina2"), Said("dog")
    with hooks.attach(pipe, said):
        tiny_cross.generate(pipe, "lumina2", system_prompt="draw")
    options = {"max_sequence_length": 64, "system_prompt": "draw"}
    with torch.no_grad():
        embeds, mask, *_ = pipe.encode_prompt("dog", False, **options)
    ids = pipe.tokenizer("draw <Prompt Start> dog").input_ids
    assert pipe.tokenizer.decode(ids[-1:]).strip() == "dog" and mask.sum() == len(ids)
    (found,) = said.found.values()
    assert torch.equal(found, embeds[0, len(ids) - 1 : len(ids)])


@pytest.mark.parametrize("name", ["cogview4", "qwenimage"])
def test_the_pipeline_says_where_padding_is_and_not_the_tokenizer(name):
    """CogView4 writes it before the text itself, Qwen-Image takes it out."""
    case, found = every.CASES[name], []
    for side in ("left", "right"):
        pipe, said = case.build(), Said("red dog")
        pipe.tokenizer.padding_side = side
        with hooks.attach(pipe, said):
            every.generate(case, pipe, **case.alone)
        found += said.found.values()
    options = {"max_sequence_length": 64} if name == "cogview4" else {}
    with torch.no_grad():
        embeds = pipe.encode_prompt("red dog", **options)[0][0]
    count = len(pipe.tokenizer(" red dog").input_ids)
    if name == "qwenimage":
        after = pipe.prompt_template_encode.split("{}")[1]
        embeds = embeds[: len(embeds) - len(pipe.tokenizer(after).input_ids)]
        count = len(pipe.tokenizer("red dog").input_ids)
        assert torch.equal(found[0], embeds[-count:])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], embeds[-len(found[0]) :])
    assert 1 < len(found[0]) <= count


def test_what_the_encoders_read_otherwise_is_refused(monkeypatch):
    """Never taken from places that are another text's."""
    pipe = tiny_joint.qwen(kind=QwenImageEditPipeline)
    small = lambda area, ratio: (32, 48, None)  # noqa: E731
    monkeypatch.setitem(
        vars(inspect.getmodule(QwenImageEditPipeline)), "calculate_dimensions", small
    )
    options = {"image": Image.new("RGB", (96, 96), "red"), "output_type": "latent"}
    with pytest.raises(DaamkitError, match="read other tokens"), hooks.attach(pipe, Said("dog")):
        tiny_joint.generate(pipe, "a red cat", **options)
    sana = tiny_cross.build("sana")
    with torch.no_grad():
        given = sana.encode_prompt("a red cat", False, max_sequence_length=24)
    names = ("prompt_embeds", "prompt_attention_mask")
    options = dict(zip(names, given, strict=False)) | {"guidance_scale": 1.0}
    with (
        pytest.raises(DaamkitError, match="read other tokens"),
        daamkit.trace(sana, concepts="dog", prompt="a red cat"),
    ):
        tiny_cross.generate(sana, "sana", None, **options)


def test_no_scale_of_a_lora_is_told_where_the_call_has_none(sd, monkeypatch):
    asked = spied(sd, monkeypatch)
    for given in ({}, {"cross_attention_kwargs": {"scale": 0.5}}):
        with daamkit.trace(sd, concepts="dog"):
            tiny.generate(sd, steps=1, **given)
    assert [each["lora_scale"] for each in asked] == [None, None, 0.5, 0.5]


def test_a_pipeline_that_makes_no_vectors_is_named():
    """InstructPix2Pix calls its own otherwise."""
    parts = tiny.sd().components | {"unet": tiny.unet(in_channels=8)}
    pipe = StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    image = Image.new("RGB", (64, 64))
    lacking = pytest.raises(DaamkitError, match="Pix2PixPipeline, which has no `encode_prompt`")
    with lacking, hooks.attach(pipe, Said("a dog")):
        pipe("a cat", image=image, num_inference_steps=1, guidance_scale=1.0)
