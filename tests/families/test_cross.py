"""Transformers with attention to text in modules of its own: PixArt, Sana, HunyuanDiT."""

import sys
import types

import pytest
import torch

import daamkit
from daamkit.errors import DaamkitError
from tests.families import checks, tiny_cross

NAMES = ["pixart", "pixartalpha", "sana", "hunyuandit"]


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def pipe(name):
    return tiny_cross.build(name)


@pytest.fixture(scope="module")
def sana():
    return tiny_cross.build("sana")


def test_guidance_looks_where_the_word_is(pipe, name):
    checks.guided(pipe, name)


def test_self_attention_of_cells(pipe, name):
    if name == "sana":
        pytest.skip("its attention between cells is linear")
    (run,) = checks.traced(pipe, name, {"self_attention": True})
    height, width = tiny_cross.GRIDS[name]
    for layer in run.self_attention["cond"].layers.values():
        assert layer.values.shape == (height * width, height, width)


def test_linear_attention_has_no_maps(sana):
    for wish in ({"self_attention": True}, {"sites": "attn1"}):
        with pytest.raises(DaamkitError, match=r"attn1.*linear attention, which has no softmax"):
            checks.traced(sana, "sana", wish)
    with pytest.raises(DaamkitError, match="linear form alone"):
        pag = daamkit.PerturbedAttentionGuidance(layers="block")
        with daamkit.guide(sana, pag):
            tiny_cross.generate(sana, "sana")


@pytest.fixture
def cleaner(monkeypatch):
    """A pipeline that cleans its prompts, as by default it does where it can."""
    pytest.importorskip("bs4")

    def build(name):
        pipe = tiny_cross.build(name)
        module = sys.modules[type(pipe).__module__]
        monkeypatch.setattr(module, "is_ftfy_available", lambda: True)
        plain = types.SimpleNamespace(fix_text=lambda text: text)
        monkeypatch.setattr(module, "ftfy", plain, raising=False)
        return pipe

    return build


@pytest.mark.parametrize("name", ["pixart", "pixartalpha"])
@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        ("A <b>Red</b> cat &amp; the \u201cblue\u201d dog", 'a red cat the "blue" dog'),
        ("http://a.com/tree the dog\u2019s *** car \u2014 1", "the dog's car - 1"),
    ],
)
@pytest.mark.parametrize("negative", ["", "a tree", "\u201ca blue fox\u201d"])
def test_a_prompt_that_the_pipeline_cleans(name, prompt, cleaned, negative, cleaner):
    """Its words are those that are left."""
    pipe = cleaner(name)
    wish = {"branches": ("cond", "negative" if negative else "uncond")}
    options = {"prompt": [prompt, "a fox"], "negative_prompt": negative, "clean_caption": True}
    runs = checks.traced(pipe, name, wish, **options)
    said = {"prompt": [cleaned, "a fox"], "negative_prompt": negative.strip("\u201c\u201d")}
    for run, other in zip(runs, checks.traced(pipe, name, wish, **said), strict=True):
        assert run.maps.prompt.text == other.maps.prompt.text
        for branch in wish["branches"]:
            assert run.branch(branch).prompt == other.branch(branch).prompt
            for own, layer in run.branch(branch).layers.items():
                assert torch.equal(layer.values, other.branch(branch).layers[own].values)
    assert [run.prompt for run in runs] == [cleaned, "a fox"]


def test_a_negative_prompt_that_is_a_prompt_when_it_is_cleaned_is_not_mistaken(cleaner):
    """Then one row has been read, and it is not said whose."""
    pipe, wish = cleaner("pixart"), {"branches": ("cond", "negative")}
    options = {"negative_prompt": "\u201ca fox\u201d", "clean_caption": True}
    with pytest.raises(DaamkitError, match="the negative prompt; got 'a dog'"):
        checks.traced(pipe, "pixart", wish, prompt=["<b>a dog</b>", "a fox"], **options)
    (run,) = checks.traced(pipe, "pixart", wish, prompt="<b>a fox</b>", **options)
    assert run.prompt == run.branch("negative").prompt.text == "a fox"


def test_an_instruction_of_ones_own(sana):
    runs = [
        checks.traced(sana, "sana", {"branches": ("cond", "uncond")}, **options)[0]
        for options in (
            {"complex_human_instruction": ["under the tree", "beside: "]},
            {"complex_human_instruction": None},
            {"negative_prompt": "a red cat"},
        )
    ]
    kinds = [[token.special for token in run.maps.prompt.tokens] for run in runs]
    assert "template" in kinds[0] and "template" not in kinds[1]
    assert [token.text for token in runs[1].maps.prompt.tokens][1:4] == ["a", " red", " cat"]
    assert runs[2].branch("negative").prompt.text == "a red cat"
    assert "template" not in [t.special for t in runs[2].branch("negative").prompt.tokens]


def embedded(pipe, name, text, **how):
    """A call's arguments, with a text's embeddings in its place."""
    options = {"max_sequence_length": 24, "clean_caption": False} | how
    names = ("prompt_embeds", "prompt_attention_mask")
    names += tuple(f"negative_{each}" for each in names)
    given = dict(zip(names, pipe.encode_prompt(text, **options), strict=True))
    return {"prompt": None, "negative_prompt": None} | given


LONG = "a Red cat beside the BLUE car under a tree and a dog and a fox"


@pytest.mark.parametrize("name", ["pixart", "sana"])
@pytest.mark.parametrize("text", [" A Red cat ", LONG])
def test_embeddings_with_their_text(name, text):
    """The pipelines write it in lower case: of capitals, each would be a token of its own."""
    pipe = tiny_cross.build(name)
    more = {"complex_human_instruction": None} if name == "sana" else {}
    (plain,) = checks.traced(pipe, name, prompt=text, **more)
    given = embedded(pipe, name, text)
    for told in (text, text.lower()):
        (run,) = checks.traced(pipe, name, {"prompt": told}, **given)
        assert run.prompt == told
        assert (run.maps.mass - plain.maps.mass).abs().max() < 1e-6
        for word in ("red", "cat"):
            pair = [each.maps.word(word).values for each in (run, plain)]
            assert (pair[0] - pair[1]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("pixart", "a red cat and a dog", {}),
        ("sana", "a dog", {}),
        ("sana", "a red cat", {"complex_human_instruction": ["under the tree:"]}),
    ],
)
def test_a_text_of_another_length_than_its_embeddings_is_refused(name, text, how):
    pipe = tiny_cross.build(name)
    given = embedded(pipe, name, text, **how)
    with pytest.raises(DaamkitError, match="as `prompt_attention_mask` has places"):
        checks.traced(pipe, name, {"prompt": "a red cat"}, **given)


def test_embeddings_of_several_texts_and_images():
    pipe = tiny_cross.build("sana")
    texts = ["a red cat beside the dog", "a fox"]
    given = embedded(pipe, "sana", texts) | {"num_images_per_prompt": 2}
    runs = checks.traced(pipe, "sana", {"prompt": texts}, **given)
    assert [run.prompt for run in runs] == [text for text in texts for _ in range(2)]
