"""Signs of a map: what they are of known maps, and what they do not depend on; and whose
calibration a run is judged by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import daamkit
from daamkit import record, resources
from daamkit.attribution.occlusion import Occlusion
from daamkit.errors import DaamkitError
from daamkit.language import parsing, subjects
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.measures import reliability
from daamkit.measures.reliability import Calibration
from daamkit.measures.signs import SIGNS
from daamkit.measures.signs import signs as measured
from daamkit.studies.nothing import NOTHING
from daamkit.studies.reliability import Reliability
from daamkit.studies.session import Session
from daamkit.toybox import claims
from daamkit.views.doubts import doubts, says
from tests import pictures
from tests.families import every
from tests.views.runs import made

CAT_AND_CAR = "a red cat and a blue car"
ORDINARY = [name for name in SIGNS if name not in ("steps", "early", "effect")]


def of_maps(
    *maps: np.ndarray, prompt: str = "cat dog", keep: tuple[str, ...] = (), layers: int = 1
) -> Run:
    """A run with a map for SOS, each word and EOS; of each step or head that is kept, such maps."""
    run = made(prompt)
    values = torch.from_numpy(np.stack(maps).astype(np.float32))
    heads = values.shape[int("step" in keep)] if "head" in keep else 1
    steps = len(values) if "step" in keep else 1
    layer = replace(run.maps.layers["up"], values=values, heads=heads)
    every = {f"up{i}": replace(layer, name=f"up{i}") for i in range(layers)}
    maps_ = replace(run.maps, layers=every, keep=frozenset(keep), steps=steps)
    return replace(run, branches={"cond": maps_})


def calibrated_run(steps: int = 25, **options) -> Run:
    """As the toybox's calibration has it."""
    return pictures.run(CAT_AND_CAR, steps=steps, **options)


@pytest.fixture(params=["toybox", "another toybox toybox-2 toybox-flux"])
def files(request, tmp_path, monkeypatch):
    """The shipped calibration alone, and beside others that say the opposite."""
    told = json.loads(resources.path("reliability", "toybox.json").read_text())
    weights = {target: [-weight for weight in each] for target, each in told["weights"].items()}
    other = told | {"weights": weights, "also": []}
    for name in request.param.split():
        own = told if name == "toybox" else other | {"model": name, "fingerprint": f"of {name}"}
        (tmp_path / f"{name}.json").write_text(json.dumps(own))
    path = resources.path

    def mine(*names: str) -> Path:
        return tmp_path if names[0] == "reliability" else path(*names)

    monkeypatch.setattr(resources, "path", mine)
    shipped = reliability.shipped
    shipped.cache_clear()
    yield {each.model: each for each in shipped()}
    shipped.cache_clear()


def places(*corners: tuple[int, int], height: float = 1.0) -> np.ndarray:
    values = np.full((16, 16), 0.01)
    for top, left in corners:
        values[top : top + 4, left : left + 4] = height
    return values


def signs(run: Run, *words: str) -> pd.DataFrame:
    return measured(run.maps, [run.maps.prompt.word(word) for word in words])


def test_known_maps_have_known_signs():
    even, here, there = np.full((16, 16), 0.25), places((2, 2)), places((10, 10), height=0.5)
    found = signs(of_maps(even, here, there, even, layers=2), "cat", "dog")
    assert list(found) == list(SIGNS)
    cat, dog = found.iloc[0], found.iloc[1]
    assert cat["nouns"] == pytest.approx(np.log(2))
    assert cat["peak"] == pytest.approx(np.log(1 / 0.75), abs=0.01)  # over the mean of 1 and 0.5
    assert dog["peak"] == pytest.approx(np.log(0.5 / 0.75), abs=0.01)
    assert cat["mass"] > 0 > dog["mass"]
    assert cat["won"] == dog["won"] == 1.0
    assert cat["shared"] == pytest.approx(dog["shared"]) and cat["shared"] < 0
    assert cat["layers"] == pytest.approx(1.0, abs=0.01)
    assert cat["idle"] == pytest.approx(0.0)
    whole = 0.25 + 1 + 0.01 + 0.25  # SOS, cat, dog, EOS where the cat is
    assert cat["sos"] == cat["padding"] == pytest.approx(0.25 / whole, abs=0.01)
    assert dog["sos"] == pytest.approx(0.25 / (0.5 + 0.51), abs=0.01)


def test_a_word_whose_place_is_anothers():
    even = np.full((16, 16), 0.25)
    strong, weak = places((2, 2)), places((2, 2), height=0.5)
    found = signs(of_maps(even, strong, weak, even), "cat", "dog")
    assert found["won"].tolist() == [1.0, 0.0]
    assert found["shared"].tolist() == pytest.approx([1.0, 1.0], abs=0.01)


def test_of_three_nouns_each_stands_beside_both_others_and_all_words():
    """A bird apart; a dog where the cat is, less; and a word that is no noun, with most."""
    bird, cat, dog = places((10, 10)), places((2, 2)), places((2, 2), height=0.5)
    then = places((2, 10), height=2.0)
    start, end, rest = (np.full((16, 16), each) for each in (0.3, 0.2, 0.1))
    run = of_maps(start, bird, cat, dog, then, end, rest, prompt="bird cat dog then")
    padding = replace(run.maps.prompt.tokens[-1], column=6, special="padding")
    prompt = replace(run.maps.prompt, tokens=(*run.maps.prompt.tokens, padding))
    run = replace(run, branches={"cond": replace(run.maps, prompt=prompt)})
    found = signs(run, "bird", "cat", "dog")
    assert found["nouns"].tolist() == pytest.approx([np.log(3)] * 3)
    assert found["shared"].iloc[1:].tolist() == pytest.approx([1.0, 1.0], abs=0.01)
    assert found["shared"].iloc[0] < 0
    assert found["won"].tolist() == [1.0, 1.0, 0.5]
    most = [each.max() for each in (bird, cat, dog, then)]
    assert found["peak"].iloc[1] == pytest.approx(np.log(1 / np.mean(most)), abs=0.01)
    mean = np.mean([each.mean() for each in (bird, cat, dog, then)])
    assert found["mass"].iloc[1] == pytest.approx(np.log(cat.mean() / mean), abs=0.01)
    whole = 0.3 + 0.01 + 1 + 0.5 + 0.01 + 0.2 + 0.1  # of a place of the cat
    assert found["sos"].iloc[1] == pytest.approx(0.3 / whole, abs=0.01)
    assert found["padding"].iloc[1] == pytest.approx(0.3 / whole, abs=0.01)


def test_attention_to_special_tokens_in_the_mask_and_elsewhere():
    inside, outside = places((2, 2)), np.where(places((2, 2)) > 0.5, 0.01, 1.0)
    for special, sign in ((inside, 1), (outside, -1)):
        found = signs(of_maps(special, places((2, 2)), places((9, 9)), special), "cat", "dog")
        assert np.sign(found["idle"].iloc[0]) == sign


def test_one_noun_competes_with_nobody():
    found = signs(of_maps(*[places((2, 2))] * 4), "cat").iloc[0]
    assert (found["nouns"], found["shared"], found["won"]) == (0.0, 0.0, 1.0)


def test_the_start_and_the_end_of_the_text_are_told_apart():
    even, much = np.full((16, 16), 0.1), np.full((16, 16), 0.9)
    found = signs(of_maps(much, places((2, 2)), places((9, 9)), even), "cat", "dog").iloc[0]
    assert found["sos"] == pytest.approx(9 * found["padding"])


def turned(*corners: tuple[int, int]) -> np.ndarray:
    """Of each part: SOS, a cat in a place of its own, a dog in its place, EOS."""
    even = np.full((16, 16), 0.25)
    return np.stack([np.stack([even, places(at), places((9, 9)), even]) for at in corners])


def test_heads_that_disagree_are_told():
    run = of_maps(*turned((2, 2), (11, 2)), keep=("head",))
    found = signs(run, "cat", "dog")
    assert found["heads"].iloc[1] == pytest.approx(1.0) and found["heads"].iloc[0] < 0.8
    assert found["halves"].iloc[1] == pytest.approx(1.0, abs=0.01)
    assert found["halves"].iloc[0] < 0.1


def test_every_second_head_is_one_half():
    found = signs(of_maps(*turned((2, 2), (11, 2), (2, 2), (11, 2)), keep=("head",)), "cat")
    assert found["halves"].iloc[0] < 0.1
    found = signs(of_maps(*turned((2, 2), (2, 2), (11, 2), (11, 2)), keep=("head",)), "cat")
    assert found["halves"].iloc[0] == pytest.approx(1.0, abs=0.01)


def test_steps_that_disagree_are_told():
    found = signs(of_maps(*turned((2, 2), (2, 2), (11, 2), (11, 2)), keep=("step",)), "cat", "dog")
    assert found.loc[1, ["steps", "early"]].tolist() == pytest.approx([1.0, 1.0], abs=0.01)
    assert found["steps"].iloc[0] < 0.8 and found["early"].iloc[0] < 0.1
    mixed = signs(of_maps(*turned((2, 2), (11, 2), (2, 2), (11, 2)), keep=("step",)), "cat")
    assert mixed["steps"].iloc[0] == pytest.approx(found["steps"].iloc[0])
    assert mixed["early"].iloc[0] == pytest.approx(1.0, abs=0.01)  # both halves have both


@pytest.mark.parametrize(
    ("keep", "missing"),
    [
        ((), {"layers", "heads", "halves", "steps", "early", "effect"}),
        (("head",), {"layers", "steps", "early", "effect"}),
        (("step",), {"layers", "heads", "halves", "effect"}),
    ],
)
def test_what_a_run_cannot_give_is_missing(keep, missing):
    parts = turned((2, 2), (3, 3)) if keep else turned((2, 2))[0]
    found = signs(of_maps(*parts, keep=keep), "cat", "dog")
    assert set(found.columns[found.isna().any()]) == missing
    once = signs(of_maps(*turned((2, 2)), keep=keep), "cat") if keep else found
    assert once[["heads", "halves", "steps", "early"]].isna().all(axis=None)  # of one, none


@pytest.mark.parametrize(
    ("left", "missing"),
    [((), {"sos", "padding", "idle"}), (("SOS",), {"padding"}), (("EOS",), {"sos"})],
)
def test_a_text_without_start_or_padding(left, missing):
    run = made("a cat and a dog")
    read = run.maps.prompt
    tokens = tuple(each for each in read.tokens if each.special is None or each.special in left)
    maps = replace(run.maps, prompt=replace(read, tokens=tokens))
    found = replace(run, branches={"cond": maps}).reliability()
    special = found[["sos", "padding", "idle"]]
    assert set(special.columns[special.isna().any()]) == missing
    assert sorted(found["rank"]) == [1, 2]


def test_what_a_words_silence_does_in_its_mask_and_elsewhere():
    run = of_maps(*[places((2, 2)), places((2, 2)), places((9, 9)), places((2, 2))])
    cat, dog = (run.maps.word(word) for word in ("cat", "dog"))
    within = torch.from_numpy(cat.mask().astype(np.float32))
    changes = [WordMap(within + 0.1, cat.word, cat.size), WordMap(1.1 - within, dog.word, dog.size)]
    nouns = [cat.word, dog.word]
    both = measured(run.maps, nouns, changes)["effect"]
    assert both[0] == pytest.approx(np.log(1.1 / float(within.mean() + 0.1)))
    assert 0 < both[1] < 0.2  # where the dog is not, too
    one = measured(run.maps, nouns[::-1], changes[:1])["effect"]
    assert np.isnan(one[0]) and one[1] == both[0]


def test_what_is_far_from_all_that_was_learned_counts_as_four_deviations():
    found = reliability.design(pd.DataFrame({"a": [100.0, 2.0, -9.0]}), {"a": 1.0}, {"a": 2.0})
    assert found.tolist() == [[1, 4, 16], [1, 0.5, 0.25], [1, -4, 16]]


def test_neither_scale_nor_steps_count():
    run = pictures.run(CAT_AND_CAR, keep=("step", "site", "head"))
    words = ("cat", "car")
    larger = {
        name: replace(layer, values=3 * layer.values) for name, layer in run.maps.layers.items()
    }
    scaled = replace(run, branches={"cond": replace(run.maps, layers=larger)})
    pd.testing.assert_frame_equal(signs(run, *words), signs(scaled, *words))
    summed = signs(pictures.run(CAT_AND_CAR), *words)
    assert summed[["steps", "early"]].isna().all(axis=None)
    by_step = signs(run, *words)
    pd.testing.assert_frame_equal(by_step[ORDINARY], summed[ORDINARY], atol=1e-4)
    turned = signs(run, *words[::-1]).iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(signs(run, *words), turned)


def test_a_calibration_comes_back_from_its_file(tmp_path, files):
    for own in files.values():
        record.write_learned(own, tmp_path / "a.json")
        assert Calibration(**json.loads((tmp_path / "a.json").read_text())) == own
        said = own.probabilities(signs(pictures.run(CAT_AND_CAR), "cat", "car"))
        assert ((said >= 0) & (said <= 1)).all(axis=None)
        assert (said["located"] <= said["present"]).all()


def test_a_model_learned_anew_keeps_its_fingerprints_under_other_versions(tmp_path, files):
    own, file = next(iter(files.values())), tmp_path / "a.json"
    file.write_text("{")  # broken off
    for also, kept in (["a"], ["a"]), (["b"], ["a", "b"]), ([], ["a", "b"]):
        record.write_learned(replace(own, also=[]), file, also)
        assert json.loads(file.read_text())["also"] == kept
    record.write_learned(replace(own, also=[], fingerprint="another"), file)
    assert json.loads(file.read_text())["also"] == []


def test_the_toyboxes_own_calibration_holds_of_it_unguided(files):
    run = calibrated_run()
    assert reliability.calibrated(run) is files["toybox"]
    found = run.reliability()
    assert found["word"].tolist() == ["cat", "car"] and found["calibrated"].all()
    assert (found["why_not"] == "").all()
    assert sorted(found["rank"]) == [1, 2]
    doubted = found.sort_values("located")["rank"].tolist()
    assert doubted == [1, 2]
    assert found["start"].tolist() == [run.prompt.index("cat"), run.prompt.index("car")]
    assert found.columns.is_unique


def changed(run: Run, **said) -> Run:
    return replace(run, record={**run.record, **said})


def asked(run: Run, **said) -> Run:
    """The same of another call."""
    arguments = {k: v for k, v in (run.record["arguments"] | said).items() if v is not None}
    return changed(run, arguments=arguments)


ELSEWHERE = {
    "guided by AttendAndExcite": lambda run: changed(run, guidance=[{"method": "AttendAndExcite"}]),
    "edited": lambda run: changed(run, edits=[{"edit": "Silence"}]),
    "pooled as 'paper'": lambda run: replace(
        run, branches={"cond": replace(run.maps, rule="paper")}
    ),
    "maps of chosen layers": lambda run: replace(
        run, branches={"cond": run.maps.select(sites="up_blocks")}
    ),
    "steps: 2, calibrated with 25": lambda run: asked(run, num_inference_steps=2),
    "guidance: 1.0, calibrated with 7.5": lambda run: asked(run, guidance_scale=1.0),
    "guidance: none, calibrated with 7.5": lambda run: asked(run, guidance_scale=None),
    "negative prompt: a dog, calibrated with none": lambda run: asked(run, negative_prompt="a dog"),
    "true guidance: 2.0, calibrated with none": lambda run: asked(run, true_cfg_scale=2.0),
    "places of text: 77, calibrated with none": lambda run: asked(run, max_sequence_length=77),
    "scheduler: EulerDiscreteScheduler, calibrated with DDIMScheduler": lambda run: changed(
        run, scheduler={"class": "EulerDiscreteScheduler"}
    ),
    "size: [128, 256], calibrated with [128, 128]": lambda run: changed(run, size=[128, 256]),
    "pipeline: StableDiffusionImg2ImgPipeline, calibrated with StableDiffusionPipeline": (
        lambda run: changed(run, pipeline="StableDiffusionImg2ImgPipeline")
    ),
    "maps without the signs heads": lambda run: replace(
        run, branches={"cond": pictures.run(CAT_AND_CAR, keep=("site",)).maps}
    ),
    "another model: ranked as toybox would be": lambda run: changed(run, model={}),
}


@pytest.mark.parametrize("why", ELSEWHERE)
def test_elsewhere_there_is_a_rank_alone_and_the_reason(why):
    run = ELSEWHERE[why](calibrated_run())
    assert doubts(run) == {}
    found = run.reliability()
    assert found[["present", "located"]].isna().all(axis=None) and not found["calibrated"].any()
    assert found["why_not"].tolist() == [why, why] and sorted(found["rank"]) == [1, 2]


def test_an_empty_negative_prompt_is_none():
    for said in ("", ["", ""]):
        assert reliability.calibrated(asked(calibrated_run(), negative_prompt=said)) is not None


def test_a_run_of_two_steps_is_not_calibrated():
    """A real one."""
    (why,) = set(calibrated_run(steps=2).reliability()["why_not"])
    assert why == "steps: 2, calibrated with 25"


def test_another_model_is_ranked_by_the_toy_whose_attention_is_alike(files):
    """Whatever files lie beside, and in whatever order."""
    own = calibrated_run()
    run = changed(own, model={"fingerprint": "of none of them"})
    known, why = reliability.judged(run)
    assert known is files["toybox"] and "toybox" in why
    assert run.reliability()["rank"].tolist() == own.reliability()["rank"].tolist()
    half = {
        name: replace(layer, values=layer.values / 2) for name, layer in run.maps.layers.items()
    }  # the other half goes to the image's own cells
    joint = replace(run, branches={"cond": replace(run.maps, layers=half)})
    known, why = reliability.judged(joint)
    assert known is files.get("toybox-flux", files["toybox"]) and known.model in why
    expected = own.reliability()["rank"]
    ranks = joint.reliability()["rank"].tolist()
    assert ranks == (3 - expected if "toybox-flux" in files else expected).tolist()


@pytest.mark.parametrize(
    ("family", "missing", "nearest"),
    [
        ("sd", set(), "toybox"),
        ("pixart", {"sos"}, "toybox"),
        ("flux", {"sos"}, "toybox-flux"),
        ("qwenimage", {"sos", "padding"}, "toybox-flux"),
    ],
)
def test_models_of_each_kind_are_ranked(family, missing, nearest, monkeypatch):
    """Real maps of tiny ones: what they cannot give, and who ranks them."""
    case = every.CASES[family]
    pipe = case.build()
    with daamkit.trace(pipe, keep=("step", "site", "head")) as tracer:
        every.generate(case, pipe, CAT_AND_CAR, **case.alone)
    (own,) = (each for each in reliability.shipped() if each.model == "toybox")
    known = (own, replace(own, model="toybox-flux", fingerprint="another"))
    monkeypatch.setattr(reliability, "shipped", lambda: known)
    found = tracer.run.reliability()
    assert set(found.columns[found.isna().any()]) == {"present", "located", "effect"} | missing
    assert sorted(found["rank"]) == [1, 2]
    assert set(found["why_not"]) == {f"another model: ranked as {nearest} would be"}


def test_of_two_calibrations_that_which_the_signs_suffice_for(files, monkeypatch):
    """And of these the one that takes more."""
    own = files["toybox"]
    more = {
        "mean": {**own.mean, "steps": 0.5},
        "deviation": {**own.deviation, "steps": 0.1},
        "weights": {name: [*each, 0, 0] for name, each in own.weights.items()},
    }
    larger = replace(own, **more)
    monkeypatch.setattr(reliability, "shipped", lambda: (*files.values(), larger))
    summed, by_step = calibrated_run(), calibrated_run(keep=("step", "site", "head"))
    for run, known in ((summed, own), (by_step, larger)):
        assert reliability.judged(run, signs(run, "cat", "car")) == (known, "")
        assert run.reliability()["calibrated"].all()


@pytest.mark.slow
def test_a_run_of_toybox_flux_that_keeps_its_steps_is_judged_by_them():
    """By the calibrations that ship: the same image, with its steps summed and kept apart."""
    session = Session(Reliability(model="toybox-flux", world=2))  # asked as in learning
    for keep, more in ((("site", "head"), set()), (("step", "site", "head"), {"steps", "early"})):
        (run,) = session.runs([CAT_AND_CAR], [0], keep=keep)
        found = run.reliability()
        assert found["calibrated"].all() and found["present"].between(0, 1).all()
        known, why = reliability.judged(run, found[list(SIGNS)])
        assert not why and {"steps", "early"} & set(known.mean) == more


def test_a_missing_sign_changes_no_order():
    (own,) = (each for each in reliability.shipped() if each.model == "toybox")
    found = pd.concat([signs(calibrated_run(seed=seed), "cat", "car") for seed in range(2)])
    found["heads"] = found["heads"].mean()
    lacking = own.probabilities(found.assign(heads=np.nan))
    assert lacking.notna().all(axis=None)
    order = own.probabilities(found)["present"].argsort().tolist()
    assert lacking["present"].argsort().tolist() == order


def test_noise_is_not_believed(files):
    """Uniform noise, which was learned from; of smooth noise, and of the map with its places
    changed, no thing is found where they lie."""
    run, own = calibrated_run(), files["toybox"]
    nouns = [run.maps.prompt.word(word) for word in ("cat", "car")]
    drawn = own.probabilities(measured(run.maps, nouns))
    assert (drawn["located"] > 0.9).all()
    for kind, made_ in NOTHING.items():
        said = [own.probabilities(measured(made_(run.maps, seed), nouns)) for seed in range(4)]
        said = pd.concat(said)
        assert said["located"].mean() < 0.25 and said["located"].max() < drawn["located"].min()
        if kind == "noise":
            assert (said["present"] < 0.5).all()


def test_a_prompt_that_names_nothing():
    with pytest.raises(DaamkitError, match="names a thing"):
        made("red and blue").reliability()


def test_a_view_warns_where_the_chance_is_below_a_half():
    assert says(0.49, 0.1) == "probably not in the image (chance 49%)"
    assert says(0.9, 0.2) == "its map may lie elsewhere (on it: 20%)"
    assert says(0.001, 0.0) == "probably not in the image (chance below 1%)"
    assert says(0.9, 0.6) == ""
    run = calibrated_run()
    told = doubts(run)
    found = run.reliability().set_index("start")
    assert {start for start, row in found.iterrows() if row["located"] < 0.5} == set(told)


@pytest.mark.parametrize("name", SIGNS)
def test_every_sign_is_finite_of_real_maps(name):
    run = pictures.run(CAT_AND_CAR, keep=("step", "site", "head"))
    nouns = [run.maps.prompt.word(word) for word in ("cat", "car")]
    other = pictures.run(CAT_AND_CAR, seed=1)
    changes = Occlusion(window=0, by="silence").maps(run, nouns, lambda *_: other)
    values = measured(run.maps, nouns, changes)[name]
    assert np.isfinite(values).all()
    assert name in ("nouns", "shared", "won") or values[0] != values[1]
    assert name != "effect" or run.reliability(changes=changes)[name].tolist() == values.tolist()


@pytest.mark.parametrize("world", [1, 2])
def test_people_are_told_of_the_nouns_that_were_calibrated(world):
    """Not of places, collectives, and what the picture is to be without."""
    study = Reliability(n=70, world=world)
    for case in study.cases():
        named = [(thing.start, thing.end) for thing in claims.parse(case["prompt"]).things]
        found = subjects.subjects(parsing.parse(case["prompt"]))
        assert [(thing.start, thing.end) for thing in found] == named, case["prompt"]


def test_a_place_has_no_row():
    every = [places((4, i)) for i in range(7)]
    found = of_maps(*every, prompt="a cat on the grass").reliability()
    assert found["word"].tolist() == ["cat"]
