"""What a person would naturally give is taken; what cannot be is told in our own words."""

import gc
import inspect
import weakref
from types import SimpleNamespace

import pytest
import torch

import daamkit
from daamkit import prompts, zoo
from daamkit.attention.stores import MemoryBudgetError
from daamkit.errors import DaamkitError
from daamkit.maps import saving
from daamkit.maps.collection import open_runs, several
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.saved import RunFolderError
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


WRONG = [
    ("keep", None), ("branches", None), ("sites", 3), ("self_grid", "a"), ("budget", "1GB"),
    ("spill", 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wish_of_another_kind_is_told(sd, name, value) -> None:
    with pytest.raises(DaamkitError, match=rf"wanted `{name}=` as in"):
        inspect.unwrap(trace.__init__)(object.__new__(trace), sd, **{name: value})


def bare(function, *given, **options):
    """As it runs for who has no checker of types."""
    return inspect.unwrap(function)(*given, **options)


def test_what_is_no_file_no_column_no_pipeline_no_prompt(sd) -> None:
    for columns in ("cat", 2.5, [1.5], 10**9):
        with pytest.raises(DaamkitError, match="wanted columns"):
            bare(HeatMaps.tokens, RUNS[0].maps, columns)
    one = RUNS[0].maps.tokens(2)
    assert torch.equal(one.values, RUNS[0].maps.tokens([2]).values)
    for verb, given in ((open_runs, [3]), (saving.save, [RUNS[0], 3])):
        with pytest.raises(RunFolderError, match="got 3"):
            bare(verb, *given)
    with pytest.raises(DaamkitError, match="wanted a pipeline of diffusers"):
        bare(zoo.load, 3)
    with pytest.raises(DaamkitError, match="wanted one prompt"):
        bare(prompts.tokenized, sd, ["a cat"])


def test_methods_and_edits_are_taken_in_lists(sd) -> None:
    sag, pag = daamkit.SelfAttentionGuidance(), daamkit.PerturbedAttentionGuidance()
    assert len(daamkit.guide(sd, [sag, pag])._methods) == 2
    silences = [daamkit.Silence("cat", steps=0, heads=1), daamkit.Silence("car")]
    with daamkit.edit(sd, silences), daamkit.trace(sd) as tracer:
        generate(sd, "a cat and a car", steps=1)
    assert len(tracer.run.record["edits"]) == 2


NEVER = [{"branch": "main"}, {"branch": "negative"}, {"heads": "a"}, {"steps": 0.5}]


@pytest.mark.parametrize("options", NEVER)
def test_an_edit_that_would_never_act_is_told(sd, options) -> None:
    edit = daamkit.Silence("cat")
    vars(edit).update(options)
    told = pytest.raises(
        DaamkitError, match="for Silence; got a call with cond|numbers of (heads|steps)"
    )
    with told, daamkit.edit(sd, edit):
        generate(sd, "a cat", steps=1)


def test_memory_is_told_before_it_is_taken(sd) -> None:
    kept = {"keep": ("step", "site", "head")}
    call = {"num_inference_steps": 500, "num_images_per_prompt": 32, "output_type": "latent"}
    needed = daamkit.trace(sd, **kept).bytes("a cat", steps=500, images=32)
    assert needed > BUDGET == 2**30
    told = rf"at most 1,073,741,824 bytes.*got {needed:,} bytes to keep head, site, step"
    with pytest.raises(MemoryBudgetError, match=told), daamkit.trace(sd, **kept):
        sd("a cat", **call)
