"""Replay: an image drawn with another's attention, and the pipeline as it was afterwards."""

import numpy as np
import pytest
import torch

import daamkit
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.edits.replay import Replay, Tape
from daamkit.errors import DaamkitError
from tests.tiny import generate

RED, BLUE = "a red cat", "a blue cat"
ROUNDING = 5e-3  # of an image from 0 to 1: tapes are in half precision


@pytest.fixture(scope="module")
def red(toybox) -> np.ndarray:
    return generate(toybox, RED)


@pytest.fixture(scope="module")
def blue(toybox) -> np.ndarray:
    return generate(toybox, BLUE)


@pytest.fixture(scope="module")
def tape(toybox, red) -> Tape:
    """Of the red cat, two steps."""
    tape = Tape()
    with attach(toybox, tape):
        assert np.array_equal(generate(toybox, RED), red)  # recording changes nothing
    return tape


@pytest.fixture(scope="module")
def replayed(toybox, tape) -> np.ndarray:
    """The blue cat, with the red one's attention."""
    with attach(toybox, Replay(tape)):
        return generate(toybox, BLUE)


def test_a_prompt_replayed_on_itself_is_the_same_image(toybox, tape, red) -> None:
    with attach(toybox, Replay(tape)):
        again = generate(toybox, RED)
    assert np.abs(again - red).max() < ROUNDING


def test_another_prompt_is_drawn_otherwise_than_without(toybox, tape, blue, replayed) -> None:
    assert np.abs(replayed - blue).mean() > 1e-3


def test_the_values_stay_the_prompts_own(red, replayed) -> None:
    assert np.abs(replayed - red).mean() > 1e-3


def test_a_replay_changes_the_prompts_rows_alone(toybox, tape) -> None:
    seen, own = {}, {}

    class Look(Tap):
        def __init__(self, into):
            self.into = into

        def wants(self, site):
            return site.kind == "cross"

        def edit(self, attention, output):
            self.into[attention.now.index, attention.site.name] = (output, attention)
            return output

    with attach(toybox, Look(own), Replay(tape), Look(seen)):
        generate(toybox, BLUE)
    assert {(1, *place) for place in seen} == set(tape.kept)
    for place, (output, attention) in seen.items():
        rows, others = (attention.branches[name] for name in ("cond", "uncond"))
        wanted = tape.kept[1, *place].float() @ attention.value[rows]
        assert torch.allclose(output[rows], wanted, atol=1e-5)
        assert torch.equal(output[others], own[place][0][others])


def test_guidance_may_differ(toybox, tape) -> None:
    for options in ({"guidance_scale": 1.0}, {"negative_prompt": "a dog"}):
        plain = generate(toybox, BLUE, **options)
        with attach(toybox, Replay(tape)):
            assert np.abs(generate(toybox, BLUE, **options) - plain).mean() > 1e-3


def test_calls_are_replayed_one_after_the_other(toybox, tape, red, replayed) -> None:
    both = Tape()
    with attach(toybox, both):
        generate(toybox, RED)
        blue = generate(toybox, BLUE)
    with attach(toybox, Replay(both)):
        assert np.array_equal(generate(toybox, BLUE), replayed)
        assert np.abs(generate(toybox, BLUE) - blue).max() < ROUNDING


def test_a_batch_is_replayed_image_by_image(toybox, red, blue) -> None:
    tape = Tape()
    with attach(toybox, tape):
        before = generate(toybox, [RED, BLUE])
    with attach(toybox, Replay(tape)):
        after = generate(toybox, [RED, BLUE])
    assert np.abs(after - before).max() < ROUNDING


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 3}, {"steps": 1}, {"prompt": [RED, RED]}, {"num_images_per_prompt": 2},
        {"height": 96, "width": 96},
    ],
    ids=["more steps", "fewer steps", "batch", "images", "size"],
)  # fmt: skip
def test_a_call_that_is_not_the_tapes_is_an_error(toybox, tape, blue, options) -> None:
    with (
        pytest.raises(DaamkitError, match="same batches, size, steps"),
        attach(toybox, Replay(tape)),
    ):
        generate(toybox, **{"prompt": BLUE} | options)
    assert np.array_equal(generate(toybox, BLUE), blue)


def test_a_call_after_the_tapes_last_is_an_error(toybox, tape) -> None:
    with attach(toybox, Replay(tape)):
        generate(toybox, BLUE)
        with pytest.raises(DaamkitError, match="got none"):
            generate(toybox, BLUE)


class Stop(Tap):
    """Raises in the second pass."""

    def observe(self, attention):
        if attention.now.index:
            raise RuntimeError("stop")


def test_an_exception_inside_leaves_the_pipeline_as_it_was(toybox, tape, blue) -> None:
    own = type(toybox)
    for tap in (Tape(), Replay(tape)):
        with pytest.raises(RuntimeError, match="stop"), attach(toybox, tap, Stop()):
            generate(toybox, BLUE)
        assert type(toybox) is own
        assert np.array_equal(generate(toybox, BLUE), blue)


def test_a_trace_beside_a_replay_in_either_order(toybox, tape, replayed) -> None:
    pools = []
    for traced_first in (True, False):
        tracer, replay = daamkit.trace(toybox), attach(toybox, Replay(tape))
        outer, inner = (tracer, replay) if traced_first else (replay, tracer)
        with outer, inner:
            assert np.array_equal(generate(toybox, BLUE), replayed)
        assert tracer.run.prompt == BLUE
        pools.append(tracer.run.maps.pool())
    assert torch.equal(*pools)


def test_a_trace_beside_a_tape_records_the_same(toybox, tape, red) -> None:
    with daamkit.trace(toybox) as alone:
        generate(toybox, RED)
    for traced_first in (True, False):
        tracer, again = daamkit.trace(toybox), Tape()
        contexts = [tracer, attach(toybox, again)]
        outer, inner = contexts if traced_first else reversed(contexts)
        with outer, inner:
            assert np.array_equal(generate(toybox, RED), red)
        assert torch.equal(tracer.run.maps.pool(), alone.run.maps.pool())
        assert all(torch.equal(again.kept[place], tape.kept[place]) for place in tape.kept)
