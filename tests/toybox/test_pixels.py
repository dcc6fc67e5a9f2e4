"""The pixel diffusion of drawn scenes: its data, its training, what it leaves."""

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline
from safetensors.torch import load_file

from daamkit.toybox import scenes
from daamkit.toybox.sprites import THINGS
from daamkit.toybox.training import pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three steps of two pictures, of both parts."""
    out = tmp_path_factory.mktemp("pixels")
    pixels.draw_scenes(out, 6, seed=4)
    for what in ("denoiser", "classifier"):
        pixels.train(out, 6, what, batch=2)
    return out


def test_scenes_are_reduced_and_named_by_their_largest_thing(folder) -> None:
    data, drawn = load_file(folder / "scenes.safetensors"), scenes.sample(6, 4)
    assert data["pictures"].shape == (6, 3, 64, 64) and data["pictures"].dtype == torch.uint8
    for picture, largest, scene in zip(data["pictures"], data["largest"], drawn, strict=True):
        wide = scene.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(picture.permute(1, 2, 0).numpy() - wide).max() <= 1
        areas = {
            thing.name: mask.sum() for thing, mask in zip(scene.things, scene.masks, strict=True)
        }
        assert areas[THINGS[int(largest)]] == max(areas.values())


def test_a_training_goes_on_where_it_stopped(folder, tmp_path) -> None:
    for each in ("scenes.safetensors",):
        (tmp_path / each).write_bytes((folder / each).read_bytes())
    for samples in (2, 4, 6):  # stopped after every step
        pixels.train(tmp_path, samples, "classifier", batch=2, total=6)
    whole, parts = (
        torch.load(place / "classifier.pt", weights_only=True) for place in (folder, tmp_path)
    )
    assert parts["seen"] == whole["seen"] == 6
    for name, value in whole["model"].items():
        torch.testing.assert_close(parts["model"][name], value, rtol=0, atol=0)


def test_what_is_exported_draws_and_classifies(folder, tmp_path) -> None:
    pixels.export(folder, tmp_path)
    pipe = DDIMPipeline.from_pretrained(tmp_path)
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe(batch_size=1, num_inference_steps=1, generator=[torch.Generator().manual_seed(0)])
    assert drawn.images[0].size == (64, 64)
    classifier = pixels.load_classifier(tmp_path)
    x = torch.randn(2, 3, 64, 64, requires_grad=True)
    logits = classifier(x, torch.tensor([10, 900]))
    assert logits.shape == (2, len(THINGS))
    (slope,) = torch.autograd.grad(logits.sum(), [x])
    assert slope.abs().sum() > 0  # classifier guidance needs it


def test_the_command_line_refuses_a_folder_that_is_there(folder, capsys) -> None:
    with pytest.raises(SystemExit):
        pixels.main(["--out", str(folder)])
    assert "--resume" in capsys.readouterr().err


def test_smaller_pictures_make_a_smaller_model(tmp_path, capsys) -> None:
    asked = ["--out", str(tmp_path / "out"), "--samples", "2", "--batch", "2", "--scenes", "2"]
    pixels.main([*asked, "--side", "32", "--device", "cpu"])
    pixels.main(["--out", str(tmp_path / "out"), "--export", str(tmp_path / "model")])
    pipe = DDIMPipeline.from_pretrained(tmp_path / "model")
    assert pipe.unet.sample_size == 32 and pipe.unet.mid_block.attentions
    drawn = pipe.unet(torch.zeros(1, 3, 32, 32), 0).sample
    assert drawn.shape == (1, 3, 32, 32)
    with pytest.raises(SystemExit):
        pixels.main([*asked, "--resume"])
    assert "scenes of --side 32: ask for that" in capsys.readouterr().err
