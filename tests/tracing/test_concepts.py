"""Words that the prompt has not got: where they are, and that the picture does not know."""

import pytest
import torch

import daamkit
from daamkit.attention import hooks
from daamkit.attribution.concepts import ConceptAttention
from daamkit.errors import DaamkitError
from daamkit.tracing import extra
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
    with daamkit.trace(pipe, concepts=["dog", "cat"]) as tracer:
        assert torch.equal(torch.as_tensor(draw()), torch.as_tensor(plain))
    maps = tracer.run.maps
    assert set(maps.concepts.layers) == set(maps.layers)
    dog, cat = maps.concept("dog"), maps.concept("cat")
    assert not torch.equal(dog.values, cat.values)
    assert dog.values.min() > 0 and dog.values.max() < maps.steps
    if name == "pixart":  # whose tiny encoder reads each word as if it stood alone
        for own, other in zip(maps.layers.values(), maps.concepts.layers.values(), strict=True):
            column = maps.prompt.word("cat").columns[0]
            share = own.values[:, column]  # with itself there once more, as one of two steps
            assert (other.values[:, 1] <= share + 1e-6).all()


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
