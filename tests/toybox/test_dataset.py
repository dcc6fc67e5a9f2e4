"""Scenes written as Parquet come back whole, also through Hugging Face's `datasets`."""

import numpy as np
import pytest

from daamkit import cli
from daamkit.errors import DaamkitError
from daamkit.toybox import dataset, scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "scenes"
    assert list(dataset.write(place, 7, seed=5, shard=4)) == [4, 7]
    return place


def test_scenes_come_back_as_they_were(folder) -> None:
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["scenes-00000.parquet", "scenes-00001.parquet"]
    back = [scene for file in files for scene in dataset.scenes_of(file)]
    for scene, same in zip(scenes.sample(7, seed=5), back, strict=True):
        for name, value in vars(scene).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(same, name)), name
            else:
                assert value == getattr(same, name), name


def test_datasets_decodes_pictures_and_masks(folder, tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    table = datasets.load_dataset(
        "parquet", data_files=str(folder / "*.parquet"), cache_dir=str(tmp_path), split="train"
    )
    scene = scenes.sample(7, seed=5)[6]
    row = table[6]
    assert row["caption"] == scene.caption
    assert np.array_equal(np.asarray(row["image"]), scene.image)
    assert np.array_equal(np.stack([np.asarray(mask) for mask in row["masks"]]), scene.masks)
    assert row["words"][-1]["text"] == scene.words[-1].text


def test_an_earlier_set_is_not_overwritten(folder, capsys) -> None:
    with pytest.raises(DaamkitError, match="without scenes"):
        list(dataset.write(folder, 1, seed=0))
    for wrong in (["--n", "0"], ["--seed", "-1"]):
        assert cli.main(["toybox", "scenes", *wrong, "--out", str(folder / "new")]) == 2
        assert "at least one scene" in capsys.readouterr().err
    assert not (folder / "new").exists()
