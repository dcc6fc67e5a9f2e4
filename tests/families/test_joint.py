"""Models whose text and image attend in one softmax: each is read for what it is."""

import dataclasses

import pytest
import torch
from diffusers import FluxKontextPipeline
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from PIL import Image

import daamkit
from daamkit import prompts
from daamkit.attention import families, hooks
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import of_keys
from daamkit.attention.taps import Tap
from daamkit.toybox import flux
from tests.families import tiny_joint as tiny
from tests.families.checks import Moving

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")

TWO = ["a red cat", "a small fox next to a glowing lantern on the grass"]
SHORT = {"max_sequence_length": 32}
CHAT = {"max_sequence_length": 64, "text_encoder_out_layers": (1, 2, 3)}
LONG = CHAT | {"max_sequence_length": 512}


@dataclasses.dataclass(frozen=True)
class Case:
    """A family: how its pipeline is built and called."""

    build: object
    guided: dict
    plain: dict
    branches: tuple[str, ...]  # of a guided call, in the order of the kernel's rows and passes
    apart: bool  # whether each has a pass of its own
    starts: dict[str, int]  # each encoder's first key, the image's places not counted
    image_first: bool = False
    before: str = ""  # what of the template is among the keys, before the prompt


FLUX = {"text_encoder_2": 0}
CASES = {
    "sd3": Case(
        tiny.sd3, SHORT | {"guidance_scale": 4.0}, SHORT | {"guidance_scale": 1.0},
        ("uncond", "cond"), False,
        {"text_encoder": 0, "text_encoder_2": 0, "text_encoder_3": 77}, image_first=True,
    ),
    "sd35": Case(
        tiny.sd35, SHORT | {"guidance_scale": 4.0}, SHORT | {"guidance_scale": 1.0},
        ("uncond", "cond"), False,
        {"text_encoder": 0, "text_encoder_2": 0, "text_encoder_3": 77}, image_first=True,
    ),
    "flux": Case(
        tiny.flux1, SHORT | {"true_cfg_scale": 3.0, "negative_prompt": ["a dog", "two birds"]},
        SHORT, ("cond", "negative"), True, FLUX,
    ),
    "chroma": Case(
        tiny.chroma, SHORT | {"guidance_scale": 4.0}, SHORT | {"guidance_scale": 1.0},
        ("cond", "uncond"), True, {"text_encoder": 0},
    ),
    "qwen": Case(
        tiny.qwen, {"true_cfg_scale": 3.0, "negative_prompt": ["a dog", "two small birds"]}, {},
        ("cond", "negative"), True, {"text_encoder": 0},
    ),
    "klein": Case(
        tiny.klein, CHAT | {"guidance_scale": 4.0}, CHAT | {"guidance_scale": 1.0},
        ("cond", "uncond"), True, {"text_encoder": 0}, before="<|im_start|>user\n",
    ),
    "flux2": Case(
        tiny.flux2, LONG, LONG | {"guidance_scale": 1.0}, ("cond",), True, {"text_encoder": 0},
        before=f"<|im_start|>system\n{SYSTEM_MESSAGE}<|im_end|>\n<|im_start|>user\n",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def pipe(case):
    return case.build()


class Seen(Tap):
    """What a tap is told of each joint site, pass by pass, and the words of each branch."""

    def __init__(self) -> None:
        self.passes: list[dict] = []
        self.read: dict = {}
        self.keys: list = []

    def begin(self, now):
        self.passes.append({})
        for branch in now.branches:
            self.read.setdefault(branch, prompts.texts(now.call, branch))

    def observe(self, attention):
        branches = {branch: attention.probabilities(branch) for branch in attention.branches}
        self.passes[-1][attention.site.name] = (branches, attention.layout, attention.site)
        self.keys.append(attention.key)


def test_family_and_sites_are_told(pipe):
    found = families.find(pipe.transformer)
    assert {site.group for site in found} <= {"double", "single"}
    assert [site.order for site in found] == list(range(len(found)))
    assert all(site.reads_text or site.reads_image for site in found)


def test_a_trace_computes_the_texts_columns_alone(case, pipe, monkeypatch):
    """Of no joint site is a softmax over all keys computed, where the kernel tells its sum."""

    def whole(*args):
        raise AssertionError("a softmax over all keys")

    monkeypatch.setattr("daamkit.attention.taps.Attention._float_softmax", whole)
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, TWO, **case.guided)
    assert all(0 < run.maps.mass.sum() < 1 for run in tracer.runs)


def test_columns_are_those_of_the_whole_however_they_are_cut(pipe, case):
    class Both(Tap):
        checked = 0

        def observe(self, attention):
            if attention.site.kind != "joint":
                return
            assert attention.statistic is not None
            rows = attention.branches["cond"]
            keys = attention.layout.keys(rows)
            whole = attention.cells("cond")[..., keys]
            parts = [part for _, part in of_keys(attention, "cond", keys, bytes_at_once=2_000)]
            # Products of some 50, as SD3's here without norms, are rounded to 4e-6.
            assert len(parts) > 1 and (torch.cat(parts, 2) - whole).abs().max() < 1e-5
            attention.statistic = None
            slow = [part for _, part in of_keys(attention, "cond", keys, bytes_at_once=2_000)]
            assert (torch.cat(slow, 2) - whole).abs().max() < 1e-5
            Both.checked += 1

    with hooks.attach(pipe, Both()):
        tiny.generate(pipe, TWO, **case.plain)
    assert Both.checked


@pytest.mark.parametrize("name", ["sd3", "flux", "chroma", "qwen"])
def test_what_is_denoised_is_found_moved_and_put_back(name):
    """A generation moved before its first step is the generation from there."""
    case = CASES[name]
    pipe = case.build()

    tap = Moving()
    with hooks.attach(pipe, tap):
        moved = tiny.generate(pipe, TWO, **case.guided)
    assert tap.image.shape[1:] == (4, 2 * tap.grid[0], 2 * tap.grid[1])
    assert (tiny.generate(pipe, TWO, latents=tap.moved, **case.guided) == moved).all()


def test_packed_latents_are_unpacked_as_the_pipeline_does():
    pipe = tiny.flux1()
    noisy = torch.randn(1, 12 * 8, 16)
    now = Pass(Call(pipe, {}), 0, 1.0, {"cond": slice(0, 1)}, (12, 8))
    own = families.family_of(pipe).unpack(now, noisy)
    assert torch.equal(own, pipe._unpack_latents(noisy, 48, 32, pipe.vae_scale_factor))


def test_the_picture_to_edit_is_none_of_the_cells():
    pipe = tiny.flux1(kind=FluxKontextPipeline)
    picture = Image.new("RGB", (32, 48), "red")
    options = SHORT | {"image": picture, "max_area": 48 * 32, "_auto_resize": False}
    plain, seen = tiny.generate(pipe, **options), Seen()
    with hooks.attach(pipe, seen), daamkit.trace(pipe) as tracer:
        assert (tiny.generate(pipe, **options) == plain).all()
    for branches, layout, _ in seen.passes[0].values():
        assert branches["cond"].shape[-1] == 32 + 2 * 96
        assert layout.cells == slice(32, 32 + 96) and layout.grid == (12, 8)
    assert tracer.run.maps.word("cat").size == (48, 32)


def test_layers_skipped_by_guidance_are_a_branch_of_their_own():
    pipe = tiny.sd3()
    skipping = SHORT | {
        "skip_guidance_layers": [1], "skip_layer_guidance_start": -1.0, "num_inference_steps": 3,
        "skip_layer_guidance_stop": 0.5,
    }  # fmt: skip
    plain = tiny.generate(pipe, **skipping)
    with daamkit.trace(pipe, branches=("cond", "perturbed")) as tracer:
        assert (tiny.generate(pipe, **skipping) == plain).all()
    assert tracer.run.maps.steps == 3 and tracer.run.branch("perturbed").steps == 2
    assert len(tracer.run.branch("perturbed").layers) == 2 < len(tracer.run.maps.layers)


def test_without_its_t5_the_words_are_clips_alone():
    pipe = tiny.sd3()
    pipe.text_encoder_3 = pipe.tokenizer_3 = None
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, **SHORT)
    assert list(tracer.run.maps.prompt.texts) == ["text_encoder", "text_encoder_2"]
    assert not tracer.run.maps.prompt.word("cat").parts


def test_a_word_is_the_mean_over_encoders_unless_one_is_named():
    pipe = tiny.sd3()
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, "a red cat", prompt_3="a red cat", **SHORT)
    maps = tracer.run.maps
    clip, t5 = maps.word("cat", encoder="text_encoder"), maps.word("cat", encoder="text_encoder_3")
    assert torch.allclose(maps.word("cat").values, (clip.values + t5.values) / 2)
    assert not torch.equal(clip.values, t5.values)
    assert len(maps.prompt.word("a red cat").parts) == 2
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, "a red cat", prompt_3="a small lantern", **SHORT)
    other = tracer.run.maps
    assert other.word("cat").word.columns == clip.word.columns
    assert {t.encoder for t in other.prompt.tokens
            if t.column in other.word("lantern").word.columns} == {"text_encoder_3"}  # fmt: skip


def test_a_word_that_clip_cuts_off_is_read_by_t5():
    pipe = tiny.sd3()
    long = "a cat " + "and a dog " * 30 + "and a lantern"
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, long, max_sequence_length=256)
    prompt = tracer.run.maps.prompt
    columns = prompt.word("lantern").columns
    assert {token.encoder for token in prompt.tokens if token.column in columns} == {
        "text_encoder_3"
    }
    with pytest.raises(daamkit.DaamkitError, match="cut at the model's limit"):
        prompt.word("lantern", encoder="text_encoder")


def test_the_miniature_flux_is_read():
    toy = daamkit.load("toybox")
    tokenizer = flux.learn_t5_tokenizer(tiny.CAPTIONS)
    pipe = flux.assemble(
        flux.transformer(), flux.t5(tokenizer), tokenizer, toy.text_encoder, toy.tokenizer, toy.vae
    )
    tiny.quiet(pipe)
    with daamkit.trace(pipe) as tracer:
        pipe("a red cat", num_inference_steps=1, max_sequence_length=32)
    assert tracer.run.maps.size == (128, 128)
    assert {layer.grid for layer in tracer.run.maps.layers.values()} == {(16, 16)}
