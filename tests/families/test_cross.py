"""Transformers with attention to text in modules of its own: PixArt, Sana, HunyuanDiT."""

import pytest

import daamkit
from daamkit.errors import DaamkitError
from tests.families import checks, tiny_cross

NAMES = ["pixart", "sana", "hunyuandit"]


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


def test_embeddings_with_their_text():
    pipe = tiny_cross.build("pixart")
    options = {"max_sequence_length": 24, "clean_caption": False}
    embeds, mask, negative, negative_mask = pipe.encode_prompt("a Red cat", **options)
    given = {
        "prompt_embeds": embeds,
        "prompt_attention_mask": mask,
        "negative_prompt": None,
        "negative_prompt_embeds": negative,
        "negative_prompt_attention_mask": negative_mask,
    }
    (plain,) = checks.traced(pipe, "pixart", prompt="a Red cat")
    (run,) = checks.traced(pipe, "pixart", {"prompt": "a red cat"}, prompt=None, **given)
    assert (run.maps.word("cat").values - plain.maps.word("cat").values).abs().max() < 1e-5
