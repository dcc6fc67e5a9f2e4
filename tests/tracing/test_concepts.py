"""Words that the prompt has not got: where they are, and that the picture does not know."""

import pytest
import torch
from torch.nn import functional as F

import daamkit
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from daamkit.attribution.concepts import ConceptAttention
from daamkit.errors import DaamkitError
from tests import tiny
from tests.families import tiny_cross, tiny_joint

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


class Streams(Tap):
    """Keys, values and outputs of the image's cells in the prompt's first pass."""

    def __init__(self) -> None:
        self.seen: dict = {}

    def edit(self, attention, output):
        if attention.now.index == 0:
            cells = attention.layout.cells_of(slice(0, 1))[0]
            parts = attention.key, attention.value, output
            kept = [each[:1, :, cells].clone() for each in parts]
            self.seen.setdefault(attention.site.name, kept)
        return output


def test_the_first_layer_is_the_papers_recipe():
    """Concepts attend to themselves and the image; a product of outputs; softmax over concepts."""
    pipe, names = tiny_joint.flux1(), ["lantern", "house"]
    streams, one = Streams(), {**SHORT, "num_inference_steps": 1}
    with hooks.attach(pipe, streams), daamkit.trace(pipe, concepts=names) as tracer:
        tiny_joint.generate(pipe, "a red cat", **one)
    key, value, output = streams.seen["transformer_blocks.0.attn"]
    vectors = torch.cat(
        [pipe.encode_prompt(each, max_sequence_length=32)[0][:, :1] for each in names], 1
    )
    model, block = pipe.transformer, pipe.transformer.transformer_blocks[0]
    with torch.no_grad():
        pooled = torch.zeros(1, model.config.pooled_projection_dim)
        time = pipe.scheduler.timesteps[:1]
        guidance = torch.tensor([3.5]) * 1000
        made = model.time_text_embed(time, guidance, pooled)
        text = model.context_embedder(vectors)
        normed, *_ = block.norm1_context(text, emb=made)
        attention = block.attn
        own = [
            getattr(attention, f"add_{part}_proj")(normed).unflatten(-1, (2, -1)).transpose(1, 2)
            for part in ("q", "k", "v")
        ]
        query, mine = attention.norm_added_q(own[0]), attention.norm_added_k(own[1])
        said = F.scaled_dot_product_attention(
            query, torch.cat([mine, key], 2), torch.cat([own[2], value], 2)
        )
        products = torch.einsum("bhcd,bhxd->cx", said, output)
    layer = tracer.run.maps.concepts.layers["transformer_blocks.0.attn"]
    assert (layer.values[0].flatten(-2) - products.softmax(0)).abs().max() < 1e-4


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
