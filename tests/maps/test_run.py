"""Runs on disk: whole or not at all, readable without a model."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import daamkit
from daamkit.maps import saving
from daamkit.maps.run import RunFolderError
from tests.tiny import generate


@pytest.fixture(scope="module")
def run(sd):
    with daamkit.trace(sd, branches=("cond", "uncond"), self_attention=True) as tracer:
        generate(sd, "a red cat and a blue car", output_type="pil")
    return tracer.run


def test_saved_and_opened(run, tmp_path):
    opened = daamkit.open(run.save(tmp_path / "run"))
    assert opened.prompt == run.prompt and opened.record == json.loads(json.dumps(run.record))
    assert np.array_equal(np.asarray(opened.image), np.asarray(run.image))
    for branch in run.branches:
        ours, theirs = run.branch(branch), opened.branch(branch)
        assert (ours.keep, ours.steps, ours.size, ours.prompt) == (
            theirs.keep,
            theirs.steps,
            theirs.size,
            theirs.prompt,
        )
        assert torch.equal(ours.pool(), theirs.pool())
    assert torch.equal(
        run.self_attention["cond"].received(), opened.self_attention["cond"].received()
    )
    assert opened.table().equals(run.table())


def test_opening_needs_no_model(run, tmp_path, pytestconfig):
    run.save(tmp_path / "run")
    strict = "error" in pytestconfig.getini("filterwarnings")  # not with the lowest versions
    code = (
        "import sys, daamkit; run = daamkit.open(sys.argv[1]); run.table(); daamkit.html(run);"
        "run.maps.word('cat').mask();"
        "assert not {'diffusers', 'transformers', 'spacy'} & set(sys.modules), 'imported'"
    )
    how = "error" if strict else "default"
    subprocess.run([sys.executable, "-W", how, "-c", code, tmp_path / "run"], check=True)


def test_named_axes_and_a_version_on_disk(run, tmp_path):
    run.save(tmp_path / "run")
    data = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (data["format"], data["version"]) == ("daamkit.run", 2)
    assert data["cross"]["cond"]["layers"][0]["axes"] == ["head", "token", "y", "x"]
    assert data["self"]["cond"]["layers"][0]["axes"] == ["key", "y", "x"]
    tokens = data["cross"]["cond"]["prompt"]["tokens"]
    assert [t["special"] for t in tokens if t["special"]] == ["SOS", "EOS", "padding"]
    assert [t["occurrence"] for t in tokens if t["text"] == "a"] == [0, 1]
    assert sum(t["mass"] for t in tokens) == pytest.approx(1, abs=1e-5)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "image.png",
        "maps.safetensors",
        "run.json",
    ]


def test_saving_replaces_an_earlier_run_only(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        RunFolderError,
        match=r"earlier run's, .*; got files that are no run's, or were changed: thesis",
    ):
        run.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        run.save(tmp_path / "empty")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("step", ["save_file", "json"])
def test_a_full_disk_leaves_the_earlier_save_whole(run, tmp_path, monkeypatch, step):
    place = run.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in place.iterdir()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        *((saving, "save_file") if step == "save_file" else (saving.json, "dumps")), full
    )
    with pytest.raises(RunFolderError, match=r"No space left on device.*[Ff]ree some space"):
        run.save(place)
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_rename_that_fails_leaves_the_earlier_save_in_its_place(run, tmp_path, monkeypatch):
    place = run.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    rename, calls = Path.rename, []

    def fail_second(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    with pytest.raises(RunFolderError, match="Input/output error"):
        run.save(place)
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="no such folder"):
        daamkit.open(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"without a daamkit run\.json"):
        daamkit.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "someone.else"}')
    with pytest.raises(RunFolderError, match=r"without a daamkit run\.json"):
        daamkit.open(tmp_path)


def _cut(name):
    def damage(folder):
        file = folder / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def _flip(folder):
    file = folder / "maps.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _wrong_kind(folder):
    file = folder / "run.json"
    data = json.loads(file.read_text())
    data["cross"] = []
    file.write_text(json.dumps(data))


def _without(name):
    return lambda folder: (folder / name).unlink()


def _entry_missing(folder):
    file = folder / "run.json"
    data = json.loads(file.read_text())
    del data["cross"]["cond"]["prompt"]
    file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "damage",
    [
        _cut("run.json"), _cut("maps.safetensors"), _cut("image.png"), _flip,
        _without("maps.safetensors"), _without("image.png"), _entry_missing, _wrong_kind,
    ],
    ids=["json", "maps", "image", "bit", "no-maps", "no-image", "entry", "kind"],
)  # fmt: skip
def test_a_damaged_run(run, tmp_path, damage):
    place = run.save(tmp_path / "run")
    damage(place)
    with pytest.raises(RunFolderError, match=r"a whole run in .*got a damaged one"):
        daamkit.open(place)


def test_a_run_of_a_newer_format(run, tmp_path):
    place = run.save(tmp_path / "run")
    file = place / "run.json"
    file.write_text(file.read_text().replace('"version": 2', '"version": 3', 1))
    with pytest.raises(RunFolderError, match=r"format version 2; got version 3"):
        daamkit.open(place)


def test_a_branch_that_was_not_traced(run):
    with pytest.raises(daamkit.DaamkitError, match=r"branch 'negative'; got cond, uncond"):
        run.branch("negative")


def test_the_table_of_words(run):
    table = run.table()
    assert list(table["word"]) == ["a", "red", "cat", "and", "a", "blue", "car"]
    assert list(table["occurrence"]) == [0, 0, 0, 0, 1, 0, 0]
    assert table["area"].between(0, 1).all() and table["mass"].between(0, 1).all()
    assert table[["centre_y", "centre_x", "peak_y", "peak_x"]].stack().between(0, 64).all()


def test_in_a_notebook_a_run_is_a_picture_and_text_stays_text(sd):
    with daamkit.trace(sd) as tracer:
        generate(sd, "a <script>alert('cat')</script> cat", output_type="pil")
    html = tracer.run._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html
    assert html.count("data:image/png;base64,") == 1 + len(tracer.run.maps.words())
    assert "http" not in html
