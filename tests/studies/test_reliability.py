"""The study of reliability: prompts of two splits and worlds, rows of drawn maps and of nothing,
its tables, and what is learned from them."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from daamkit.errors import DaamkitError
from daamkit.measures import calibration, intervals, reliability
from daamkit.measures.overlap import iou
from daamkit.measures.reliability import TARGETS, Calibration
from daamkit.measures.signs import SIGNS, signs
from daamkit.studies import calibrate, prompts, runner, shards
from daamkit.studies.calibrate import learn
from daamkit.studies.nothing import NOTHING
from daamkit.studies.reliability import GROUPS, Reliability
from daamkit.studies.session import Session
from daamkit.toybox import claims, heldout, oracle, scenes
from daamkit.toybox.sprites import EVERYTHING, NAMES, THINGS
from tests import pictures

SUMMED = [name for name in SIGNS if name not in ("steps", "early", "effect")]


@pytest.fixture(scope="module")
def folder(toybox, tmp_path_factory):
    """A finished run; the name of the model is what stands in the folder."""
    out = tmp_path_factory.mktemp("reliability")
    study = Reliability(n=14, steps=4, split="seen")
    runner.run(study, out, pipe=toybox, batch_size=4, threads=1, progress=False)
    return out


@pytest.fixture(scope="module")
def rows(folder) -> pd.DataFrame:
    return runner.table(folder)


def test_the_splits_share_no_composition():
    unseen, seen = (Reliability(n=70, split=split).cases() for split in ("held-out", "seen"))
    for cases, held in ((unseen, True), (seen, False)):
        assert [case["group"] for case in cases[:7]] == list(GROUPS)
        asked = [claims.parse(case["prompt"]) for case in cases]
        assert all(prompts.held_out(each) is held for each in asked)
        assert all(len({t.name for t in each.things}) == len(each.things) for each in asked)
    assert not {c["prompt"] for c in unseen} & {c["prompt"] for c in seen}
    assert len({case["seed"] for case in unseen}) == 70


@pytest.mark.parametrize("group", GROUPS)
def test_of_world_2_the_splits_are_those_of_its_models_training(group):
    """By the captions' own words, not by `prompts.held_out`."""
    kinds = len(GROUPS)
    for split in ("held-out", "seen"):
        cases = Reliability(n=12 * kinds, split=split, world=2, seed=3).cases()
        own = [claims.parse(case["prompt"]) for case in cases if case["group"] == group]
        assert len({each.prompt for each in own}) == 12
        for each in own:
            names = {thing.name for thing in each.things}
            assert names <= set(EVERYTHING) and len(names) == len(each.things)
            pairs = [frozenset((a, b)) for a in names for b in names if a != b]
            looks = [(thing.colour, thing.name) for thing in each.things if thing.colour]
            known = {pair in heldout.pairs for pair in pairs} | {
                look in heldout.coloured for look in looks
            }
            if group != "caption":  # these have verbs too
                assert (True in known) == (split == "held-out"), each.prompt
            assert prompts.held_out(each) == (split == "held-out")
    if group in prompts.SEVERAL:
        texts = " ".join(prompts.several(group, 200, 0, world=2))
        assert any(name in texts for name in NAMES) != group.endswith("coloured")
        assert "a Mount" not in texts and "a the" not in texts and "snowman" in texts


def test_training_captions_of_world_2_are_of_the_split_that_was_seen():
    asked = [scene.caption for scene in scenes.sample(60, 5, world=2, split="training")]
    assert not any(prompts.held_out(claims.parse(text)) for text in asked)


def test_world_1_is_asked_as_before_world_2_was():
    texts = prompts.several("three", 5, 0)
    assert texts == prompts.several("three", 5, 0, world=1) != prompts.several("three", 5, 0, 2)
    assert Reliability(n=7, world=2).cases() != Reliability(n=7).cases()
    with pytest.raises(DaamkitError, match="world 1 or 2; got world=3"):
        Reliability(world=3)


def test_of_world_2_its_own_oracle_is_asked(monkeypatch):
    """Whose weights are missed before an image is drawn."""
    asked = []

    def trained(world=1):
        asked.append(world)
        raise DaamkitError(wanted="weights", got="none", mend="teach")

    monkeypatch.setattr(oracle, "trained", trained)
    for study in (Reliability(world=2, n=7), Reliability(n=7)):
        with pytest.raises(DaamkitError, match="wanted weights"):
            runner.run(study, pipe=object(), progress=False)
    assert asked == [2, 1]


def test_more_prompts_than_there_are():
    whole = prompts.several("two", 10_000, 0)
    assert len(set(whole)) == len(whole) == math.perm(len(THINGS), 2)
    with pytest.raises(DaamkitError, match="200 prompts of 'one' for each group of n=1400; got"):
        Reliability(n=1400).cases()
    with pytest.raises(DaamkitError, match="a split of seen, held-out, any; got 'test'"):
        Reliability(split="test")


def test_a_row_for_each_thing_drawn_and_of_nothing(rows):
    drawn, noisy = (rows[rows["maps"] == kind] for kind in ("drawn", "noise"))
    asked = [claims.parse(case["prompt"]) for case in Reliability(n=14, split="seen").cases()]
    assert drawn["name"].tolist() == [thing.name for each in asked for thing in each.things]
    assert set(rows["maps"]) == {"drawn", *NOTHING}
    for kind in NOTHING:
        assert rows.loc[rows["maps"] == kind, "name"].tolist() == drawn["name"].tolist()
    assert set(drawn["present"]) <= {0.0, 1.0}
    assert drawn["iou"].isna().tolist() == (drawn["present"] == 0).tolist()
    assert np.isfinite(rows[SUMMED]).all(axis=None)
    assert rows[["steps", "early", "effect"]].isna().all(axis=None)
    assert drawn["layers"].mean() > noisy["layers"].mean() + 0.1
    assert drawn["halves"].mean() > noisy["halves"].mean() + 0.1


def test_a_row_is_what_the_oracle_the_signs_and_the_calibration_say(toybox, monkeypatch):
    """Of each noun its own."""
    named = {"present": "mass", "located": "peak"}
    monkeypatch.setattr(
        reliability, "said", lambda run, told: pd.DataFrame({n: told[s] for n, s in named.items()})
    )
    study = Reliability(n=14, steps=4, split="seen")
    session, there = Session(study, toybox), []
    for case in study.cases()[3:6]:
        things = claims.parse(case["prompt"]).things
        (run,) = session.runs([case["prompt"]], [case["seed"]])
        nouns = [run.maps.prompt.span(thing.start, thing.end) for thing in things]
        told, reading = signs(run.maps, nouns), oracle.detections(run.image)
        assert len(things) > 2 and told["mass"].nunique() == len(things)
        (found,) = study.measure(session, [case])
        own = [row for row in found if row["maps"] == "drawn"]
        for i, (row, thing, noun) in enumerate(zip(own, things, nouns, strict=True)):
            assert [row[sign] for sign in SUMMED] == pytest.approx([*told[SUMMED].iloc[i]])
            said = [row[f"p_{target}"] for target in TARGETS]
            assert said == pytest.approx([told[named[target]].iloc[i] for target in TARGETS])
            masks = reading.loc[reading["name"] == thing.name, "mask"]
            mask = np.any([np.zeros((128, 128), bool), *masks], axis=0)
            there.append(mask.mean() >= 0.005)
            over = iou(run.maps.of(noun).mask(0.4), mask) if there[-1] else np.nan
            assert row["present"] == there[-1] and row["located"] == (over >= 0.5)
            assert row["iou"] == pytest.approx(over, nan_ok=True)
    assert {*there} == {True, False}


def test_steps_and_what_silence_does_are_measured_where_asked(toybox):
    study = Reliability(n=2, steps=4, by_step=True, silenced=True)
    found = runner.run(study, pipe=toybox, batch_size=2, progress=False)
    assert np.isfinite(found[list(SIGNS)]).all(axis=None)
    drawn, noisy = (found[found["maps"] == kind] for kind in ("drawn", "noise"))
    assert drawn["steps"].mean() > noisy["steps"].mean() + 0.1
    assert abs(noisy["effect"]).max() < drawn["effect"].max()
    assert found.loc[found["name"] == drawn["name"].iloc[0], "effect"].nunique() > 1


def correlation(values: torch.Tensor) -> float:
    """Of cells with their right neighbours."""
    return float(np.corrcoef(values[..., :-1].flatten(), values[..., 1:].flatten())[0, 1])


def test_maps_of_nothing_keep_what_they_are_made_to_keep():
    maps = pictures.run("a red cat and a blue car").maps
    made = {kind: of(maps, 0) for kind, of in NOTHING.items()}
    for name, layer in maps.layers.items():
        own = {kind: each.layers[name].values for kind, each in made.items()}
        means = layer.values.mean((-1, -2))
        assert own["smooth"].mean((-1, -2)).allclose(means, rtol=1e-4)
        assert own["noise"].mean((-1, -2)).allclose(means, rtol=0.4)
        assert (
            own["permuted"].flatten(-2).sort().values.equal(layer.values.flatten(-2).sort().values)
        )
        assert not own["permuted"].equal(layer.values)
        assert abs(correlation(own["noise"] / means[..., None, None])) < 0.2
        assert correlation(own["smooth"] / means[..., None, None]) > 0.7
    cat = maps.word("cat").word.columns[0]
    before, _ = (list(maps.layers.values())[i].values[:, cat].flatten(1) for i in (2, 3))
    one, other = (
        list(made["permuted"].layers.values())[i].values[:, cat].flatten(1) for i in (2, 3)
    )  # of one grid
    assert {*map(tuple, one.T.tolist())} == {*map(tuple, before.T.tolist())}  # heads keep together
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.4  # and layers do not
    again = NOTHING["smooth"](maps, 0).layers
    assert all(again[name].values.equal(made["smooth"].layers[name].values) for name in again)
    assert not all(
        NOTHING["smooth"](maps, 1).layers[name].values.equal(again[name].values) for name in again
    )


def test_what_is_learned_tells_apart_what_it_was_learned_from(rows):
    """Signs that say the truth, and one of noise: the first decides."""
    many = pd.concat([rows] * 12, ignore_index=True)
    rng = np.random.default_rng(0)
    many["present"] = (rng.random(len(many)) < 0.7).astype(float)
    many["located"] = many["present"] * (rng.random(len(many)) < 0.8)
    many["won"] = 0.2 * rng.random(len(many)) + 0.5 * many["present"]
    own = learn(many, "a model", "0123", {"steps": 4})
    assert list(own.mean) == SUMMED and own.under == {"steps": 4}
    assert all(len(each) == 1 + 2 * len(SUMMED) for each in own.weights.values())
    said = own.probabilities(many[many["maps"] == "drawn"])
    there = many.loc[many["maps"] == "drawn", "present"] > 0
    assert said["present"][there].min() > said["present"][~there].max()
    assert said["present"].mean() == pytest.approx(there.mean(), abs=0.05)
    assert (own.images, own.words) == (14, len(said))


def test_other_maps_of_nothing_teach_nothing(rows):
    """What is said of them is told apart from what was learned."""
    spoilt = rows.copy()
    rest = ~spoilt["maps"].isin(["drawn", "noise"])
    assert rest.sum() == len(rows) / 2
    spoilt.loc[rest, SUMMED] = 1e3
    assert learn(spoilt, "a", "b", {}) == learn(rows, "a", "b", {})
    fewer = learn(rows, "a", "b", {}, without=("heads", "sos"))
    assert list(fewer.mean) == [name for name in SUMMED if name not in ("heads", "sos")]


def test_a_calibration_says_how_its_images_were_asked_for(folder, tmp_path, capsys, toybox):
    """By the command; and holds of a run like these alone."""
    calibrate.main([str(folder), "--out", str(tmp_path / "a.json"), "--without", "idle"])
    own = Calibration(**json.loads((tmp_path / "a.json").read_text()))
    assert "signs: nouns, peak" in capsys.readouterr().out and "idle" not in own.mean
    assert own.under == {
        "pipeline": "StableDiffusionPipeline", "scheduler": "DDIMScheduler", "steps": 4,
        "guidance": 7.5, "size": [128, 128],
    }  # fmt: skip
    run = pictures.run("a red cat and a blue car", steps=4)
    assert reliability.conditions(run.record) == own.under
    arguments = {**run.record["arguments"], "num_inference_steps": 25}
    assert reliability.conditions({**run.record, "arguments": arguments}) != own.under
    shard = min(folder.glob("cases-*.parquet"))
    made = shards.rows(shard, shards.manifest(folder))[1]["record"]
    assert own.fingerprint == made["model"]["fingerprint"]  # what drew the rows


def test_only_a_whole_study_of_another_split_is_learned_from(folder, tmp_path):
    half = shutil.copytree(folder, tmp_path / "half")
    max(half.glob("cases-*.parquet")).unlink()
    with pytest.raises(DaamkitError, match="3 of 4 shards"):
        calibrate.main([str(half), "--out", str(tmp_path / "a.json")])
    told = json.loads((half / "study.json").read_text())
    told["settings"]["split"] = "held-out"
    (half / "study.json").write_text(json.dumps(told))
    with pytest.raises(DaamkitError, match="of the split 'held-out'"):
        calibrate.main([str(half), "--out", str(tmp_path / "a.json")])


def test_the_shipped_calibration_says_what_the_study_does_by_default(toybox):
    """Steps, guidance, scheduler: those of a study that is told nothing."""
    run = pictures.run("a red cat and a blue car", steps=Reliability().steps)
    (own,) = (each for each in reliability.shipped() if each.model == "toybox")
    assert own.under == reliability.conditions(run.record)


def test_tables_are_of_all_and_of_each_group(rows):
    study = Reliability(n=14, steps=4)
    tables = study.tables(rows)
    assert list(tables["reliability"]["group"].unique()) == ["all", *GROUPS]
    signs = tables["signs"]
    assert set(signs["sign"]) == set(SUMMED) and set(signs["target"]) == set(TARGETS)
    assert set(tables) == {"reliability", "signs"}  # in four steps nothing is calibrated
    assert ((signs["auroc"] >= signs["auroc_low"]) | signs["auroc"].isna()).all()


def test_the_tables_say_what_the_measures_say(rows):
    """Of a calibration that holds; of maps of nothing what is said and how often it is believed."""
    rng = np.random.default_rng(0)
    said = rows.assign(**{f"p_{target}": rng.random(len(rows)) for target in TARGETS})
    tables = Reliability(n=14, steps=4).tables(said)
    drawn = said[said["maps"] == "drawn"]
    row = tables["reliability"].set_index(["group", "target"]).loc[("all", "present")]
    for name, interval in calibration.INTERVALS.items():
        found = interval(
            drawn["p_present"].to_numpy(), drawn["present"].to_numpy() > 0, list(drawn["things"])
        )
        assert row[list(intervals.columns(name))].tolist() == pytest.approx(found, nan_ok=True)
    nothing = tables["noise"].set_index(["maps", "target"])
    assert list(nothing.index) == [(kind, target) for kind in NOTHING for target in TARGETS]
    part = said[said["maps"] == "permuted"]
    one = nothing.loc[("permuted", "located")]
    assert one["said"] == pytest.approx(part["p_located"].mean())
    assert one["believed"] == pytest.approx((part["p_located"] >= 0.5).mean())
    assert one["believed_low"] < one["believed"] < one["believed_high"] and one["n"] == len(part)
