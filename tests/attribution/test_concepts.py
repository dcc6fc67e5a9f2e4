"""ConceptAttention beside its recipe (arXiv 2502.04320, section 3), by diffusers' own modules."""

import pytest
import torch
from torch.nn import functional as F

import daamkit
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from daamkit.attribution import concepts
from daamkit.attribution.concepts import ConceptAttention
from tests.families import tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
NAMES, STEPS = ["lantern", "house", "birds"], 3


def test_a_word_within_another_has_the_map_of_its_own_concept():
    pipe, names = tiny_joint.flux1(), ["bear", "teddy bear", "background"]
    options = {"max_sequence_length": 32, "output_type": "latent"}

    def again(*taps):
        with hooks.attach(pipe, *taps), daamkit.trace(pipe, concepts=names) as tracer:
            tiny_joint.generate(pipe, "a teddy bear", **options)
        return tracer.run

    run = again()
    words = [run.maps.prompt.word(text) for text in names[:2]]
    found = ConceptAttention().maps(run, words, again)
    for word, own in zip(words, found, strict=True):
        assert own.word == word and torch.equal(own.values, run.maps.concept(word.text).values)
    assert not torch.equal(found[0].values, found[1].values)


class Streams(Tap):
    """Keys, values and outputs of the image's cells, pass by pass."""

    def __init__(self):
        self.seen = {}

    def edit(self, attention, output):
        cells = attention.layout.cells_of(slice(0, 1))[0]
        parts = attention.key, attention.value, output
        kept = [each[:1, :, cells].clone() for each in parts]
        self.seen[attention.now.index, attention.site.name] = kept
        return output


def through(block, name, text, made, streams, step):
    """A double block of Flux: the concepts look at themselves and at the image, and go on as text
    does; and the products of their outputs with the image's."""
    key, value, output = streams.seen[step, f"{name}.attn"]
    normed, gate, shift, scale, gate_mlp = block.norm1_context(text, emb=made)
    attention = block.attn
    query, mine, own = (
        getattr(attention, f"add_{part}_proj")(normed).unflatten(-1, (2, -1)).transpose(1, 2)
        for part in ("q", "k", "v")
    )
    query, mine = attention.norm_added_q(query), attention.norm_added_k(mine)
    said = F.scaled_dot_product_attention(
        query, torch.cat([mine, key], 2), torch.cat([own, value], 2)
    )
    text = text + gate[:, None] * attention.to_add_out(said.transpose(1, 2).flatten(2))
    normed = block.norm2_context(text) * (1 + scale[:, None]) + shift[:, None]
    text = text + gate_mlp[:, None] * block.ff_context(normed)
    return text, torch.einsum("bhcd,bhxd->cx", said, output)


@torch.no_grad()
def test_each_layer_and_step_is_the_papers_recipe():
    """Concepts attend to themselves and the image; a product of outputs; softmax over concepts."""
    pipe, streams = tiny_joint.flux1(), Streams()
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.double()
    for (
        block
    ) in pipe.transformer.transformer_blocks:  # products of hundreds are 1e-4 off in float32
        for values in (block.attn.to_v, block.attn.add_v_proj):
            values.weight.mul_(0.2)
    options = {"max_sequence_length": 32, "output_type": "latent", "num_inference_steps": STEPS}
    keep = ("step", "site")
    with hooks.attach(pipe, streams), daamkit.trace(pipe, concepts=NAMES, keep=keep) as tracer:
        tiny_joint.generate(pipe, "a red cat", **options)
    model, layers = pipe.transformer, tracer.run.maps.concepts.layers
    embeds = [pipe.encode_prompt(each, max_sequence_length=32)[0][:, :1] for each in NAMES]
    pooled = torch.zeros(1, model.config.pooled_projection_dim, dtype=torch.float64)
    seen = 0
    for step, time in enumerate(pipe.scheduler.timesteps):
        made = model.time_text_embed(time[None].double(), torch.tensor([3500.0]).double(), pooled)
        text = model.context_embedder(torch.cat(embeds, 1))
        for number, block in enumerate(model.transformer_blocks):
            name = f"transformer_blocks.{number}"
            text, products = through(block, name, text, made, streams, step)
            found = layers[f"{name}.attn"].values[step].flatten(-2)
            wanted = products.softmax(0)
            assert (found - wanted).abs().max() < 1e-5 and wanted.std() > 1e-3
            seen += 1
    assert seen == STEPS * len(layers) == 2 * STEPS


@torch.no_grad()
def test_where_text_looks_at_nothing_its_output_is_its_value(toybox):
    """At each cross-attention a softmax over concepts of their values with the cell's output."""
    names, seen, tokenizer = ["cat", "car", "traffic light"], Outcomes(), toybox.tokenizer
    tap = concepts.Outputs(names, keep=frozenset({"step", "site"}))
    with hooks.attach(toybox, tap, seen):
        generator, told = torch.manual_seed(3), {"output_type": "latent"}
        toybox("a red cat and a car", num_inference_steps=STEPS, generator=generator, **told)
    states = []
    for name in names:
        ids = tokenizer(name, padding="max_length", return_tensors="pt").input_ids
        count = len(tokenizer(name, add_special_tokens=False).input_ids)
        states.append(toybox.text_encoder(ids).last_hidden_state[0, 1 : 1 + count])
    layers = tap.images[0]
    assert len(seen.outputs) == STEPS * len(layers) > STEPS
    for (step, site), output in seen.outputs.items():
        value = toybox.unet.get_submodule(site).to_v
        wanted = (torch.stack([value(each).mean(0) for each in states]) @ output.T).softmax(0)
        found = layers[site].values[step].flatten(-2)
        assert (found - wanted).abs().max() < 1e-5 and wanted.std() > 1e-4


class Outcomes(Tap):
    """What cross-attention gives the cells of the guided half, heads side by side, by pass."""

    def __init__(self):
        self.outputs = {}

    def wants(self, site):
        return site.kind == "cross"

    def edit(self, attention, output):
        own = output[attention.branches["cond"]][0].transpose(0, 1).flatten(1)
        self.outputs[attention.now.index, attention.site.name] = own.clone()
        return output
