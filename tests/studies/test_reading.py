"""The oracle's reading held against drawn scenes: who sees all, who errs, who learned nothing."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import oracle as benchmark
from daamkit.studies import reading
from daamkit.toybox import oracle, scenes


@pytest.fixture(scope="module")
def drawn():
    every = scenes.sample(30, 9100, world=2)
    return every + scenes.sample(20, 9101, kind="count", world=2)


def seen(scene):
    """What somebody sees who knows."""
    rows = [
        {"kind": "thing", "name": thing.name, "colour": thing.colour or "own",
         "texture": thing.texture or "plain", "mask": mask}
        for thing, mask in zip(scene.things, scene.masks, strict=True)
    ]  # fmt: skip
    if scene.place:
        rows.append({"kind": "place", "name": scene.place, "mask": scene.ground})
    return pd.DataFrame(rows, columns=["kind", "name", "colour", "texture", "mask"])


@pytest.fixture
def read(monkeypatch, drawn):
    """Measure what somebody sees who makes of each true reading what is given."""

    def measured(change):
        frames = [change(seen(scene)) for scene in drawn]
        monkeypatch.setattr(oracle, "read_all", lambda images, reader: frames)
        table, facts = reading.measure(drawn, oracle.Oracle(2))
        return table.set_index(["measure", "of"]), facts

    return measured


def test_who_sees_all_is_right_in_all(read, drawn):
    table, facts = read(lambda frame: frame)
    assert facts["miou"] == 1 and facts["scenes"] == 50
    false = table.xs("false")
    assert (false["mean"] == 0).all() and (table.drop("false", level="measure")["mean"] == 1).all()
    several = table[table["low"].notna()]  # a name of one scene has no interval
    assert len(several) > 20 and (several["low"] < several["high"]).all()
    shown = [mask.sum() >= oracle.SMALLEST for scene in drawn for mask in scene.masks]
    assert table.loc[("recall", "all"), "n"] == sum(shown)
    assert table.loc[("hidden", "all"), "n"] >= 1
    assert set(table.xs("count").index) == {"all", *"12345"}
    assert list(table.index.unique("measure"))[:2] == ["found", "recall"]
    assert table.xs("recall").index[0] == "all"


def test_errors_are_counted_where_they_are_made(read, drawn):
    def colourless(frame):
        return frame.assign(colour="own")

    table, facts = read(colourless)
    own = [thing.colour is None for scene in drawn for thing in scene.things]
    assert table.loc[("colour", "all"), "mean"] == pytest.approx(np.mean(own), abs=0.02)
    assert facts["miou"] == 1 and table.loc[("recall", "all"), "mean"] == 1

    def cats(frame):
        things = frame["kind"] == "thing"
        return frame.assign(name=np.where(things, "cat", frame["name"]))

    table, facts = read(cats)
    assert facts["miou"] < 0.4 and table.loc[("found", "all"), "mean"] == 1
    recall = table.xs("recall")["mean"]
    assert recall["cat"] == 1 and (recall.drop(["cat", "all"]) == 0).all()
    assert set(facts["worst"].values()) == {0.0}

    def twins(frame):
        """The last thing is not seen, the first in two halves."""
        first, *others = frame.to_dict("records")
        left = first["mask"].copy()
        left[:, : int(np.nonzero(left)[1].mean())] = False
        halves = [first | {"mask": left}, first | {"mask": first["mask"] & ~left}]
        return pd.DataFrame([*halves, *others], columns=frame.columns)

    table, _ = read(twins)
    assert table.loc[("count", "1"), "mean"] < 0.7 and table.loc[("false", "all"), "mean"] > 0.2


def test_an_untaught_one_and_the_command(drawn, tmp_path, capsys):
    torch.manual_seed(0)
    file = tmp_path / "oracle-2.safetensors"
    save_file(oracle.Oracle(2).state_dict(), file)
    told = ["--world", "2", "--oracle", str(file), "--scenes", "6"]
    benchmark.main([*told, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["scenes"] == 6 and 0 <= result["miou"] < 0.2
    rows = {(row["measure"], row["of"]): row for row in result["reading"]}
    assert rows["recall", "all"]["mean"] < 0.5 and rows["recall", "all"]["high"] > 0
    benchmark.main(told)
    assert "recall" in capsys.readouterr().out


def test_in_a_sentence(read):
    table, facts = read(lambda frame: frame)
    text = reading.markdown(table.reset_index(), facts)
    assert "on 50 drawn scenes" in text and "mIoU 1.000" in text
    assert "Counts right of several: 2 1.000 [0." in text and "Least recall: " in text
