"""Which layers find the thing: of a model whose layers are made to know, or not."""

import numpy as np
import pytest

from daamkit.attribution.method import UnsuitedError
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.studies import layers, runner
from daamkit.studies.attribution import AttributionStudy
from daamkit.studies.layers import Layers, parts
from daamkit.studies.session import Session
from tests.families import tiny_joint
from tests.views.runs import made


@pytest.fixture(scope="module")
def study():
    return Layers(n=8, steps=3, levels=(300,), seed=60)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_each_part_of_a_unet(rows, toybox):
    kinds = rows.groupby("kind")["part"].unique().map(set).to_dict()
    assert kinds["pooling"] == {"daam", "paper", "share"}
    assert kinds["block"] == {"down", "mid", "up"}
    assert len(kinds["layer"]) == 7 and all("attn2" in name for name in kinds["layer"])
    assert kinds["third"] == {"first layers", "middle layers", "last layers"}
    assert kinds["steps"] == {"first steps", "middle steps", "last steps"}
    assert "direction" not in kinds  # its text looks at nothing
    assert set(rows[rows["kind"] == "steps"]["set"]) == {"generated"}
    assert rows["ap"].between(0, 1).all() and rows["max 0.4"].between(0, 1).all()


def test_tables(study, rows):
    table = study.tables(rows)["layers"].set_index(["set", "part"])
    line = table.loc[("drawn, noise 300", "mid")]
    part = rows[(rows["set"] == "drawn, noise 300") & (rows["part"] == "mid")]
    assert line["ap"] == pytest.approx(part["ap"].mean()) and line["n"] == len(part)
    assert line["ap_low"] <= line["ap"] <= line["ap_high"]
    today = table.loc[("drawn, noise 300", "daam")]
    assert np.isnan(today["iou_over"]) and today["cuts"]
    assert line["iou_over"] == pytest.approx(line["iou"] - today["iou"])
    assert line["iou_over_low"] <= line["iou_over"] <= line["iou_over_high"]
    knows = table.loc["drawn, noise 300"].loc[["daam", "smooth noise"], "ap"]
    assert knows["daam"] > knows["smooth noise"]
    assert study.plot(study.tables(rows)) is not None


def test_a_part_is_read_from_its_layers_alone():
    run = made("a cat")
    (own,) = run.maps.layers.values()
    word = run.maps.prompt.word("cat")
    many = {
        name: Layer(name, (name,), group, 1, own.values * scale, order=order)
        for order, name, group, scale in (
            (2, "b.1", "double", 1.0),
            (0, "b.10", "double", 2.0),
            (1, "s.b.1", "single", 4.0),
        )  # not as they run
    }
    maps = run.maps.select()
    object.__setattr__(maps, "layers", many)
    object.__setattr__(maps, "keep", frozenset({"site"}))
    run = Run(None, {"cond": maps})
    found = {name: of(word).values.max().item() for _, name, of in parts(run)}
    one = found["b.1"]
    assert found["b.10"] == pytest.approx(2 * one) and found["s.b.1"] == pytest.approx(4 * one)
    assert found["double"] == pytest.approx(3 * one)  # rule "paper": the sum
    thirds = [found[f"{name} layers"] for name in ("first", "middle", "last")]
    assert thirds == [found["b.10"], found["single"], one]


def test_thirds_share_nothing_and_leave_nothing():
    for count in (3, 4, 7, 25):
        found = [list(some) for _, some in layers._thirds(range(count))]
        assert sum(found, []) == list(range(count)) and all(found)


def test_both_directions_of_a_joint_model():
    study = Layers(n=4, levels=(300, 600), seed=60, world=2)
    cases = [case for case in study.cases() if case["level"] > 0]
    session = Session(study, tiny_joint.toybox_flux())
    parts = {row["part"] for rows in study.measure(session, cases) for row in rows}
    assert {"text to image", "text to image, double", "text to image, single"} <= parts
    assert {"double", "single", "first layers", "daam"} <= parts


def test_methods_that_a_model_does_not_bear_are_left_out_unless_named(toybox):
    every = AttributionStudy(n=4, steps=1, levels=(300,), seed=60)
    case = every.cases()[0]
    known = {
        name: each for name, each in every._methods.items() if name in ("daam", "text_to_image")
    }
    every.__dict__["_methods"] = known
    session = Session(every, toybox)
    assert {row["method"] for row in every.measure(session, [case])[0]} >= {"daam", "centre prior"}
    named = AttributionStudy(n=4, steps=1, levels=(300,), seed=60, methods=("text_to_image",))
    with pytest.raises(UnsuitedError, match="text_to_image"):
        named.measure(Session(named, toybox), [case])
