"""What a person would naturally give is taken; what cannot be is told in our own words."""

import gc
import inspect
import weakref
from types import SimpleNamespace

import pytest

import daamkit
from daamkit.attention.stores import MemoryBudgetError
from daamkit.errors import DaamkitError
from daamkit.maps.collection import several
from daamkit.tracing.trace import BUDGET, trace
from daamkit.views.inspector import Inspector
from daamkit.views.rating import Rating
from tests.tiny import generate
from tests.views.runs import made

RUNS = [made("a cat and a dog", 1), made("a cat and a dog", 2)]
TRACER = SimpleNamespace(runs=RUNS)


@pytest.mark.parametrize("given", [(RUNS,), (*RUNS,), (tuple(RUNS),), (TRACER,), (iter(RUNS),)])
def test_runs_are_taken_as_they_come(given) -> None:
    if not hasattr(given[0], "__next__"):
        assert several(*given) == RUNS
        assert daamkit.html(*given) == daamkit.html(*RUNS)
    inspector = Inspector(*given)
    assert list(inspector.runs.values()) == RUNS
    inspector.close()


def test_a_tracer_is_taken_and_an_empty_one_is_told(sd, tmp_path) -> None:
    with daamkit.trace(sd) as tracer:
        with pytest.raises(DaamkitError, match="wanted a run; got none"):
            daamkit.html(tracer)
        generate(sd, "a cat", output_type="pil")
    assert several(tracer) == tracer.runs
    rating = Rating(tracer, tmp_path / "said.jsonl")
    assert rating.total == 2
    rating.close()


@pytest.mark.parametrize("wrong", ["run", 3, None, {"a": 1}, [3], b"run"])
def test_what_is_no_run(wrong) -> None:
    with pytest.raises(DaamkitError, match="runs, lists of runs, or tracers"):
        several(wrong)


def test_widgets_let_go_of_their_runs(tmp_path) -> None:
    for make in (Inspector, lambda run: Rating(run, tmp_path / "said.jsonl")):
        alive = []
        for seed in range(3):
            run = made("a cat and a dog", seed)
            widget = make(run)
            alive.append(weakref.ref(run.maps))
        del run, widget
        gc.collect()
        assert [each() for each in alive] == [None] * 3


@pytest.mark.parametrize("options", [{"rule": "zz"}, {"branches": ("cond", "main")}])
def test_a_wish_that_cannot_be_is_told_before_the_generation(sd, options) -> None:
    with pytest.raises(DaamkitError, match="wanted a (rule|branch) of"):
        inspect.unwrap(trace.__init__)(object.__new__(trace), sd, **options)


def test_memory_is_told_before_it_is_taken(sd) -> None:
    kept = {"keep": ("step", "site", "head")}
    call = {"num_inference_steps": 500, "num_images_per_prompt": 32, "output_type": "latent"}
    needed = daamkit.trace(sd, **kept).bytes("a cat", steps=500, images=32)
    assert needed > BUDGET == 2**30
    told = rf"at most 1,073,741,824 bytes.*got {needed:,} bytes to keep head, site, step"
    with pytest.raises(MemoryBudgetError, match=told), daamkit.trace(sd, **kept):
        sd("a cat", **call)
