"""Models whose text and image attend in one softmax: each is read for what it is."""

import dataclasses

import pytest
import torch
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

import daamkit
from daamkit import prompts
from daamkit.attention import families, hooks
from daamkit.attention.taps import Tap
from tests.families import tiny_joint as tiny
from tests.families.kernel import Calls

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

    def begin(self, step):
        self.passes.append({})
        for branch in step.branches:
            self.read.setdefault(branch, prompts.texts(step.call, branch))

    def observe(self, attention):
        branches = {branch: attention.probabilities(branch) for branch in attention.branches}
        self.passes[-1][attention.site.name] = (branches, attention.layout, attention.site)
        self.keys.append(attention.key)


@pytest.fixture(scope="module")
def guided(case, pipe):
    """Two prompts of different length, two images each, under guidance: seen in three ways."""
    wanted = {"keep": ("step", "site", "head"), "branches": case.branches}
    options = case.guided | {"num_images_per_prompt": 2}
    plain = tiny.generate(pipe, TWO, **options)
    calls, seen = Calls(pipe.transformer), Seen()
    with calls, hooks.attach(pipe, seen), daamkit.trace(pipe, **wanted) as tracer:
        images = tiny.generate(pipe, TWO, **options)
    return plain, images, calls, seen, tracer.runs


def test_the_picture_is_not_touched(pipe, case, guided):
    plain, images, *_ = guided
    assert plain.shape == (4, 48, 32, 3) and (plain == images).all()
    alone = tiny.generate(pipe, **case.plain)
    with daamkit.trace(pipe, self_attention=case.build is tiny.sd35) as tracer:
        assert (tiny.generate(pipe, **case.plain) == alone).all()
    assert list(tracer.run.branches) == ["cond"] and tracer.run.maps.size == (48, 32)


def test_probabilities_equal_an_explicit_softmax_row_by_named_row(case, guided):
    *_, calls, seen, _ = guided
    per_step = len(case.branches) if case.apart else 1
    assert len(seen.passes) == len(calls.passes) == 2 * per_step
    for number, (told, kernels) in enumerate(zip(seen.passes, calls.passes, strict=True)):
        now = case.branches[number % per_step :][:1] if case.apart else case.branches
        assert len(told) == len(kernels)
        for (branches, _, _), explicit in zip(told.values(), kernels, strict=True):
            assert tuple(branches) == now
            for at, branch in enumerate(now):
                assert (branches[branch] - explicit[4 * at : 4 * at + 4]).abs().max() < 1e-5
                assert (branches[branch].sum(-1) - 1).abs().max() < 1e-5


def test_maps_are_what_the_words_keys_get(case, pipe, guided):
    *_, calls, seen, runs = guided
    per_step = len(case.branches) if case.apart else 1
    sites = list(seen.passes[0].values())
    lead = len(pipe.tokenizer(case.before).input_ids) if case.before else 0
    for at, branch in enumerate(case.branches):
        for order, (_, layout, site) in enumerate(sites):
            if site.kind == "self":
                continue
            for sample, run in enumerate(runs):
                for step in range(2):
                    number = step * per_step + (at if case.apart else 0)
                    row = sample + (0 if case.apart else 4 * at)
                    explicit = calls.passes[number][order][row].float()
                    layer = run.branch(branch).layers[site.name]
                    assert layer.group == site.group and layer.grid == layout.grid
                    compare(case, lead, run.branch(branch).prompt, layer.values[step], explicit)
    assert runs[1].prompt == TWO[0] and runs[2].prompt == TWO[1]


def compare(case, lead, prompt, values, explicit) -> None:
    """A layer's (heads, columns, y, x) with the kernel's (heads, queries, keys)."""
    image = values.shape[-2] * values.shape[-1]
    text = explicit.shape[-1] - image
    cells = slice(0, image) if case.image_first else slice(text, None)
    keys = slice(image, None) if case.image_first else slice(0, text)
    whole = explicit[:, cells, keys].transpose(-1, -2).unflatten(-1, values.shape[-2:])
    for encoder, start in case.starts.items():
        tokens = [token for token in prompt.tokens if token.encoder == encoder]
        own = [token for token in tokens if token.special not in ("padding", "template")]
        assert len(own) >= len(prompt.text.split())
        for nth, token in enumerate(own):
            assert (values[:, token.column] - whole[:, start + lead + nth]).abs().max() < 1e-5
    total = values[:, sorted({token.column for token in prompt.tokens})].sum(1)
    assert (total - whole.sum(1)).abs().max() < 1e-5


def deaf(pipe):
    """Let no token of a prompt reach another's place: no text encoder mixes places, and no pooled
    text modulates all of them."""
    named = ("SelfAttention.o.weight", "self_attn.out_proj.weight", "self_attn.out_proj.bias",
             "self_attn.o_proj.weight")  # fmt: skip
    for name, part in pipe.components.items():
        if name.startswith("text_encoder") and part is not None:
            for path, weight in part.named_parameters():
                if path.endswith(named):
                    weight.data.zero_()
    for path, weight in pipe.transformer.named_parameters():
        if path.startswith("time_text_embed.text_embedder"):
            weight.data.zero_()
    return pipe


def test_another_word_moves_the_very_columns_called_that_word(case):
    pipe = deaf(case.build())
    taps = []
    for word in ("cat", "dog"):
        taps.append(Seen())
        with hooks.attach(pipe, taps[-1]):
            tiny.generate(pipe, f"a red {word} on the grass", **case.plain)
    branches, layout, _ = next(iter(taps[0].passes[0].values()))
    both = [tap.keys[0][0].transpose(0, 1).flatten(1) for tap in taps]
    moved = {int(key) for key in (both[0] != both[1]).any(-1).nonzero()}
    read = taps[0].read["cond"][0]
    named = set()
    for span in layout.text[0]:
        columns = read.columns[span.encoder]
        own = {read.prompt.word("cat", encoder=name).columns for name in read.prompt.texts}
        called = {column for each in own for column in each}
        named |= {
            span.start + place
            for place in range(span.length)
            if columns[span.first + place] in called
        }
    assert moved == named and moved
    word = read.prompt.word("cat")
    assert len(word.parts) == (2 if len(case.starts) == 3 else 0)


def test_saved_and_opened_again(guided, tmp_path):
    *_, runs = guided
    runs[3].save(tmp_path / "run")
    again = daamkit.open(tmp_path / "run")
    word = again.maps.word("lantern")
    assert torch.equal(word.values, runs[3].maps.word("lantern").values)
    assert again.maps.prompt == runs[3].maps.prompt
    assert len(again.table()) == len(TWO[1].split())


def test_family_and_sites_are_told(pipe):
    found = families.find(pipe.transformer)
    assert {site.group for site in found} <= {"double", "single"}
    assert [site.order for site in found] == list(range(len(found)))
    assert all(site.reads_text or site.reads_image for site in found)
