"""Scenes written as Parquet come back whole, also through Hugging Face's `datasets`."""

import os

import numpy as np
import pyarrow as pa
import pytest
from PIL import EpsImagePlugin
from pyarrow import parquet

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


@pytest.mark.parametrize("linked", [True, False])  # file systems with links, and without
def test_a_second_writer_overwrites_nothing(tmp_path, monkeypatch, linked) -> None:
    def unlinked(*_):
        raise PermissionError(1, "Operation not permitted")

    if not linked:
        monkeypatch.setattr(os, "link", unlinked)
    first, second = (dataset.write(tmp_path, 2, seed, shard=1) for seed in (0, 1))
    assert next(first) == 1  # both saw an empty folder
    before = (tmp_path / "scenes-00000.parquet").read_bytes()
    with pytest.raises(DaamkitError, match="one that has some"):
        next(second)
    assert (tmp_path / "scenes-00000.parquet").read_bytes() == before
    assert list(first) == [2]
    names = [f"scenes-0000{i}.parquet" for i in range(2)]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    both = [scene for name in names for scene in dataset.scenes_of(tmp_path / name)]
    assert [scene.caption for scene in both] == [each.caption for each in scenes.sample(2, 0)]


def test_two_at_once_do_not_write_one_file(tmp_path, monkeypatch) -> None:
    real, second = parquet.write_table, [dataset.write(tmp_path, 1, seed=1)]

    def slow(table, place, **options):
        real(table, place, **options)
        if second:
            assert next(second.pop()) == 1  # meanwhile

    monkeypatch.setattr(parquet, "write_table", slow)
    with pytest.raises(DaamkitError, match="one that has some"):
        list(dataset.write(tmp_path, 1, seed=0))
    assert [file.name for file in tmp_path.iterdir()] == ["scenes-00000.parquet"]
    (scene,) = dataset.scenes_of(tmp_path / "scenes-00000.parquet")
    assert scene.caption == scenes.sample(1, 1)[0].caption


def test_a_set_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DaamkitError, match="a folder to write scenes to"):
        dataset.write(tmp_path / "file", 1, seed=0)


def test_pictures_of_other_kinds_are_not_decoded(folder, tmp_path, monkeypatch) -> None:
    row = parquet.read_table(next(folder.iterdir())).to_pylist()[0]
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"

    def called(*_, **__):
        raise SystemExit("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", called)
    file = tmp_path / "scenes.parquet"
    for change in ({"image": {"bytes": script, "path": None}}, {"masks": []}):
        table = pa.Table.from_pylist([row | change], schema=dataset.SCHEMA)
        parquet.write_table(table, file)
        with pytest.raises(DaamkitError, match="scenes that `daamkit toybox scenes` has written"):
            dataset.scenes_of(file)
    file.write_text("no Parquet")
    with pytest.raises(DaamkitError, match="has written"):
        dataset.scenes_of(file)
