"""Guidance of transformers: joint attention, packed latents, flows, guidance in two passes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3PAGPipeline

import daamkit
from daamkit import compat
from daamkit.attention import noise
from daamkit.attention.freezing import frozen
from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError
from daamkit.guidance.aggregation import attend
from daamkit.guidance.denoising import Method
from daamkit.guidance.descent import leaf
from daamkit.guidance.perturbed import PerturbedAttentionGuidance
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from daamkit.guidance.syngen import SynGen
from tests.families import every, table, tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")

PROMPT = "a red cat and a blue dog"
SHORT = {"max_sequence_length": 32}


@dataclasses.dataclass(frozen=True)
class Case:
    """A family: its pipeline, how it is called under guidance, the layers of its blocks."""

    build: Callable[[], Any]
    options: dict
    layers: str


JOINT = {
    "flux": Case(tiny_joint.flux1, SHORT, "single"),
    "sd3": Case(tiny_joint.sd3, SHORT, "double"),
    "chroma": Case(tiny_joint.chroma, SHORT, "double"),
    "qwen": Case(tiny_joint.qwen, {"true_cfg_scale": 3.0, "negative_prompt": "a dog"}, "double"),
}
CROSS = {"pixart": "block", "zimage": "layer"}


class Drawing:
    """A pipeline with what makes latents of one step."""

    def __init__(self, name: str) -> None:
        self.name, case = name, JOINT.get(name)
        self.pipe = case.build() if case else tiny_cross.build(name)
        self.options = case.options if case else {}
        self.layers = case.layers if case else CROSS[name]

    def __call__(self, *methods: Method, steps: int = 1, **options: Any) -> torch.Tensor:
        given = {"num_inference_steps": steps, "output_type": "latent"} | self.options | options
        tiny = tiny_joint.generate if self.name in JOINT else self._generate
        if not methods:
            return torch.as_tensor(tiny(self.pipe, prompt=PROMPT, **given))
        with daamkit.guide(self.pipe, *methods) as self.guided:
            return torch.as_tensor(tiny(self.pipe, prompt=PROMPT, **given))

    def _generate(self, pipe: Any, **options: Any) -> torch.Tensor:
        return tiny_cross.generate(pipe, self.name, **options)


@pytest.fixture(scope="module", params=[*JOINT, *CROSS])
def drawing(request) -> Drawing:
    return Drawing(request.param)


def test_scale_0_leaves_the_picture(drawing):
    methods = [
        daamkit.AttendAndExcite(["cat", "dog"], scale_factor=0),
        SynGen([("cat", ["red"]), ("dog", ["blue"])], scale_factor=0),
        PerturbedAttentionGuidance(scale=0, layers=drawing.layers),
        SmoothedEnergyGuidance(scale=0, layers=drawing.layers),
        SelfAttentionGuidance(scale=0, layer=drawing.layers),
    ]
    assert torch.equal(drawing(*methods, steps=2), drawing(steps=2))
    table = drawing.guided.table()
    assert (table.loc[table["method"] == "AttendAndExcite", "loss"] > 0).all()


def test_the_loss_falls_with_each_move(drawing):
    losses = []
    for moves in (0, 1, 4):
        drawing(
            daamkit.AttendAndExcite(
                ["cat"], 4.0, thresholds={0: 1.0}, max_refinement_steps=moves, smooth=False
            )
        )
        losses.append(float(drawing.guided.table()["loss"][0]))
    assert losses[0] > losses[1] > losses[2]


class Gradient(Method):
    """The gradient of a sum of an extra pass's maps, weighed at random."""

    gradient = True

    def before(self, now):
        with frozen(now.denoiser), torch.enable_grad():
            latents = leaf(now.noisy[:1])
            self.maps.append(attend(now, latents, 0))
            weights = torch.randn(self.maps[-1].shape, generator=torch.manual_seed(0))
            self.found.append(torch.autograd.grad((self.maps[-1] * weights).sum(), latents)[0])

    def __init__(self) -> None:
        self.maps: list[torch.Tensor] = []
        self.found: list[torch.Tensor] = []


@pytest.mark.parametrize("name", [*JOINT, "zimage"])
def test_the_gradient_is_that_of_explicit_attention(name, monkeypatch):
    drawing, kept, whole = Drawing(name), Gradient(), Attention._float_softmax

    def never(*given):
        raise AssertionError("a softmax over all keys")

    monkeypatch.setattr(Attention, "_float_softmax", never)
    drawing(kept)
    monkeypatch.setattr(Attention, "_float_softmax", whole)
    monkeypatch.setattr(compat, "with_statistic", lambda *given: None)
    drawing(kept)
    assert torch.allclose(*kept.maps, atol=1e-6)
    own, explicit = kept.found
    assert (own - explicit).norm() < 1e-3 * explicit.norm() and explicit.norm() > 0


def test_blind_cells_of_joint_attention_are_diffusers_own():
    drawing = Drawing("sd3")
    parts = {**drawing.pipe.components, "image_encoder": None, "feature_extractor": None}
    parts = {name: part for name, part in parts.items() if part is not None}
    theirs = StableDiffusion3PAGPipeline(**parts, pag_applied_layers=["blocks.1"])
    theirs.set_progress_bar_config(disable=True)
    plain = drawing()
    ours = drawing(PerturbedAttentionGuidance(scale=3.0, layers="transformer_blocks.1."))
    wanted = torch.as_tensor(
        tiny_joint.generate(
            theirs, PROMPT, num_inference_steps=1, output_type="latent", pag_scale=3.0, **SHORT
        )
    )
    assert (ours - wanted).norm() < 1e-4 * wanted.norm() < 1e-2 * (ours - plain).norm()


def test_an_extra_pass_beside_one_that_skips_layers():
    """The pass that skips is the step's last; the extra one has the prompt's, with all layers."""
    drawing = Drawing("sd3")
    skips = {
        "skip_guidance_layers": [1], "skip_layer_guidance_start": -1.0,
        "skip_layer_guidance_stop": 1.0,
    }  # fmt: skip
    skipped, plain = drawing(**skips), drawing()
    assert (skipped - plain).abs().max() > 0.1
    for method in (
        PerturbedAttentionGuidance(layers="double"),
        SmoothedEnergyGuidance(layers="double", sigma=1.5),
    ):
        moved, wanted = drawing(method, **skips) - skipped, drawing(method) - plain
        assert wanted.abs().max() > 0.1 and (moved - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["cogview4", "lumina2"])
def test_words_at_the_end_of_a_text_without_one(name):
    pipe = tiny_cross.build(name)
    for subject in ("dog", "cat"):
        with daamkit.guide(pipe, daamkit.AttendAndExcite([subject])) as guided:
            tiny_cross.generate(pipe, name, prompt="a cat and a dog", num_inference_steps=1)
        assert guided.table()["gradient"][0] > 0


@pytest.mark.parametrize("name", ["flux", "zimage"])
def test_noise_levels_are_the_schedulers(name):
    class Levels(Method):
        def after(self, now, prediction):
            wanted = now.call.pipe.scheduler.sigmas[now.index]
            seen.append(float(noise.noise_level(now).noise) == float(wanted))
            return prediction

    seen: list[bool] = []
    Drawing(name)(Levels(), steps=3)
    assert seen == [True] * 3


def test_packed_latents_are_blurred_as_an_image():
    drawing = Drawing("flux")
    method = SelfAttentionGuidance(layer="double", strategy="global", kernel_size=5)
    moved, plain = drawing(method, steps=2), drawing(steps=2)
    assert moved.shape == plain.shape and not torch.allclose(moved, plain)
    assert drawing.guided.table()["masked"].tolist() == [1.0, 1.0]


def test_what_cannot_be_guided_says_why():
    flux, sana = Drawing("flux"), tiny_cross.build("sana")
    for method, told in {
        PerturbedAttentionGuidance(): "'double', 'single'",
        SelfAttentionGuidance(): "'double', 'single'",
        SelfAttentionGuidance(layer="double", exact=True): "eave `exact` off",
        daamkit.AttendAndExcite(["cat"], exact=True): "eave `exact` off",
    }.items():
        with pytest.raises(daamkit.DaamkitError, match=told):
            flux(method)
    with (
        pytest.raises(daamkit.DaamkitError, match="linear"),
        daamkit.guide(sana, PerturbedAttentionGuidance(layers="block")),
    ):
        tiny_cross.generate(sana, "sana")


@pytest.mark.parametrize("name", ["A&E", "SynGen"])
def test_videos_are_guided_by_their_frames(name):
    case = every.CASES["wan"]
    assert table.guided(case, case.build(), name)


def test_two_denoisers_are_not_guided_by_the_attention_of_one():
    case = every.CASES["wan22"]
    with (
        pytest.raises(DaamkitError, match=r"one denoiser.*transformer_2"),
        daamkit.guide(pipe := case.build(), SelfAttentionGuidance(layer="mid")),
    ):
        every.generate(case, pipe, ["a cat", "a dog"], **case.guided)
