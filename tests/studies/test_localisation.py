"""The maps' overlap with things: cuts are chosen on other prompts, baselines stand beside."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import daamkit
from daamkit import cli
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures.overlap import iou
from daamkit.studies import evaluation, localisation, prompts
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, scenes


def rows(scores: dict[tuple[str, str, float], list[float]]) -> pd.DataFrame:
    """Scores of a method and cut, one a prompt."""
    return pd.DataFrame(
        [
            {"prompt": f"prompt {i}", "image": i, "noun": 0, "method": method, "rule": rule}
            | {"tau": tau, "iou": score}
            for (method, rule, tau), values in scores.items()
            for i, score in enumerate(values)
        ]
    )


def test_the_cut_is_chosen_on_the_other_half() -> None:
    # one prompt likes 0.2, the other 0.8: each gets the other's choice
    table = rows({("daam", "max", 0.2): [0.9, 0.1], ("daam", "max", 0.8): [0.3, 0.7]})
    folded = localisation.fold(table).set_index("prompt")
    assert folded["iou"].to_dict() == {"prompt 0": 0.3, "prompt 1": 0.1}
    assert folded["tau"].to_dict() == {"prompt 0": 0.8, "prompt 1": 0.2}
    with pytest.raises(DaamkitError, match="two prompts"):
        localisation.fold(table[table["prompt"] == "prompt 0"])


def test_the_gain_is_over_the_best_baseline() -> None:
    table = rows(
        {
            ("daam", "max", 0.4): [0.8, 0.6, 0.8, 0.6],
            ("paper", "max", 0.4): [0.5, 0.5, 0.5, 0.5],
            ("whole image", "max", 0.0): [0.1, 0.1, 0.1, 0.1],
            ("centre prior", "max", 0.4): [0.3, 0.3, 0.3, 0.3],
            ("smooth noise", "max", 0.4): [0.2, 0.2, 0.2, 0.2],
        }
    )
    table = localisation.summary(table).set_index("method")
    assert table.loc["daam", "miou"] == pytest.approx(0.7)
    assert table.loc["daam", "above"] == pytest.approx(0.4)
    student = stats.t.ppf(0.975, 3) * np.std([0.5, 0.3, 0.5, 0.3], ddof=1) / np.sqrt(4)
    assert table.loc["daam", "above_low"] == pytest.approx(0.4 - student)
    assert table.loc["daam", "cuts"] == "max 0.4"
    assert np.isnan(table.loc["centre prior", "above"])


def test_a_map_that_is_its_mask_has_iou_one(toybox) -> None:
    case = PromptCase("any", claims.parse("a red cat next to a blue car"), 0)
    with daamkit.trace(toybox) as tracer:
        toybox(case.prompt, num_inference_steps=2, generator=torch.Generator().manual_seed(0))
    maps = tracer.run.maps
    nouns = localisation.words(maps, case.claims)
    own = maps.word("cat").mask(0.4)
    table = pd.DataFrame(localisation.overlaps(maps, nouns, {0: own}, seed=0))
    table = table.set_index(["method", "rule", "tau"])["iou"]
    assert table["daam", "max", 0.4] == 1.0
    assert table["whole image", "max", 0.0] == pytest.approx(own.mean())
    car = maps.word("car").mask(0.4)
    assert table["other word", "max", 0.4] == pytest.approx(iou(car, own))
    assert set(table.index.get_level_values(0)) == {"daam", "paper", *localisation.BASELINES}
    again = pd.DataFrame(localisation.overlaps(maps, nouns, {0: own}, seed=0))
    assert again["iou"].tolist() == table.tolist()


def test_the_centre_prior_is_of_the_studys_world() -> None:
    word = WordMap(torch.zeros(4, 4), Word("cat", 0, 3, (1,)), (128, 128))
    found = []
    for world in (1, 2):
        drawn = scenes.sample(300, seed=777, kind="pair", world=world)
        mean = np.concatenate([scene.masks for scene in drawn]).mean(0)
        own = localisation.controls({0: word}, 0, seed=0, world=world)["centre prior"]
        found.append(own.expand(absolute=True).numpy())
        assert np.abs(found[-1] - mean).max() < 1e-6
    assert np.abs(found[0] - found[1]).max() > 0.02
    plain = localisation.controls({0: word}, 0, seed=0)["centre prior"]
    assert np.array_equal(plain.expand(absolute=True), found[0])


def test_truths_leave_out_what_was_not_drawn_and_what_is_named_twice() -> None:
    mask = np.eye(4, dtype=bool)
    reading = pd.DataFrame(
        {"kind": "thing", "name": ["cat", "cat", "dog"], "mask": [mask, ~mask, mask]}
    )
    case = PromptCase("any", claims.parse("a cat, a dog and a frog"), 0)
    found = localisation.truths(case, reading)
    assert set(found) == {0, 1} and found[0].all() and (found[1] == mask).all()
    twice = PromptCase("any", claims.parse("a red cat and a blue cat"), 0)
    assert localisation.truths(twice, reading) == {}


def test_on_drawn_scenes_maps_beat_what_knows_nothing(toybox) -> None:
    drawn = scenes.sample(12, seed=4711, kind="pair")
    scheduler = toybox.scheduler
    table = localisation.on_drawn(toybox, drawn, [300, 700], seed=0)
    assert toybox.scheduler is scheduler
    assert set(table["level"]) == {300, 700}
    for _, part in table.groupby("level"):
        means = localisation.summary(part).set_index("method")["miou"]
        assert means["daam"] > means["centre prior"]
        assert means["daam"] > means["other word"] + 0.2


def test_on_generated_images_maps_beat_what_knows_nothing(toybox) -> None:
    cases = [case for case in prompts.drawn(range(40, 42)) if len(case.claims.things) == 2]
    _, table, _ = evaluation.generate(toybox, cases, num_inference_steps=15)
    summary = localisation.summary(table).set_index("method")
    assert summary.loc["daam", "miou"] > 0.55
    assert summary.loc["daam", "above_low"] > 0.15


def test_evaluate_prints_one_json_object(tmp_path, capfd) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a red cat next to a blue car\na dog and a frog\na bowl\n")
    asked = ["toybox", "evaluate", "--seeds", "3:5", "--prompts", str(file), "--json"]
    assert cli.main([*asked, "--steps", "2", "--scenes", "2", "--quality", "8"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert {row["measure"] for row in result["drawing"]} >= {"present", "colour", "neglect"}
    assert {row["n"] for row in result["drawing"] if row["measure"] == "present"} == {10}
    assert {row["level"] for row in result["localisation_drawn"]} == {100, 300, 500, 700, 900}
    assert [row["set"] for row in result["quality"]] == ["generated", "drawn"]
    for row in result["quality"]:
        assert row["fid_low"] < row["fid"] < row["fid_high"]
        for share in ("precision", "recall"):
            low, high = row[f"{share}_low"], row[f"{share}_high"]
            assert 0 <= low <= row[share] <= high <= 1 and high - low > 0.3  # of eight pictures
    assert result["record"]["cases"][0] == ["file", "a red cat next to a blue car", 3]
    assert result["record"]["arguments"]["num_inference_steps"] == 2
    assert all(row["low"] <= row["miou"] <= row["high"] for row in result["sweep"])


def test_evaluate_of_single_things_leaves_localisation_out(tmp_path, capfd) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a red cat\n")
    asked = ["toybox", "evaluate", "--seeds", "0:1", "--prompts", str(file), "--scenes", "0"]
    assert cli.main([*asked, "--steps", "2"]) == 0
    printed = capfd.readouterr().out
    assert "drawing" in printed and "localisation" not in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "5:5"], "seeds as A:B"),
        (["--steps", "0"], "at least one step"),
        (["--quality", "7"], "at least 8"),
        (["--scenes", "1"], "at least 2"),
        (["--prompts", "missing.txt"], "missing.txt"),
        (["--world", "2", "--prompts", "mine.txt"], "neither --prompts nor --quality"),
        (["--world", "2", "--quality", "8"], "neither --prompts nor --quality"),
        (["--model", "nowhere"], "the name of a model"),
        (["--model", "toybox-2"], "got the model toybox-2, of world 2. Add --world 2"),
        (["--model", "toybox-flux"], "wanted models of world 1"),
        (["--world", "2"], "wanted models of world 2; got the model toybox, of world 1"),
        (["--world", "2", "--model", "toybox-2", "toybox"], "Name toybox-2 or toybox-flux"),
    ],
)
def test_evaluate_says_what_is_wrong(arguments: list[str], says: str, capsys) -> None:
    assert cli.main(["toybox", "evaluate", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_benchmarks_kinds_are_all_asked() -> None:
    kinds = {case.kind for case in prompts.drawn([1])}
    assert {"animals", "animal_object", "objects"} < kinds
