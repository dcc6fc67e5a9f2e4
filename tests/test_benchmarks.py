"""What benchmarks do to a prompt, where it can be seen without a run of theirs."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import daamkit
from benchmarks import coverage, inspector, rounds, sides


def test_rounds_are_told_with_their_range() -> None:
    assert rounds.told([1.0, 3.0, 1.5]) == {"median": 1.5, "range": [1.0, 3.0], "rounds": 3}


def test_two_checkouts_run_in_turn(monkeypatch, tmp_path) -> None:
    here, runs = Path(rounds.__file__).parents[1], []

    def run(command, env, **_):
        runs.append(env["PYTHONPATH"])
        assert command[1:] == ["b.py", "--small", "--rounds", "1", "--json"]
        seconds = {str(here): 3.0, str(tmp_path): 2.0}[env["PYTHONPATH"]]
        return SimpleNamespace(stdout=f'{{"sd": {{"seconds": {seconds}}}, "device": "cpu"}}')

    (tmp_path / "daamkit").mkdir()
    options = ["--rounds", "2", "--json", "--small", f"--before={tmp_path}"]
    monkeypatch.setattr(rounds.sys, "argv", ["b.py", *options])
    monkeypatch.setattr(rounds.subprocess, "run", run)
    told = rounds.beside(tmp_path, 2)
    assert runs == [str(tmp_path), str(here), str(here), str(tmp_path)]
    assert told["sd.seconds"]["now / before"] == {"median": 1.5, "range": [1.5, 1.5], "rounds": 2}


def test_coverage_counts_how_often_the_truth_is_held() -> None:
    def draw(rng):
        return rng.normal(size=30), np.arange(30)

    case = coverage.Case("mean", "thirty", draw, 0.0, lambda *_: (0.1, 1.1), lambda *_: (-1.0, 1.0))
    row = coverage.covered(case, 20)
    assert (row["before"], row["after"]) == (0, 1)
    assert (row["width before"], row["width after"]) == pytest.approx((1, 2))


def test_every_case_of_coverage_has_intervals_of_its_draws() -> None:
    names = set()
    for case in coverage.cases():
        names.add(case.estimator)
        if case.slow == 1:  # the others are seen by the command
            row = coverage.covered(case, 2)
            assert 0 <= row["before"] <= 1 and row["width after"] >= 0
    assert {"share", "gain of a share", "mean IoU", "ratio", "difference"} <= names


def test_the_inspector_is_timed_at_the_size_that_is_said() -> None:
    run = inspector.make(2, 2, 128, previews=True)
    assert run.maps.size == run.image.size == (128, 128)
    assert len(run.record["previews"]) == run.maps.steps == 2
    grids = [layer.grid for layer in run.maps.layers.values()]
    assert grids[0] == grids[-1] == (64, 64) and min(grids) == (8, 8)


def test_a_linear_reader_of_sides_finds_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    answer, groups = np.arange(200) % 2, np.repeat(np.arange(20), 10)
    noise = rng.standard_normal((200, 16))
    assert sides.right(noise, answer, groups).mean() < 0.65
    noise[:, 3] += 6 * answer
    assert sides.right(noise, answer, groups).mean() > 0.95
    own = groups[:, None] == np.arange(20)  # what is known of each thing alone, tells of no other
    alike = (groups + groups // 2) % 2  # a thing's own answer
    assert sides.right(own * 5.0, alike, groups).mean() < 0.75


def test_sides_are_asked_at_both_things_and_the_end() -> None:
    asked = sides.prompts(8, 0)
    assert asked["text"][0].count("to the left of") == 1 and asked["side"].max() == 3
    pipe = daamkit.load("toybox")
    first, second, end = sides.vectors(pipe, asked["text"][0], asked["ends"][0])
    short = asked["text"][0][: asked["ends"][0]]
    assert np.allclose(sides.vectors(pipe, short, asked["ends"][0])[1], first, atol=1e-5)  # causal
    assert not np.allclose(second, end, atol=0.1)
