"""Transformers whose layers see image and text as one sequence: Z-Image, Lumina 2, AuraFlow,
CogView4."""

import pytest
import torch
from diffusers import CogView4ControlPipeline, CogView4Transformer2DModel, ZImageOmniPipeline
from PIL import Image

import daamkit
from daamkit.attention import families, hooks
from daamkit.errors import DaamkitError
from tests.families import checks, tiny_cross

NAMES = ["zimage", "lumina2", "auraflow", "cogview4"]


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def pipe(name):
    return tiny_cross.build(name)


@pytest.fixture(scope="module")
def zimage():
    return tiny_cross.build("zimage")


@pytest.fixture(scope="module")
def lumina2():
    return tiny_cross.build("lumina2")


def test_guidance_looks_where_the_word_is(pipe, name):
    checks.guided(pipe, name)


@pytest.mark.parametrize("name", ["zimage", "lumina2"], indirect=True)
def test_refiners_are_of_image_and_text_alone(name):
    pipe = tiny_cross.build(name)
    kinds = {site.name.split(".")[0]: site.kind for site in families.find(pipe.transformer)}
    assert kinds == {"layers": "joint", "noise_refiner": "self", "context_refiner": "text"}
    (run,) = checks.traced(pipe, name, {"self_attention": True})
    height, width = tiny_cross.GRIDS[name]
    layers = run.self_attention["cond"].layers
    assert {name.split(".")[0] for name in layers} == {"layers", "noise_refiner"}
    for layer in layers.values():
        assert layer.values.shape == (height * width, height, width)


def test_a_list_of_prompts_that_the_pipeline_rewrites(zimage):
    said = ["a red cat", "a dog"]
    runs = checks.traced(zimage, "zimage", prompt=said, negative_prompt=["a car", "a tree"])
    assert said[0].startswith("<|im_start|>")  # it does
    assert [run.prompt for run in runs] == ["a red cat", "a dog"]
    assert runs[0].record["arguments"]["prompt"] == ["a red cat", "a dog"]


def test_the_prompt_comes_first_and_may_be_alone(zimage):
    tap = checks.seen(zimage, "zimage", cfg_truncation=0.2)
    assert [list(step.branches) for step in tap.passes] == [["cond", "uncond"], ["cond"]]
    assert tap.passes[0].branches["cond"] == slice(0, 1)
    wish = {"branches": ("cond", "uncond")}
    (run,) = checks.traced(zimage, "zimage", wish, cfg_truncation=0.2)
    assert (run.maps.steps, run.branch("uncond").steps) == (2, 1)


def test_a_prompt_that_the_template_contains(zimage):
    for text in ("a", "user", "<|im_end|>"):
        (run,) = checks.traced(zimage, "zimage", prompt=text)
        tokens = run.maps.prompt.tokens
        assert "".join(token.text for token in tokens) == text
        kinds = [token.special for token in tokens if token.special]
        assert kinds == ["template", "template", "padding"]


def test_learned_places_beyond_the_encoders(zimage):
    """40 places of the encoder, all of them read; 64 of the model."""
    options = {"prompt": "a red cat " * 30, "max_sequence_length": 40}
    (run,) = checks.traced(zimage, "zimage", **options)
    (padding,) = [token for token in run.maps.prompt.tokens if token.special == "padding"]
    assert run.maps.mass[padding.column] > 0


def test_registers_and_padding_before_the_text_have_names_and_mass():
    for name, kinds in {
        "auraflow": ["register", None, None, None, "EOS", "padding"],
        "cogview4": ["padding", "template", None, None, None],
    }.items():
        (run,) = checks.traced(tiny_cross.build(name), name)
        assert [token.special for token in run.maps.prompt.tokens] == kinds
        assert run.maps.mass.min() > 0


def test_guidance_in_two_passes_that_ends_early(lumina2):
    tap = checks.seen(lumina2, "lumina2", cfg_trunc_ratio=0.5, negative_prompt="a car")
    assert [list(step.branches) for step in tap.passes] == [["cond"], ["negative"], ["cond"]]
    wish = {"branches": ("cond", "negative")}
    options = {"cfg_trunc_ratio": 0.5, "negative_prompt": "a car"}
    (run,) = checks.traced(lumina2, "lumina2", wish, **options)
    assert (run.maps.steps, run.branch("negative").steps) == (2, 1)
    assert run.branch("negative").word("car").values.max() > 0
    assert "template" not in [t.special for t in run.branch("negative").prompt.tokens]


def test_a_system_prompt_of_the_call(lumina2):
    for prompt in ("a red cat", ["a cat", "a cat beside a dog"]):
        runs = checks.traced(lumina2, "lumina2", prompt=prompt, system_prompt="under a tree")
        assert [run.prompt for run in runs] == ([prompt] if isinstance(prompt, str) else prompt)
        assert all(run.maps.word("cat").values.max() > 0 for run in runs)


def controlled():
    """CogView4 with a picture's channels beside those that are denoised."""
    own = tiny_cross.build("cogview4")
    torch.manual_seed(1)
    config = dict(own.transformer.config) | {"in_channels": 8}
    transformer = tiny_cross.vary(CogView4Transformer2DModel.from_config(config), 0.2)
    parts = own.components | {"transformer": transformer}
    return tiny_cross.quiet(CogView4ControlPipeline(**parts))


def test_a_picture_that_controls_is_not_denoised():
    pipe, tap = controlled(), checks.Moving()
    picture = Image.linear_gradient("L").convert("RGB").resize((32, 16))
    options = {"control_image": picture, "guidance_scale": 3.0}

    def call(**more):
        torch.manual_seed(0)  # the picture's latents are drawn
        options_ = tiny_cross.CALLS["cogview4"] | options | more
        return pipe(
            "a red cat", num_inference_steps=2, output_type="latent",
            generator=torch.Generator().manual_seed(0), **options_,
        ).images  # fmt: skip

    plain = call()
    with hooks.attach(pipe, tap):
        moved = call()
    assert tap.image.shape == plain.shape == (1, 4, 8, 16) and not torch.equal(moved, plain)
    assert torch.equal(call(latents=tap.moved), moved)
    with daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"])):
        assert not torch.equal(call(), plain)


def test_pictures_in_the_sequence_are_refused(zimage):
    """Z-Image-Omni gives its model a list of pictures for each image."""
    pipe = tiny_cross.quiet(
        ZImageOmniPipeline(**zimage.components, siglip=None, siglip_processor=None)
    )
    with (
        pytest.raises(DaamkitError, match="one image that is denoised; got ZImageOmniPipeline"),
        daamkit.trace(pipe),
    ):
        pipe(prompt="a red cat", height=32, width=32, num_inference_steps=1, guidance_scale=0.0)


def test_embeddings_of_a_text_that_is_padded_on_the_left():
    pipe = tiny_cross.build("cogview4")
    embeds, negative = pipe.encode_prompt("a red cat", None, True, max_sequence_length=64)
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": negative}
    (plain,) = checks.traced(pipe, "cogview4")
    told = {"prompt": "a red cat", "negative_prompt": ""}
    (run,) = checks.traced(pipe, "cogview4", told, prompt=None, **given)
    assert run.maps.prompt == plain.maps.prompt and torch.equal(run.maps.mass, plain.maps.mass)
    assert torch.equal(run.maps.word("cat").values, plain.maps.word("cat").values)
    pictures = []
    for tap, call in (
        (daamkit.Silence("cat"), {"prompt": "a red cat"}),
        (daamkit.Silence("cat", prompt="a red cat"), {"prompt": None, **given}),
    ):
        with daamkit.edit(pipe, tap):
            pictures.append(tiny_cross.generate(pipe, "cogview4", **call))
    assert torch.equal(*pictures)
