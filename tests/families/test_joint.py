"""Models whose text and image attend in one softmax: each is read for what it is."""

import dataclasses
import sys

import pytest
import torch
from diffusers import (
    AutoencoderKLQwenImage,
    Flux2KleinKVPipeline,
    FluxControlPipeline,
    FluxKontextPipeline,
    QwenImageEditPipeline,
    QwenImageLayeredPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from PIL import Image

import daamkit
from daamkit import prompts
from daamkit.attention import families, hooks
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import of_keys
from daamkit.attention.taps import Tap
from tests.families import every
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


def test_cells_look_at_cells_in_the_same_softmax(pipe, case):
    """Of texts of other lengths each image has its cells at places of its own."""
    seen = Seen()
    with hooks.attach(pipe, seen), daamkit.trace(pipe, self_attention=True) as tracer:
        tiny.generate(pipe, TWO, **case.guided)
    for sample, run in enumerate(tracer.runs):
        looks = run.self_attention["cond"]
        assert {name for layer in looks.layers.values() for name in layer.sites} == {
            name
            for passed in seen.passes
            for name, (*_, site) in passed.items()
            if site.reads_image
        }
        for name, layer in looks.layers.items():
            total = 0.0
            for passed in seen.passes:
                if "cond" not in passed[name][0]:
                    continue
                branches, layout, _ = passed[name]
                own = branches["cond"][sample]
                cells = layout.cells_of(slice(0, 2))[sample]  # both branches' rows have the same
                total = total + own[:, cells][..., cells].sum(0).mT
            found = layer.values.flatten(-2)
            assert torch.allclose(found, total, atol=1e-4)
            (site,) = {p[name][2] for p in seen.passes if name in p}
            whole = found.sum(0).max() / (layer.heads * looks.steps)
            assert whole < 1 if site.kind == "joint" else whole == pytest.approx(1)


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


@pytest.mark.parametrize("name", ["klein", "flux2"])
def test_a_place_that_is_a_cell_is_put_back_where_it_was(name):
    """These pipelines are given latents as images, of all a cell's channels, and pack them."""
    case = CASES[name]
    pipe, tap = case.build(), Moving()
    with hooks.attach(pipe, tap):
        moved = tiny.generate(pipe, TWO, **case.guided)
    assert tap.image.shape[1:] == (16, *tap.grid) and tap.grid == (12, 8)
    assert (tiny.generate(pipe, TWO, latents=tap.image, **case.guided) == moved).all()


def test_each_of_several_images_of_a_prompt_is_guided_as_alone():
    """Qwen-Image has the shapes of a prompt's pictures once for all its images."""
    case, pipe = every.CASES["qwenimage"], tiny.qwen()
    pag = daamkit.PerturbedAttentionGuidance(layers="double")
    with daamkit.guide(pipe, pag):
        both = every.generate(case, pipe, ["a red cat"], [3, 4], num_images_per_prompt=2)
        alone = [every.generate(case, pipe, "a red cat", seed) for seed in (3, 4)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-4)
    assert not torch.allclose(both[:1], every.generate(case, pipe, "a red cat", 3), atol=1e-2)
    with daamkit.trace(pipe, concepts=["sky", "cat"]) as tracer:
        every.generate(case, pipe, ["a red cat", "a fox"], range(4), num_images_per_prompt=2)
    assert len(tracer.runs) == 4


def test_packed_latents_are_unpacked_as_the_pipeline_does():
    pipe = tiny.flux1()
    noisy = torch.randn(1, 12 * 8, 16)
    now = Pass(Call(pipe, {}), 0, 1.0, {"cond": slice(0, 1)}, (12, 8))
    own = families.family_of(pipe).unpack(now, noisy)
    assert torch.equal(own, pipe._unpack_latents(noisy, 48, 32, pipe.vae_scale_factor))


def edited(pipe, colour: str, size: tuple[int, int], **options) -> tuple[Seen, daamkit.Run]:
    """What is seen of a picture of a colour and (width, height) that is edited."""
    seen, options = Seen(), options | {"image": Image.new("RGB", size, colour)}
    plain = tiny.generate(pipe, "a red cat", **options)
    with hooks.attach(pipe, seen), daamkit.trace(pipe, relations={"image_to_image": "all"}) as own:
        assert (tiny.generate(pipe, "a red cat", **options) == plain).all()
    return seen, own.run


def none_of_the_cells(pair: list[Seen], text: int, cells: int, picture: int) -> None:
    """Of two pictures, the keys of the image's cells are the same at first; those after are not."""
    for seen in pair:
        for branches, layout, _ in seen.passes[0].values():
            assert branches["cond"].shape[-1] == text + cells + picture
            assert layout.cells == slice(text, text + cells)
    one, other = (seen.keys[0][0, :, text:] for seen in pair)
    assert torch.equal(one[:, :cells], other[:, :cells]) and picture
    assert not torch.isclose(one[:, cells:], other[:, cells:], atol=1e-4).all(-1).any()


@pytest.mark.parametrize("size", [(32, 48), (64, 40), (16, 24)])
def test_the_picture_to_edit_is_none_of_the_cells(size):
    """Be it as large as the image or not. What it gets is what text and cells leave."""
    pipe = tiny.flux1(kind=FluxKontextPipeline)
    options = SHORT | {"max_area": 48 * 32, "_auto_resize": False}
    pair = [edited(pipe, colour, size, **options) for colour in ("red", "blue")]
    none_of_the_cells([seen for seen, _ in pair], 32, 96, size[0] * size[1] // 16)
    for seen, run in pair:
        assert run.maps.word("cat").size == (48, 32)
        (layer,) = [each for each in run.maps.layers.values() if each.order == 0]
        looks = run.related["image_to_image"].layers[layer.name].values.flatten(-2)
        text = layer.values.sum(-3).flatten(-2)
        each = [passed[layer.name][0]["cond"][0] for passed in seen.passes]
        rest = sum(shares[:, 32:128, 128:].sum(-1) for shares in each)
        whole = text.sum(0) + looks.sum((0, -1)) + rest.sum(0)
        assert (whole - len(each) * layer.heads).abs().max() < 1e-4 and rest.min() > 0


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_a_picture_in_the_chat_has_places_after_the_image_too(ratio, monkeypatch):
    module = sys.modules[QwenImageEditPipeline.__module__]
    monkeypatch.setattr(module, "calculate_dimensions", lambda area, _: (64, int(64 * ratio), None))
    pipe, texts = tiny.qwen(kind=QwenImageEditPipeline), []
    pair = [edited(pipe, colour, (64, 64))[0] for colour in ("red", "blue")]
    for seen in pair:
        ((_, layout, _), *_) = seen.passes[0].values()
        assert layout.grid == (6, 4)
        texts.append(layout.cells.start)
    none_of_the_cells(pair, texts[0], 24, int(64 * ratio))


class Heard(Tap):
    """The text that enters the denoiser, and which of its places are a word's."""

    def __init__(self, word):
        self.word = word

    def begin(self, now):
        self.text = now.text[0][0]

    def wants(self, site):
        return site.kind == "joint"

    def observe(self, attention):
        (read,) = prompts.texts(attention.now.call, "cond")
        (spans,) = attention.layout.text
        self.places = read.keys(spans, read.prompt.word(self.word).columns)


@tiny.of_pictures
def test_pictures_in_the_chat_shift_no_word(kind, pictures, monkeypatch):
    """As many places of the text as they are large stand before the prompt's."""
    pipe = tiny.qwen_edit(kind, monkeypatch)
    picture = Image.new("RGB", (32, 48), "red")
    options = {"image": [picture] * pictures if pictures > 1 else picture, "output_type": "latent"}
    plain = tiny.generate(pipe, "a red cat", **options)
    cat, dog = Heard("cat"), Heard("dog")
    for tap in (cat, dog):
        with hooks.attach(pipe, tap), daamkit.trace(pipe) as tracer:
            found = tiny.generate(pipe, f"a red {tap.word}", **options)
        assert torch.equal(found, plain) == (tap is cat)
    assert [each.word.text for each in tracer.run.maps.words()] == ["a", "red", "dog"]
    changed = (cat.text != dog.text).any(-1).nonzero().flatten()  # what follows has heard it
    assert cat.places[0] == dog.places[0] == changed[0] > 2 * pictures


def test_a_tokenizer_within_a_processor_is_found():
    """As FLUX.2 [dev] has it: all that is read is the same."""
    found = []
    for around in (lambda tokenizer: tokenizer, tiny.Processor):
        pipe = tiny.flux2()
        pipe.tokenizer = around(pipe.tokenizer)
        with daamkit.trace(pipe, concepts=["dog"]) as tracer:
            picture = tiny.generate(pipe, TWO, **LONG)
        with daamkit.edit(pipe, daamkit.Exchange("cat", "a red dog")):
            edited = tiny.generate(pipe, TWO[0], **LONG)
        found.append((picture, edited, tracer.runs))
    (plain, moved, runs), (same, again, others) = found
    assert (plain == same).all() and (moved == again).all() and not (plain[:1] == moved).all()
    for run, other in zip(runs, others, strict=True):
        assert run.maps.prompt == other.maps.prompt
        assert torch.equal(run.maps.pool(), other.maps.pool())
        assert torch.equal(run.maps.concept("dog").values, other.maps.concept("dog").values)


def test_a_picture_that_controls_is_not_denoised():
    """A control LoRA widens the model's input, and says so in its configuration."""
    pipe, tap = tiny.flux1(kind=FluxControlPipeline), Moving()
    model = pipe.transformer
    wide = torch.nn.Linear(32, model.inner_dim)
    with torch.no_grad():
        wide.weight.copy_(torch.cat([model.x_embedder.weight, model.x_embedder.weight.flip(1)], 1))
    model.x_embedder = wide
    model.register_to_config(in_channels=32)
    assert model.config.out_channels is None
    picture = Image.linear_gradient("L").convert("RGB").resize((32, 48))
    options = SHORT | {"control_image": picture, "output_type": "latent"}
    plain = tiny.generate(pipe, "a red cat", **options)
    with hooks.attach(pipe, tap):
        moved = tiny.generate(pipe, "a red cat", **options)
    assert tap.moved.shape == plain.shape == (1, 96, 16) and not torch.equal(moved, plain)
    with daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"])):
        assert not torch.equal(tiny.generate(pipe, "a red cat", **options), plain)


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


def test_layers_that_a_branch_skips_are_not_counted_in_a_sum():
    pipe, found = tiny.sd3(), []
    for keep in (("site",), (), ("step",), ("head",)):
        with daamkit.trace(pipe, branches=("cond", "perturbed"), keep=keep) as tracer:
            tiny.generate(
                pipe, skip_guidance_layers=[1], skip_layer_guidance_start=-1.0,
                skip_layer_guidance_stop=1.0, **SHORT,
            )  # fmt: skip
        found.append(tracer.run.branch("perturbed"))
    for maps in found:
        assert sum(layer.heads for layer in maps.layers.values()) == 8
        assert torch.allclose(maps.mass, found[0].mass, atol=1e-6)
        peaks = [float(each.word("cat").values.max()) for each in (maps, found[0])]
        assert peaks[0] == pytest.approx(peaks[1], rel=1e-3)


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
    pipe = tiny.toybox_flux()
    with daamkit.trace(pipe) as tracer:
        pipe("a red cat", num_inference_steps=1, max_sequence_length=32)
    assert tracer.run.maps.size == (128, 128)
    assert {layer.grid for layer in tracer.run.maps.layers.values()} == {(16, 16)}


def test_embeddings_of_a_text_that_is_padded_on_the_left():
    pipe = tiny.flux2()
    pipe.tokenizer.padding_side = "left"
    embeds, _ = pipe.encode_prompt("a red cat", **LONG)
    with daamkit.trace(pipe, prompt="a red cat") as tracer:
        said = tiny.generate(pipe, "a red cat", **LONG)
        given = tiny.generate(pipe, None, prompt_embeds=embeds, **LONG)
    plain, run = (run.maps for run in tracer.runs)
    assert (said == given).all() and run.prompt == plain.prompt
    assert torch.equal(run.mass, plain.mass)


def test_pictures_before_the_image_whose_keys_are_kept_are_refused(monkeypatch):
    own = tiny.klein()
    parts = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")
    pipe = tiny.quiet(Flux2KleinKVPipeline(**{name: getattr(own, name) for name in parts}))
    monkeypatch.setattr(pipe.image_processor, "check_image_input", lambda *_, **__: None)
    picture = Image.new("RGB", (32, 48), "red")
    with pytest.raises(daamkit.DaamkitError, match="kv_cache_mode='extract'"), daamkit.trace(pipe):
        tiny.generate(pipe, image=picture, **CHAT)
    with daamkit.trace(pipe) as tracer:
        tiny.generate(pipe, "a red cat", **CHAT)
    with daamkit.trace(own) as plain:
        tiny.generate(own, "a red cat", guidance_scale=1.0, **CHAT)
    word, other = (each.run.maps.word("cat").values for each in (tracer, plain))
    assert torch.allclose(word, other, atol=1e-5)


def test_layers_side_by_side_are_refused():
    own = tiny.qwen()
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=8, dim_mult=[1] * 6, num_res_blocks=1, temperal_downsample=[False] * 5,
        latents_mean=[0.0] * 8, latents_std=[1.0] * 8, input_channels=4,
    )  # fmt: skip
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=32, out_channels=8, num_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 6, 6),
        use_additional_t_cond=True, use_layer3d_rope=True,
    )  # fmt: skip
    pipe = QwenImageLayeredPipeline(
        own.scheduler, vae.eval(), own.text_encoder, own.tokenizer, None, transformer.eval()
    )
    pipe.prompt_template_encode_start_idx = own.prompt_template_encode_start_idx
    tiny.quiet(pipe)
    with pytest.raises(daamkit.DaamkitError, match="several layers"), daamkit.trace(pipe):
        pipe(
            image=Image.new("RGBA", (64, 64), "red"), prompt="a red cat", layers=2,
            num_inference_steps=1, true_cfg_scale=1.0,
        )  # fmt: skip
