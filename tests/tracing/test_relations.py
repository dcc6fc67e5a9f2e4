"""What chosen words and cells attend to, beside an explicit softmax over all keys."""

from dataclasses import replace

import pytest
import torch

import daamkit
from daamkit import prompts
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.tracing import sources
from tests import tiny
from tests.families import every, tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
TWO = ["a red cat beside the dog", "a cat"]
SHORT = {"max_sequence_length": 32}
CHAT = {"max_sequence_length": 64, "text_encoder_out_layers": (1, 2, 3)}
JOINT = {
    "flux": (tiny_joint.flux1, SHORT),
    "sd3": (tiny_joint.sd3, SHORT),
    "sd35": (tiny_joint.sd35, SHORT),
    "klein": (tiny_joint.klein, CHAT | {"guidance_scale": 4.0}),
    "flux2": (tiny_joint.flux2, CHAT | {"max_sequence_length": 512}),
    "chroma": (tiny_joint.chroma, SHORT | {"guidance_scale": 1.0}),
    "qwen": (tiny_joint.qwen, {}),
}
SINGLE = ["zimage", "lumina2", "auraflow", "cogview4"]
OTHERS = ["hidream", "cogvideox"]  # encoder after encoder; cells in frames
PIXEL = (12, 9)
ASKED = {
    "text_to_image": ["cat"],
    "text_to_text": "cat",
    "image_to_image": [PIXEL, (0, 0)],
    "image_to_text": PIXEL,
}


def draw(name: str, pipe, prompt=TWO, **options):
    options = {"num_inference_steps": 1, "output_type": "latent"} | options
    if name in JOINT:
        return tiny_joint.generate(pipe, list(prompt), **JOINT[name][1], **options)
    if name in OTHERS:
        return every.generate(every.CASES[name], pipe, list(prompt), [0, 1], **options)
    return tiny_cross.generate(pipe, name, prompt=list(prompt), **options)


class Explicit(Tap):
    """A float64 softmax at each site of the prompt's pass, with its layout and texts."""

    def begin(self, now):
        if "cond" in now.branches:
            self.read = prompts.texts(now.call, "cond")

    def __init__(self) -> None:
        self.seen: dict = {}

    def observe(self, attention):
        if "cond" not in attention.branches:
            return
        rows = attention.branches["cond"]
        scores = attention.query.double() @ attention.key.double().mT * attention.scale
        if attention.mask is not None and attention.mask.dtype == torch.bool:
            scores = scores.masked_fill(~attention.mask, -torch.inf)
        elif attention.mask is not None:
            scores = scores + attention.mask
        self.seen[attention.site.name] = scores.softmax(-1)[rows], attention.layout.for_rows(rows)


def keys_of(read, spans, columns) -> list[int]:
    return [
        span.start + at
        for span in spans
        for at in range(span.length)
        if read.columns[span.encoder][span.first + at] in columns
    ]


def built(name: str):
    if name in OTHERS:
        return every.CASES[name].build()
    return JOINT[name][0]() if name in JOINT else tiny_cross.build(name)


def of_cells(run, relation, site) -> torch.Tensor:
    """(heads, sources, cells)"""
    layer = run.related[relation].layers[site]
    whole = layer.values.movedim(-4, -3) if layer.frames else layer.values
    return whole.flatten(-3 if layer.frames else -2)


@pytest.mark.parametrize("name", [*JOINT, *SINGLE, *OTHERS])
def test_each_relation_is_its_part_of_the_whole_softmax(name):
    pipe = built(name)
    explicit = Explicit()
    with hooks.attach(pipe, explicit):
        plain = draw(name, pipe)
    with daamkit.trace(pipe, relations=ASKED) as tracer:
        assert torch.equal(torch.as_tensor(draw(name, pipe)), torch.as_tensor(plain))
    for sample, run in enumerate(tracer.runs):
        read, checked = explicit.read[sample], 0
        for site, (whole, layout) in explicit.seen.items():
            spans = layout.text[sample] if layout.text else ()
            (cells,) = {str(c): c for c in layout.cells_of(slice(sample, sample + 1))}.values()
            image = [*range(whole.shape[2])[cells]]
            cat = [keys_of(read, spans, part) for part in parts(run)]
            if site in run.related["text_to_text"].layers:
                kept = run.related["text_to_text"].layers[site].values[:, 0, 0]
                mean = torch.stack([whole[sample][:, own].mean(1) for own in cat]).mean(0)
                for token in run.maps.prompt.tokens:
                    own = keys_of(read, spans, [token.column])
                    if not shared(run, token):
                        assert (kept[:, token.column] - mean[:, own].sum(-1)).abs().max() < 1e-5
                checked += 1
            if site not in run.related["text_to_image"].layers:
                continue
            kept = of_cells(run, "text_to_image", site)
            assert (kept[:, 0] - mean[:, image]).abs().max() < 1e-5
            looks = image[cell(layout.grid, run.maps.size)]
            kept = of_cells(run, "image_to_image", site)
            assert (kept[:, 0] - whole[sample][:, looks][:, image]).abs().max() < 1e-5
            kept = run.related["image_to_text"].layers[site].values[:, 0, 0].sum(-1)
            text = sorted({k for s in spans for k in range(s.start, s.start + s.length)})
            assert (kept - whole[sample][:, looks][:, text].sum(-1)).abs().max() < 1e-5
        assert checked


@pytest.mark.parametrize(("name", "filled"), [("hidream", 36), ("zimage", 32)])
def test_what_text_and_cells_leave_is_paid_to_places_that_fill_the_image_up(name, filled):
    """HiDream's zeros where it is not square, Z-Image's learned places up to a multiple of 32."""
    pipe, explicit = built(name), Explicit()
    with (
        hooks.attach(pipe, explicit),
        daamkit.trace(pipe, relations={"image_to_image": "all"}) as own,
    ):
        draw(name, pipe)
    for sample, run in enumerate(own.runs):
        for site, layer in run.maps.layers.items():
            whole, layout = explicit.seen[site]
            (cells,) = {str(c): c for c in layout.cells_of(slice(sample, sample + 1))}.values()
            text = layer.values.sum(-3).flatten(-2)
            looks = of_cells(run, "image_to_image", site).sum(-1)
            fill = whole[sample][:, cells, cells.stop : filled].sum(-1)
            assert (text + looks + fill - 1).abs().max() < 1e-5 < fill.min()


def parts(run):
    word = run.maps.prompt.word("cat")
    return word.parts or (word.columns,)


def shared(run, token) -> bool:
    """Whether another encoder's token has the same column."""
    return sum(other.column == token.column for other in run.maps.prompt.tokens) > 1


def cell(grid, size) -> int:
    return int(PIXEL[0] * grid[-2] / size[0]) * grid[-1] + int(PIXEL[1] * grid[-1] / size[1])


@pytest.fixture(scope="module")
def flux():
    pipe = tiny_joint.flux1()
    relations = {"image_to_image": "all", "text_to_image": "all", "text_to_text": "all"}
    with daamkit.trace(pipe, keep=("step", "site"), relations=relations) as tracer:
        draw("flux", pipe, TWO[:1], num_inference_steps=2)
    return tracer.run


def test_what_a_word_pays_sums_to_one(flux):
    table = flux.related["text_to_text"].table()
    to_text = table.groupby("source", sort=False)["share"].sum()
    to_image = flux.related["text_to_image"].table().set_index("source")["share"]
    assert torch.allclose(torch.tensor((to_text + to_image).tolist()), torch.ones(len(to_text)))
    assert {"cat", "padding", "EOS"} <= set(table["source"])
    assert set(table.dropna()["special"]) <= {"EOS", "padding"}


REFINED = {  # models that refine a text before it meets the image; sizes that nothing fills up
    "zimage": {"height": 16, "width": 32},
    "lumina2": {},
    "hunyuanvideo": {"prompt": 'a red cat says "fox"'},  # which a second encoder reads alone
}


def refined(name, **options):
    """What words of two steps attend to."""
    case, asked = every.CASES[name], {"text_to_image": "all", "text_to_text": "all"}
    pipe = case.build()
    with daamkit.trace(pipe, relations=asked, **options) as tracer:
        every.generate(case, pipe, **case.alone | REFINED[name])
    return tracer.run


@pytest.mark.parametrize("keep", [("step", "site", "head"), ()])
@pytest.mark.parametrize("name", REFINED)
def test_refiners_of_text_are_not_in_the_mean(name, keep, tmp_path):
    run = refined(name, keep=keep)
    text, image = (run.related[relation] for relation in ("text_to_text", "text_to_image"))
    sources = list(dict.fromkeys(text.table()["source"]))
    assert {"cat", "template"} <= set(sources) and sources == list(image.table()["source"])
    for source in sources:
        assert text.of(source).sum() + image.of(source).sum() == pytest.approx(1, abs=1e-5)
    (refiners,) = {layer.group for layer in text.layers.values()} - {"layer", "block"}
    alone = text.select(sites=refiners)
    assert alone.of("cat").sum() == pytest.approx(1, abs=1e-5)  # where cells are not looked at
    assert text.of("cat").sum() < 0.9
    both = text.select(sites=lambda layer: True)
    named = refined(name, keep=keep, sites=[site.split(".")[0] for site in sites_of(text)])
    again = daamkit.open(run.save(tmp_path / "run")).related["text_to_text"]
    for part in (both, named.related["text_to_text"]):
        assert torch.allclose(part.of("cat"), over_sites(text, alone.of("cat"), text.of("cat")))
    assert torch.equal(again.of("cat"), text.of("cat"))


def sites_of(related) -> list[str]:
    return [site for layer in related.layers.values() for site in layer.sites]


def over_sites(related, refined, joint) -> torch.Tensor:
    """The mean of all sites: one of a refiner, two of joint attention."""
    assert len(sites_of(related)) == 3
    return (refined + 2 * joint) / 3


@pytest.mark.parametrize("keep", [("step", "site", "head"), ()])
def test_a_layer_at_which_a_word_has_no_place_is_not_in_the_mean(keep):
    """HunyuanVideo's refiner is of one of two encoders; only the other's text has an end."""
    text = refined("hunyuanvideo", keep=keep).related["text_to_text"]
    both, alone = text.select(sites=lambda layer: True), text.select(sites="refiner")
    assert torch.equal(both.of("EOS"), text.of("EOS")) and text.of("EOS").sum() > 0.1
    assert not torch.allclose(both.of("cat"), text.of("cat"), rtol=1e-2)
    assert "EOS" in set(text.table()["source"]) - set(alone.table()["source"])
    with pytest.raises(DaamkitError, match="what 'EOS' attends to; got layers at .*refiner"):
        alone.of("EOS")
    with pytest.raises(DaamkitError, match="what 'padding' attends to.*hidden text has no place"):
        text.of("padding")


def test_a_map_of_a_word_and_of_a_cell(flux):
    words, cells = flux.related["text_to_image"], flux.related["image_to_image"]
    assert words.map("cat").mask().shape == flux.maps.size
    first = words.select(sites="single", steps=0)
    assert first.steps == 1 and len(first.layers) == 3
    several = [
        words.select(sites=lambda layer, name=name: layer.name == name).of("cat")
        for name in words.layers
    ]
    assert torch.allclose(words.of("cat"), torch.stack(several).mean(0))
    shares = cells.of(PIXEL)
    assert shares.shape == (12, 8) and 0 < shares.sum() < 1
    own = flux.related["image_to_image"].layers["transformer_blocks.0.attn"].values
    assert own.shape == (2, 96, 12, 8)
    with pytest.raises(DaamkitError, match="within 48 x 32"):
        cells.of((50, 0))


@pytest.mark.parametrize("keep", [("site", "head"), ()])
def test_a_phrase_of_chosen_words_pays_what_it_does_when_it_is_chosen(keep):
    """Of two words with one token and with several; words that stand apart are no phrase."""
    prompt = ["a red flamingo beside the dog"]
    found = {}
    for chosen in (["red flamingo"], "all", ["red"]):
        pipe = built("flux")
        with daamkit.trace(pipe, relations={"text_to_image": chosen}, keep=keep) as tracer:
            draw("flux", pipe, prompt)
        found[str(chosen)] = tracer.run.related["text_to_image"]
    every = found["all"]
    tokens = [len(tracer.run.maps.prompt.word(word).columns) for word in ("red", "flamingo")]
    assert tokens[0] != tokens[1]
    own = every.map("red flamingo")
    assert (own.word.text, own.word.start, own.word.end) == ("red flamingo", 2, 14)
    wanted = found["['red flamingo']"].of("red flamingo")
    torch.testing.assert_close(own.values, wanted, rtol=1e-5, atol=0)
    assert not torch.allclose(own.values, every.of("red"), rtol=1e-3)
    with pytest.raises(DaamkitError, match="what 'red flamingo' attends to"):
        found["['red']"].of("red flamingo")


def test_a_phrase_that_two_encoders_have_read_is_to_be_chosen():
    """Its map is the mean of theirs, which means over words do not give."""
    pipe = built("sd3")
    with daamkit.trace(pipe, relations={"text_to_image": "all"}) as tracer:
        draw("sd3", pipe)
    with pytest.raises(DaamkitError, match="Name it in `relations="):
        tracer.runs[0].related["text_to_image"].of("red cat")


def test_self_attention_of_a_unet_is_the_same(sd):
    asked = {"image_to_image": [(8, 8), (40, 20)], "image_to_text": [(8, 8)]}
    with daamkit.trace(sd, self_attention=True, relations=asked) as tracer:
        tiny.generate(sd, steps=1)
    run = tracer.run
    for pixel in asked["image_to_image"]:
        shares = run.related["image_to_image"].of(pixel)
        assert torch.allclose(shares, run.self_attention["cond"].attention_from(*pixel), atol=1e-6)
    table = run.related["image_to_text"].table()
    assert table.drop_duplicates("column")["share"].sum() == pytest.approx(1, abs=1e-4)


def test_only_what_was_chosen_is_kept(sd):
    with daamkit.trace(sd, keep=(), relations={"image_to_image": PIXEL}) as tracer:
        tiny.generate(sd, steps=1)
    related = tracer.run.related["image_to_image"]
    assert all(layer.values.shape[0] == 1 for layer in related.layers.values())
    with pytest.raises(DaamkitError, match="Name it in `relations="):
        related.of((1, 1))


@pytest.mark.parametrize(
    ("relations", "told"),
    [
        ({"text_to_image": ["cat"]}, "its text attends to nothing"),
        ({"image_to_words": "all"}, "wanted a relation of"),
        ({"image_to_image": "cat"}, "wanted pixels"),
        ({"image_to_text": []}, "wanted pixels"),
    ],
)
def test_what_cannot_be_kept_says_why(sd, relations, told):
    with pytest.raises(DaamkitError, match=told), daamkit.trace(sd, relations=relations):
        tiny.generate(sd, steps=1)


def test_linear_attention_has_no_relation_of_cells():
    pipe = tiny_cross.build("sana")
    with (
        pytest.raises(DaamkitError, match="linear"),
        daamkit.trace(pipe, relations={"image_to_image": PIXEL}),
    ):
        draw("sana", pipe, TWO[:1])


def test_a_full_map_is_over_the_budget_before_a_step():
    pipe = tiny_joint.flux1()
    all_cells = {"image_to_image": "all"}
    with (
        pytest.raises(DaamkitError, match="bytes of attention maps"),
        daamkit.trace(pipe, relations=all_cells, budget=200_000),
    ):
        draw("flux", pipe, TWO[:1])


def test_means_over_tokens_are_exact_whatever_type_a_script_has_set():
    """In bfloat16 three thirds make 1.002."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        weights = sources.weights([sources.Group(((4, 5, 6),))], [4, 5, 6])
    finally:
        torch.set_default_dtype(torch.float32)
    assert weights.dtype == torch.float32
    assert weights[0].tolist() == pytest.approx([1 / 3] * 3, abs=1e-7)


@pytest.mark.parametrize("keep", [("site",), ("step", "site"), ()])
def test_each_of_two_denoisers_counts_for_the_steps_that_it_has_run(keep, tmp_path):
    case = every.CASES["wan22"]
    asked = {"image_to_text": [(4, 4)], "image_to_image": [(4, 4)]}
    pipe = case.build()
    with daamkit.trace(pipe, relations=asked, keep=keep) as tracer:
        every.generate(case, pipe)
    for related in tracer.run.related.values():
        assert {layer.ran for layer in related.layers.values()} == {(0,), (1,)}
        assert related.of((4, 4)).sum() == pytest.approx(1, abs=1e-5)
        if "step" in keep:
            parts = [related.select(steps=step) for step in (0, 1)]
            assert all(part.of((4, 4)).sum() == pytest.approx(1, abs=1e-5) for part in parts)
            mean = torch.stack([part.of((4, 4)) for part in parts]).mean(0)
            assert torch.allclose(related.of((4, 4)), mean, atol=1e-6)
    text = tracer.run.related["image_to_text"]
    run = replace(tracer.run, related={"image_to_text": text})
    again = daamkit.open(run.save(tmp_path / "run")).related["image_to_text"]
    assert torch.equal(again.of((4, 4)), text.of((4, 4)))


def binned(**options):
    """PixArt with a model's own sizes, 256 pixels a side and thereabouts."""
    torch.manual_seed(0)
    pipe = tiny_cross.pixart()
    pipe.transformer.register_to_config(sample_size=32)
    pipe.vae, pipe.vae_scale_factor = tiny_cross.autoencoder(4), 8
    size = {"use_resolution_binning": True, "height": 128, "width": 128, "output_type": "np"}
    return pipe, size | {"num_inference_steps": 1} | options


@pytest.mark.parametrize("side", [128, 512])
def test_a_pixel_is_one_of_the_picture_that_is_returned(side):
    """256 pixels are decoded and then resized."""
    pipe, call = binned(height=side, width=side)
    pixel, found = (side * 0.8, side * 0.15), []
    for chosen in ([pixel], "all"):
        with daamkit.trace(pipe, relations={"image_to_image": chosen}) as tracer:
            tiny_cross.generate(pipe, "pixart", **call)
        assert tracer.run.maps.size == (side, side)
        found.append(tracer.run.related["image_to_image"].of(pixel))
    assert torch.allclose(*found, atol=1e-6)
    layer = tracer.run.related["image_to_image"].layers["transformer_blocks.0.attn1"]
    assert layer.grid == (16, 16)


@pytest.mark.parametrize("relations", [None, {"image_to_image": [(4, 4)]}])
def test_a_picture_that_is_cropped_is_refused(relations):
    pipe, call = binned(height=144, width=256)
    passes = []
    hook = pipe.transformer.register_forward_hook(lambda *_: passes.append(1))
    with (
        pytest.raises(DaamkitError, match=r"144 x 256 .* out of 192 x 336.*resolution_binning=F"),
        daamkit.trace(pipe, relations=relations),
    ):
        tiny_cross.generate(pipe, "pixart", **call)
    hook.remove()
    assert not passes  # before any time is spent
    for free in ({"use_resolution_binning": False}, {"output_type": "latent"}):
        with daamkit.trace(pipe, relations=relations) as tracer:
            tiny_cross.generate(pipe, "pixart", **call | free)
        assert tracer.run.maps.size == ((144, 256) if "output_type" not in free else (192, 336))


def test_all_cells_of_a_video():
    case, pixel = every.CASES["wan"], (12, 30)
    pipe, found = case.build(), []
    for chosen in ([pixel], "all"):
        with daamkit.trace(pipe, relations={"image_to_image": chosen}) as tracer:
            every.generate(case, pipe)
        found.append(tracer.run.related["image_to_image"].of(pixel))
    assert found[0].shape == (3, 2, 6) and torch.allclose(*found, atol=1e-6)
    with (
        pytest.raises(DaamkitError, match="all cells of a video"),
        daamkit.trace(pipe, relations={"image_to_text": "all"}),
    ):
        every.generate(case, pipe)
