"""The training script, from nothing to a pipeline that generates; small, so it learns nothing."""

import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

import daamkit
from daamkit.toybox import pipeline, scenes, tokenizer
from daamkit.toybox.training import autoencoder, loop
from daamkit.toybox.training import unet as train
from tests.tiny import generate


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("toybox") / "build"
    out.mkdir()
    tokenizer.write(out / "tokenizer", captions=200)
    small = ["--out", str(out), "--images", "64", "--scenes", "40", "--batch", "8"]
    small += ["--grid", "0", "--resume"]
    train.main([*small, "--samples", "16", "--device", "cpu"])
    return out, small


def test_a_run_goes_on_where_it_stopped_and_exports(trained, tmp_path, capsys):
    out, small = trained
    first = torch.load(out / "denoiser.pt", weights_only=True)
    assert (first["seen"], first["steps"]) == (16, 2)
    train.main([*small, "--samples", "32", "--device", "cpu"])
    second = torch.load(out / "denoiser.pt", weights_only=True)
    assert (second["seen"], second["steps"]) == (32, 4)
    assert any(not torch.equal(first["model"][k], second["model"][k]) for k in first["model"])
    train.main(["--out", str(out), "--export", str(tmp_path / "pipe")])
    assert "after 32 of 400000 samples" in capsys.readouterr().out
    pipe = daamkit.load(tmp_path / "pipe", low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    with daamkit.trace(pipe) as tracer:
        generate(pipe, "a red cat", steps=1)
    assert tracer.run.maps.word("cat").mask().shape == (128, 128)


def test_hours_end_the_training_and_grids_show_it(trained, capsys, monkeypatch):
    out, small = trained
    monkeypatch.setattr(train, "GRID_STEPS", 2)
    before = torch.load(out / "denoiser.pt", weights_only=True)["seen"]
    train.main([*small, "--hours", "0.0003", "--grid", "8", "--batch", "4", "--device", "cpu"])
    state = torch.load(out / "denoiser.pt", weights_only=True)
    assert state["seen"] > before  # a step at least, and then the second was over
    assert state["options"]["batch"] == 4
    assert "--batch was 8 before and is 4 from here on" in capsys.readouterr().out
    with Image.open(out / f"grid-{state['seen']}.png") as grid:
        assert grid.size == (6 * 128, 2 * 128)


def test_one_seed_gives_one_model(trained, tmp_path):
    out, small = trained
    weights = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        place = tmp_path / name
        shutil.copytree(out, place, ignore=shutil.ignore_patterns("denoiser.pt", "*.png"))
        train.main(["--out", str(place), *small[2:], "--samples", "16", "--seed", seed])
        model = torch.load(place / "denoiser.pt", weights_only=True)["model"]
        weights.append(torch.cat([value.flatten() for value in model.values()]))
    assert torch.allclose(weights[0], weights[1], atol=1e-4)
    assert not torch.allclose(weights[0], weights[2], atol=1e-2)


def test_samples_until_a_deadline_follow_from_the_speed():
    now = time.monotonic()
    progress = loop.Progress(1000, done=100)
    progress.started, progress.done = now - 10, 200  # ten a second
    assert progress.reached(now + 20) == pytest.approx(400, abs=3)
    assert progress.reached(now - 5) == 200


def test_latents_are_standardized(trained):
    out, _ = trained
    model = autoencoder.trained(out)
    images = np.stack([scene.image for scene in scenes.sample(64, seed=9)])
    with torch.no_grad():
        latents = model.encode(autoencoder.as_tensor(images)).latent_dist.mean
    each = latents.transpose(0, 1).flatten(1)
    assert each.mean(1).abs().max() < 0.2 and (each.std(1) - 1).abs().max() < 0.2


def test_standardizing_changes_no_reconstruction():
    torch.manual_seed(0)
    model = pipeline.autoencoder().eval()
    images = autoencoder.as_tensor(np.stack([s.image for s in scenes.sample(2, seed=0)]))
    with torch.no_grad():
        before = model(images).sample
        autoencoder.standardize(model, np.random.default_rng(0), images=64)
        assert torch.allclose(model(images).sample, before, atol=1e-3)


def test_an_earlier_run_is_not_overwritten(trained):
    out, _ = trained
    with pytest.raises(SystemExit):
        train.main(["--out", str(out), "--samples", "16"])


def test_the_rate_warms_up_stays_and_cools():
    rates = [
        loop.rate(seen, 100_000, 1.0) for seen in (0, 3200, 6400, 50_000, 80_000, 90_000, 100_000)
    ]
    assert rates[0] < 1e-3 and rates[1] == pytest.approx(0.5, abs=0.01)
    assert rates[2:5] == [1.0, 1.0, 1.0]
    assert 1 / 30 < rates[5] < 1 and rates[6] == pytest.approx(1 / 30)
