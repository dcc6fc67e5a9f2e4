"""Methods of attribution beside their own recipes, written here another way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torch.nn import functional as F

import daamkit
from daamkit import registry
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.gradients import GradientAttention, Relevance
from daamkit.attribution.learned import (
    BestHeads,
    LayerWeights,
    Lesson,
    RelevantHeads,
    SelectedHeads,
    of_heads,
    of_layers,
)
from daamkit.attribution.method import UnsuitedError
from daamkit.attribution.occlusion import Occlusion, instead
from daamkit.attribution.propagation import Propagation
from daamkit.attribution.related import TextToImage
from daamkit.attribution.relevance import HeadRelevance
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import enlarge
from daamkit.measures.ranking import average_precision
from daamkit.prompts import tokenized
from daamkit.studies import lessons
from daamkit.studies.denoised import Denoised, exact
from daamkit.toybox import claims, scenes
from tests import tiny
from tests.families import tiny_joint

PROMPT, STEPS = "a cat and a car", 3


def draw(pipe, *taps, prompt=PROMPT, **options):
    with attach(pipe, *taps), daamkit.trace(pipe, **{"self_attention": True} | options) as tracer:
        pipe(prompt, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(3))
    return tracer.run


@pytest.fixture(scope="module")
def run(toybox):
    return draw(toybox)


def words(run):
    return [run.maps.prompt.word(text) for text in ("cat", "car")]


def never(*taps):
    raise AssertionError("nothing is to be drawn again")


# -- each


@pytest.mark.parametrize("name", sorted({*registry.attributions.names()} - {"text_to_image"}))
def test_a_map_of_the_images_size_for_each_word_in_order(toybox, run, name):
    method = registry.attributions.find(name)()

    def again(*taps):
        return draw(toybox, *taps)

    found = method.maps(run, words(run), again)
    assert [each.word.text for each in found] == ["cat", "car"]
    for each in found:
        assert each.size == (128, 128) and each.expand().shape == (128, 128)
        assert bool(torch.isfinite(each.values).all()) and float(each.values.max()) > 0
    cat, car = (each.expand(absolute=True).numpy() for each in found)
    assert not np.allclose(cat, car)
    assert each.image is run.image
    (alone,) = method.maps(run, words(run)[1:], again)
    if name != "concepts":  # there words compete
        assert np.allclose(alone.expand(absolute=True).numpy(), car, atol=1e-6)


# -- pooled


def test_daam_and_the_paper_pool_by_their_own_rules(run):
    for word in words(run):
        (daam,), (paper,) = (
            registry.attributions.find(name)().maps(run, [word], never)
            for name in ("daam", "paper")
        )
        assert torch.equal(daam.values, run.maps.of(word, rule="daam").values)
        assert torch.equal(paper.values, run.maps.of(word, rule="paper").values)
        assert not torch.equal(daam.values, paper.values)


# -- text to image


class Rows(Tap):
    """What the text's queries pay to the cells, by the formula, summed over heads, sites and
    passes."""

    def __init__(self):
        self.sum, self.count = 0, 0

    def wants(self, site):
        return True

    def observe(self, attention):
        own = attention.branches["cond"].start
        products = attention.scale * attention.query[own] @ attention.key[own].transpose(-1, -2)
        cells, places = attention.layout.cells, attention.layout.text[own][0]
        paid = products.softmax(-1)[:, places.start : places.start + places.length, cells]
        self.sum, self.count = self.sum + paid.sum(0), self.count + len(paid)


def test_what_words_pay_to_cells():
    pipe, rows = tiny_joint.toybox_flux(), Rows()
    run = draw(pipe, rows, relations={"text_to_image": "all"}, self_attention=False)
    paid = (rows.sum / rows.count).reshape(-1, 16, 16)
    for own in TextToImage().maps(run, words(run), never):
        column, *more = own.word.columns
        assert not more and own.size == run.maps.size and own.image is run.image
        assert torch.allclose(own.values, paid[column], rtol=1e-5, atol=1e-9)


def test_where_text_looks_at_nothing(run):
    with pytest.raises(UnsuitedError, match="joint attention"):
        TextToImage().maps(run, words(run), never)


# -- propagation


def test_propagation_is_the_matrix_product(run):
    maps = run.self_attention["cond"]
    finest = [layer for layer in maps.layers.values() if layer.grid == (16, 16)]
    looks = sum(layer.values.numpy().reshape(256, 256).astype(float) for layer in finest)
    looks = looks / looks.sum(0)  # columns: the cells that look
    for power in (1, 4):  # 4 is the paper's
        for own in Propagation(power).maps(run, words(run), never):
            whole = run.maps.of(own.word).values
            carried = (
                F.interpolate(whole[None, None], (16, 16), mode="area").double().numpy().ravel()
            )
            for _ in range(power):
                carried = looks.T @ carried
            assert own.values.numpy().ravel() == pytest.approx(carried, rel=1e-5)


def test_propagation_where_all_cells_look_at_one(run):
    layer = next(iter(run.self_attention["cond"].layers.values()))
    values = torch.zeros_like(layer.values)
    values[37] = 0.25  # text has the rest
    own = replace(run.self_attention["cond"], layers={"up": replace(layer, values=values)})
    (found,) = Propagation().maps(replace(run, self_attention={"cond": own}), words(run)[:1], never)
    y, x = divmod(37, layer.grid[1])
    small = F.adaptive_avg_pool2d(run.maps.word("cat").values[None], layer.grid)[0]
    assert torch.allclose(found.values, small[y, x].expand(layer.grid), rtol=1e-5)


def test_propagation_wants_self_attention_and_a_power(run):
    with pytest.raises(DaamkitError, match="self_attention=True"):
        Propagation().maps(replace(run, self_attention={}), words(run), never)
    with pytest.raises(DaamkitError, match="Take the paper's, 4"):
        Propagation(power=0)


# -- occlusion


@pytest.mark.parametrize("by", ["exchange", "silence"])
def test_occlusion_is_what_changes_without_the_word(toybox, run, by):
    calls = []

    def again(*taps):
        calls.append(taps)
        return draw(toybox, *taps)

    found = Occlusion(window=0, by=by).maps(run, words(run), again)
    assert len(calls) == 2
    for own, text in zip(found, ("a a and a car", "a cat and a a"), strict=True):
        word = own.word.text
        edits = {"silence": daamkit.Silence(word), "exchange": daamkit.Exchange(word, text)}
        with daamkit.edit(toybox, edits[by]):
            without = draw(toybox)
        a, b = (np.asarray(each.image, float) for each in (run, without))
        assert own.values.numpy() == pytest.approx(np.abs(a - b).mean(-1) / 255, abs=1e-6)
    wide = Occlusion(0.055, by).maps(run, words(run)[:1], again)[0].values  # 7 x 7 pixels
    assert float(wide[50, 60]) == pytest.approx(float(found[0].values[47:54, 57:64].mean()))
    assert float(wide[0, 0]) == pytest.approx(float(found[0].values[:4, :4].mean()))


def test_the_cat_is_where_the_image_changes_without_it(toybox, run):
    maps = Occlusion().maps(run, words(run), lambda *taps: draw(toybox, *taps))
    cat, car = (each.expand(absolute=True) for each in maps)
    for own, word in zip((cat, car), words(run), strict=True):
        inside = run.maps.of(word).mask(0.4)
        assert own[inside].mean() > 2 * own[~inside].mean()


@pytest.mark.parametrize(
    ("prompt", "word", "other"),
    [
        ("a red cat and a car", "cat", "a red red and a car"),  # the one before it
        ("red cats", "red", "cats cats"),
        ("Red cat", "red", "cat cat"),
        ("a red car beside two cats", "red car", "a a a beside two cats"),
        ("the cat, a cat", ("cat", 1), "the cat, a a"),
        ("two birds and a fox", "fox", "two birds and a a a a"),  # of three tokens
        ("mice birds", "birds", "mice mice"),
    ],
)
def test_the_nearest_word_of_as_many_tokens_stands_in(prompt, word, other):
    read = tokenized(tiny.sd(), prompt)
    assert instead(read, read.word(word)) == other


def test_no_word_stands_in():
    pipe = tiny_joint.sd3()  # "horse" is one token, and six of T5
    for prompt, word in (("cat", "cat"), ("a horse", "horse"), ("cat Cat", ("cat", 0))):
        read = tokenized(pipe, prompt)
        with pytest.raises(UnsuitedError, match="by='silence'"):
            instead(read, read.word(word))
    with pytest.raises(UnsuitedError, match="wanted a word of the prompt; got 'EOS'"):
        instead(read, read.special("EOS"))


def test_occlusion_wants_an_image(run):
    with pytest.raises(DaamkitError, match="output_type='pil'"):
        Occlusion().maps(replace(run, image=None), words(run), lambda *taps: run)


# -- gradients


class Recorded:
    """An attention processor with its softmax in the open: another road to the same gradients."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key, value = (attn.head_to_batch_dim(to(text)) for to in (attn.to_k, attn.to_v))
        weights = attn.get_attention_scores(query, key)
        if encoder_hidden_states is not None and self.kept is not None:
            weights.retain_grad()
            self.kept.append(weights)
        return attn.to_out[0](attn.batch_to_head_dim(weights @ value))


def relevance_by_hand(pipe, noisy, time):
    """Of one step: the same formula by `backward`, with diffusers' own tools alone."""
    noisy = pipe.scheduler.scale_model_input(noisy, time)
    cond, uncond = pipe.encode_prompt(PROMPT, "cpu", 1, True)
    old, kept = pipe.unet.attn_processors, []
    pipe.unet.set_attn_processor(Recorded(kept))
    try:
        said = pipe.unet(noisy, time, cond).sample
        pipe.unet.set_attn_processor(Recorded(None))
        with torch.no_grad():
            rest = pipe.unet(noisy, time, uncond).sample
        ((said - rest).square().sum() / 2).backward()
    finally:
        pipe.unet.set_attn_processor(old)
        pipe.unet.zero_grad(set_to_none=True)
    total = 0
    for weights in kept:
        side = int(weights.shape[1] ** 0.5)
        positive = (weights * weights.grad).clamp(min=0).mean(0)
        total = total + enlarge(positive.detach().T.reshape(-1, side, side), (16, 16))
    return total


def test_gradients_are_those_of_the_open_softmax():
    """Of all layers and steps, in float64: in float32 two roads round apart."""
    pipe, tap, latents = tiny.sd(), Relevance((64, 64)), []
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.double()

    def keep(pipe, step, time, given):
        latents.append(given["latents"])
        return {}

    start = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(8)).double()
    with attach(pipe, tap):
        pipe(PROMPT, num_inference_steps=STEPS, latents=start, callback_on_step_end=keep)
    each = zip([start, *latents], pipe.scheduler.timesteps, strict=False)
    wanted = sum(relevance_by_hand(pipe, noisy, time) for noisy, time in each)
    assert len(latents) == STEPS and tap.total.shape == (1, *wanted.shape)
    assert (tap.total[0] - wanted).abs().max() < 1e-5 * wanted.max()
    assert all(weight.grad is None for weight in pipe.unet.parameters())
    assert all(weight.requires_grad for weight in pipe.unet.parameters())


def test_gradients_leave_the_image_alone(toybox, run):
    assert np.array_equal(draw(toybox, Relevance((128, 128))).image, run.image)


# -- what was learned


def lesson(run, layers, heads):
    return Lesson("mine", "", 0, layers, heads)


def test_weights_and_heads_are_those_of_the_lesson(run):
    names, cat = [*run.maps.layers], words(run)[0]
    layers, heads = of_layers(run, cat), of_heads(run, cat)
    for name in names:
        assert torch.allclose(layers[name].mean(), torch.ones(()))
        assert heads[name].shape[0] == run.maps.layers[name].heads
    own = lesson(run, {names[1]: 2.0, names[2]: 0.5}, [(names[0], 1), (names[2], 0)])
    (found,) = LayerWeights(own).maps(run, [cat], never)
    assert torch.allclose(found.values, 2 * layers[names[1]] + 0.5 * layers[names[2]])
    with torch.device("meta"):  # as `torch.set_default_device` has it
        (same,) = LayerWeights(own).maps(run, [cat], never)
    assert torch.equal(same.values, found.values)
    (found,) = BestHeads(own).maps(run, [cat], never)
    assert torch.allclose(found.values, (heads[names[0]][1] + heads[names[2]][0]) / 2)


def test_a_lesson_is_least_squares_and_the_tenth_of_heads_that_rank_best(toybox):
    found = lessons.learn(toybox, "mine", 2, levels=(300, 600))
    layers, masks, ranks = [], [], []
    for i, scene in enumerate(scenes.sample(2, lessons.SEED, split="training")):
        (seen,) = Denoised(toybox).runs([scene], [lessons.SEED + i], (300, 600)[i])
        things = claims.parse(scene.caption).things
        for noun, mask in exact(scene).items():
            word = seen.maps.prompt.span(things[noun].start, things[noun].end)
            own, heads = of_layers(seen, word), of_heads(seen, word)
            layers.append(np.stack([each.numpy().ravel() for each in own.values()], 1))
            step = 128 // [*own.values()][0].shape[0]
            small = mask.reshape(128 // step, step, -1, step).mean((1, 3))
            masks.append(small.ravel())
            ranks.append({
                (name, head): average_precision(values.numpy(), small > 0.5)
                for name, each in heads.items() for head, values in enumerate(each)
            })  # fmt: skip
    told, wanted = np.concatenate(layers), np.concatenate(masks)
    told = np.concatenate([told, np.ones((len(told), 1))], 1)
    fit = lsq_linear(told, wanted, ([0] * len(found.layers) + [-np.inf], np.inf))
    assert [*found.layers.values()] == pytest.approx(fit.x[:-1].tolist(), abs=1e-4)
    assert len(ranks) > 1 and max(found.layers.values()) > 0
    means = {place: np.mean([each[place] for each in ranks]) for place in ranks[0]}
    assert found.heads == sorted(means, key=lambda place: -means[place])[: round(len(means) / 10)]
    assert found.relevance.keys() == seen.maps.layers.keys() and found.scenes == 2


def test_nothing_was_learned_of_another_model(run):
    other = replace(run, record=run.record | {"model": {"fingerprint": "another"}})
    for method in (LayerWeights(), BestHeads()):
        with pytest.raises(DaamkitError, match="weights of toybox.*lesson="):
            method.maps(other, words(run), never)


def test_heads_want_heads(toybox):
    summed = draw(toybox, keep=("site",))
    with pytest.raises(DaamkitError, match="which is the default"):
        BestHeads().maps(summed, words(summed), never)
    assert len(LayerWeights().maps(summed, words(summed), never)) == 2


@pytest.mark.parametrize("make", [tiny_joint.sd3, tiny_joint.flux1, tiny_joint.qwen])
def test_transformers_have_maps_too(make):
    """Text and cells in one softmax; of Qwen-Image the branches come in passes of their own."""
    pipe = make()
    pipe.set_progress_bar_config(disable=True)
    prompt = "a red cat and a car"

    def again(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe, self_attention=True) as tracer:
            pipe(
                prompt, num_inference_steps=2, height=32, width=48,
                generator=torch.Generator().manual_seed(0),
            )  # fmt: skip
        return tracer.run

    run = again()
    for method in (Propagation(), Occlusion(), GradientAttention()):
        cat, car = method.maps(run, words(run), again)
        assert bool(torch.isfinite(cat.values).all()) and float(cat.values.max()) > 0
        assert not np.allclose(cat.expand(absolute=True), car.expand(absolute=True))


# -- head relevance


class Answers(Tap):
    """How often each head answers to "fox", of three tokens, rather than to "red": the authors'
    code, which has the start of text in the softmax; and without it."""

    def __init__(self, pipe):
        texts = [pipe.encode_prompt(word, "cpu", 1, False)[0][0] for word in ("fox", "red")]
        self.words = torch.cat([texts[0][:4], texts[1][1:2]])
        self.counts, self.without = {}, {}

    def wants(self, site):
        return site.kind == "cross"

    def observe(self, attention):
        site, rows = attention.site, attention.branches["cond"]
        (query,) = attention.query[rows]
        key = site.module.to_k(self.words).unflatten(-1, (site.heads, -1)).transpose(0, 1)
        scores = query @ key.mT / key.shape[-1] ** 0.5
        for counts, first in ((self.counts, 0), (self.without, 1)):
            tokens = scores[..., first:].softmax(-1).mean(1)[:, -4:]
            shares = torch.stack([tokens[:, :3].mean(1), tokens[:, 3]], 1)  # (heads, words)
            won = torch.zeros_like(shares).scatter_(1, shares.argmax(-1, keepdim=True), 1)
            counts[site.name] = counts.get(site.name, 0) + won


def test_heads_answer_to_the_concept_that_their_cells_pay_most(toybox):
    with torch.no_grad():
        answers = Answers(toybox)
    counting = HeadRelevance({"thing": ["fox"], "colour": ["red"]})
    draw(toybox, counting, answers)
    wanted = answers.counts
    assert counting.counts.keys() == wanted.keys() and len(wanted) == 7
    for name, counts in counting.counts.items():
        assert torch.equal(counts, wanted[name])
    assert any(not torch.equal(wanted[name], answers.without[name]) for name in wanted)
    every = torch.cat([*counting.counts.values()])
    for at, concept in enumerate(("thing", "colour")):
        mean, relevance = every[:, at].mean(), counting.vector(concept)
        assert 0 < mean < every.sum(1).mean()
        for name, counts in counting.counts.items():
            assert relevance[name] == pytest.approx((counts[:, at] / mean).tolist(), abs=1e-3)
    plain = draw(toybox)
    assert np.array_equal(np.asarray(plain.image), np.asarray(draw(toybox, counting).image))


def test_a_word_of_each_concept_is_drawn():
    words = {"thing": ["cat", "car", "dog"], "colour": ["red"], "number": ["two", "three"]}
    counting = HeadRelevance(words, seed=1)
    drawn = {tuple(counting._chosen()) for _ in range(60)}
    assert drawn == {(a, 3, b) for a in (0, 1, 2) for b in (4, 5)}
    with pytest.raises(DaamkitError, match="each once"):
        HeadRelevance({"thing": ["cat"], "animal": ["cat"]})


def test_joint_attention_has_no_keys_beside_the_prompts():
    with pytest.raises(UnsuitedError, match="one softmax"):
        draw(
            tiny_joint.toybox_flux(),
            HeadRelevance({"a": ["cat"], "b": ["red"]}),
            self_attention=False,
        )


@pytest.fixture(scope="module")
def counted(run):
    """A lesson in which each head has another relevance, in no order; and its map of the cat."""
    layers, column = run.maps.layers, words(run)[0].columns[0]
    places = [(name, head) for name, layer in layers.items() for head in range(layer.heads)]
    numbers = np.random.default_rng(0).permutation(len(places)).tolist()
    known = dict(zip(places, map(float, numbers), strict=True))
    relevance = {
        name: [known[name, head] for head in range(own.heads)] for name, own in layers.items()
    }
    large = {
        (name, head): F.interpolate(
            layers[name].values[head, column][None, None],
            (32, 32),
            mode="bicubic",
            align_corners=False,
        )[0, 0].clamp(min=0)
        for name, head in places
    }
    return Lesson("mine", "", 0, {}, [], relevance=relevance), known, large


def test_relevant_heads_count_for_more(run, counted):
    lesson, known, maps = counted
    (found, _) = RelevantHeads(lesson).maps(run, words(run), never)
    total = sum(known[place] * maps[place].double() for place in maps)
    assert torch.allclose(found.values.double(), total / len(maps), rtol=1e-5, atol=1e-8)


def test_the_most_relevant_heads_are_selected(run, counted):
    lesson, known, maps = counted
    count = len(maps)
    for share, kept in ((0.25, round(count / 4)), (0.0, 1), (1.0, count)):
        (found, _) = SelectedHeads(lesson, share).maps(run, words(run), never)
        best = sorted(maps, key=lambda place: known[place])[-kept:]
        wanted = torch.stack([maps[place].double() for place in best]).mean(0)
        assert torch.allclose(found.values.double(), wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", [RelevantHeads, SelectedHeads])
def test_heads_that_were_not_counted(toybox, run, counted, method):
    with pytest.raises(UnsuitedError, match="cannot be asked"):
        method(Lesson("mine", "", 0, {}, [])).maps(run, words(run), never)
    summed = draw(toybox, keep=("site",))
    with pytest.raises(DaamkitError, match="which is the default"):
        method(counted[0]).maps(summed, words(summed), never)
