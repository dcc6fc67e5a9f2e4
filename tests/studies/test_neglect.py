"""Neglect: same prompts and seeds for every method, what is measured, and what the tables say."""

import json
import shutil
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.measures.overlap import ioa, iou
from daamkit.studies import captions, gains, methods, neglect, outcomes, prompts, redraw, runner
from daamkit.studies.neglect import Neglect
from daamkit.studies.session import Session
from daamkit.toybox import claims, heldout, oracle, scenes
from daamkit.toybox.sprites import ANIMALS, COLOURS, TEXTURES, THINGS
from daamkit.vision import alignment

METHODS = ("none", "attend_and_excite", "syngen", "redraw_loss", "redraw_oracle")


def study(**changes) -> Neglect:
    return Neglect(**{"n": 3, "steps": 2, "methods": METHODS} | changes)


def measured(of, pipe, **options) -> pd.DataFrame:
    return runner.run(of, pipe=pipe, batch_size=2, threads=1, progress=False, **options)


@pytest.fixture(scope="module")
def folder(toybox, tmp_path_factory):
    """A finished run: a batch of two, one of one."""
    out = tmp_path_factory.mktemp("neglect")
    measured(study(), toybox, out=out)
    return out


@pytest.fixture(scope="module")
def rows(folder) -> pd.DataFrame:
    return runner.table(folder)


# -- cases


def test_all_prompts_of_the_benchmark_and_fewer_in_proportion() -> None:
    cases = Neglect(seed=5).cases()
    known = prompts.benchmark(5)
    assert sorted(case["prompt"] for case in cases) == sorted(sum(known.values(), []))
    assert all(case["prompt"] in known[case["group"]] for case in cases)
    assert [case["seed"] for case in cases] == list(range(5, 281))
    some = Neglect(seed=5, n=46).cases()
    assert some == cases[:46]
    groups = [case["group"] for case in some]
    assert [groups.count(group) for group in known] == [11, 24, 11]


def test_the_words_of_a_case_are_its_things() -> None:
    for case in Neglect(n=60).cases():
        words = [case["prompt"][start:end] for start, end in case["spans"]]
        assert words == case["names"]
        assert set(words) <= set(THINGS)


def test_several_seeds_of_each_prompt() -> None:
    cases = Neglect(n=3, seeds=2, seed=10).cases()
    texts = [case["prompt"] for case in cases]
    assert texts[::2] == texts[1::2] and len(set(texts)) == 3
    assert [case["seed"] for case in cases] == [10, 11, 12, 13, 14, 15]
    assert cases == json.loads(json.dumps(cases))


def test_a_file_gives_its_prompts_with_two_things(tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\na red cat, a dog and a bow\na cat and a cat\na bow above a car")
    found = {case["prompt"]: case for case in Neglect(prompts=str(file)).cases()}
    assert set(found) == {"a red cat, a dog and a bow", "a bow above a car"}
    case = found["a bow above a car"]
    assert (case["group"], case["names"]) == ("file", ["bow", "car"])
    assert found["a red cat, a dog and a bow"]["names"] == ["cat", "dog", "bow"]
    file.write_text("a truck to the left of two zebras\na truck\na truck and a truck")
    (case,) = Neglect(prompts=str(file), truth="some/segmenter").cases()
    assert (case["names"], case["spans"]) == (["truck", "zebra"], [[2, 7], [27, 33]])
    file.write_text("a truck")
    with pytest.raises(DaamkitError, match="two different things"):
        Neglect(prompts=str(file), truth="some/segmenter").cases()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"methods": ("none", "hypnosis")}, "the name of a guidance method"),
        ({"methods": ("attend_and_excite", "syngen")}, "'none' and methods"),
        ({"methods": ("none",)}, "'none' and methods"),
        ({"methods": ("none", "syngen", "syngen")}, "each once"),
        ({"seeds": 0}, "an image or more"),
        ({"truth": "masks:drawn"}, "masks of their own"),
        ({"n": 0}, "1 or more cases"),
        ({"redraws": 1}, "two or more to redraw"),
        ({"asked": ("five",)}, "groups of prompts"),
        ({"asked": ()}, "groups of prompts"),
    ],
)
def test_bad_settings(said, message) -> None:
    with pytest.raises(DaamkitError, match=message):
        Neglect(**said)


@pytest.mark.parametrize("setting", ["clip", "captioner", "truth"])
def test_what_is_missing_is_said_before_an_image_is_drawn(setting, tmp_path) -> None:
    with pytest.raises(DaamkitError, match="wanted (the|a segmenter)"):
        runner.run(Neglect(**{setting: str(tmp_path)}), pipe=SimpleNamespace(), progress=False)


# -- rows


def test_prompts_of_several_things() -> None:
    for group, (many, coloured) in prompts.SEVERAL.items():
        texts = prompts.several(group, 40, seed=3)
        assert texts == prompts.several(group, 40, seed=3) != prompts.several(group, 40, seed=4)
        assert len(set(texts)) == 40 and not any("a glasses" in text for text in texts)
        for text in texts:
            things = claims.parse(text).things
            assert len({thing.name for thing in things}) == len(things) == many
            colours = {thing.colour for thing in things}
            assert len(colours) == many if coloured else colours == {None}
    both = Neglect(asked=("benchmark", "three coloured"), n=40).cases()
    groups = [case["group"] for case in both]
    assert set(groups) == {"animals", "animal_object", "objects", "three coloured"}
    assert {len(case["names"]) for case in both if case["group"] == "three coloured"} == {3}
    three = Neglect(asked=("three",), n=300).cases()
    assert len(three) == len({case["prompt"] for case in three}) == 300


def test_every_method_draws_the_same_prompts_from_the_same_seeds(rows) -> None:
    cases = study().cases()
    images, words = (rows[rows["part"] == part] for part in ("image", "word"))
    assert images["method"].tolist() == [*METHODS] * 3
    for case, part in rows.groupby("case"):
        for key in ("prompt", "seed", "group"):
            assert set(part[key]) == {cases[case][key]}
        assert set(part["things"]) == {", ".join(sorted(cases[case]["names"]))}
    for (case, method), part in words.groupby(["case", "method"]):
        assert part["name"].tolist() == cases[case]["names"]
        (image,) = images[(images["case"] == case) & (images["method"] == method)].itertuples()
        assert image.there == part["present"].mean()
        assert image.all_there == float(part["present"].all())


def test_rows_of_none_are_those_of_an_unguided_run(rows, toybox) -> None:
    cases = study().cases()
    session = Session(study(), toybox)
    texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the rows were measured: sums over other shares round differently
    try:
        drawn = [*session.runs(texts[:2], seeds[:2]), *session.runs(texts[2:], seeds[2:])]
    finally:
        torch.set_num_threads(threads)
    clip = alignment.clip()
    for number, (case, run) in enumerate(zip(cases, drawn, strict=True)):
        own = rows[(rows["case"] == number) & (rows["method"] == "none")]
        image = own[own["part"] == "image"].iloc[0]
        fit = clip.similarity([run.image], [case["prompt"]])[0, 0]
        assert image["clip_full"] == pytest.approx(fit, abs=1e-6)
        assert np.isnan(image["loss_first"])
        reading = oracle.detections(run.image)
        assert image["caption"] == captions.write(reading)
        nothing = np.zeros((128, 128), bool)
        masks = [
            np.any([nothing, *reading.loc[reading["name"] == name, "mask"]], axis=0)
            for name in case["names"]
        ]
        for i, (_, word) in enumerate(own[own["part"] == "word"].iterrows()):
            found, other = run.maps.word(case["names"][i]).mask(0.4), masks[1 - i]
            assert word["present"] == (masks[i].mean() >= 0.005)
            if word["present"]:
                assert word["iou"] == pytest.approx(iou(found, masks[i]))
            else:
                assert np.isnan(word["iou"])
            if other.mean() >= 0.005:
                assert word["on_other"] == pytest.approx(ioa(found, other))
                assert word["other_area"] == pytest.approx(other.mean())
            else:
                assert np.isnan([word["on_other"], word["other_area"]]).all()
            things = np.any([nothing, *reading.loc[reading["kind"] == "thing", "mask"]], axis=0)
            mass = run.maps.word(case["names"][i]).expand(absolute=True).clamp(min=0).numpy()
            assert 0 < things.sum() < things.size / 2
            assert word["on_things"] == pytest.approx(mass[things].sum() / mass.sum(), rel=1e-4)
            assert word["things_area"] == things.mean()


def test_a_thing_that_nobody_asked_for_is_one_and_a_place_is_none(toybox, monkeypatch) -> None:
    of, (case, *_) = study(), study().cases()
    (run,) = Session(of, toybox).runs([case["prompt"]], [case["seed"]])
    more, everywhere = np.zeros((128, 128), bool), np.ones((128, 128), bool)
    more[:40, :50] = True
    names = {"kind": ["thing", "place"], "name": ["fox", "meadow"], "mask": [more, everywhere]}
    reading = oracle.detections(run.image)
    reading = pd.concat([reading, reading.iloc[[0, 0]].assign(**names)], ignore_index=True)
    monkeypatch.setattr(oracle, "read_all", lambda images, *model: [reading] * len(images))
    _, *words = of._seen(case, run)
    things = np.any([*reading["mask"][:-1]], axis=0)
    for name, word in zip(case["names"], words, strict=True):
        mass = run.maps.word(name).expand(absolute=True).clamp(min=0).numpy()
        assert name != "fox" and word["things_area"] == things.mean() < 1
        assert word["on_things"] == pytest.approx(mass[things].sum() / mass.sum(), rel=1e-4)


def test_of_three_things_the_others_are_both(toybox, tmp_path, monkeypatch) -> None:
    class Three:
        def masks(self, image, stem, names):
            drawn = np.zeros((3, 128, 128), bool)
            drawn[0, :32], drawn[1, 32:64], drawn[2, 30:34] = True, True, True
            return [*drawn]  # the third stands over both others' ends

    monkeypatch.setattr(neglect.Neglect, "_truth", Three())
    file = tmp_path / "prompts.txt"
    file.write_text("a cat, a dog and a bow")
    of = study(prompts=str(file), n=1, truth="three", methods=("none", "self_attention"))
    rows = measured(of, toybox)
    words = rows[(rows["part"] == "word") & (rows["method"] == "none")].set_index("name")
    assert words["present"].tolist() == [1, 1, 0]  # what two claim is neither's
    assert words["other_area"].tolist() == pytest.approx([30 / 128, 30 / 128, 60 / 128])
    image = rows[rows["part"] == "image"].iloc[0]
    assert image["there"] == pytest.approx(2 / 3) and image["all_there"] == 0


def image_rows(there: float, loss: float, clip: float, extra: float = 0, bound=np.nan) -> list:
    head = {"there": there, "loss_mean": loss, "clip_full": clip, "extra": extra, "bound": bound}
    return [head | {"seconds": 1.0}, {"name": "cat", "there": there}]


def test_the_best_of_some_images_by_what_is_known() -> None:
    images = [image_rows(0.5, 0.2, 0.1), image_rows(1, 0.4, 0.3, 2), image_rows(1, 0.3, 0.2, 1)]
    for name, which in (("redraw_oracle", 2), ("redraw_loss", 0), ("redraw_clip", 1)):
        head, word = redraw.best(images, name)
        assert head == images[which][0] | {"seconds": 3.0} and word == images[which][1]
    alike = [image_rows(1, 0.1, 0.1), image_rows(1, 0.1, 0.1)]
    assert redraw.best(alike, "redraw_oracle")[1] is alike[0][1]
    coloured = [image_rows(1, 0.1, 0.1, bound=0.5), image_rows(1, 0.1, 0.1, 3, bound=1.0)]
    assert redraw.best(coloured, "redraw_oracle")[1] is coloured[1][1]
    assert redraw.fresh(7, 0) == 7 and redraw.fresh(7, 1) != redraw.fresh(8, 1)


def test_a_redraw_is_the_unguided_image_or_a_fresh_one(rows, toybox) -> None:
    images = rows[rows["part"] == "image"]
    wide = images.pivot(index="case", columns="method", values="clip_full")
    cases, session = study().cases(), Session(study(), toybox)
    seeds = [redraw.fresh(case["seed"], 1) for case in cases]
    fresh = session.runs([case["prompt"] for case in cases], seeds)
    clip = alignment.clip()
    for number, (case, run) in enumerate(zip(cases, fresh, strict=True)):
        other = float(clip.similarity([run.image], [case["prompt"]])[0, 0])
        for name in ("redraw_loss", "redraw_oracle"):
            known = (wide.loc[number, "none"], other)
            assert min(abs(wide.loc[number, name] - each) for each in known) < 1e-3
    losses = images[images["method"] == "redraw_loss"]["loss_mean"]
    assert losses.notna().all() and (losses > 0).all()


def test_a_search_draws_the_noise_that_looks_best_at_its_first_step(toybox, monkeypatch) -> None:
    monkeypatch.setattr(redraw, "SEARCHED", 4)
    of = study(n=2, methods=("none", "search"))
    rows = measured(of, toybox)
    images = rows[(rows["part"] == "image") & (rows["method"] == "search")]
    plain, clip = Session(of, toybox), alignment.clip()
    for case, (_, image) in zip(of.cases(), images.iterrows(), strict=True):
        seeds = [redraw.fresh(case["seed"], turn) for turn in range(4)]
        first = []
        for seed in seeds:  # each noise alone, all steps
            watched = redraw.watch([methods.subject_columns(toybox, case)])
            (run,) = plain.runs([case["prompt"]], [seed], methods=watched)
            first.append(run.record["guidance"][0]["steps"][0]["loss"])
        (run,) = plain.runs([case["prompt"]], [seeds[int(np.argmin(first))]])
        wanted = float(clip.similarity([run.image], [case["prompt"]])[0, 0])
        assert image["clip_full"] == pytest.approx(wanted, abs=1e-3)
        assert image["seed"] == case["seed"]
        assert len(set(np.round(first, 6))) == 4


def test_losses_are_what_the_method_noted(rows) -> None:
    rows = rows[rows["part"] == "image"]
    excited = rows[rows["method"] == "attend_and_excite"]
    assert ((excited["loss_least"] <= excited["loss_mean"]) & (excited["loss_first"] <= 1)).all()
    assert (excited["iterations"] >= 0).all()
    coloured = rows["prompt"].str.contains("|".join(COLOURS))
    bound = rows[rows["method"] == "syngen"]["loss_first"].notna()
    assert bound.tolist() == coloured[rows["method"] == "syngen"].tolist()
    assert coloured.any() and not coloured.all()


def test_syngen_leaves_what_has_no_modifiers_and_moves_the_rest(rows) -> None:
    images = rows[rows["part"] == "image"]
    wide = images.pivot(index="prompt", columns="method", values="clip_full")
    plain = [not set(prompt.split()) & set(COLOURS) for prompt in wide.index]
    same = (wide["syngen"] - wide["none"]).abs() < 1e-6
    assert same[plain].all() and not same[[not each for each in plain]].any()


def test_a_run_that_was_stopped_goes_on_with_the_same_rows(rows, folder, toybox, tmp_path) -> None:
    out = shutil.copytree(folder, tmp_path / "out")
    (out / "cases-0000002.parquet").unlink()
    again = measured(study(), toybox, out=out).drop(columns="seconds")
    pd.testing.assert_frame_equal(again, rows.drop(columns="seconds"), check_exact=True)
    schema = pq.read_schema(out / "cases-0000000.parquet")
    told = json.loads(schema.metadata[b"daamkit"])["record"]["guidance"]
    assert told["none"] == [] and told["attend_and_excite"][0]["method"] == "AttendAndExcite"
    assert "subjects" not in told["attend_and_excite"][0]


def test_a_segmenter_that_sees_both_words_in_one_thing_sees_neither(
    toybox, tmp_path, monkeypatch
) -> None:
    class Same:
        def masks(self, image, stem, names):
            left, whole = np.arange(128) < np.full((128, 1), 64), np.ones((128, 128), bool)
            return [left, whole] if names == ["cat", "dog"] else [left, left]

    monkeypatch.setattr(neglect.truths, "truth", lambda *about: Same())
    file = tmp_path / "prompts.txt"
    file.write_text("a cat and a dog\na bird and a bear")
    found = measured(study(prompts=str(file), truth="same", methods=("none", "syngen")), toybox)
    words, images = (found[found["part"] == part] for part in ("word", "image"))
    bird = words[words["prompt"] == "a bird and a bear"]
    assert not bird["present"].any()
    assert bird[["iou", "on_other", "other_area"]].isna().all(axis=None)
    cat = words[words["name"] == "cat"]
    assert not cat["present"].any() and (cat["other_area"] == 0.5).all()
    assert images[["bound", "colour", "extra"]].isna().all(axis=None)
    known = {*outcomes.MAIN_MEASURES} - {"bound", "colour", "extra"}
    assert set(study().tables(found)["methods"]["measure"]) == known
    plain = found.drop(columns=["method", "seconds"])  # no modifiers: nothing for SynGen to do
    alone, guided = (plain[found["method"] == method] for method in ("none", "syngen"))
    alone, guided = (each.reset_index(drop=True) for each in (alone, guided))
    pd.testing.assert_frame_equal(alone, guided, check_exact=True)


@pytest.mark.parametrize(
    ("prompt", "seen", "bound", "colour", "extra"),
    [
        ("a red cat and a blue car", ["red cat", "blue car"], 1.0, 1.0, 0),
        ("a red cat and a blue car", ["red cat", "blue dog"], 0.5, 1.0, 1),  # no car
        ("a red cat and a blue car", ["red cat", "red car"], 0.5, 0.5, 0),
        ("a red cat and a blue car", ["own cat", "own cat", "own bow"], 0.0, 0.0, 2),
        ("a red cat and a blue car", [], 0.0, np.nan, 0),
        ("a cat and a blue car", ["red cat", "blue car"], 1.0, 1.0, 0),
        ("a cat and a car", ["red cat"], np.nan, np.nan, 0),
    ],
)
def test_colours_that_were_asked_for(prompt, seen, bound, colour, extra) -> None:
    reading = pd.DataFrame([each.split() for each in seen], columns=["colour", "name"])
    reading = reading.assign(kind="thing", texture="plain", size="ordinary", area=100)
    found = outcomes.looks({"prompt": prompt, "group": "file", "seed": 0}, reading)
    wanted = {"bound": bound, "colour": colour, "extra": extra}
    assert found == pytest.approx(wanted, nan_ok=True)


# -- tables


def image(case: int, method: str, a: bool, b: bool, **known) -> list[dict]:
    """Rows made by hand; each thing takes a tenth of the image and has an IoU of 0.6."""
    said = {
        "case": case,
        "prompt": f"a cat and a dog {case}",
        "things": f"cat, dog {case}",
        "group": "animals" if case % 2 else "objects",
        "method": method,
    }
    unknown = dict.fromkeys((*outcomes.MAIN_MEASURES, *outcomes.LOSSES), np.nan)
    rows = [said | unknown | {"part": "image", "there": (a + b) / 2, "all_there": float(a and b)}]
    rows[0] |= {"clip_min": 0.2 + 0.1 * (a and b), "seconds": 1.0 if method == "none" else 2.0}
    rows[0] |= known
    for word, (there, other) in enumerate(((a, b), (b, a))):
        rows.append(
            said | {"part": "word", "word": word, "present": float(there), "on_things": 0.4}
            | {"iou": 0.6 if there else np.nan, "other_area": 0.1 if other else np.nan}
            | {"on_other": (0.05 if there else 0.5) if other else np.nan}
            | {"things_area": 0.1 * (a + b)}
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """12 images: none neglects b in 6, guidance mends 4 of them and spoils 1 of the others."""
    made: list[dict] = []
    for case in range(12):
        made += image(case, "none", True, case >= 6)
        loss = {"loss_first": 0.9 if case < 6 else 0.3, "loss_least": 0.1, "loss_mean": 0.2}
        drawn = case < 4 or case > 6
        made += image(case, "guided", True, drawn, iterations=3.0, **loss)
    return Neglect().tables(pd.DataFrame(made))


def of(table: pd.DataFrame, **where) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    return table.squeeze(axis=0)


def test_the_margins_of_a_table_made_by_hand(tables) -> None:
    table = tables["methods"]
    assert table["group"].unique().tolist() == ["animals", "objects", "all"]
    assert set(table["measure"]) == {
        "all_there",
        "there",
        "clip_min",
        "seconds",
    }  # the rest is not known
    base = of(table, group="all", measure="all_there", method="none")
    found = of(table, group="all", measure="all_there", method="guided")
    assert (base["mean"], found["mean"], found["n"]) == (0.5, 0.75, 12)
    assert np.isnan(base["gain"]) and found["gain"] == pytest.approx(0.25)
    assert found["gain_low"] < 0.25 < found["gain_high"] and found["p"] > 0.05
    fit = of(table, group="all", measure="clip_min", method="guided")
    assert (fit["mean"], fit["gain"]) == (pytest.approx(0.275), pytest.approx(0.025))
    time = of(table, group="animals", measure="seconds", method="guided")
    assert time["gain"] == time["gain_low"] == time["gain_high"] == 1.0


def test_what_a_method_has_over_drawing_again(tables) -> None:
    """Of 12 images none has both things in 6, guidance in 9; the better of two by the oracle in 8,
    by the loss in 5."""
    drawn = {"none": 6, "guided": 9, "redraw_oracle": 8, "redraw_loss": 5}
    made = [
        row
        for case in range(12)
        for method, count in drawn.items()
        for row in image(case, method, True, case < count, bound=float(case >= count))
    ]
    table = Neglect().tables(pd.DataFrame(made))["redraw"]
    assert set(table["method"]) == {"guided"} and "redraw" not in tables
    for name, gain in (("redraw_oracle", 1 / 12), ("redraw_loss", 4 / 12)):
        for measure, sign in (("all_there", 1), ("there", 0.5), ("bound", -1)):
            found = of(table, group="all", over=name, measure=measure)
            assert found["gain"] == pytest.approx(sign * gain)
            assert found["gain_low"] < found["gain"] < found["gain_high"]


def test_compositions_are_held_out_of_the_training_of_world_2_alone() -> None:
    """The same rows: to a model of world 1, which has seen all, no prompt was held out."""
    pairs = [f"a {a} and a {b}" for a, b in combinations(ANIMALS, 2)]
    held = [text for text in pairs if {*text[2:].split(" and a ")} in heldout.pairs][:3]
    seen = [text for text in pairs if text not in held and "cat" in text][:5]
    assert not any({*text[2:].split(" and a ")} in heldout.pairs for text in seen)
    made: list[dict] = []
    for case, text in enumerate([*held, *seen]):
        for method, there in (("none", case < 3), ("guided", True)):
            rows = image(case, method, True, there)
            made += [row | {"prompt": text, "things": text, "group": "animals"} for row in rows]
    told = {world: study(world=world).tables(pd.DataFrame(made))["methods"] for world in (1, 2)}
    assert set(told[1]["group"]) == {"animals"}
    assert set(told[2]["group"]) == {"animals", "seen", "held out", "all"}
    for group, n, share in (("held out", 3, 1.0), ("seen", 5, 0.0)):
        row = of(told[2], group=group, measure="all_there", method="none")
        assert (row["n"], row["mean"]) == (n, share)
    with pytest.raises(DaamkitError, match="world 1 or 2; got world=0"):
        study(world=0)


def test_where_the_maps_of_neglected_words_lie(tables) -> None:
    table = tables["localisation"]

    def values(words: str, measure: str) -> list[float]:
        part = table[(table["words"] == words) & (table["measure"] == measure)]
        return part.set_index("method").loc[["none", "guided"], "mean"].tolist()

    assert table["measure"].iloc[0] == "on_other" and "iou" not in set(table["measure"])
    assert values("drawn", "iou_present") == pytest.approx([0.6, 0.6])
    assert of(table, words="drawn", measure="present", method="none")["n"] == 6  # beside these
    assert values("neglected", "iou_present") == pytest.approx([np.nan, 0.6], nan_ok=True)
    assert values("nothing neglected", "present") == pytest.approx([1.0, 11 / 12])
    assert values("neglected", "on_other") == pytest.approx([0.5, (4 * 0.05 + 2 * 0.5) / 6])
    assert values("neglected", "other_area") == pytest.approx([0.1, 0.1])
    gained = of(table, words="neglected", measure="on_other", method="guided")
    assert gained["n"] == 6 and gained["gain"] == pytest.approx(-0.3)
    found = of(table, words="neglected", measure="present", method="guided")
    assert (
        found["gain"] == pytest.approx(4 / 6)
        and found["gain_low"] < 4 / 6 < found["gain_high"] <= 1
    )


def test_losses_by_what_became_of_the_image(tables) -> None:
    first = tables["losses"].query("measure == 'loss_first'").set_index("outcome")
    assert set(first["method"]) == {"guided"}
    assert first["n"].to_dict() == {"repaired": 4, "neglected": 2, "spoilt": 1, "kept": 5}
    assert first.loc["repaired", "mean"] == pytest.approx(0.9)
    assert first.loc["kept", "mean"] == pytest.approx(0.3)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=12))
def test_a_gain_is_the_difference_of_the_means(pairs) -> None:
    made = [
        {"prompt": f"{case}", "case": case, "method": method, "both": there}
        for case, two in enumerate(pairs)
        for method, there in zip(("none", "guided"), two, strict=True)
    ]
    table = gains.compare("group", {"all": pd.DataFrame(made)}, ["both"])
    base, found = table.set_index("method").loc[["none", "guided"]].itertuples()
    assert found.gain == pytest.approx(found.mean - base.mean)
    assert found.gain_low <= found.gain_high and 0 < found.p <= 1


def test_an_interval_reaches_no_further_than_the_measure_can() -> None:
    """Shares of maps that are nearly 0 but for one; of a logit nothing is known."""
    made = [
        {"prompt": f"{case}", "case": case, "method": method, name: value}
        for case in range(12)
        for method in ("none", "guided")
        for name in ("on_other", "logit")
        for value in [0.9 if case == 0 and method == "guided" else 0.001 * case]
    ]
    rows = pd.DataFrame(made).groupby(["prompt", "case", "method"], as_index=False).first()
    found = gains.compare("g", {"all": rows}, ["on_other", "logit"], within=outcomes.WITHIN)
    low = found[found["method"] == "guided"].set_index("measure")[["low", "gain_low"]]
    assert low.loc["on_other", "low"] == 0 > low.loc["logit", "low"]
    assert low.loc["on_other", "gain_low"] == low.loc["logit", "gain_low"] > -1


def test_the_chart_shows_tables_with_and_without_neglect(tables, rows) -> None:
    kept = [row for i in (0, 1) for name in ("none", "guided") for row in image(i, name, 1, 1)]
    for each in (tables, study().tables(rows), Neglect().tables(pd.DataFrame(kept))):
        figure = Neglect().plot(each)
        assert isinstance(figure, Figure)
        figure.canvas.draw()
        left, middle, right = figure.axes
        methods = each["methods"]["method"].unique()
        assert [label.get_text() for label in left.get_yticklabels()] == [*methods[::-1]]
        assert len(right.lines) == 3 and len(middle.lines) > 1


# -- captions


def test_captions_say_what_was_drawn() -> None:
    rng = np.random.default_rng(4)
    right = 0
    for _ in range(20):
        scene = scenes.draw(rng, "pair")
        (caption,) = captions.OracleCaptioner().captions([Image.fromarray(scene.image)])
        names = [thing.name for thing in scene.things]
        right += all(name in caption for name in names)
    assert right >= 17
    with pytest.raises(DaamkitError, match="128 x 128"):
        captions.OracleCaptioner().captions([Image.new("RGB", (64, 64))])
    with pytest.raises(DaamkitError, match="clip-vit"):
        captions.compare([Image.new("RGB", (512, 512))], ["a cat"], ["a cat"])


instances = st.lists(
    st.tuples(
        st.sampled_from(THINGS[:4]), st.sampled_from(("own", *list(COLOURS)[:2])),
        st.sampled_from(("plain", *TEXTURES)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@given(instances)
def test_a_caption_is_read_back_as_what_it_was_written_of(things) -> None:
    """By `toybox.claims`, as numbers of things with their looks."""
    reading = pd.DataFrame(things, columns=["name", "colour", "texture"])
    reading = reading.assign(kind="thing", area=100)
    said = neglect.claims.parse(captions.write(reading)).things
    found = [
        (each.name, each.colour or "own", each.texture or "plain")
        for each in said
        for _ in range(each.count)
    ]
    assert sorted(found) == sorted(things)


def test_a_place_is_said_and_nothing_is_nothing() -> None:
    columns = ["kind", "name", "colour", "texture", "area"]
    place = ["place", "grass", "", "", 900]
    bear = ["thing", "bear", "red", "plain", 100]
    assert captions.write(pd.DataFrame([place], columns=columns)) == "the grass"
    assert captions.write(pd.DataFrame([bear, place], columns=columns)) == (
        "a red bear on the grass"
    )
    assert captions.write(pd.DataFrame([], columns=columns)) == ""


def test_the_text_metrics_of_the_paper() -> None:
    scene = scenes.sample(1, seed=9004)[0]
    picture, prompt = Image.fromarray(scene.image), "a cat and a red car"
    (found,) = captions.compare([picture], [prompt], [prompt])
    fits = alignment.clip().similarity([picture], [prompt, "a cat", "a red car"])[0]
    assert found["clip_full"] == pytest.approx(fits[0], abs=1e-6)
    assert found["clip_min"] == pytest.approx(fits[1:].min(), abs=1e-6)
    assert found["text_text"] == pytest.approx(1, abs=1e-6)
    assert np.isnan(captions.compare([picture], ["a cat"], [""])[0]["clip_min"])


def test_other_clips_are_asked_by_templates(monkeypatch) -> None:
    asked: list[list[str]] = []

    def texts(them) -> torch.Tensor:
        asked.append(list(them))
        return F.normalize(torch.tensor([[len(t), t.count("a"), 1.0] for t in them]), dim=-1)

    other = SimpleNamespace(images=lambda images: torch.eye(3)[:1], texts=texts)
    monkeypatch.setattr(captions.alignment, "clip", lambda name: other)
    (found,) = captions.compare([Image.new("RGB", (8, 8))], ["a cat with a bow"], ["cat"], "other")
    assert asked[0] == ["cat"] and [len(texts) for texts in asked[1:]] == [80, 80, 80]
    assert {"a photo of a cat with a bow.", "itap of my a cat with a bow."} <= set(asked[1])
    means = [texts(each).mean(0) for each in asked[1:4]]
    whole, *parts = (each / each.norm() for each in means)
    assert found["clip_full"] == pytest.approx(float(whole[0]))
    assert found["clip_min"] == pytest.approx(min(float(part[0]) for part in parts))
    assert found["text_text"] == pytest.approx(float(texts(["cat"])[0] @ whole))
    assert len(set(captions.TEMPLATES)) == 80
