"""Vectors exchanged for some cells: these see the other prompt's, all others their own."""

import gc
from contextlib import nullcontext
from weakref import ref

import numpy as np
import pytest
import torch

import daamkit
from daamkit.attention.hooks import attach, attached
from daamkit.edits.local import LocalExchange
from daamkit.errors import DaamkitError
from tests.edits.outputs import Outputs, only_above_left
from tests.families import tiny_joint
from tests.tiny import generate

PROMPT, SOURCE = "a red cat and a blue car", "a red dog and a green car"
EVERYTHING = np.ones((8, 8), bool)


def made(pipe, *edits, prompt=PROMPT, **options):
    with daamkit.edit(pipe, *edits):
        return generate(pipe, prompt, **options)


def test_a_part_that_is_everything_or_nothing(sd):
    whole = made(sd, daamkit.Exchange("cat", SOURCE))
    assert np.abs(made(sd, LocalExchange("cat", SOURCE, where=EVERYTHING)) - whole).max() < 1e-5
    plain = generate(sd, PROMPT)
    assert np.array_equal(made(sd, LocalExchange("cat", SOURCE, where=~EVERYTHING)), plain)
    assert np.array_equal(made(sd, LocalExchange([], SOURCE, where=EVERYTHING)), plain)
    never = LocalExchange("cat", SOURCE, where=EVERYTHING, steps=[])
    assert np.array_equal(made(sd, never), plain)
    assert np.abs(whole - plain).max() > 1e-4


@pytest.mark.parametrize("size", [(48, 64), (6, 8)])
def test_its_cells_see_the_other_vectors_and_all_others_their_own(sd, size):
    where = np.zeros(size, bool)
    where[: size[0] // 2, : size[1] // 4] = True  # above, on the left
    plain, everywhere, here = Outputs(), Outputs(), Outputs()
    for tap, edits in (
        (plain, []),
        (everywhere, [daamkit.Exchange("cat", SOURCE)]),
        (here, [LocalExchange("cat", SOURCE, where=where)]),
    ):
        with attach(sd, *edits, tap):
            generate(sd, PROMPT, height=48, width=64, steps=1)
    only_above_left(plain, everywhere, here)


def test_each_image_has_its_part_and_its_words(sd):
    two = {"prompt": ["a red cat", "a red kitten cat"], "height": 32, "width": 32}
    source = ["a red dog", "a red kitten dog"]
    words = [["cat"], ["red", "cat"]]  # the first has a key less
    whole, plain = made(sd, daamkit.Exchange(words, source), **two), generate(sd, **two)
    for parts in ([~EVERYTHING, EVERYTHING], [EVERYTHING, ~EVERYTHING]):
        found = made(sd, LocalExchange(words, source, where=np.stack(parts)), **two)
        for i, own in enumerate(parts):
            near, far = (whole, plain) if own.all() else (plain, whole)
            assert np.abs(found[i] - near[i]).max() < 1e-5 < np.abs(found[i] - far[i]).max()


def test_a_trace_sees_the_prompts_words_and_the_record_the_part(sd):
    where = np.stack([EVERYTHING, ~EVERYTHING]).reshape(2, 64)  # a half
    edit = LocalExchange("cat", SOURCE, where=where)
    with daamkit.edit(sd, edit), daamkit.trace(sd) as tracer:
        generate(sd, PROMPT, steps=2)
    (noted,) = tracer.run.record["edits"]
    assert noted["edit"] == "LocalExchange" and noted["settings"]["where"] == 0.5
    assert tracer.run.maps.steps == 2  # the passes beside are nobody's
    assert [word.text for word in tracer.run.maps.prompt.words()] == PROMPT.split()


def test_other_edits_act_besides(sd):
    """What is silenced is silent for all cells, whatever comes first."""
    half = np.zeros((8, 8), bool)
    half[:4] = True
    local, silence = LocalExchange("cat", SOURCE, where=half), daamkit.Silence("car")
    one, other = made(sd, local, silence), made(sd, silence, local)
    assert np.allclose(one, other, atol=1e-5)
    assert np.abs(one - made(sd, local)).max() > 1e-4 < np.abs(one - made(sd, silence)).max()


def test_of_joint_attention_the_words_keys_alone_are_exchanged():
    """At the first site the text of other words is as it was, and the text looks as before."""
    pipe = tiny_joint.toybox_flux()
    prompt, source = "a red cat and a blue car", "a red dog and a blue car"
    where = np.zeros((16, 16), bool)
    where[:5, 9:] = True
    taps = {name: Outputs() for name in ("plain", "everywhere", "here")}
    edits = {"everywhere": [daamkit.Exchange("cat", source)]}
    edits["here"] = [LocalExchange("cat", source, where=where)]
    for name, tap in taps.items():
        with attach(pipe, *edits.get(name, []), tap):
            tiny_joint.generate(pipe, prompt, height=128, width=128, num_inference_steps=1)
    first = next(iter(taps["plain"].seen))
    (plain, before), (other, _), (_, own) = (taps[name].seen[first] for name in taps)
    (changed,) = (plain.key != other.key).any(-1).any(1).any(0).nonzero().unbind(1)
    assert len(changed) == 1 and changed.item() in range(
        *plain.layout.keys(slice(0, 1)).indices(512)
    )
    key, value = plain.key.clone(), plain.value.clone()
    key[:, :, changed], value[:, :, changed] = other.key[:, :, changed], other.value[:, :, changed]
    shares = (plain.query * plain.scale @ key.mT).softmax(-1) @ value
    cells = torch.zeros(plain.query.shape[2], dtype=torch.bool)
    cells[plain.layout.cells] = torch.from_numpy(where.flatten())
    assert torch.allclose(own[:, :, cells], shares[:, :, cells], atol=1e-5)
    assert torch.allclose(own[:, :, ~cells], before[:, :, ~cells], atol=1e-5)
    assert not torch.allclose(before[:, :, cells], own[:, :, cells], atol=1e-4)


def test_what_the_passes_beside_have_kept_is_let_go(sd):
    """After a call, and after one that fails."""
    with daamkit.edit(sd, LocalExchange("cat", SOURCE, where=EVERYTHING)):
        for failure in (False, True):
            kept = []

            (edit,) = [tap for tap in attached(sd) if isinstance(tap, LocalExchange)]

            def look(pipe, step, time, tensors, kept=kept, failure=failure, edit=edit):
                kept += [ref(key) for _, key, _ in edit._beside.kept.values()]
                kept += [ref(row.text) for row in edit._rows]
                if failure:
                    raise KeyError("in between")
                return tensors

            with pytest.raises(KeyError) if failure else nullcontext():
                generate(sd, PROMPT, steps=1, callback_on_step_end=look)
            gc.collect()
            assert kept and not any(each() is not None for each in kept)


def test_parts_that_are_none(sd):
    with pytest.raises(DaamkitError, match=r"one for each of 1 images.*\(3, 8, 8\)"):
        made(sd, LocalExchange("cat", SOURCE, where=np.ones((3, 8, 8), bool)))
    with pytest.raises(DaamkitError, match="heads=0"):
        made(sd, LocalExchange("cat", SOURCE, where=EVERYTHING, heads=0))
