"""Law 2 under fire: an exception at every line that sets up or takes down leaves nothing.

`--every-line` crosses all lines and kinds of exception, for hours. Otherwise some lines meet one
kind each, in each context.
"""

import itertools
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from transformers.utils import logging

import daamkit
from daamkit import compat
from daamkit.attention import hooks
from daamkit.attention.faces import locked
from daamkit.studies import runner
from daamkit.vision import segmentation
from tests import tiny
from tests.attention.test_restoration import snapshot
from tests.tiny import generate

FAILURES = [KeyboardInterrupt, MemoryError, RuntimeError]
ROOT = str(Path(daamkit.__file__).parent)


@pytest.fixture(scope="module")
def pipe():
    """As few sites as there can be, so that each line can fail in turn."""
    pipe = tiny.sd(
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    generate(pipe, steps=1)
    return pipe


class Injection:
    """Raises at a line's first or last run; with no failure it lists the lines that run."""

    def __init__(self, failure=None, place=None, run=0):
        self.failure, self.place, self.run = failure, place, run
        self.seen: dict[tuple[str, int], int] = {}

    def __enter__(self):
        sys.settrace(self.call)

    def __exit__(self, *_):
        sys.settrace(None)

    def call(self, frame, event, argument):
        return self.line if frame.f_code.co_filename.startswith(ROOT) else None

    def line(self, frame, event, argument):
        if event == "line":
            place = frame.f_code.co_filename, frame.f_lineno
            self.seen[place] = self.seen.get(place, 0) + 1
            if place == self.place and self.seen[place] == self.run:
                raise self.failure(f"injected at {place}")
        return self.line


class Outcome:
    """Whether what was injected came out."""

    def __init__(self, failure):
        self.failure, self.raised = failure, False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.raised = isinstance(error, self.failure) and "injected" in str(error)
        return self.raised


def places(work):
    """Each line that runs, with its first and its last run."""
    work()  # once before: what is imported then is not imported again
    with (listing := Injection()):
        work()
    return [(place, run) for place, n in listing.seen.items() for run in sorted({1, n})]


def free() -> bool:
    """Whether another thread gets the lock."""
    got = []
    thread = threading.Thread(target=locked()(lambda: got.append(1)), daemon=True)
    thread.start()
    thread.join(5)
    return bool(got)


CONTEXTS = {
    "trace": lambda pipe: daamkit.trace(pipe, self_attention=True),
    "guide": lambda pipe: daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"], attn_res=(16, 16))),
    "sag": lambda pipe: daamkit.guide(pipe, daamkit.SelfAttentionGuidance()),
    "pag": lambda pipe: daamkit.guide(pipe, daamkit.PerturbedAttentionGuidance()),
    "edit": lambda pipe: daamkit.edit(pipe, daamkit.Silence("cat")),
}


def crossed(places, every, every_line):
    """Each place with each failure; else every so many places with one, which takes turns."""
    if every_line:
        return list(itertools.product(places, FAILURES))
    return list(zip(places[::every], itertools.cycle(FAILURES), strict=False))


@pytest.mark.parametrize("name", CONTEXTS)
def test_entering_and_leaving(pipe, name, every_line):
    before = snapshot(pipe)

    def work():
        with CONTEXTS[name](pipe):
            pass

    found = places(work)
    assert len(found) > 80
    for (place, run), failure in crossed(found, 5, every_line):
        with pytest.raises(failure, match="injected"), Injection(failure, place, run):
            work()
        assert snapshot(pipe) == before, (place, run)
        assert hooks.attached(pipe) == [] and free()


def before_and_after_the_call(pipe, name):
    """A call of which only what is set up and taken down can fail, not the passes themselves."""
    with CONTEXTS[name](pipe):
        generate(pipe, "a red cat", steps=1, output_type="latent", guidance_scale=1.0)


OF_A_CALL = (
    *("hooks.py", "faces.py", "modules.py", "audience.py", "schedulers.py", "readers.py"),
    *("spies.py", "freezing.py", "compiled.py", "texts.py", "stores.py", "denoising.py"),
    *("descent.py", "recorder.py", "extra.py", "edit.py"),
)


def models(pipe) -> dict:
    """All but what the pipeline itself notes of its calls."""
    return {name: value for name, value in snapshot(pipe).items() if name != "pipe"}


@pytest.mark.parametrize("name", CONTEXTS)
def test_within_a_call(pipe, name, every_line):
    before_and_after_the_call(pipe, name)
    before = models(pipe)
    found = places(lambda: before_and_after_the_call(pipe, name))
    chosen = [each for each in found if Path(each[0][0]).name in OF_A_CALL]
    assert len(chosen) > 150
    for (place, run), failure in crossed(chosen, 41, every_line):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with Outcome(failure) as outcome, Injection(failure, place, run):
                before_and_after_the_call(pipe, name)
        # While an extra pass ends early, torch takes errors of hooks for warnings.
        said = [str(each.message) for each in told]
        assert all("silenced" in each and f"injected at {place}" in each for each in said), said
        assert outcome.raised != bool(said), (place, run)
        assert models(pipe) == before, (place, run)
        assert torch.is_grad_enabled()
        assert torch.overrides._get_current_function_mode_stack() == []
        assert hooks.attached(pipe) == [] and free()
    assert type(pipe.scheduler) is DDIMScheduler
    generate(pipe, steps=1)


class Model:
    """A class of models that keeps some parts in float32."""

    _keep_in_fp32_modules = ("norm",)


WHILES = {
    "threads": (lambda: runner._threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "precision": (lambda: compat.in_one_precision(Model), lambda: Model._keep_in_fp32_modules),
    "bars": (segmentation._without_bars, logging.is_progress_bar_enabled),
}


@pytest.mark.parametrize("name", WHILES)
@pytest.mark.parametrize("failure", FAILURES)
def test_what_lasts_a_while_is_undone_wherever_it_begins_to_fail(name, failure):
    last, state = WHILES[name]
    before, entered = state(), last()
    with (listing := Injection()):
        entered.__enter__()
    assert state() != before and len(listing.seen) > 3
    entered.__exit__(None, None, None)
    for place in listing.seen:
        with pytest.raises(failure, match="injected"), Injection(failure, place, 1), last():
            pass
        assert state() == before, place
