"""Edits change one branch's attention, and nothing where they ask for nothing."""

import jaxtyping
import numpy as np
import pytest
import torch
from diffusers import HeunDiscreteScheduler
from torch.nn import functional as F

import daamkit
from daamkit.attention.hooks import attach
from daamkit.edits.edit import Edit
from daamkit.errors import DaamkitError
from daamkit.maps.words import WordError
from tests import tiny
from tests.edits.outputs import Outputs, only_above_left
from tests.tiny import generate

PROMPT = "a red cat and a blue car"


def edited(pipe, *edits, **options):
    with daamkit.edit(pipe, *edits):
        return generate(pipe, **options)


@pytest.mark.parametrize(
    "edit",
    [
        daamkit.Silence([]),
        daamkit.Silence("cat", steps=[]),
        daamkit.Silence("cat", heads=[]),
        daamkit.KnockOut(heads=[]),
        daamkit.Identity(steps=[9]),
        daamkit.Blur(2.0, heads=[]),
    ],
)
def test_an_edit_that_asks_for_nothing_changes_no_bit(sd, edit):
    assert np.array_equal(edited(sd, edit), generate(sd))


@pytest.mark.parametrize("renormalize", [True, False])
@pytest.mark.parametrize("heads", [None, [1, 3]])
def test_silence_is_the_attention_without_that_column(sd, renormalize, heads):
    """For both images of a batch, which have the word at another place."""
    prompts, columns = ["a red cat", "two dogs and a cat"], [3, 5]
    tap = Outputs()
    edit = daamkit.Silence("cat", renormalize=renormalize, heads=heads)
    with daamkit.edit(sd, edit), attach(sd, tap):
        generate(sd, prompt=prompts, steps=1)
    assert tap.seen
    for attention, output in tap.seen.values():
        rows, count = attention.branches["cond"], attention.query.shape[1]
        changed = range(count) if heads is None else heads
        for i, column in enumerate(columns):
            row = rows.start + i
            each = (attention.query, attention.key, attention.value)
            query, key, value = (tensor[row].double() for tensor in each)
            left = [k for k in range(key.shape[1]) if k != column]
            scores = query @ key.mT * attention.scale
            shares = scores[..., left].softmax(-1) if renormalize else scores.softmax(-1)[..., left]
            without = shares @ value[:, left]
            plain = scores.softmax(-1) @ value
            for head in range(count):
                wanted = without if head in changed else plain
                difference = (output[row, head] - wanted[head]).abs().max()
                assert difference < 1e-6 * value.abs().max().clamp(min=1)
        own = output[: rows.start]  # the unconditional rows
        fused = F.scaled_dot_product_attention(
            attention.query, attention.key, attention.value, scale=attention.scale
        )
        assert torch.equal(own, fused[: rows.start])


@pytest.mark.parametrize("size", [(48, 64), (6, 8)])
def test_silence_in_a_part_of_the_picture(sd, size):
    """Its cells attend without the word, all others as before, in every layer."""
    part = np.zeros(size, bool)
    part[: size[0] // 2, : size[1] // 4] = True  # above, on the left
    call = {"height": 48, "width": 64, "steps": 1}
    plain, everywhere, here = Outputs(), Outputs(), Outputs()
    for tap, edits in (
        (plain, []),
        (everywhere, [daamkit.Silence("cat")]),
        (here, [daamkit.Silence("cat", where=part)]),
    ):
        with attach(sd, *edits, tap):
            generate(sd, "a red cat", **call)
    only_above_left(plain, everywhere, here)


def test_a_part_of_the_picture_is_one_or_one_an_image(sd):
    nothing, all_of_it = np.zeros((2, 8, 8), bool), np.ones((2, 8, 8), bool)
    two = {"prompt": ["a red cat", "a cat"], "height": 32, "width": 32}
    assert np.array_equal(
        edited(sd, daamkit.Silence("cat", where=nothing), **two), generate(sd, **two)
    )
    mixed = np.stack([nothing[0], all_of_it[0]])
    found = edited(sd, daamkit.Silence("cat", where=mixed), **two)
    whole, plain = edited(sd, daamkit.Silence("cat"), **two), generate(sd, **two)
    assert np.abs(found[0] - plain[0]).max() < 1e-5 < np.abs(found[0] - whole[0]).max()
    assert np.abs(found[1] - whole[1]).max() < 1e-5 < np.abs(found[1] - plain[1]).max()
    for wrong, told in (
        ({"where": np.ones((3, 8, 8), bool)}, r"one for each of 2 images.*\(3, 8, 8\)"),
        ({"where": np.ones(8, bool)}, r"shape \(8,\)"),
        ({"where": all_of_it, "renormalize": False}, "with `renormalize`"),
    ):
        with pytest.raises(DaamkitError, match=told):
            edited(sd, daamkit.Silence("cat", **wrong), **two)
    with daamkit.edit(sd, daamkit.Silence("cat", where=mixed)), daamkit.trace(sd) as tracer:
        generate(sd, **two)
    assert tracer.runs[0].record["edits"][0]["settings"]["where"] == 0.5


def test_two_silences_are_one_of_both(sd):
    both = edited(sd, daamkit.Silence(["cat", "car"]))
    assert np.allclose(both, edited(sd, daamkit.Silence("cat"), daamkit.Silence("car")), atol=1e-5)
    assert not np.allclose(both, edited(sd, daamkit.Silence("car")), atol=1e-5)
    with daamkit.edit(sd, daamkit.Silence("cat")):
        nested = edited(sd, daamkit.Silence("car"))
    assert np.allclose(both, nested, atol=1e-5)


def test_which_occurrence_and_lists_for_each_prompt(sd):
    twice = "a cat and a cat"
    first, second, every = (
        edited(sd, daamkit.Silence("cat", occurrence=which), prompt=twice)
        for which in (0, 1, "all")
    )
    assert not np.allclose(first, second) and not np.allclose(first, every)
    assert np.array_equal(second, edited(sd, daamkit.Silence(("cat", 1)), prompt=twice))
    with pytest.raises(WordError, match="2 in 'a cat and a cat'"):
        edited(sd, daamkit.Silence("cat"), prompt=twice)
    noise = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(3))
    together = edited(
        sd, daamkit.Silence([["cat"], ["dogs"]]), prompt=["a cat", "two dogs"], latents=noise
    )
    for i, (text, word) in enumerate([("a cat", "cat"), ("two dogs", "dogs")]):
        alone = edited(sd, daamkit.Silence(word), prompt=text, latents=noise[i : i + 1])
        assert np.allclose(together[i], alone[0], atol=1e-4)
    with pytest.raises(DaamkitError, match="list of words for each of 2 prompts; got 1"):
        edited(sd, daamkit.Silence([["cat"]]), prompt=["a cat", "two dogs"])


def test_heads_layers_and_steps_are_the_only_ones_changed(sd):
    plain, tap = Outputs(), Outputs()
    with attach(sd, plain):
        generate(sd, PROMPT)
    edit = daamkit.KnockOut(layers="up_blocks.1", heads=[2], steps=[0])
    with daamkit.edit(sd, edit), attach(sd, tap):
        generate(sd, PROMPT)
    first = next(name for step, name in tap.seen if name.startswith("up_blocks.1"))
    before, after = plain.seen[0, first][1], tap.seen[0, first][1]
    rows = tap.seen[0, first][0].branches["cond"]
    assert (after[rows][:, 2] == 0).all()
    others = [head for head in range(after.shape[1]) if head != 2]
    assert torch.equal(after[:, others], before[:, others])
    assert torch.equal(after[: rows.start], before[: rows.start])
    assert (tap.seen[1, first][1][rows][:, 2] != 0).any()
    with pytest.raises(DaamkitError, match="heads from 0 to 3 at .*attn2; got"):
        edited(sd, daamkit.KnockOut(heads=[4]))
    with pytest.raises(DaamkitError, match="attention to text in 'nowhere'"):
        edited(sd, daamkit.KnockOut(layers="nowhere"))


def test_steps_are_the_samplers_whatever_their_passes():
    pipe, tap = tiny.sd(), Outputs()
    pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    with attach(pipe, daamkit.KnockOut(steps=[1]), tap):
        generate(pipe, PROMPT, steps=3)
    silent = {
        index: not bool(output[attention.branches["cond"]].any())
        for (index, _), (attention, output) in tap.seen.items()
    }
    assert silent == {0: False, 1: False, 2: True, 3: True, 4: False}


def test_heads_of_each_site_by_its_name(sd):
    plain, tap = Outputs(), Outputs()
    with attach(sd, plain):
        generate(sd, PROMPT, steps=1)
    every = sorted({name for _, name in plain.seen})
    chosen = {every[0]: [1], every[-1]: [0, 3]}
    with daamkit.edit(sd, daamkit.KnockOut(heads=chosen)), attach(sd, tap):
        generate(sd, PROMPT, steps=1)
    for name in every:
        attention, output = tap.seen[0, name]
        silent = (output[attention.branches["cond"]] == 0).all((0, 2, 3))
        assert silent.nonzero().flatten().tolist() == chosen.get(name, [])
    one = daamkit.Silence("cat", heads={every[0]: [1]})
    assert np.array_equal(
        edited(sd, one), edited(sd, daamkit.Silence("cat", layers=every[0], heads=[1]))
    )
    for wrong in ({"attn2": [0]}, {every[0]: [0], every[0][:-1]: [0]}):  # names are whole
        with pytest.raises(DaamkitError, match="heads of sites among"):
            edited(sd, daamkit.KnockOut(heads=wrong))
    with pytest.raises(DaamkitError, match="none that `layers=` leaves out"):
        edited(sd, daamkit.KnockOut(layers=every[0], heads=chosen))


def test_an_edit_is_in_the_record_and_gone_after_the_context(sd):
    before = generate(sd, PROMPT)
    with daamkit.trace(sd) as tracer, daamkit.edit(sd, daamkit.Silence("cat", steps=[0])):
        during = generate(sd, PROMPT)
    (entry,) = tracer.run.record["edits"]
    assert entry["edit"] == "Silence"
    assert entry["settings"] == {
        "words": "cat", "occurrence": None, "renormalize": True, "prompt": None,
        "where": None, "layers": None, "heads": None, "steps": [0], "branch": "cond",
    }  # fmt: skip
    assert not np.array_equal(before, during)
    assert np.array_equal(before, generate(sd, PROMPT))


def test_guidance_and_edits_nest_and_extra_passes_are_not_edited(sd):
    seen = []

    class Watching(Edit):
        def change(self, attention, output):
            seen.append((attention.now.index, attention.site.name))
            return output

    with daamkit.edit(sd, Watching()), daamkit.guide(sd, daamkit.PerturbedAttentionGuidance()):
        guided = generate(sd, PROMPT)
    with daamkit.guide(sd, daamkit.PerturbedAttentionGuidance()):
        assert np.array_equal(guided, generate(sd, PROMPT))
    assert len(seen) == len(set(seen))


def test_what_is_no_edit_and_none(sd, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(DaamkitError, match=r"wanted edits; got 'cat'"):
        daamkit.edit(sd, "cat")
    with pytest.raises(DaamkitError, match="an edit; got none"):
        daamkit.edit(sd)


def test_a_replayed_tape_of_the_same_prompt_is_nearly_the_same_image(sd):
    from daamkit.edits.replay import Tape

    tape = Tape()
    with attach(sd, tape):
        plain = generate(sd, PROMPT)
    replayed = edited(sd, daamkit.Replay(tape), prompt=PROMPT)
    other = edited(sd, daamkit.Replay(tape), prompt="a big dog and a blue car")
    assert np.allclose(plain, replayed, atol=5e-2)
    assert np.abs(plain - other).max() > np.abs(plain - replayed).max()
