"""The study of Self-Attention Guidance on a pixel diffusion without prompts."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import save_file

from daamkit.errors import DaamkitError
from daamkit.studies import unprompted
from daamkit.studies.self_attention import SelfAttention
from daamkit.studies.variants import base
from daamkit.toybox.training import pixels

KIND = {
    "n": 8, "sets": 2, "steps": 2, "scenes": 16, "settings": ("none", "sag", "cfg", "cfg+sag"),
    "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=32,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
    )
    place = tmp_path_factory.mktemp("pixels")
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(place / "ddim")
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(place / "ddpm")
    return place


def test_its_images_are_compared_without_prompts_and_without_masks(folder, tmp_path) -> None:
    study = SelfAttention(model=str(folder / "ddim"), **KIND)
    rows = study.run(tmp_path / "rows", progress=False)
    assert set(rows["part"]) == {"quality"} and set(rows["prompt"]) == {""}
    assert rows["setting"].value_counts().to_dict() == {"none": 16, "sag": 16}
    assert set(rows["side"]) == {32}
    assert rows["seed"].nunique() == 16
    tables = study.write(rows, tmp_path / "tables")
    assert [*tables] == ["quality", "sets"]
    told = tables["quality"].set_index("setting")
    assert [*told.index] == ["none", "sag", "drawn scenes"]
    assert (told["sets"] == 2).all() and np.isfinite(told["fid"]).all()
    assert told.loc["sag", "change"] != 0


def test_a_classifier_beside_it_guides_too(folder, tmp_path) -> None:
    study = SelfAttention(model=str(folder / "ddim"), **KIND | {"sets": 1, "settings": ("cg",)})
    with pytest.raises(DaamkitError, match=r"a classifier of noisy pictures in .*--classifier"):
        study.run(progress=False)
    shutil.copytree(folder / "ddim", tmp_path / "both")
    torch.manual_seed(1)
    classifier = pixels.Classifier()
    save_file(classifier.state_dict(), tmp_path / "both" / pixels.CLASSIFIER)
    study = replace(study, model=str(tmp_path / "both"), settings=("none",))
    rows = study.run(progress=False)
    assert rows["setting"].unique().tolist() == ["none", "cg", "cg+sag"]
    features = {name: np.stack(part["features"]) for name, part in rows.groupby("setting")}
    assert not np.allclose(features["none"], features["cg"])
    assert not np.allclose(features["cg"], features["cg+sag"])
    assert (base("cg"), base("cg+sag"), base("cg+scale=2")) == ("none", "cg", "cg+sag")


def test_images_follow_their_seeds(folder) -> None:
    pipe = unprompted.pipeline(folder / "ddim", torch.float32, "cpu")
    two, one = unprompted.draw(pipe, [3, 4], 2), unprompted.draw(pipe, [4], 2)
    assert np.abs(np.asarray(two[1], int) - np.asarray(one[0], int)).max() <= 1
    assert np.asarray(two[0]).tobytes() != np.asarray(two[1]).tobytes()


def test_which_folders_hold_one(folder, tmp_path) -> None:
    assert unprompted.is_folder(folder / "ddpm") and unprompted.is_folder(str(folder / "ddim"))
    assert not unprompted.is_folder("toybox") and not unprompted.is_folder(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert not unprompted.is_folder(tmp_path)
    assert type(unprompted.pipeline(folder / "ddpm", torch.float32, "cpu")) is DDIMPipeline


def test_four_sets_of_three_hundred_are_the_default() -> None:
    assert (SelfAttention.sets, SelfAttention.n) == (4, 300)
