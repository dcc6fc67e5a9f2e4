"""The playground without a browser: what is made, kept, compared, and written as Python."""

import io
import json
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

import daamkit
from daamkit import cli, resources
from daamkit.cli import play as play_verb
from daamkit.errors import DaamkitError
from daamkit.views import palettes
from daamkit.views.playground import Playground, opening, previews
from daamkit.views.playground.previews import small
from daamkit.views.playground.recipe import Recipe, loading, opened, words
from daamkit.views.png import from_uri
from tests.families.every import CASES
from tests.views.runs import made


@pytest.fixture
def play(toybox) -> Playground:
    found = Playground(toybox, "a red cat and a cat", keep=("site",))
    found.steps = 3
    return found


def drawn(play: Playground) -> Any:
    play.generate()
    run = play.wait(60)
    assert not play.problem, play.problem
    return run


def pixels(run) -> np.ndarray:
    return np.asarray(run.image)


def again(code: str) -> Any:
    names: dict = {}
    exec(compile(code, "code", "exec"), names)
    return names["run"]


def test_a_picture_is_made_shown_and_made_again_by_its_code(play) -> None:
    play.seed, play.methods, play.subjects = 5, ["AttendAndExcite"], ["cat (2)", "cat"]
    assert play.words == ["a", "red", "cat", "and", "a (2)", "cat (2)"]
    assert play.subjects == ["cat", "cat (2)"]
    run = drawn(play)
    assert (run.seed, run.prompt, run.method) == (5, play.prompt, "AttendAndExcite")
    assert play.progress == 1 and play.busy is False and play.shown == 0
    assert [caption for caption, _ in play.cells] == ["image", "cat", "cat (2)"]
    assert list(play.inspector.runs.values()) == [run]
    copied = again(play.code)
    assert np.array_equal(pixels(copied), pixels(run))
    assert "AttendAndExcite([('cat', 0), 'cat (2)'])" in play.code
    assert copied.record["guidance"] == run.record["guidance"]


def test_code_opens_the_model_in_its_precision_and_on_its_device(toybox) -> None:
    pipe = daamkit.load("toybox", dtype=torch.bfloat16)
    play = Playground(pipe, "a red cat", keep=("site",), previews=0)
    play.steps = 1
    play.width = play.height = 32
    run = drawn(play)
    assert "pipe = daamkit.load('toybox', dtype=torch.bfloat16)\n" in play.code
    assert np.array_equal(pixels(again(play.code)), pixels(run))
    play.pipe.vae.float()
    kinds = "{'default': torch.bfloat16, 'vae': torch.float32}"
    assert opened(play.pipe) == f"pipe = daamkit.load('toybox', dtype={kinds})"
    assert opened(toybox) == "pipe = daamkit.load('toybox')"
    named = SimpleNamespace(
        name_or_path=str(resources.path("toybox-flux")), components=toybox.components
    )
    assert opened(named) == "pipe = daamkit.load('toybox-flux')"


def test_code_moves_the_model_where_it_was() -> None:
    weight = SimpleNamespace(dtype=torch.float16, device=torch.device("cuda", 0))
    parts = {"scheduler": object(), "unet": SimpleNamespace(parameters=lambda: iter([weight]))}
    pipe = SimpleNamespace(name_or_path="some/model", components=parts)
    moved = "daamkit.load('some/model', dtype=torch.float16).to('cuda')"
    assert opened(pipe) == f"pipe = {moved}"
    assert loading("m", device=torch.device("cuda", 1)) == "daamkit.load('m').to('cuda:1')"
    assert opened(SimpleNamespace()).startswith("# pipe")


STOPS = {  # whether a pipeline can be stopped between its steps
    "pixart": False,  # nobody is called back
    "hunyuanvideo": False,
    "lumina2": False,  # called back, and goes on
    "flux": True,
    "sd3": True,
    "wan": True,
}


@pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:The config attributes:UserWarning")
@pytest.mark.parametrize("name", STOPS)
def test_any_pipeline_tells_its_steps_and_is_stopped_where_it_can_be(
    name, monkeypatch, capsys
) -> None:
    case = CASES[name]
    call = {"num_inference_steps": 4} | case.call
    monkeypatch.setattr(Recipe, "options", lambda recipe, pipe: {"prompt": recipe.prompt} | call)
    play = Playground(case.build(), "a red cat", keep=("site",))
    play.pipe.set_progress_bar_config(disable=False)
    play.steps, told, seen = 4, [], []

    def hear(change: Any) -> None:
        told.append(change["new"].split(",")[0])
        if change["new"].startswith("step 1 of") and STOPS[name]:
            play.stop()

    play.observe(hear, "status")
    play.observe(lambda change: seen.append([caption for caption, _ in change["new"]]), "cells")
    run = drawn(play)
    made = 2 if STOPS[name] else 4
    assert told[1:-1] == [f"step {number} of 4" for number in range(1, made + 1)]
    assert run.maps.steps == made and len(seen) > 1
    assert [each[-3:] for each in seen] == [["a", "red", "cat"]] * len(seen)
    assert ("stopped after 2" in play.history[0][0]) == ("def stop" in play.code) == STOPS[name]
    assert play.history[0][1] and len(play.inspector.runs) == 1
    assert "it/s" not in capsys.readouterr().err and "progress_bar" not in vars(play.pipe)
    if not STOPS[name]:
        assert play.unstoppable.startswith(type(play.pipe).__name__)
        with pytest.raises(DaamkitError, match="can be stopped between its steps"):
            play.stop()


def test_stopped_it_keeps_what_was_made_and_says_so_in_code(play) -> None:
    steps: list[str] = []

    def stop(change: Any) -> None:
        steps.append(change["new"])
        if change["new"].startswith("step 1 of"):
            play.stop()

    play.steps = 6
    play.observe(stop, "status")
    run = drawn(play)
    assert run.maps.steps == 2 and not any(each.startswith("step 3") for each in steps)
    assert play.history[0][0].endswith("stopped after 2 steps")
    assert np.array_equal(pixels(again(play.code)), pixels(run))
    meant = from_uri(run.record["previews"][-1])
    assert play.history[0][1] == play.cells[0][1] == small(meant)  # not its half noise
    assert np.array_equal(pixels(run), pixels(play.runs[0]))
    play.unobserve(stop, "status")
    assert drawn(play).maps.steps == 6


def test_pictures_and_maps_fill_in_while_it_draws(play) -> None:
    seen: list[dict[str, bytes]] = []
    play.observe(lambda change: seen.append(dict(change["new"])), "cells")
    play.subjects = ["cat"]
    meant = drawn(play).record["previews"]
    assert [[*each] for each in seen] == [["image", "cat"]] * 3  # two steps, then the picture
    assert len(meant) == 3 and meant[0] != meant[1]
    assert [each["image"] for each in seen[:2]] == [small(from_uri(each)) for each in meant[:2]]
    play.previews = 0
    assert "previews" not in drawn(play).record
    assert len(seen) == 3  # the same picture again, and nothing before it


def test_one_word_changed_ends_in_a_comparison(play) -> None:
    first = drawn(play)
    play.change("red", "blue")
    second = play.wait(60)
    assert play.prompt == second.prompt == "a blue cat and a cat" and second.seed == first.seed
    assert [caption for caption, _ in play.cells[:2]] == ["before", "after"]
    assert play.pinned == [0, 1] and list(play.inspector.runs.values()) == [first, second]
    assert play.inspector.difference and play.inspector.word == "cat (2)"
    with pytest.raises(DaamkitError, match="got 'dog'"):
        play.change("dog", "cat")


def test_what_differs_is_shown_of_the_whole_range() -> None:
    plain, slight, all_ = (Image.new("L", (160, 160), grey) for grey in (0, 1, 255))
    first, second = made(), made()
    for other, told, level in ((slight, "0.4%", 1 / 255), (all_, "100.0%", 1.0)):
        pair = [replace(run, image=image) for run, image in ((first, plain), (second, other))]
        *_, (caption, png) = previews.difference(*pair)
        assert caption == f"what differs, at most {told}"
        shown = np.asarray(Image.open(io.BytesIO(png)))
        assert (shown == palettes.colours(np.array(level))).all()


def test_words_that_can_be_changed_are_those_of_the_picture_shown(play) -> None:
    play.steps = 1
    drawn(play)
    play.prompt = "two frogs"
    assert play.words == ["two", "frogs"]
    assert play._offered == ["a", "red", "cat", "and", "a (2)", "cat (2)"]
    play.change("red", "blue")
    assert play.wait(60).prompt == "a blue cat and a cat"
    assert play._offered[1] == "blue" and play.inspector.word == "cat (2)"
    assert play.prompt == "two frogs"  # what was typed stays
    play.shown = 0
    assert play._offered[1] == "red"


def test_pinned_pictures_are_compared_below(play) -> None:
    runs = [drawn(play), drawn(play)]
    before = play.inspector
    play.pinned = [1, 0]
    assert list(play.inspector.runs.values()) == runs[::-1] and not before.runs  # the old is closed
    assert len(set(play.inspector.runs)) == 2  # two of one title have names of their own
    play.pinned = []
    assert list(play.inspector.runs.values()) == [runs[1]]
    play.shown = 0
    assert list(play.inspector.runs.values()) == [runs[0]]
    with pytest.raises(DaamkitError, match="pictures from 0 to 1; got"):
        play.pinned = [2]


def test_one_side_alone_is_refused(play) -> None:
    play.width = 256
    play._asked(None, {"kind": "generate"}, None)  # as the button says it
    assert "both height and width" in play.problem and "width 256" in play.problem
    assert not play.busy and not play.runs


def test_what_goes_wrong_is_a_sentence_and_the_next_works(play, monkeypatch) -> None:
    play.methods = ["SynGen"]
    play.prompt = "a cat"
    play.generate()
    assert play.wait(60) is None
    assert play.problem.startswith("Wanted ") and not play.busy and not play.runs
    assert play.cells == []
    play.methods = []
    assert drawn(play) is play.runs[0]
    shown = play.cells
    with monkeypatch.context() as patch:
        patch.setattr(play.pipe.vae, "decode", None)  # after the last step
        play.seed = 1
        play.generate()
        assert play.wait(60) is None and "NoneType" in play.problem
    assert play.cells == shown and play.shown == 0
    play.width = 100  # not what the model takes
    play.height = 100
    play.generate()
    assert play.wait(60) is None and "100" in play.problem
    assert len(play.runs) == 1


def test_one_at_a_time(play, monkeypatch) -> None:
    gate = threading.Event()
    make = Recipe.make
    monkeypatch.setattr(Recipe, "make", lambda *given: gate.wait(60) and make(*given))
    play.generate()
    assert play.busy
    with pytest.raises(DaamkitError, match="one picture at a time"):
        play.generate()
    play._asked(None, {"kind": "generate"}, None)  # as the button says it
    assert "one picture at a time" in play.problem
    gate.set()
    play.wait(60)
    assert len(play.runs) == 1


@pytest.mark.parametrize(
    ("trait", "value", "says"),
    [
        ("subjects", ["dog"], "'dog'"),
        ("methods", ["Magic"], "AttendAndExcite"),
        ("steps", 0, "steps from 1"),
        ("seed", -1, "seed from 0"),
        ("shown", 0, "a picture that was made"),
    ],
)
def test_what_cannot_be_set_is_said(trait, value, says, play) -> None:
    before = getattr(play, trait)
    with pytest.raises(DaamkitError, match=says):
        setattr(play, trait, value)
    assert getattr(play, trait) == before


def test_nothing_made_nothing_to_save(play) -> None:
    with pytest.raises(DaamkitError, match="got none yet"):
        play.save()
    with pytest.raises(DaamkitError, match="got none yet"):
        play.change("red", "blue")
    bundle, _ = play._repr_mimebundle_()
    assert "nothing made yet" in bundle["text/html"]


def test_saved_beside_its_code(play, tmp_path) -> None:
    play.folder = str(tmp_path / "runs")
    runs = [drawn(play), drawn(play)]
    places = [play.save()]
    play.shown = 0
    places.append(play.save())
    assert [place.name for place in places] == ["a-red-cat-and-a-cat-0_2", "a-red-cat-and-a-cat-0"]
    assert len(daamkit.open(f"{play.folder}/*")) == 2
    code = (tmp_path / "runs" / "a-red-cat-and-a-cat-0" / "make.py").read_text()
    assert code == play.code and np.array_equal(pixels(again(code)), pixels(runs[0]))


def test_what_others_have_saved_stays(play, toybox, tmp_path) -> None:
    play.folder = str(tmp_path / "runs")
    drawn(play)
    first = play.save()
    assert play.save() == first  # the same picture, again
    other = Playground(toybox, play.prompt, keep=("site",))
    other.folder, other.steps = play.folder, 2
    drawn(other)
    assert other.save().name == "a-red-cat-and-a-cat-0_2"
    assert [run.maps.steps for run in daamkit.open(f"{play.folder}/*")] == [3, 2]
    script = tmp_path / "analysis.py"
    script.write_text("years of work")
    assert other.save(tmp_path / "analysis") == tmp_path / "analysis"
    assert script.read_text() == "years of work"
    (first / "make.py").write_text("mine")
    with pytest.raises(DaamkitError, match=r"were changed: make.py"):
        other.save(first)
    assert (first / "make.py").read_text() == "mine"


def test_saved_where_one_stands(play, tmp_path, monkeypatch) -> None:
    drawn(play)
    monkeypatch.chdir(tmp_path)
    play.save(".")
    assert (tmp_path / "make.py").read_text() == play.code
    assert daamkit.open(tmp_path).prompt == play.prompt


def test_the_dice_and_the_words(play) -> None:
    assert {play.dice() for _ in range(4)} != {0} and 0 <= play.seed < 2**32
    play.subjects = ["red", "cat"]
    play.prompt = "a cat's <b>😀</b> house"
    assert play.subjects == [] and "😀" in play.words
    assert list(words("Cat cat CAT")) == ["Cat", "cat (2)", "CAT (3)"]


def test_code_is_text_that_python_reads_whatever_the_prompt(toybox) -> None:
    nasty = 'a "cat" \\ \'dog\'\n"""); import os'
    recipe = Recipe(nasty, 3, methods=("AttendAndExcite", "SynGen"), scale=4.5, width=64, height=32)
    code = recipe.code(toybox)
    compile(code, "code", "exec")
    assert repr(nasty) in code and "guidance_scale=4.5" in code
    assert json.dumps("nouns") not in code and "'nouns'" in code


def test_play_opens_a_notebook_of_one_cell(tmp_path, monkeypatch, capsys) -> None:
    ran: list[list[str]] = []
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(
        play_verb.subprocess, "run", lambda command, check: ran.append(command) or done
    )
    file = tmp_path / "new" / "play.ipynb"
    told = ["play", "--model", "some/model", "--notebook", str(file), "--in", "lab"]
    told += ["--device", "cpu"]
    assert cli.main(told) == 0
    assert capsys.readouterr().err == "daamkit: in JupyterLab, run the cell: Shift+Enter\n"
    assert ran == [[sys.executable, "-m", "jupyterlab", str(file)]]
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.endswith("daamkit.Playground(daamkit.load('some/model'))")
    assert cli.main(told) == 0 and "stays as it is" not in capsys.readouterr().err
    file.write_text(file.read_text().replace("'some/model'", "'mine'"))
    assert cli.main(told) == 0 and "'mine'" in file.read_text()  # what is there stays
    assert "play.ipynb is there and stays as it is, without 'some/model'" in capsys.readouterr().err


def test_play_opens_a_model_in_a_precision_on_a_device(tmp_path, monkeypatch, capsys) -> None:
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(play_verb.subprocess, "run", lambda command, check: done)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    file = tmp_path / "play.ipynb"
    told = ["play", "--notebook", str(file), "--in", "lab", "--dtype"]
    assert cli.main([*told, "float16"]) == 0
    load = "daamkit.load('toybox', dtype=torch.float16).to('cuda')"
    source = nbformat.read(file, as_version=4).cells[0].source
    assert source == f"import daamkit\nimport torch\n\ndaamkit.Playground({load})"
    assert "stays" not in capsys.readouterr().err
    assert cli.main([*told, "bfloat16", "--device", "mps"]) == 0
    assert "without torch.bfloat16, 'mps'" in capsys.readouterr().err


def test_play_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DaamkitError, match="pip install jupyterlab"):
        opening.command(tmp_path / "play.ipynb")
    with pytest.raises(DaamkitError, match="pip install voila"):
        opening.command(tmp_path / "play.ipynb", "voila")
