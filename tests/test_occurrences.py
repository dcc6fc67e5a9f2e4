"""A repeated word is named in one way by every method, plot, guide and view."""

import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import daamkit
from daamkit.attention.calls import Call
from daamkit.guidance import subjects
from daamkit.maps.prompt import Prompt
from daamkit.maps.words import WordError
from daamkit.views import plots
from daamkit.views.facts import facts
from daamkit.views.inspector.arcs import grammar
from daamkit.views.labels import labels
from tests.tiny import generate
from tests.views.runs import made

CATS = "a cat and a Cat on a mat"
SECOND = [
    ("cat (2)", None),
    (("cat", 1), None),
    ("cat", 1),
    ("CAT (2)", None),
    ("cat", np.int64(1)),
]


@pytest.fixture(scope="module")
def run(sd):
    with daamkit.trace(sd, keep=("step", "site", "head")) as tracer:
        generate(sd, CATS, output_type="pil")
    return tracer.run


@pytest.mark.parametrize(("word", "occurrence"), SECOND)
def test_the_second_cat(run, word, occurrence) -> None:
    second = run.maps.prompt.words()[4]
    assert second.text == "Cat" and second.start == 12
    assert run.maps.prompt.word(word, occurrence) == second
    found = run.maps.word(word, occurrence)
    assert found.word == second and found.peak() == run.maps.of(second).peak()
    asked = word if occurrence is None else (word, occurrence)
    one = run.maps.argmax([asked, "mat"])
    assert np.array_equal(one, run.maps.argmax([second, "mat"]))


@pytest.mark.parametrize(("word", "occurrence"), SECOND)
def test_plots_know_it(run, word, occurrence) -> None:
    for plot in (plots.steps, plots.heads, plots.grid):
        plot(run, word, occurrence=occurrence)
        with pytest.raises(WordError, match="one 'cat'"):
            plot(run, "cat")
    plt.close("all")
    asked = word if occurrence is None else (word, occurrence)
    assert "Cat (2)" in [ax.get_title() for ax in plots.grid(run, [asked, "mat"]).axes]


def test_guides_know_it(sd) -> None:
    call = Call(sd, {"prompt": CATS, "num_images_per_prompt": 1})
    for asked in ("cat (2)", ("cat", 1)):
        assert subjects.find(call, [asked, "mat"]) == [[(5,), (8, 9)]]
    assert subjects.find(call, np.array([5, 8])) == [[(5,), (8,)]]
    assert subjects.find(call, [np.int64(5), np.array([5, 8])]) == [[(5,), (5, 8)]]
    with pytest.raises(WordError):
        subjects.find(call, ["cat (3)"])


def test_views_know_it() -> None:
    run = made("a cat and a Cat")
    inspector = daamkit.Inspector(run)
    assert inspector.words == ["a", "cat", "and", "a (2)", "Cat (2)"]
    assert inspector.words == labels(run.maps.prompt.words())
    for label in ("Cat (2)", "cat (2)"):
        inspector.word = label
        assert inspector.word == "Cat (2)"
    inspector.pins = ["cat", "cat (2)"]
    assert inspector.pins == ["cat", "Cat (2)"]
    share = run.maps.word("cat (1)").iou(run.maps.word("cat (2)"), inspector.threshold)
    assert inspector.table()["iou"].tolist() == [share]
    inspector.close()


def test_whatever_names_it_says_which() -> None:
    run = made("a cat and a cat")
    second = run.maps.word("cat", 1)
    assert second.word.label == "cat (2)" and repr(second).startswith("WordMap('cat (2)', 64x64")
    assert repr(run.maps).startswith("HeatMaps(a, cat, and, a (2), cat (2); 64x64")
    assert 'alt="attention of the word cat (2)"' in second._repr_html_()
    named = re.findall("<th scope=row>(.*?)</th>", facts({"": run}))
    assert {"cat", "cat (2)"} <= set(named)
    arcs = grammar(run.prompt, run.maps.prompt.words()).arcs
    assert {"a introduces cat", "a (2) introduces cat (2)"} <= {arc["says"] for arc in arcs}


def test_what_stands_there_comes_first(sd) -> None:
    run = made("a cat (2) and a cat")
    assert run.maps.prompt.word("cat (2)").start == 2
    assert run.maps.prompt.word("cat", 1).start == 16


@pytest.mark.parametrize("word", [["red", "cat"], 3, None, ("cat", "Cat"), ("cat", 1, 2)])
def test_what_is_no_word(run, word) -> None:
    with pytest.raises(WordError, match="one word or phrase"):
        inspect.unwrap(Prompt.word)(run.maps.prompt, word)


@pytest.mark.parametrize("occurrence", ["first", 1.0, True, [1]])
def test_what_is_no_occurrence(run, occurrence) -> None:
    with pytest.raises(WordError, match="one word or phrase"):
        inspect.unwrap(Prompt.word)(run.maps.prompt, "cat", occurrence)


@pytest.mark.parametrize("word", ["cat (0)", "cat (3)", "dog (2)", "(2)"])
def test_one_that_is_not_there(run, word) -> None:
    with pytest.raises(WordError):
        run.maps.word(word)


def test_a_word_of_another_prompt_has_no_map_here(run) -> None:
    other = made("a bird and a fish").maps.prompt.word("bird")
    with pytest.raises(WordError, match="of another prompt"):
        run.maps.of(other)
    with pytest.raises(WordError, match="of another prompt"):
        plots.heads(run, other)
