"""What benchmarks do to a prompt, where it can be seen without a run of theirs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import daamkit
from benchmarks import blocks, coverage, families, gpu, inspector, rivals, rounds, sides
from daamkit import compat
from daamkit.attention import hooks
from daamkit.attention.families import sites
from tests.families.every import CASES, generate

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")


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


# -- other ways to the same columns


def test_ways_are_compared_on_a_small_model(monkeypatch, capsys) -> None:
    asked = "families --small --only flux --pixels 64 --rounds 1 --json"
    monkeypatch.setattr("sys.argv", asked.split())
    families.main()
    told = json.loads(capsys.readouterr().out)["flux"]
    assert told["daamkit"]["same_picture"] and told["chunks"]["time"][1] > 0


TEXT = {"flux": slice(0, 512), "sd35": slice(-333, None), "sdxl": slice(0, 77)}


@pytest.mark.parametrize("name", blocks.MODELS)
def test_chunks_keep_the_texts_columns(name) -> None:
    build, options = blocks.MODELS[name]
    pipe, size, asked = build(True), options | {"height": 64, "width": 64}, rivals.Explicit()
    pipe.set_progress_bar_config(disable=True)
    with hooks.attach(pipe, asked):
        plain = families.draw(pipe, size)
    with families.ways(pipe, size, rivals=False)["chunks"]() as chunks:
        assert torch.allclose(families.draw(pipe, size), plain, atol=1e-5)
    shares = [each for own in asked.shares.values() for each in own]
    for kept, wanted in zip(chunks.kept, shares, strict=True):
        assert torch.allclose(kept.double(), wanted[..., TEXT[name]], atol=1e-6)


@pytest.mark.parametrize("kind", ["added", "of each query", "hidden"])
def test_chunks_heed_a_mask(kind) -> None:
    random = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, 2, n, 8, generator=random) for n in (10, 6))
    mask = torch.randn(2, 1, 10 if kind == "of each query" else 1, 6, generator=random)
    mask = mask > -1 if kind == "hidden" else mask
    wanted = F.scaled_dot_product_attention(query, key, key, attn_mask=mask)
    with families.Chunks({(10, 6): slice(2, 4)}, queries=4) as chunks:
        found = F.scaled_dot_product_attention(query, key, key, attn_mask=mask)
        F.scaled_dot_product_attention(key, key, key, is_causal=True)  # no text's
    assert torch.allclose(found, wanted, atol=1e-6)
    (kept,) = chunks.kept
    assert kept.shape == (2, 10, 2)


@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_on_a_gpu_is_held_against_an_explicit_softmax(masked, monkeypatch) -> None:
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 2, 80, 8, generator=random) for _ in range(3))
    mask = torch.zeros(2, 1, 1, 80).masked_fill(torch.arange(80) < 8, -10_000.0)
    mask = mask if masked else None
    _, statistic = compat.with_statistic(query, key, value, mask)
    assert gpu.gradient(query, key, statistic, mask, cells=64) < 1e-4
    assert gpu.gradient(query, key, statistic + 0.1, mask, cells=64) > 0.05
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: 1.1 * kernel(*a, **b))
    assert gpu.gradient(query, key, statistic, mask, cells=64) > 0.001


def test_what_a_trace_adds_up_is_held_against_a_softmax(monkeypatch) -> None:
    pipe, kernel = CASES["flux"].build(), compat.with_statistic

    def wrong(*given):
        output, statistic = kernel(*given)
        return output, statistic + 0.01

    for run, least, most in ((kernel, 0, 1e-6), (wrong, 1e-4, 1)):
        monkeypatch.setattr(compat, "with_statistic", run)
        asked = rivals.Explicit()
        with hooks.attach(pipe, asked):
            generate(CASES["flux"], pipe)
        assert least < asked.error < most


def test_each_family_has_its_row_beside_the_rival() -> None:
    rows = rivals.written()
    assert [name for name, *_ in rows] == [*CASES]
    for name, layers, *_, own, picture, error in rows:
        found = [site for each in sites(CASES[name].build()).values() for site in each]
        assert layers == own == str(sum(site.reads_text for site in found))
        assert picture == "same" and float(error) < 1e-5
