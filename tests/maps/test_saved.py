"""A saved run from somebody else: what was sealed anew is checked, hostile files cost nothing."""

import hashlib
import io
import json
import os
import struct
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import daamkit
from daamkit.maps import saved
from daamkit.maps.run import RunFolderError
from tests.views.runs import made


@pytest.fixture
def place(tmp_path):
    return made().save(tmp_path / "run")


def sealed(place, data):
    """Write run.json with right digests of all that lies beside it, as one who knows how would."""
    data["sha256"] = {
        name: hashlib.sha256((place / name).read_bytes()).hexdigest()
        for name in (saved.MAPS, saved.IMAGE)
        if (place / name).exists() and name in data["sha256"]
    }
    data["seal"] = "0" * 64
    (place / saved.JSON).write_bytes(saved.seal(json.dumps(data, indent=1).encode()))


def entry(data):
    return data["cross"]["cond"]


CHANGES = {
    "steps": lambda d: entry(d).update(steps=6),
    "no steps": lambda d: entry(d).update(steps=0),
    "steps as text": lambda d: entry(d).update(steps="1"),
    "true steps": lambda d: entry(d).update(steps=True),
    "heads": lambda d: entry(d)["layers"][0].update(heads=2),
    "no heads": lambda d: entry(d)["layers"][0].update(heads=0),
    "rule": lambda d: entry(d).update(rule="daal"),
    "base": lambda d: entry(d).update(base=-16),
    "size": lambda d: entry(d).update(size=[64, 65]),
    "large size": lambda d: entry(d).update(size=[2**20, 2**20]),
    "no size": lambda d: entry(d).update(size=[]),
    "axes": lambda d: entry(d)["layers"][0].update(axes=["token", "x", "y"]),
    "kept": lambda d: entry(d).update(keep=["step"]),
    "kept twice": lambda d: entry(d).update(keep=["site", "site"]),
    "no such axis": lambda d: entry(d).update(keep=["layer"]),
    "shape": lambda d: entry(d)["layers"][0].update(shape=[7, 8, 32]),
    "tensor": lambda d: entry(d)["layers"][0].update(tensor="another"),
    "sites": lambda d: entry(d)["layers"][0].update(sites=[]),
    "no layers": lambda d: entry(d).update(layers=[]),
    "a layer twice": lambda d: entry(d)["layers"].append(entry(d)["layers"][0]),
    "mass": lambda d: entry(d)["prompt"]["tokens"][2].update(mass=0.5),
    "column": lambda d: entry(d)["prompt"]["tokens"][3].update(column=2),
    "negative column": lambda d: entry(d)["prompt"]["tokens"][3].update(column=-1),
    "far column": lambda d: entry(d)["prompt"]["tokens"][3].update(column=77),
    "text": lambda d: entry(d)["prompt"]["tokens"][2].update(text="dog"),
    "characters": lambda d: entry(d)["prompt"]["tokens"][2].update(start=3, end=99),
    "special": lambda d: entry(d)["prompt"]["tokens"][0].update(special="BOS"),
    "occurrence": lambda d: entry(d)["prompt"]["tokens"][4].update(occurrence=0),
    "encoder": lambda d: entry(d)["prompt"]["tokens"][2].update(encoder="text_encoder_2"),
    "no tokens": lambda d: entry(d)["prompt"].update(tokens=[]),
    "no texts": lambda d: entry(d)["prompt"].update(texts={}),
    "limit": lambda d: entry(d)["prompt"].update(limit="77"),
    "cuts": lambda d: entry(d)["prompt"].update(cuts={"text_encoder": -4}),
    "no branch": lambda d: d.update(cross={}),
    "record": lambda d: d.update(record=[]),
    "no files": lambda d: d.update(sha256={}),
    "a file outside": lambda d: d["sha256"].update({"../run.json": "0"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_and_sealed_anew_does_not_fit(place, change):
    data = json.loads((place / saved.JSON).read_text())
    sealed(place, data)
    daamkit.open(place)
    CHANGES[change](data)
    files = data["sha256"]
    sealed(place, data)
    if change in ("no files", "a file outside"):
        data["sha256"], data["seal"] = files, "0" * 64
        (place / saved.JSON).write_bytes(saved.seal(json.dumps(data).encode()))
    with pytest.raises(RunFolderError, match="a damaged one"):
        daamkit.open(place)


TENSORS = {
    "negative": lambda v: -v,
    "one negative": lambda v: v - 1e-3 * (torch.arange(v.numel()).reshape(v.shape) == 5),
    "NaN": lambda v: torch.where(v == v.max(), torch.nan, v),
    "infinite": lambda v: torch.where(v == v.max(), torch.inf, v),
    "half": lambda v: v.half(),
    "bool": lambda v: v.bool(),
    "double": lambda v: v.double(),
    "a row of cells": lambda v: v[:, :1],
    "half the rows": lambda v: v[:, ::2],
    "a column too few": lambda v: v[:-1],
    "a column too many": lambda v: torch.cat([v, v[:1]]),
    "no cells": lambda v: v[..., :0],
    "an axis more": lambda v: v[None],
    "twice as much": lambda v: 2 * v,
    "another token's": lambda v: v.roll(1, 0),
}


@pytest.mark.parametrize("change", TENSORS)
def test_tensors_that_were_exchanged_do_not_fit(place, change):
    (name, values), *_ = load_file(place / saved.MAPS).items()
    values = TENSORS[change](values).contiguous()
    for shape in (None, list(values.shape)):  # also if the shape is told as it now is
        data = json.loads((place / saved.JSON).read_text())
        if shape is not None:
            entry(data)["layers"][0]["shape"] = shape
        save_file({name: values}, place / saved.MAPS)
        sealed(place, data)
        with pytest.raises(RunFolderError, match="a damaged one"):
            daamkit.open(place)


def test_any_flipped_bit_is_noticed(place):
    rng = np.random.default_rng(0)
    for name in (saved.JSON, saved.MAPS, saved.IMAGE):
        content = (place / name).read_bytes()
        for at in rng.choice(len(content), 60, replace=False):
            spoiled = bytearray(content)
            spoiled[at] ^= 1 << int(rng.integers(8))
            (place / name).write_bytes(spoiled)
            with pytest.raises(RunFolderError):
                daamkit.open(place)
        (place / name).write_bytes(content)
    daamkit.open(place)


# -- what is no file, or too much of one


def chunk(kind, content):
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def bomb(side):
    """A PNG of few bytes that says it is large."""
    heading = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", heading) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def as_format(name):
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(content, format=name)
    return content.getvalue()


PICTURES = {
    "EPS": as_format("EPS"),
    "GIF": as_format("GIF"),
    "TIFF": as_format("TIFF"),
    "BMP": as_format("BMP"),
    "bomb": bomb(60_000),
    "another size": bomb(65),
    "no rows": bomb(64),
    "nothing": b"",
    "a heading": as_format("PNG")[:33],
}


@pytest.mark.parametrize("kind", PICTURES)
def test_no_picture_but_a_png_of_the_runs_size_is_decoded(place, kind, monkeypatch):
    decoded = []
    reading = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *a, **k: decoded.append([*k["formats"]]) or reading(*a, **k)
    )
    (place / saved.IMAGE).write_bytes(PICTURES[kind])
    sealed(place, json.loads((place / saved.JSON).read_text()))
    with pytest.raises(RunFolderError, match="a damaged one"):
        daamkit.open(place)
    assert decoded in ([], [["PNG"]])


def in_its_place(kind, file):
    file.unlink()
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
        case "far too large":
            with file.open("wb") as opened:
                opened.write(b'{"format": "daamkit.run", "version": 2, "seal": ')
                opened.truncate(2**40)
        case "a link to nothing":
            file.symlink_to(file.parent / "nothing")


@pytest.mark.parametrize("name", [saved.JSON, saved.MAPS, saved.IMAGE])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "far too large", "a link to nothing"])
def test_what_is_no_file_is_not_waited_for(place, name, kind):
    in_its_place(kind, place / name)
    start = time.monotonic()
    with pytest.raises(RunFolderError):
        daamkit.open(place)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("inner", ["[" * 10**5 + "]" * 10**5, '{"a":' * 10**5 + "1" + "}" * 10**5])
def test_json_that_nests_too_deep(place, inner):
    (place / saved.JSON).write_text('{"format": "daamkit.run", "x": ' + inner + "}")
    with pytest.raises(RunFolderError, match="nests too deep"):
        daamkit.open(place)


def test_json_of_too_many_entries(place):
    (place / saved.JSON).write_text('{"format": "daamkit.run", "x": [' + "[]," * 5_000_000 + "0]}")
    with pytest.raises(RunFolderError, match="more than 4,194,304 entries"):
        daamkit.open(place)


def test_a_run_over_the_budget_is_not_read(place):
    size = 4 * 7 * 16 * 16
    daamkit.open(place, budget=size)
    daamkit.open(place, budget=None)
    with pytest.raises(RunFolderError, match=rf"at most {size - 1:,} bytes.*got {size:,} in"):
        daamkit.open(place, budget=size - 1)


# -- saving


def test_a_link_to_a_run_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    made().save(tmp_path / "disk" / "run")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "run")
    assert made("a bird").save(link) == link
    assert link.is_symlink() and daamkit.open(link).prompt == "a bird"
    assert daamkit.open(tmp_path / "disk" / "run").prompt == "a bird"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["disk", "link"]


def test_what_lies_beside_a_run_is_not_lost(place):
    (place / "notes.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"were changed: notes.txt\."):
        made().save(place)
    assert (place / "notes.txt").read_text() == "years of work"
    assert daamkit.open(place).prompt == made().prompt


def test_a_run_that_could_not_be_opened_is_not_saved(tmp_path):
    run = made()
    run.maps.layers["up"].values[1, 2, 3] = torch.nan
    with pytest.raises(RunFolderError, match="finite"):
        run.save(tmp_path / "run")
    run = made()
    run.record["mine"] = object()
    with pytest.raises(RunFolderError, match="plain data"):
        run.save(tmp_path / "run")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "name", ["image.png", "image.png/thesis.txt", "frame-00000.png", "make.py"]
)
def test_a_file_of_a_runs_name_is_not_for_that_the_runs(tmp_path, name):
    bare = replace(made(), image=None)
    place = bare.save(tmp_path / "run")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("mine")
    with pytest.raises(RunFolderError, match=f"were changed: {name.partition('/')[0]}"):
        bare.save(place)
    assert (place / name).read_text() == "mine"
    daamkit.open(place)


@pytest.mark.parametrize("name", [saved.JSON, saved.MAPS, saved.IMAGE])
def test_a_changed_file_of_a_run_is_not_replaced(place, name):
    changed = (place / name).read_bytes() + b" "
    (place / name).write_bytes(changed)
    with pytest.raises(RunFolderError, match="were changed"):
        made().save(place)
    assert (place / name).read_bytes() == changed


def test_a_run_is_saved_where_one_stands_and_replaced_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for prompt in ("a cat", "a dog"):
        made(prompt).save(".")
        assert daamkit.open(".").prompt == daamkit.open(tmp_path).prompt == prompt
    assert {each.name for each in tmp_path.iterdir()} == {saved.JSON, saved.MAPS, saved.IMAGE}
    replace(made(), image=None).save(".")
    assert {each.name for each in tmp_path.iterdir()} == {saved.JSON, saved.MAPS}


def test_a_name_that_no_folder_can_have(tmp_path):
    with pytest.raises(RunFolderError, match="a NUL.*a name that files can have"):
        made().save(f"{tmp_path}/a\0b")
    assert daamkit.open(made().save(tmp_path / ("n" * 250))).prompt == made().prompt


def test_a_full_disk_leaves_the_earlier_run(place, monkeypatch):
    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("daamkit.maps.saving.save_file", full)
    with pytest.raises(RunFolderError, match=r"No space left.*free some space.*whole"):
        made("a bird").save(place)
    assert daamkit.open(place).prompt == made().prompt
    assert {each.name for each in place.iterdir()} == {saved.JSON, saved.MAPS, saved.IMAGE}
