"""The study of Self-Attention Guidance: what it measures, and what its tables make of it."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps.layers import Layer
from daamkit.maps.selfmaps import SelfMaps
from daamkit.measures import frequency, overlap, quality
from daamkit.studies import masks, runner
from daamkit.studies.masks import last
from daamkit.studies.self_attention import PSI, SelfAttention
from daamkit.studies.session import Session
from daamkit.studies.variants import SETTINGS, base, parsed
from daamkit.toybox import oracle, scenes, sprites

SMALL = SelfAttention(n=8, sets=1, steps=2, scenes=16, settings=("none", "cfg", "cfg+scale=2"))
LAYERS = ["down 16x16", "down 8x8", "mid 8x8", "up 8x8", "up 16x16"]


def measured(study, pipe, **options) -> pd.DataFrame:
    return runner.run(study, pipe=pipe, batch_size=4, threads=1, progress=False, **options)


@pytest.fixture(scope="module")
def folder(toybox, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "rows"
    measured(SMALL, toybox, out=out)
    return out


def test_a_case_is_a_prompt_and_a_seed() -> None:
    cases = SelfAttention(n=9, sets=1, seed=5).cases()
    assert cases == json.loads(json.dumps(cases)) == SelfAttention(n=9, sets=1, seed=5).cases()
    assert len({case["prompt"] for case in cases}) == 9
    assert [case["seed"] for case in cases] == list(range(5, 14))


def test_sets_have_prompts_and_seeds_of_their_own() -> None:
    cases = SelfAttention(n=9, seed=5, sets=3).cases()
    assert [case["set"] for case in cases] == [0] * 9 + [1] * 9 + [2] * 9
    assert cases[:9] == SelfAttention(n=9, sets=1, seed=5).cases()
    assert len({case["seed"] for case in cases}) == 27
    assert len({case["prompt"] for case in cases}) > 20


# -- rows


def test_every_case_has_masks_of_every_layer_and_an_image_in_every_setting(folder) -> None:
    rows = runner.table(folder)
    masks, drawn = (rows[rows["part"] == part] for part in ("masks", "quality"))
    assert len(masks) + len(drawn) == len(rows)
    for _, own in masks.groupby("case"):
        assert own["layer"].unique().tolist() == LAYERS
        assert own["psi"].tolist() == [*PSI] * len(LAYERS)
        assert (own.groupby("layer")["masked"].diff().dropna() <= 0).all()  # psi rises
    for _, own in drawn.groupby("case"):
        assert own["setting"].tolist() == [*SMALL.settings]
        assert (own["seconds"] > 0).all()
    features = np.stack(drawn["features"].tolist())
    assert features.shape == (8 * 3, 128)
    assert len(np.unique(features.round(6), axis=0)) == len(features)


def test_rows_say_what_can_be_made_again(folder, toybox) -> None:
    case = SMALL.cases()[5]
    rows = runner.table(folder)
    own = rows[rows["case"] == 5]
    (run,) = Session(SMALL, toybox).runs(
        [case["prompt"]], [case["seed"]], self_attention=True, keep="site"
    )
    maps = run.self_attention["cond"]
    scores = maps.received(last(maps)["mid 8x8"]).numpy()
    row = own[(own["layer"] == "mid 8x8") & (own["psi"] == 1.0)].iloc[0]
    assert row["masked"] == pytest.approx((scores > 1).mean())
    expected = frequency.contrast(np.asarray(run.image), scores, 1.0)
    assert np.abs(np.subtract(row["above"], expected.above)).max() < 0.05
    things = oracle.detections(run.image)
    union = np.zeros((128, 128), bool)
    for mask in things.loc[things["name"].isin(sprites.THINGS), "mask"]:
        union |= mask
    assert row["there"] == (union.mean() >= 0.005)
    if row["there"]:
        mask = np.kron(scores > 1, np.ones((16, 16), bool))
        assert row["iou"] == pytest.approx(overlap.iou(mask, union), abs=0.02)
    drawn = toybox(
        "", num_inference_steps=2, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(case["seed"]),
    ).images  # fmt: skip
    found = own.loc[own["setting"] == "none", "features"].item()
    np.testing.assert_allclose(found, oracle.features(drawn)[0], atol=0.02)


def test_a_resumed_run_ends_with_the_same_rows_but_for_time(folder, toybox, tmp_path) -> None:
    before = runner.table(folder)
    shards = sorted(folder.glob("cases-*.parquet"))
    assert len(shards) == 2
    part = tmp_path / "part"
    part.mkdir()
    for file in (folder / "study.json", shards[0]):
        (part / file.name).write_bytes(file.read_bytes())
    after = measured(replace(SMALL, scenes=20), toybox, out=part)  # the tables alone need scenes
    done = before["case"] < 4
    pd.testing.assert_frame_equal(after[done], before[done])
    pd.testing.assert_frame_equal(
        after.drop(columns="seconds"), before.drop(columns="seconds"), check_exact=True
    )


def test_with_guidance_the_unconditional_attention_is_looked_at(toybox) -> None:
    study = replace(SMALL, guidance=7.5, settings=("none",))
    session, case = Session(study, toybox), SMALL.cases()[0]
    (rows,) = study.measure(session, [case])
    (run,) = session.runs(
        [case["prompt"]], [case["seed"]], self_attention=True, branches=("cond", "uncond")
    )
    found = {row["layer"]: row["masked"] for row in rows if row.get("psi") == 1.0}
    for branch, agrees in (("uncond", True), ("cond", False)):
        maps = run.self_attention[branch]
        shares = {
            layer: float((maps.received(name) > 1).float().mean())
            for layer, name in last(maps).items()
        }
        assert (found == pytest.approx(shares)) is agrees


def test_the_last_layer_of_each_grid_is_the_last_to_run() -> None:
    def layer(stage: str, name: str, side: int) -> Layer:
        order = ("down", "mid", "up").index(stage)
        return Layer(name, (name,), stage, 1, torch.zeros(side * side, side, side), order=order)

    sites = [("down", "a", 4), ("up", "b", 2), ("up", "c", 4), ("up", "d", 4), ("mid", "e", 2)]
    layers = {name: layer(stage, name, side) for stage, name, side in sites}
    maps = SelfMaps(layers, frozenset({"site"}), 1, (8, 8))
    assert last(maps) == {"down 4x4": "a", "mid 2x2": "e", "up 2x2": "b", "up 4x4": "d"}
    assert [*last(maps)] == ["down 4x4", "mid 2x2", "up 2x2", "up 4x4"]


def test_controls_have_as_many_cells() -> None:
    mask = np.zeros((4, 6), bool)
    mask[0, :5] = True
    centred = masks.centred(mask)
    assert centred.sum() == 5 and centred[1:3, 2:4].all()
    assert not masks.centred(np.zeros((4, 4), bool)).any()
    enlarged = masks.enlarged(mask, (8, 18))
    assert enlarged.shape == (8, 18) and enlarged[:2, :15].all() and enlarged.sum() == 2 * 15


# -- tables


def test_the_study_shows_what_it_found(folder, monkeypatch) -> None:
    monkeypatch.setattr(quality, "halves", partial(quality.halves, draws=20))
    tables = SMALL.tables(runner.table(folder))
    assert [*tables] == ["quality", "masks", "frequency"]
    chief = tables["quality"].set_index("setting")
    assert [*chief.index] == [*SMALL.settings, "drawn scenes"]
    assert chief["against"].tolist() == ["", "none", "cfg+sag", ""]
    assert (chief["fid_low"] <= chief["fid_high"]).all() and chief.loc["cfg", "over_cfg"] == 1
    assert chief.loc["drawn scenes", "fid"] < chief["fid"][:-1].min()
    assert tables["masks"]["layer"].unique().tolist() == LAYERS
    figure = SMALL.plot(tables)
    assert isinstance(figure, Figure)
    figure.canvas.draw()


def drawn(setting: str, features: np.ndarray, seconds: float) -> list[dict]:
    return [
        {"case": i, "prompt": f"p{i}", "part": "quality", "setting": setting}
        | {"seconds": seconds if i else 100.0, "features": each}  # the first one is slow
        for i, each in enumerate(features)
    ]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return oracle.features([scene.image for scene in scenes.sample(40, 77)])


def test_quality_is_against_the_real_pictures_and_change_against_the_base(
    pictures, monkeypatch
) -> None:
    monkeypatch.setattr(quality, "halves", partial(quality.halves, draws=40))
    worse = pictures + np.random.default_rng(0).normal(0, 0.3, pictures.shape)
    rows = drawn("sag", pictures, 0.4) + drawn("none", worse, 0.2) + drawn("cfg", worse, 0.5)
    study = SelfAttention(n=40, sets=1, scenes=60, settings=("sag", "none", "cfg"))
    table = study._quality(pd.DataFrame(rows), study._features(study._real())).set_index("setting")
    real = oracle.features([scene.image for scene in scenes.sample(60, 1)])
    assert table.loc["sag", "fid"] == pytest.approx(quality.fid(real, pictures))
    expected = quality.precision_recall(real[:40], worse)
    assert table.loc["none", ["precision", "recall"]].tolist() == pytest.approx([*expected])
    gap = quality.fid(real, pictures) - quality.fid(real, worse)
    assert table.loc["sag", "change"] == pytest.approx(gap)
    assert table.loc["sag", "change_high"] < 0  # named before its base
    assert table.loc["cfg", ["change", "change_low", "change_high"]].tolist() == [0, 0, 0]
    assert np.isnan(table.loc["none", "change"])
    assert (table["n"] == 40).all()
    assert table["over_cfg"].tolist()[:3] == pytest.approx([0.8, 0.4, 1.0])


def test_intervals_of_quality_hold_the_number_and_are_as_wide_as_sets_differ(pictures) -> None:
    """Sets of one kind scatter as the interval of each says; sets drawn with replacement have a
    greater FID nearly always, which a bootstrap's interval would take for their scatter."""
    rng = np.random.default_rng(1)
    mean, spread = pictures.mean(0)[:6], np.cov(pictures[:, :6], rowvar=False)
    real = rng.multivariate_normal(mean, spread, 400)
    found, widths = [], []
    for _ in range(30):
        own = rng.multivariate_normal(mean, 2 * spread, 60)
        halves = [own[rng.permutation(60)[:30]] for _ in range(60)]
        fids = np.array([quality.fid(real, each) for each in (own, *halves)])
        told = quality.interval("fid", fids)
        assert told["fid_low"] < told["fid"] < told["fid_high"]
        again = [quality.fid(real, own[rng.integers(0, 60, 60)]) for _ in range(20)]
        found.append((told["fid"], np.mean(again)))
        widths.append(told["fid_high"] - told["fid_low"])
    fids, again = np.array(found).T
    assert 0.6 < np.mean(widths) / (2 * 1.96 * fids.std(ddof=1)) < 1.8
    assert (again > fids).mean() > 0.8


def test_several_sets_are_told_by_their_mean_and_scatter(pictures, monkeypatch) -> None:
    monkeypatch.setattr(quality, "halves", partial(quality.halves, draws=20))
    rng, rows = np.random.default_rng(2), []
    for turn in range(4):
        for name, wide in (("none", 0.1), ("sag", 0.3)):
            features = pictures[:12] + rng.normal(0, wide, (12, pictures.shape[1]))
            rows += [row | {"set": turn} for row in drawn(name, features, 1.0)]
    rows += [made_up(prompt=f"p{i}", set=0, seed=i) for i in range(8)]
    tables = SelfAttention(n=12, scenes=30, sets=4).tables(pd.DataFrame(rows))
    assert [*tables] == ["quality", "masks", "frequency", "sets"]
    told, each = tables["quality"].set_index("setting"), tables["sets"]
    changes = each[each["setting"] == "sag"]["change"]
    assert len(changes) == 4 and told.loc["sag", "sets"] == 4
    half = 3.182 * changes.std() / 2  # Student's, of four
    found = told.loc["sag", ["change", "change_low", "change_high"]].to_numpy(float)
    assert found == pytest.approx(
        [changes.mean(), changes.mean() - half, changes.mean() + half], rel=1e-3
    )
    assert told.loc["drawn scenes", "fid_low"] < told.loc["drawn scenes", "fid_high"]


def made_up(**changes) -> dict:
    return {
        "part": "masks", "layer": "mid 8x8", "psi": 1.0, "masked": 0.3, "there": True,
        "frequency": [0.0, 0.25, 0.5], "above": [5.0, 2.0, 1.0], "all": [5.0, 1.5, 1.25],
        "iou": 0.4, "random": 0.1, "centre": 0.5,
    } | changes  # fmt: skip


def test_overlap_is_told_beside_its_controls() -> None:
    rows = [made_up(prompt=f"p{i}", iou=0.4 + 0.01 * (i % 2)) for i in range(20)]
    missing = dict.fromkeys(("iou", "random", "centre"), np.nan)
    rows.append(made_up(prompt="empty", there=False, **missing))
    row = masks.overlaps(pd.DataFrame(rows)).iloc[0]
    assert row["images"] == 20 and row["iou"] == pytest.approx(0.405)
    assert row["over_random"] == pytest.approx(0.305)
    low, high, p = (row[f"over_random_{name}"] for name in ("low", "high", "p"))
    assert 0.3 < low <= high < 0.31 and p < 0.01
    assert row["over_centre"] == pytest.approx(-0.095) and row["over_centre_high"] < 0


def test_frequencies_are_told_of_images_with_something_above() -> None:
    rows = [made_up(prompt=f"p{i}") for i in range(4)]
    rows.append(made_up(prompt="none", above=[np.nan] * 3))
    table = masks.spectra(pd.DataFrame(rows))
    assert table["frequency"].tolist() == [0, 0.25, 0.5]
    assert table["difference"].tolist() == pytest.approx([0, 0.5, -0.25])
    assert table["all"].tolist() == pytest.approx([5, 1.5, 1.25])
    assert (table["images"] == 4).all()


def test_real_pictures_come_from_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(quality, "halves", partial(quality.halves, draws=20))
    for i, scene in enumerate(scenes.sample(8, 3)):
        Image.fromarray(scene.image).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    study = SelfAttention(real=str(tmp_path), sets=1, settings=("none",))
    study.check()
    np.testing.assert_array_equal(
        study._features(study._real()),
        oracle.features([scene.image for scene in scenes.sample(8, 3)]),
    )
    features = oracle.features([scene.image for scene in scenes.sample(8, 4)])
    real = study._features(study._real())
    table = study._quality(pd.DataFrame(drawn("none", features, 1.0)), real)
    assert table["setting"].tolist() == ["none"]  # of other real pictures there are none


# -- settings


def test_settings_say_what_they_change() -> None:
    assert parsed("sigma=3,kernel_size=31") == (False, {"sigma": 3.0, "kernel_size": 31})
    assert parsed("strategy=high-frequency") == (False, {"strategy": "high-frequency"})
    assert parsed("cfg+none") == parsed("cfg") == (True, None)
    bases = {"none": "", "sag": "none", "cfg": "none", "cfg+sag": "cfg", "scale=3": "sag"}
    assert {name: base(name) for name in bases} == bases
    assert base("cfg+scale=3") == "cfg+sag"
    assert all(base(setting) in ("", *SETTINGS) for setting in SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": ("saag",)}, "wanted a setting: 'none'"),
        ({"settings": ("",)}, "wanted a setting: 'none'"),
        ({"settings": ("scale=much",)}, "got 'scale=much'"),
        ({"settings": ("exact=True",)}, "got 'exact=True'"),
        ({"settings": ("scale=1=2",)}, "got 'scale=1=2'"),
        ({"settings": ("strategy=dino",)}, "a masking strategy"),
        ({"settings": ()}, "wanted a setting, "),
        ({"cfg": 1.0}, "a `cfg` above 1"),
        ({"sets": 0}, "a set, and 8"),
        ({"scenes": 7}, "8 scenes or more"),
        ({"n": 7}, "8 or more cases"),
    ],
)
def test_bad_settings(changes, message) -> None:
    with pytest.raises(DaamkitError, match=message):
        SelfAttention(**changes)


def test_what_is_missing_is_said_before_an_image_is_drawn(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="8 real pictures or more.*got 0"):
        SelfAttention(real=str(tmp_path)).run()
    with pytest.raises(DaamkitError, match="no such folder"):
        SelfAttention(real=str(tmp_path / "nowhere")).run()
    with pytest.raises(DaamkitError, match="no such folder"):
        SelfAttention(truth=f"masks:{tmp_path / 'nowhere'}").run()
