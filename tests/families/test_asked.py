"""How each family is asked: the prompt by its name, and what guides by the argument that acts."""

import copy
import functools

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaInpaintPipeline,
    DDPMPipeline,
    DDPMScheduler,
    FluxKontextPipeline,
    UNet2DModel,
)
from PIL import Image

import daamkit
from daamkit import cli, zoo
from daamkit.attention import families
from daamkit.errors import DaamkitError
from daamkit.studies import card
from daamkit.studies.denoised import Denoised
from daamkit.studies.prompts import PromptCase
from daamkit.studies.relations import Relations
from daamkit.studies.session import Session
from daamkit.toybox import claims, flux, scenes
from daamkit.views.facts import facts
from daamkit.views.playground import Playground
from daamkit.views.playground.recipe import Recipe
from tests import tiny
from tests.families import every, tiny_joint
from tests.families.every import CASES, Case

pytestmark = [
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The config attributes:UserWarning"),
]

KONTEXT = Case(  # a picture is its first argument, and may be left out
    lambda: tiny_joint.flux1(kind=FluxKontextPipeline),
    {"height": 48, "width": 32, "max_area": 48 * 32, "max_sequence_length": 24},
    (12, 8),
)
IMAGES = {name: case for name, case in CASES.items() if len(case.grid) == 2}
PROMPT = "a red cat"


def schnell():
    return tiny_joint.flux1(guidance_embeds=False)


def pixels(image) -> np.ndarray:
    return np.asarray(image if isinstance(image, Image.Image) else Image.open(image))


@pytest.fixture
def small(monkeypatch):
    """Makes every call of a pipeline as small as this."""
    own = zoo.arguments

    def shrink(call: dict) -> None:
        def arguments(*args, **options):
            return own(*args, **options) | copy.deepcopy(call)

        monkeypatch.setattr(zoo, "arguments", arguments)
        monkeypatch.setattr(daamkit, "arguments", arguments)

    return shrink


@pytest.fixture
def explained(monkeypatch, tmp_path):
    """`daamkit explain` of an open pipeline: the folder."""

    def explain(pipe, *options: str):
        monkeypatch.setattr("daamkit.load", lambda *_, **__: pipe)
        told = ["explain", PROMPT, "--out", str(tmp_path), "--steps", "1", "--seed", "3"]
        assert cli.main([*told, "--device", "cpu", *options]) == 0
        return tmp_path

    return explain


def drawn(pipe, guidance=None, steps=1) -> list[np.ndarray]:
    """Two pictures as studies have them drawn."""
    session = Session(Relations(steps=steps, guidance=guidance, n=2), pipe)
    return [pixels(run.image) for run in session.runs([PROMPT, "a dog"], [3, 4])]


@pytest.mark.parametrize("name", [*IMAGES, "kontext"])
def test_each_is_explained_inspected_and_drawn_by_its_prompt(name, small, explained) -> None:
    case = (IMAGES | {"kontext": KONTEXT})[name]
    pipe = case.build()
    given = copy.deepcopy(case.call) | {"num_inference_steps": 1}
    plain = pipe(prompt=PROMPT, generator=torch.Generator().manual_seed(3), **given).images[0]
    seeds = [torch.Generator().manual_seed(each) for each in (3, 4)]
    pair = pipe(prompt=[PROMPT, "a dog"], generator=seeds, **copy.deepcopy(given)).images
    small(case.call)
    out = explained(pipe)
    assert np.array_equal(pixels(out / "image.png"), pixels(plain))
    run = daamkit.open(out / "run")
    assert run.prompt == PROMPT and run.maps.word("cat").values.max() > 0
    assert daamkit.Inspector(run).words == ["a", "red", "cat"]
    for ours, theirs in zip(drawn(pipe), pair, strict=True):
        assert np.array_equal(ours, pixels(theirs))
    recipe = Recipe(PROMPT, seed=3, steps=1, keep=("site",))
    assert np.array_equal(pixels(recipe.make(pipe).image), pixels(plain))
    assert f"    pipe(\n        prompt={PROMPT!r},\n" in recipe.code(pipe)


@pytest.mark.parametrize("name", CASES)
def test_what_is_asked_for_acts_and_what_would_not_is_refused(name) -> None:
    case = CASES[name]
    pipe, told = case.build(), {}
    for asked in ((None, None), (2.5, None), (5.5, None), (5.5, "a dog"), (None, "two foxes")):
        try:
            told[asked] = zoo.arguments(pipe, PROMPT, *asked)
        except DaamkitError:
            told[asked] = None
    made = {
        asked: every.generate(case, pipe, **call)
        for asked, call in told.items()
        if call is not None
    }
    plain = made.pop((None, None))
    assert all(not torch.equal(plain, other) for other in made.values())
    assert len({tuple(other.flatten().tolist()) for other in made.values()}) == len(made)
    if told[2.5, None] is None:
        assert name == "hunyuanvideo" and made
    if told[5.5, "a dog"] is None and name != "hunyuanvideo":
        assert name in ("flux", "flux2", "flux2klein")
    if name == "flux":  # it takes one all the same
        assert torch.equal(plain, every.generate(case, pipe, PROMPT, negative_prompt="a dog"))


TRUE = {"toybox": tiny_joint.toybox_flux, "schnell": schnell, "qwen": tiny_joint.qwen}


@pytest.mark.parametrize("name", TRUE)
def test_true_guidance_is_the_pipelines_own(name, explained, small) -> None:
    pipe = TRUE[name]()
    size = {"height": 48, "width": 32, "max_sequence_length": 24}
    small(size)

    def plain(prompt, **options):
        seeds = [torch.Generator().manual_seed(each) for each in (3, 4)]
        given = {"generator": seeds if isinstance(prompt, list) else seeds[0]}
        return pipe(prompt=prompt, num_inference_steps=1, **given, **size, **options).images

    many, scale = [PROMPT, "a dog"], {"true_cfg_scale": 6.0}
    wanted = plain(many, negative_prompt=["", ""], **scale)
    found = drawn(pipe, 6.0)
    assert all(np.array_equal(a, pixels(b)) for a, b in zip(found, wanted, strict=True))
    alone = drawn(pipe, 1.0)
    assert all(np.array_equal(a, pixels(b)) for a, b in zip(alone, plain(many), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(found, alone, strict=True))

    out = explained(pipe, "--guidance", "6", "--negative", "a dog")
    negative = plain(PROMPT, negative_prompt="a dog", **scale)[0]
    assert np.array_equal(pixels(out / "image.png"), pixels(negative))
    assert not np.array_equal(pixels(negative), found[0])
    assert "<th scope=row>guidance</th><td colspan=1>6.0</td>" in (out / "report.html").read_text()

    recipe = Recipe(PROMPT, seed=3, steps=1, scale=6.0, keep=("site",))
    assert np.array_equal(pixels(recipe.make(pipe).image), found[0])
    names = {"pipe": pipe}
    exec(compile(recipe.code(pipe), "code", "exec"), names)
    assert np.array_equal(pixels(names["run"].image), found[0])


def test_a_toybox_is_asked_in_one_way(monkeypatch) -> None:
    """By a study, by the card, and in drawn scenes: as many places of text as its training had."""
    pipe, seen, whole = tiny_joint.toybox_flux(), [], flux.FluxTransformer2DModel.forward

    @functools.wraps(whole)
    def forward(self, **inputs):
        seen.append(inputs["encoder_hidden_states"].shape[:2])
        return whole(self, **inputs)

    monkeypatch.setattr(flux.FluxTransformer2DModel, "forward", forward)
    plain = pipe(
        prompt=[PROMPT, "a dog"],
        negative_prompt=["", ""],
        generator=[torch.Generator().manual_seed(each) for each in (3, 4)],
        num_inference_steps=2,
        true_cfg_scale=3.0,
        max_sequence_length=32,
    ).images
    cases = [
        PromptCase("thing", claims.parse(text), 3 + i) for i, text in enumerate((PROMPT, "a dog"))
    ]
    for found in (drawn(pipe, steps=2), map(pixels, card._draw(pipe, cases, 2, None))):
        assert all(np.array_equal(a, pixels(b)) for a, b in zip(found, plain, strict=True))
    assert seen == [(2, 32)] * 4 * 3  # two looks a step
    seen.clear()
    Denoised(pipe).pictures(scenes.sample(2, 5), [1, 2], 400)
    assert seen == [(2, 32)]
    pipe.default_sample_size = 128  # as it is of a folder that is opened by its name
    assert drawn(pipe)[0].shape == (128, 128, 3)
    assert flux.own(schnell()) == {} == flux.own(tiny.sd())


def distilled():
    pipe = tiny_joint.klein()
    pipe.register_to_config(is_distilled=True)
    return pipe


def consistent():
    pipe = tiny.sd()
    pipe.unet.register_to_config(time_cond_proj_dim=8)
    return pipe


def unprompted():
    return DDPMPipeline(
        UNet2DModel(8, block_out_channels=(8,) * 4, norm_num_groups=8), DDPMScheduler()
    )


REFUSED = {
    "dev": (
        tiny_joint.flux1,
        3.0,
        "a dog",
        r"which reads none\. Give its call `true_cfg_scale` above",
    ),
    "schnell": (schnell, None, "a dog", r"none at true_cfg_scale=1\. Ask for guidance above 1"),
    "sd": (tiny.sd, 1.0, "a dog", r"none at guidance_scale=1\. Ask for guidance above 1"),
    "lcm": (consistent, 8.0, "a dog", r"StableDiffusionPipeline, which reads none\. Leave"),
    "klein": (tiny_joint.klein, 4.0, "a dog", r"Flux2KleinPipeline, which reads none\. Leave"),
    "distilled": (distilled, 4.0, None, r"got 4 for Flux2KleinPipeline.*model is distilled"),
    "guider": (CASES["hunyuanvideo"].build, 1.0, None, "a part of the pipeline says it"),
    "ddpm": (unprompted, None, None, "takes a prompt; got DDPMPipeline, which takes batch_size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_effect_is_an_error(name) -> None:
    build, guidance, negative, match = REFUSED[name]
    with pytest.raises(DaamkitError, match=match):
        zoo.arguments(build(), PROMPT, guidance, negative)


def test_no_guidance_is_what_a_distilled_model_has() -> None:
    assert zoo.arguments(distilled(), PROMPT, 1.0) == {"prompt": PROMPT}


def test_the_playground_says_what_has_no_effect() -> None:
    play = Playground(distilled(), PROMPT)
    play.scale = 4.0
    play.generate()
    assert play.wait(60) is None and "the model is distilled" in play.problem and not play.runs


def test_explain_says_what_has_no_effect_before_it_draws(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr("daamkit.load", lambda *_, **__: tiny_joint.flux1())
    told = ["explain", PROMPT, "--out", str(tmp_path), "--device", "cpu", "--negative", "a dog"]
    assert cli.main(told) == 2
    assert "negative prompt that the model reads; got 'a dog'" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_chromas_inpainting_does_not_read_its_true_scale():
    pipe = ChromaInpaintPipeline(**tiny_joint.chroma().components)
    call = zoo.arguments(pipe, PROMPT, guidance=5.0)
    assert call["guidance_scale"] == 5.0 and "true_cfg_scale" not in call
    scale = families.family_of(pipe).guidance(pipe)
    assert scale.told(pipe, call | {"true_cfg_scale": 3.0, "negative_prompt": "a dog"}) == 5.0


def test_a_negative_prompt_that_true_guidance_would_read_is_told():
    with pytest.raises(DaamkitError, match="`true_cfg_scale` above 1 as well"):
        zoo.arguments(tiny_joint.flux1(), PROMPT, negative="blurry")


@pytest.mark.parametrize(
    ("make", "call", "told"),
    [
        (schnell, {}, None),  # its call has a `guidance_scale` of 3.5 that nothing reads
        (schnell, {"true_cfg_scale": 3.0}, None),  # without a negative prompt
        (schnell, {"true_cfg_scale": 3.0, "negative_prompt": ""}, 3.0),
        (tiny_joint.flux1, {}, 3.5),
        (tiny_joint.flux1, {"true_cfg_scale": 2.0, "negative_prompt": "a dog"}, 2.0),
        (tiny.sd, {"guidance_scale": 4.0}, 4.0),
    ],
)
def test_the_record_tells_the_scale_that_acts(make, call, told):
    pipe = make()
    size = {} if make is tiny.sd else {"height": 32, "width": 32, "max_sequence_length": 24}
    with daamkit.trace(pipe) as tracer:
        pipe(PROMPT, num_inference_steps=1, **size, **call)
    assert tracer.run.record["scale"] == told
    page = facts({"": tracer.run})
    assert ("<th scope=row>guidance</th>" in page) == (told is not None)
    assert told is None or f"guidance</th><td colspan=1>{told}</td>" in page
