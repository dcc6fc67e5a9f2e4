"""Words that the prompt has not got: where they are, and that the picture does not know."""

import pytest
import torch

import daamkit
from daamkit.attention import hooks
from daamkit.attention.stores import MemoryBudgetError
from daamkit.attribution.concepts import ConceptAttention
from daamkit.errors import DaamkitError
from daamkit.maps.words import WordError
from daamkit.tracing import extra
from daamkit.tracing.concepts import Concepts
from tests import tiny
from tests.families import every, tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
SHORT = {"max_sequence_length": 32, "output_type": "latent"}
JOINT = {
    "flux": tiny_joint.flux1,
    "sd3": tiny_joint.sd3,
    "chroma": tiny_joint.chroma,
}


@pytest.mark.parametrize("name", JOINT)
def test_joint_attention_has_a_stream_of_outputs(name):
    pipe = JOINT[name]()
    plain = tiny_joint.generate(pipe, "a red cat", **SHORT)
    with daamkit.trace(pipe, concepts=["lantern", "house", "birds"]) as tracer:
        assert torch.equal(tiny_joint.generate(pipe, "a red cat", **SHORT), plain)
    maps = tracer.run.maps
    layers = maps.concepts.layers.values()
    assert {layer.group for layer in layers} == {"double"}
    for layer in layers:  # shares of each cell
        assert torch.allclose(layer.values.sum(-3), torch.full_like(layer.values[0, 0], 2.0))
    assert maps.concept("lantern").mask().shape == (48, 32)
    with pytest.raises(DaamkitError, match="tree"):
        maps.concept("tree")


@pytest.mark.parametrize("name", ["sd", "pixart"])
def test_cross_attention_has_keys_more(name, sd):
    pipe = sd if name == "sd" else tiny_cross.build(name)

    def draw():
        if name == "sd":
            return tiny.generate(pipe, "a red cat", steps=2, output_type="latent")
        return tiny_cross.generate(pipe, name, prompt="a red cat")

    plain = draw()
    with daamkit.trace(pipe, concepts=["dog", "cat"], keep=("step", "site", "head")) as tracer:
        assert torch.equal(torch.as_tensor(draw()), torch.as_tensor(plain))
    maps = tracer.run.maps
    assert set(maps.concepts.layers) == set(maps.layers)
    dog, cat = maps.concept("dog"), maps.concept("cat")
    assert not torch.equal(dog.values, cat.values)
    assert dog.values.min() > 0 and dog.values.max() < maps.steps
    if name == "pixart":  # whose tiny encoder reads each word as if it stood alone
        for own, other in zip(maps.layers.values(), maps.concepts.layers.values(), strict=True):
            (column,) = maps.prompt.word("cat").columns
            share = own.values[..., column, :, :]
            assert torch.allclose(other.values[..., 1, :, :], share / (1 + share), atol=1e-6)
            assert share.max() > 0.1


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_each_image_of_a_batch_has_its_own_concepts(name):
    case = every.CASES[name]
    pipe = case.build()

    def draw(*prompts, seeds):
        with daamkit.trace(pipe, concepts=["sky", "cat"]) as tracer:
            every.generate(case, pipe, [*prompts], seeds)
        return [run.maps.concept("cat").values for run in tracer.runs]

    first, second = draw("a red cat", "a fox", seeds=[1, 2])
    (one,), (other,) = draw("a red cat", seeds=[1]), draw("a fox", seeds=[2])
    torch.testing.assert_close(first, one, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(second, other, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(one, other, rtol=1e-2)


def test_each_text_encoder_has_keys_of_a_concept():
    """The prompt's own word, there once more: of shares p it has their mean / (1 + their sum)."""
    pipe = tiny_cross.build("hunyuandit")  # whose encoders read each word as if it stood alone
    with daamkit.trace(pipe, concepts=["car", "cat"], keep=("step", "site", "head")) as tracer:
        tiny_cross.generate(pipe, "hunyuandit", prompt="cat")
    maps = tracer.run.maps
    bert, t5 = maps.prompt.word("cat").parts
    for layer, other in zip(maps.layers.values(), maps.concepts.layers.values(), strict=True):
        shares = [layer.values[..., list(own), :, :].sum(-3) for own in (bert, t5)]
        wanted = sum(shares) / 2 / (1 + sum(shares))
        assert (other.values[..., 1, :, :] - wanted).abs().max() < 1e-6
        assert (other.values[..., 0, :, :] - wanted).abs().max() > 1e-3
        assert (shares[0] - shares[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["hidream", "hunyuanvideo"])
def test_concepts_of_several_texts_do_not_hear_each_other(name, monkeypatch):
    """Not where the model pools a text, either: its refiner, or what it is told of it."""
    case, keys, own = every.CASES[name], [], extra.Stream.edit
    pipe = every.deaf(case.build()) if name == "hidream" else case.build()
    if name == "hunyuanvideo":  # the tiny one's is silent
        for path, weight in pipe.transformer.named_parameters():
            if "text_embedder" in path or "norm_out.linear" in path:
                torch.nn.init.normal_(weight, std=0.5)

    def edit(stream, attention, output):
        if attention.site.name == stream.sites[0]:
            keys.append(attention.every_key()[stream.where(attention)][0].clone())
        return own(stream, attention, output)

    monkeypatch.setattr(extra.Stream, "edit", edit)
    for concepts in (["fox", "tree"], ["fox", "a blue car"], ["dog", "tree"]):
        keys.append(None)
        with daamkit.trace(pipe, concepts=concepts):
            every.generate(case, pipe, "a red cat", num_inference_steps=1)
    first, other, dog = (keys[1], keys[3], keys[5])
    assert (first - other).abs().max() < 1e-6 < (first - dog).abs().max()


@pytest.mark.parametrize("names", [["car", "red car"], ["teddy bear", "bear"], ["Fox", "fox"]])
def test_a_concept_is_named_whole(sd, names):
    with daamkit.trace(sd, concepts=names) as tracer:
        tiny.generate(sd)
    maps = tracer.run.maps
    for column, name in enumerate(names):
        own = maps.concept(name)
        assert own.word.columns == (column,) and own.word.text == name
        assert torch.equal(own.values, maps.concepts.pool()[..., column, :, :])
    first, second = (maps.concept(name).values for name in names)
    assert torch.equal(first, second) == (names == ["Fox", "fox"])  # CLIP reads them in one case


def test_a_part_of_a_concept_is_none(sd):
    with daamkit.trace(sd, concepts=["red car", "Sky"]) as tracer:
        tiny.generate(sd, steps=1)
    maps = tracer.run.maps
    assert maps.concept("RED car").word.columns == (0,) and maps.concept("sky").word.columns == (1,)
    for text in ("red", "car", "red car, Sky", "concepts"):
        with pytest.raises(WordError, match=f"wanted the concept '{text}'; got 'red car', 'Sky'"):
            maps.concept(text)


def test_sites_named_are_the_concepts_too():
    """Not of the double blocks alone, which the paper has."""
    pipe, found = tiny_joint.flux1(), {}
    for sites in (None, "single_transformer_blocks", ["single_transformer_blocks.0", "blocks.1"]):
        with daamkit.trace(pipe, sites=sites, concepts=["sky", "house"]) as tracer:
            tiny_joint.generate(pipe, "a red cat", **SHORT)
        maps = tracer.run.maps
        found[str(sites)] = set(maps.concepts.layers)
        assert sites is None or set(maps.concepts.layers) == set(maps.layers)
        for layer in maps.concepts.layers.values():
            assert torch.allclose(layer.values.sum(-3), torch.full_like(layer.values[0, 0], 2.0))
        assert not torch.equal(maps.concept("sky").values, maps.concept("house").values)
    double, single, both = found.values()
    assert not double & single and both & double and both & single
    tap = Concepts(["sky"], sites=["nothing"])
    with pytest.raises(DaamkitError, match="named nothing; got none"), hooks.attach(pipe, tap):
        tiny_joint.generate(pipe, "a red cat", **SHORT)


@pytest.mark.parametrize("asked", [{"concepts": "dog"}, {"relations": {"image_to_text": "all"}}])
def test_another_branch_alone_is_refused_before_the_call(sd, asked):
    with pytest.raises(DaamkitError, match=r"the branch 'cond'.*branches=\('cond', 'uncond'\)"):
        daamkit.trace(sd, branches="uncond", **asked)
    daamkit.trace(sd, branches=("uncond", "cond"), **asked)


ALL = {
    "text_to_image": ["cat", "padding"], "text_to_text": "all", "image_to_image": [(12, 9), (0, 0)],
    "image_to_text": "all",
}  # fmt: skip


@pytest.mark.parametrize(("name", "keep"), [("sd", ("step", "site")), ("flux", ("head",))])
def test_the_size_of_concepts_and_relations_is_told_and_budgeted(name, keep, tmp_path):
    case = every.CASES[name]
    pipe, call = case.build(), case.call | {"num_inference_steps": 2}
    relations = {n: each for n, each in ALL.items() if name == "flux" or n.startswith("image")}

    def draw(**options):
        tracer = daamkit.trace(pipe, keep=keep, **options)
        told = tracer.bytes("a red cat", height=call["height"], width=call["width"], steps=2)
        with tracer:
            every.generate(case, pipe, "a red cat", num_inference_steps=2)
        return tracer.run, told

    both = {"concepts": ["dog", "a blue car", "sky"], "relations": relations}
    run, told = draw(**both)
    parts = [run.maps, run.maps.concepts, *run.related.values()]
    sizes = [sum(layer.values.nbytes for layer in each.layers.values()) for each in parts]
    assert told == sum(sizes) and min(sizes) > 0
    maps, concepts, *related = sizes
    for asked, own in (("concepts", concepts), ("relations", sum(related))):
        assert draw(**{asked: both[asked]}, budget=maps + own)[1] == maps + own
        with pytest.raises(MemoryBudgetError):
            draw(**{asked: both[asked]}, budget=maps + own - 1)
    with pytest.raises(MemoryBudgetError, match=f"{told:,} bytes"):
        draw(**both, budget=told - 1)
    draw(**both, budget=concepts, spill=tmp_path)


def test_saved_and_opened(tmp_path):
    pipe = tiny_joint.flux1()
    asked = {"text_to_image": ["cat"], "text_to_text": "all", "image_to_image": (12, 9)}
    with daamkit.trace(pipe, concepts=["house", "sky"], relations=asked) as tracer:
        tiny_joint.generate(pipe, "a red cat", **SHORT)
    run = tracer.run
    again = daamkit.open(run.save(tmp_path / "run"))
    assert torch.equal(again.maps.concept("sky").values, run.maps.concept("sky").values)
    assert again.related["text_to_text"].table().equals(run.related["text_to_text"].table())
    assert torch.equal(
        again.related["text_to_image"].of("cat"), run.related["text_to_image"].of("cat")
    )
    assert torch.equal(
        again.related["image_to_image"].of((12, 9)), run.related["image_to_image"].of((12, 9))
    )


def test_a_method_of_attribution():
    pipe = tiny_joint.flux1()

    def again(*taps):
        with hooks.attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            tiny_joint.generate(pipe, "a red cat", **SHORT)
        return tracer.run

    run = again()
    words = [run.maps.prompt.word(text) for text in ("cat", "red")]
    found = ConceptAttention().maps(run, words, again)
    assert [each.word for each in found] == words
    assert not torch.equal(found[0].values, run.maps.word("cat").values)


def test_what_cannot_be_told_says_why():
    flux = tiny_joint.flux1()
    with pytest.raises(DaamkitError, match="each once"):
        daamkit.trace(flux, concepts=["dog", "dog"])
    with daamkit.trace(flux) as tracer:
        tiny_joint.generate(flux, **SHORT)
    with pytest.raises(DaamkitError, match=r"concepts=\['dog'\]"):
        tracer.run.maps.concept("dog")
