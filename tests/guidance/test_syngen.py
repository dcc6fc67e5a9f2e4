"""SynGen: which words are bound, the loss of the paper, and the move."""

import itertools
import math

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import daamkit
from daamkit.errors import DaamkitError
from daamkit.guidance import aggregation, syngen
from daamkit.guidance.denoising import Method
from daamkit.guidance.descent import StepsWarning
from daamkit.guidance.syngen import SynGen, distance
from daamkit.language import parsing
from daamkit.language.binding import bound
from tests import tiny
from tests.attention.test_restoration import snapshot

PROMPT = "a red cat and a blue car"  # SOS a red cat and a blue car EOS
RED, CAT, BLUE, CAR = 2, 3, 6, 7


def generate(pipe, prompt=PROMPT, **options) -> torch.Tensor:
    return tiny.generate(pipe, prompt, **{"output_type": "latent"} | options)


def guided(pipe, method, prompt=PROMPT, **options) -> torch.Tensor:
    with daamkit.guide(pipe, method):
        return generate(pipe, prompt, **options)


# -- which words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROMPT, ["cat red", "car blue"]),
        ("the car is red", ["car red"]),
        ("a big red fire truck next to a small dog", ["truck big red fire", "dog small"]),
        ("a red and yellow ball", ["ball red yellow"]),
        ("the red and yellow birds are small", ["birds red yellow small"]),
        ("the car is red and the cat is blue", ["car red", "cat blue"]),
        ("a car that is blue and green", ["car blue green"]),
        ("a car whose roof is blue", ["roof blue"]),
        ("a ball that looks red", ["ball red"]),
        ("a girl making the dog happy", ["dog happy"]),
        ("a dog that is red and has a ball", ["dog red"]),
        ("two very red cars", ["cars very red"]),
        ("a brown dog's green ball", ["dog brown", "ball green"]),
        ("a bird with red wings", ["wings red"]),
        ("a red car and cat", ["car red"]),
        ("a cat on a mat", []),
    ],
)
def test_modifiers_and_their_nouns(text, expected):
    found = bound(parsing.parse(text))
    assert [" ".join(word.text for word in own) for own in found] == expected


def test_what_the_parser_finds_is_what_may_be_said(sd):
    with daamkit.guide(sd, SynGen()), daamkit.trace(sd) as tracer:
        found = generate(sd)
    (entry,) = tracer.run.record["guidance"]
    assert entry["pairs"] == [["cat", ["red"]], ["car", ["blue"]]]
    assert torch.equal(found, guided(sd, SynGen([("cat", ["red"]), ("car", ["blue"])])))
    assert torch.equal(found, guided(sd, SynGen([(CAT, [RED]), (("car", 0), [(BLUE,)])])))
    assert not torch.equal(found, guided(sd, SynGen([("cat", ["blue"]), ("car", ["red"])])))


# -- the loss


def kl(p, q) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def by_hand(maps: np.ndarray, sets: list, words: list[int]) -> float:
    """Section 3.2, pair by pair and word by word, in double precision."""

    def attention(columns) -> np.ndarray:
        flat = sum(maps[..., column].astype(float).ravel() for column in columns)
        return flat / flat.sum()

    def apart(p, q) -> float:
        return 0.5 * kl(p, q) + 0.5 * kl(q, p)

    total = 0.0
    for noun, modifiers in sets:
        own = set(noun).union(*modifiers)
        outside = [attention((column,)) for column in words if column not in own]
        n = attention(noun)
        for modifier in modifiers:
            m = attention(modifier)
            total += apart(m, n)
            for o in outside:
                total -= 0.5 * (apart(n, o) + apart(m, o)) / len(outside)
    return total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), sharp=st.floats(0.1, 4.0))
def test_the_distance_is_half_of_both_divergences(seed, sharp):
    scores = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed))
    p, q = (sharp * scores).softmax(-1)
    expected = (kl(p.tolist(), q.tolist()) + kl(q.tolist(), p.tolist())) / 2
    assert float(distance(p, q)) == pytest.approx(expected, abs=1e-5, rel=1e-4)
    assert distance(p, q) == distance(q, p) > distance(p, p) == 0


SETS = [[((1,), [(0,)])], [((3, 4), [(1, 2), (0,)]), ((6,), [(5,)])], []]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), sets=st.sampled_from(SETS), words=st.integers(0, 8))
def test_the_loss_is_the_papers(seed, sets, words):
    scores = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(seed))
    maps, columns = scores.softmax(-1), list(range(words))
    expected = by_hand(maps.numpy(), sets, columns)
    assert float(syngen.loss(maps, sets, columns)) == pytest.approx(expected, abs=1e-4)


def test_a_map_with_empty_cells_has_a_finite_loss_and_gradient():
    maps = torch.zeros(4, 4, 3)
    maps[0, 0], maps[3, 3, 1:] = 1.0, 1.0
    maps.requires_grad_(True)
    found = syngen.loss(maps, [((0,), [(1,)])], [0, 1, 2])
    (gradient,) = torch.autograd.grad(found, [maps])
    assert found.isfinite() and gradient.isfinite().all()


# -- the move


class Watch(Method):
    """Keeps what is to be denoised and, where there are sets, its loss and gradient."""

    gradient = True

    def __init__(self) -> None:
        self.noisy, self.losses, self.gradients = [], [], []

    def before(self, now):
        with torch.enable_grad():
            latents = now.noisy.clone().requires_grad_(True)
            maps = aggregation.attend(now, latents, 0)
            pairs, loss = ((RED, CAT), (BLUE, CAR)), 0.0
            flat = (maps / maps.sum((0, 1))).flatten(0, 1).T
            for own in pairs:
                m, n = flat[own[0]], flat[own[1]]
                others = [flat[o] for o in range(1, 8) if o not in own]
                both = [(m * (m / n).log()).sum(), (n * (n / m).log()).sum()]
                loss = loss + sum(both) / 2
                for p, q in itertools.product((m, n), others):
                    both = [(p * (p / q).log()).sum(), (q * (q / p).log()).sum()]
                    loss = loss - sum(both) / 4 / len(others)
            self.gradients.append(torch.autograd.grad(loss, [latents])[0])
        self.noisy.append(now.noisy)
        self.losses.append(loss.item())


class Again(Watch):
    pass


@pytest.mark.parametrize("scheduler", [DDIMScheduler, EulerDiscreteScheduler])
def test_the_move_is_a_step_down_the_gradient(scheduler):
    pipe = tiny.sd()
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    before, after, method = Watch(), Again(), SynGen(scale_factor=3.0)
    with daamkit.guide(pipe, before, method, after) as guide:
        generate(pipe)
    unit = 1.0  # what the scheduler scales samples by for the denoiser
    if scheduler is EulerDiscreteScheduler:
        unit = float(1 / (pipe.scheduler.sigmas[0] ** 2 + 1) ** 0.5)
        assert unit < 0.9
    seen, gradient = before.noisy[0] * unit, before.gradients[0] / unit
    torch.testing.assert_close(after.noisy[0] * unit, seen - 3 * gradient, atol=1e-6, rtol=1e-5)
    noted = guide.table().query("method == 'SynGen'").iloc[0]
    assert noted["loss"] == pytest.approx(before.losses[0], abs=1e-5)
    assert noted["gradient"] == pytest.approx(float(gradient.norm()), rel=1e-4)
    assert after.losses[0] < before.losses[0]


def test_scale_0_is_unguided_bit_for_bit_and_the_losses_are_noted(sd):
    with daamkit.guide(sd, SynGen(scale_factor=0.0)) as guide:
        assert torch.equal(generate(sd), generate(sd))
        silent = generate(sd)
    assert torch.equal(silent, generate(sd))
    assert (guide.table()["loss"] != 0).all() and (guide.table()["gradient"] == 0).all()


@pytest.mark.parametrize(("settings", "steps"), [({"max_iter_to_alter": 1}, 1), ({"out_of": 4}, 2)])
def test_how_many_steps_are_guided(sd, settings, steps):
    """4 steps: the first; or half of them, as 2 of 4 would be."""
    with daamkit.guide(sd, SynGen(**{"max_iter_to_alter": 2} | settings)) as guide:
        generate(sd, steps=4)
    assert list(guide.table()["step"]) == list(range(steps))


@pytest.mark.parametrize("settings", [{}, {"max_iter_to_alter": 25, "out_of": 50}])
def test_the_papers_constants_scale_to_the_calls_own_steps(sd, settings):
    with daamkit.guide(sd, SynGen(**settings)) as guide:
        generate(sd, steps=2)
    assert list(guide.table()["step"]) == [0]  # 25 of 50 are 1 of 2


def test_a_batch_is_its_images_one_by_one(sd):
    prompts = [PROMPT, "a cat", "the dog is black and a small bird"]
    seeds = [torch.Generator().manual_seed(seed) for seed in range(3)]
    with daamkit.guide(sd, SynGen()) as guide:
        batch = generate_batch(sd, prompts, seeds)
    for index in (0, 2):
        single = guided(sd, SynGen(), prompt=prompts[index], seed=index)[0]
        torch.testing.assert_close(batch[index], single, atol=1e-3, rtol=1e-3)
    plain = generate_batch(sd, prompts, [torch.Generator().manual_seed(seed) for seed in range(3)])
    assert torch.equal(batch[1], plain[1])  # nothing is bound in it
    assert (guide.table().query("image == 1")["loss"] == 0).all()
    assert not torch.equal(batch[0], plain[0])


def generate_batch(pipe, prompts, seeds) -> torch.Tensor:
    options = {"num_inference_steps": 2, "output_type": "latent"}
    return pipe(prompts, generator=seeds, **options).images


def test_pairs_for_each_prompt(sd):
    prompts, pairs = ["a red cat", "a cat"], [("cat", ["red"])]
    options = {"num_images_per_prompt": 2, "steps": 1}
    with daamkit.guide(sd, SynGen([pairs, []])) as guide:
        each = generate(sd, prompts, **options)
    assert list(guide.table()["loss"] == 0) == [False, False, True, True]
    assert torch.equal(each, guided(sd, SynGen(), prompts, **options))


def test_no_cfg_scaled_samples_two_passes_a_step_and_two_text_encoders():
    for scheduler in (EulerDiscreteScheduler, HeunDiscreteScheduler):
        pipe = tiny.sdxl()
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
        method = SynGen(attn_res=(16, 16), max_iter_to_alter=2)
        with daamkit.guide(pipe, method) as guide:
            moved = generate(pipe, guidance_scale=1.0)
        assert moved.isfinite().all() and not torch.equal(moved, generate(pipe, guidance_scale=1.0))
        assert list(guide.table()["step"]) == [0, 1]


@pytest.mark.parametrize(
    ("settings", "used"),
    [({}, 5), ({"max_iter_to_alter": 25, "out_of": 50}, 5), ({"max_iter_to_alter": 3}, 3)],
)
def test_what_was_scaled_stands_in_the_record(sd, settings, used):
    with daamkit.guide(sd, SynGen(**settings)), daamkit.trace(sd) as tracer:
        generate(sd, steps=10)
    noted = tracer.run.record["guidance"][0]
    assert (noted["settings"]["max_iter_to_alter"], noted["settings"]["out_of"]) == (used, 10)
    assert [step["step"] for step in noted["steps"]] == [*range(used)]


def test_constants_of_another_number_of_steps_are_told(sd):
    with (
        pytest.warns(StepsWarning, match="SynGen was told of step 24, and the call makes 10"),
        daamkit.guide(sd, SynGen(max_iter_to_alter=25, scale_factor=0)),
    ):
        generate(sd, steps=10)


def test_a_trace_holds_the_main_passes_only(sd):
    with daamkit.trace(sd, keep=("step",)) as plain:
        generate(sd)
    with daamkit.guide(sd, SynGen(scale_factor=0.0)), daamkit.trace(sd, keep=("step",)) as tracer:
        generate(sd)
    assert torch.equal(tracer.run.maps.pool(), plain.run.maps.pool())
    assert tracer.run.record["timesteps"] == plain.run.record["timesteps"]


def test_after_an_exception_all_is_as_before(sd):
    before = snapshot(sd)

    def fail(*_):
        raise RuntimeError("in the loss")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="in the loss"):
        patch.setattr(syngen, "loss", fail)
        guided(sd, SynGen())
    assert snapshot(sd) == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (None, "none in 'a cat and a car'"),
        ([], "none in 'a cat and a car'"),
        ([[]], "none in"),
        ([("cat", ["green"])], "the word 'green'"),
        ([("cat", "car")], "a list of its modifiers; got"),
        ([("cat", [])], "a list of its modifiers; got"),
        ([["cat", ["car"]]], "a list for each|a list of its modifiers"),
        (["cat"], "a list of its modifiers"),
        ([[("cat", ["car"])], []], "for each of 1 prompts; got 2 lists"),
        ([("cat", [40])], "a token of"),
    ],
)
def test_pairs_that_are_none(sd, pairs, message):
    method = SynGen()
    method.pairs = pairs  # the tests' type checker would refuse some when it is made
    with pytest.raises(DaamkitError, match=message):
        guided(sd, method, "a cat and a car")


def test_words_that_the_model_has_not_read_are_left_out(sd):
    long = PROMPT + " and a cat" * 40 + " and a green dog"
    with daamkit.guide(sd, SynGen()), daamkit.trace(sd) as tracer:
        generate(sd, long, steps=1)
    assert tracer.run.record["guidance"][0]["pairs"] == [["cat", ["red"]], ["car", ["blue"]]]
    with pytest.raises(DaamkitError, match="77 tokens"):
        guided(sd, SynGen([("dog", ["green"])]), long)


def test_what_it_cannot_work_with():
    pipe = tiny.sd()
    with pytest.raises(DaamkitError, match="nan at step 0 in float32"):
        guided(pipe, SynGen(), latents=torch.full((1, 4, 32, 32), torch.nan))
    with pytest.raises(DaamkitError, match="autograd"), torch.inference_mode():
        guided(pipe, SynGen())
    with pytest.raises(DaamkitError, match="attn_res"):
        guided(pipe, SynGen(attn_res=(5, 5)))
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    with pytest.raises(DaamkitError, match="a scheduler that SynGen works with"):
        guided(pipe, SynGen())
