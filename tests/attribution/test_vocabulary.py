"""OVAM beside its authors' recipe (github.com/vpulab/ovam), with diffusers' own tools alone."""

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import daamkit
from daamkit.attention.hooks import attach
from daamkit.attribution.method import UnsuitedError
from daamkit.attribution.vocabulary import OpenVocabulary
from tests import tiny
from tests.families import tiny_cross, tiny_joint

PROMPT, STEPS = "a red cat and a blue car", 3
WORDS = ("cat", "blue car")


class Hidden:
    """What enters each cross-attention module of a UNet but those of its middle, pass by pass."""

    def __init__(self, unet):
        self.seen = {}
        for name, module in unet.named_modules():
            if name.endswith("attn2") and "mid_block" not in name:
                self.seen[name] = module, []
                module.register_forward_pre_hook(self.keep(name), with_kwargs=True)

    def keep(self, name):
        return lambda module, args, kwargs: self.seen[name][1].append(args[0][1])  # of the prompt


def sums(hidden, embeds):
    """What cells pay to each place of a text that is all there is."""
    blocks = []
    for module, passes in hidden.seen.values():
        key = module.head_to_batch_dim(module.to_k(embeds)[None])
        total = 0
        for states in passes:
            query = module.head_to_batch_dim(module.to_q(states)[None])
            scores = torch.einsum("hqc,hkc->hkq", query, key) * module.scale
            total = total + scores.softmax(1)
        blocks.append(total.sum(0))
    return blocks


def authors(pipe, hidden, text):
    """The maps of each token of a text, start and end too."""
    ids = pipe.tokenizer(text, return_tensors="pt").input_ids  # as they are, without padding
    blocks = []
    for total in sums(hidden, pipe.text_encoder(ids)[0][0]):
        side = int(total.shape[-1] ** 0.5)
        blocks.append(total.unflatten(-1, (side, side))[None])
    size = max((block.shape[-2:] for block in blocks), key=tuple)
    large = [F.interpolate(block, size=size, mode="bilinear") for block in blocks]
    return torch.cat(large).sum(0)


@torch.no_grad()
def test_a_word_is_all_that_the_prompt_says():
    pipe = tiny.sd()

    def draw(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            pipe(PROMPT, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(3))
        return tracer.run

    run = draw()
    words = [run.maps.prompt.word(text) for text in WORDS]
    found = OpenVocabulary().maps(run, words, draw)
    hidden = Hidden(pipe.unet)
    plain = draw()
    assert np.array_equal(np.asarray(run.image), np.asarray(plain.image))
    for word, own in zip(words, found, strict=True):
        wanted = authors(pipe, hidden, word.text)
        assert len(wanted) == 2 + len(word.columns)
        wanted = wanted[1:-1].mean(0)
        assert own.values.shape == (32, 32) and own.size == (64, 64) and own.image is run.image
        assert (own.values - wanted).abs().max() < 1e-5 * wanted.max()
    assert len(hidden.seen) == 6 and all(len(passes) == STEPS for _, passes in hidden.seen.values())


def test_of_pixart_the_same_softmax():
    """A model without a start of text, and with bias in its keys."""
    pipe = tiny_cross.build("pixart")

    def draw(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            tiny_cross.generate(pipe, "pixart", PROMPT, output_type="pil")
        return tracer.run

    run = draw()
    cat, car = OpenVocabulary().maps(run, [run.maps.prompt.word(t) for t in ("cat", "car")], draw)
    assert cat.values.shape == (4, 6) and not torch.allclose(cat.values, car.values)


@torch.no_grad()
@pytest.mark.parametrize("told", [{}, {"complex_human_instruction": ["under the", "tree: "]}])
def test_of_sana_behind_its_instruction(told):
    """Of whose places the pipeline keeps the first and as many of the last as it has."""
    pipe = tiny_cross.build("sana")

    def draw(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            tiny_cross.generate(pipe, "sana", PROMPT, output_type="pil", **told)
        return tracer.run

    run = draw()
    words = [run.maps.prompt.word(text) for text in WORDS]
    found = OpenVocabulary().maps(run, words, draw)
    hidden = Hidden(pipe.transformer)
    draw()
    default = inspect.signature(pipe.__call__).parameters["complex_human_instruction"].default
    told = {"max_sequence_length": 24, "complex_human_instruction": default} | told
    for word, own in zip(words, found, strict=True):
        embeds, mask, *_ = pipe.encode_prompt(word.text, False, **told)
        states = pipe.transformer.caption_projection(embeds[0, mask[0] == 1])
        wanted = sum(sums(hidden, pipe.transformer.caption_norm(states)))
        wanted = wanted[-len(word.text.split()) :].mean(0)  # Gemma writes no end
        assert (own.values.flatten() - wanted).abs().max() < 1e-5 * wanted.max()
        assert wanted.std() > 1e-3 * wanted.mean()


def test_joint_attention_is_refused():
    pipe = tiny_joint.flux1()

    def draw(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            pipe(PROMPT, num_inference_steps=1, height=32, width=48, max_sequence_length=24)
        return tracer.run

    run = draw()
    with pytest.raises(UnsuitedError, match="'concepts' for this model"):
        OpenVocabulary().maps(run, [run.maps.prompt.word("cat")], draw)
