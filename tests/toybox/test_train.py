"""The training script, from nothing to a pipeline that generates; small, so it learns nothing."""

import numpy as np
import pytest
import torch

import daamkit
from daamkit.toybox import autoencoder, loop, pipeline, scenes, tokenizer, train
from tests.tiny import generate


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("toybox") / "build"
    out.mkdir()
    tokenizer.write(out / "tokenizer", captions=200)
    small = ["--out", str(out), "--images", "64", "--scenes", "40", "--batch", "8", "--resume"]
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
    assert "after 32 samples" in capsys.readouterr().out
    pipe = daamkit.load(tmp_path / "pipe", low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    with daamkit.trace(pipe) as tracer:
        generate(pipe, "a red cat", steps=1)
    assert tracer.run.maps.word("cat").mask().shape == (128, 128)


def test_latents_are_standardized(trained):
    out, _ = trained
    model = autoencoder.load(out)
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
