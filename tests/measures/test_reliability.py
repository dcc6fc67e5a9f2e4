"""Signs of a map: what they are of known maps, and what they do not depend on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from daamkit import record
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures import reliability
from daamkit.measures.reliability import SIGNS, Calibration
from daamkit.studies.reliability import noise
from daamkit.views.doubts import doubts, says
from tests import pictures
from tests.views.runs import made


def of_maps(*maps: np.ndarray, prompt: str = "cat dog", heads: int = 1) -> Run:
    """A run with a map for SOS, each word and EOS; or, with heads, such maps of each head."""
    run = made(prompt)
    values = torch.from_numpy(np.stack(maps).astype(np.float32))
    layer = replace(run.maps.layers["up"], values=values, heads=heads)
    return replace(run, branches={"cond": replace(run.maps, layers={"up": layer})})


def places(*corners: tuple[int, int], height: float = 1.0) -> np.ndarray:
    values = np.full((16, 16), 0.01)
    for top, left in corners:
        values[top : top + 4, left : left + 4] = height
    return values


def signs(run: Run, *words: str) -> pd.DataFrame:
    return reliability.signs(run.maps, [run.maps.prompt.word(word) for word in words])


def test_known_maps_have_known_signs():
    even, here, there = np.full((16, 16), 0.25), places((2, 2)), places((10, 10), height=0.5)
    found = signs(of_maps(even, here, there, even), "cat", "dog")
    assert list(found) == list(SIGNS)
    cat, dog = found.iloc[0], found.iloc[1]
    assert cat["nouns"] == pytest.approx(np.log(2))
    assert cat["peak"] == pytest.approx(np.log(1 / 0.75), abs=0.01)  # over the mean of 1 and 0.5
    assert dog["peak"] == pytest.approx(np.log(0.5 / 0.75), abs=0.01)
    assert cat["mass"] > 0 > dog["mass"]
    assert cat["won"] == dog["won"] == 1.0
    assert cat["shared"] == pytest.approx(dog["shared"]) and cat["shared"] < 0
    assert cat["heads"] == pytest.approx(1.0)
    assert cat["layers"] == pytest.approx(1.0, abs=0.01)
    assert cat["idle"] == pytest.approx(0.0)


def test_a_word_whose_place_is_anothers():
    even = np.full((16, 16), 0.25)
    strong, weak = places((2, 2)), places((2, 2), height=0.5)
    found = signs(of_maps(even, strong, weak, even), "cat", "dog")
    assert found["won"].tolist() == [1.0, 0.0]
    assert found["shared"].tolist() == pytest.approx([1.0, 1.0], abs=0.01)


def test_attention_to_special_tokens_in_the_mask_and_elsewhere():
    inside, outside = places((2, 2)), np.where(places((2, 2)) > 0.5, 0.01, 1.0)
    for special, sign in ((inside, 1), (outside, -1)):
        found = signs(of_maps(special, places((2, 2)), places((9, 9)), special), "cat", "dog")
        assert np.sign(found["idle"].iloc[0]) == sign


def test_one_noun_competes_with_nobody():
    found = signs(of_maps(*[places((2, 2))] * 4), "cat").iloc[0]
    assert (found["nouns"], found["shared"], found["won"]) == (0.0, 0.0, 1.0)


def test_heads_that_disagree_are_told():
    even = np.full((16, 16), 0.25)
    apart = np.stack([
        np.stack([even, places((2, 2)), places((9, 9)), even]),
        np.stack([even, places((11, 2)), places((9, 9)), even]),
    ])  # fmt: skip
    run = of_maps(*apart, heads=2)
    maps = replace(run.maps, keep=frozenset({"head"}))
    found = signs(replace(run, branches={"cond": maps}), "cat", "dog")
    assert found["heads"].iloc[1] == pytest.approx(1.0) and found["heads"].iloc[0] < 0.8


def test_neither_scale_nor_steps_count():
    run = pictures.run("a red cat and a blue car", keep=("step", "site", "head"))
    words = ("cat", "car")
    larger = {
        name: replace(layer, values=3 * layer.values) for name, layer in run.maps.layers.items()
    }
    scaled = replace(run, branches={"cond": replace(run.maps, layers=larger)})
    pd.testing.assert_frame_equal(signs(run, *words), signs(scaled, *words))
    summed = pictures.run("a red cat and a blue car")
    pd.testing.assert_frame_equal(signs(run, *words), signs(summed, *words), atol=1e-4)
    turned = signs(run, *words[::-1]).iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(signs(run, *words), turned)


def test_a_calibration_comes_back_from_its_file(tmp_path):
    (own,) = reliability.shipped()
    record.write_learned(own, tmp_path / "a.json")
    assert Calibration(**json.loads((tmp_path / "a.json").read_text())) == own
    said = own.probabilities(signs(pictures.run("a red cat and a blue car"), "cat", "car"))
    assert ((said >= 0) & (said <= 1)).all(axis=None) and (said["located"] <= said["present"]).all()


def test_the_toyboxes_own_calibration_holds_of_it_unguided():
    run = pictures.run("a red cat and a blue car")
    assert reliability.calibrated(run) is reliability.shipped()[0]
    found = run.reliability()
    assert found["word"].tolist() == ["cat", "car"] and found["calibrated"].all()
    assert sorted(found["rank"]) == [1, 2]
    doubted = found.sort_values("located")["rank"].tolist()
    assert doubted == [1, 2]
    assert found["start"].tolist() == [run.prompt.index("cat"), run.prompt.index("car")]


def test_elsewhere_there_is_a_rank_alone(sd):
    guided = {**pictures.run("a red cat").record, "guidance": [{"method": "AttendAndExcite"}]}
    own, strange = pictures.run("a red cat"), made("a cat and a dog")
    edited = replace(own, record={**own.record, "edits": [{"edit": "Silence"}]})
    paper = replace(own, branches={"cond": replace(own.maps, rule="paper")})
    for run in (replace(own, record=guided), edited, paper, strange):
        assert reliability.calibrated(run) is None and doubts(run) == {}
        found = run.reliability()
        assert found[["present", "located"]].isna().all(axis=None)
        assert not found["calibrated"].any() and sorted(found["rank"]) == [
            *range(1, len(found) + 1)
        ]


def test_noise_is_not_believed():
    run = pictures.run("a red cat and a blue car", steps=25)
    nouns = [run.maps.prompt.word(word) for word in ("cat", "car")]
    (own,) = reliability.shipped()
    drawn = own.probabilities(reliability.signs(run.maps, nouns))["present"]
    for seed in range(3):
        said = own.probabilities(reliability.signs(noise(run.maps, seed), nouns))["present"]
        assert (said < 0.5).all() and said.max() < drawn.max()


def test_a_prompt_that_names_nothing():
    with pytest.raises(DaamkitError, match="names a thing"):
        made("red and blue").reliability()


def test_a_view_warns_where_the_chance_is_below_a_half():
    assert says(0.49, 0.1) == "probably not in the image (chance 49%)"
    assert says(0.9, 0.2) == "its map may lie elsewhere (on it: 20%)"
    assert says(0.001, 0.0) == "probably not in the image (chance below 1%)"
    assert says(0.9, 0.6) == ""
    run = pictures.run("a red cat and a blue car", steps=25)
    told = doubts(run)
    found = run.reliability().set_index("start")
    assert {start for start, row in found.iterrows() if row["located"] < 0.5} == set(told)


@pytest.mark.parametrize("name", SIGNS)
def test_every_sign_is_finite_of_real_maps(name):
    values = signs(pictures.run("a red cat and a blue car"), "cat", "car")[name]
    assert np.isfinite(values).all()
