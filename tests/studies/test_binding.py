"""Through which vectors colours come: of models that are made to take them from one place alone."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import T5TokenizerFast

import daamkit
from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.prompts import tokenized
from daamkit.studies import binding, runner
from daamkit.studies.binding import Binding
from daamkit.toybox import claims, flux, heldout, oracle
from tests.families import tiny_joint

TOLD = ["exchanged", "source"]


@pytest.fixture(scope="module")
def study():
    return Binding(n=4, steps=4, seed=3)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=4, threads=1, progress=False)


@pytest.mark.parametrize("world", [1, 2])
def test_prompts_are_seen_in_both_colourings_or_held_out(world):
    cases = Binding(n=40, seed=5, world=world).cases()
    assert len({case["prompt"] for case in cases}) == 40
    assert Counter(case["split"] for case in cases) == {"training": 20, "held-out": 20}
    for case, later in zip(cases[::2], cases[1::2], strict=True):
        assert (case["things"], case["seed"]) == (later["things"], later["seed"])
        assert [case["form"], later["form"]] == ["attributive", "predicative"]
        for each in (case, later):
            asked = claims.parse(each["prompt"]).things
            assert [[thing.colour, thing.name] for thing in asked] == each["things"]
        (one, first), (other, second) = case["things"]
        looks = {(one, first), (other, second), (other, first), (one, second)}
        holds = heldout.is_held_out([first, second], looks)
        assert holds == (case["split"] == "held-out")


def test_places_part_the_prompt(toybox, sdxl):
    text = "an orange cat and a blue suitcase"
    prompt = tokenized(toybox, text)
    parts = binding.places(prompt, False)
    words = {
        name: [word if isinstance(word, str) else word.text for word in own]
        for name, own in parts.items()
    }
    assert words == {
        "nouns": ["cat", "suitcase"], "colours": ["orange", "blue"],
        "nouns and colours": ["cat", "suitcase", "orange", "blue"], "end": ["EOS"],
        "padding": ["padding"], "the rest": ["an", "and", "a", "SOS"], "all": words["all"],
    }  # fmt: skip
    assert Counter(words["all"]) == Counter(
        ["cat", "suitcase", "orange", "blue", "EOS", "padding", "an", "and", "a", "SOS"]
    )
    assert (binding._pooled(sdxl), binding._pooled(toybox)) == (True, False)
    assert list(binding.places(prompt, True))[5:] == ["pooled", "the rest", "all"]
    assert binding.places(prompt, True)["all"].count("pooled") == 1


def test_sources_line_up_and_share_no_word(toybox):
    for case in Binding(n=12, seed=5, world=2).cases():
        found = binding._sources(toybox, case, 2)
        assert found["itself"] == case["prompt"]
        (one, _), (other, _) = case["things"]
        back = found["swapped"].replace(one, "?").replace(other, one).replace("?", other)
        assert back.replace("an ", "a ") == case["prompt"].replace("an ", "a ")
        if "unrelated" in found:
            asked = [claims.parse(text).things for text in (case["prompt"], found["unrelated"])]
            mine, theirs = ({w for t in each for w in (t.name, t.colour)} for each in asked)
            assert len(theirs) == 4 and not mine & theirs
    assert "unrelated" in found


def test_two_words_stand_for_two_words(toybox):
    things = [["red", "teddy bear"], ["blue", "wheel"]]
    case = {"seed": 3, "prompt": binding.said(things), "form": "attributive", "things": things}
    exact = {"a white cookie and a green alarm clock": False}
    exact |= dict.fromkeys(binding._sources(toybox, case, 2).values(), True)
    for text, stands in exact.items():
        own, other = tokenized(toybox, case["prompt"]), tokenized(toybox, text)
        nouns = [[w.columns for w in binding.places(each, False)["nouns"]] for each in (own, other)]
        assert nouns[0] == nouns[1]  # so many tokens, but not so many words
        words = [[word.columns for word in each.words()] for each in (own, other)]
        assert (words[0] == words[1]) == stands


def test_a_things_colour_is_that_of_the_largest():
    seen = pd.DataFrame(
        {"name": ["cat", "cat", "car"], "colour": ["red", "blue", "green"], "area": [90, 100, 70]}
    )
    assert binding.outcome(seen, "cat", "red", "blue") == "swapped"
    assert binding.outcome(seen, "cat", "blue", "red") == "own"
    assert binding.outcome(seen, "car", "blue", "red") == "other"
    assert binding.outcome(seen, "dog", "blue", "red") == "missing"


def test_a_thing_takes_its_own_colour_or_the_other_things():
    case = {"prompt": "a red cat and a blue car", "seed": 1, "form": "attributive"}
    case |= {"split": "training", "things": [["red", "cat"], ["blue", "car"]]}
    for colours, wanted in (
        (["red", "blue"], ["own", "own"]), (["blue", "red"], ["swapped", "swapped"]),
        (["red", "red"], ["own", "swapped"]), (["green", "blue"], ["other", "own"]),
    ):  # fmt: skip
        reading = pd.DataFrame({"name": ["cat", "car"], "colour": colours, "area": [90, 80]})
        found = pd.DataFrame(binding._seen(case, reading))
        assert found[[*binding.OUTCOMES]].idxmax(axis=1).tolist() == wanted
        assert found[["thing", "name"]].to_numpy().tolist() == [["first", "cat"], ["second", "car"]]


def test_rows(study, rows, toybox):
    exchanged = list(dict.fromkeys(map(tuple, rows[TOLD].to_numpy())))
    sites = ["nouns", "colours", "nouns and colours", "end", "padding", "the rest"]
    assert exchanged == [
        ("nothing", "none"), ("all", "itself"),
        *((site, "swapped") for site in [*sites, "all"]), *((site, "unrelated") for site in sites),
    ]  # fmt: skip
    assert (rows[list(binding.OUTCOMES)].sum(axis=1) == 1).all()
    assert len(rows) == 2 * 4 * len(exchanged)
    same = rows.groupby(TOLD)["same"].mean()
    assert same["all", "itself"] == same["nothing", "none"] == 1
    assert same["nouns and colours", "swapped"] < 1


def test_all_of_a_swapped_prompt_is_that_prompt(study, toybox):
    case = study.cases()[0]
    words = binding.places(tokenized(toybox, case["prompt"]), False)["all"]
    texts = [case["prompt"], binding.said(binding.swapped(case["things"]))]
    options = {"num_inference_steps": 2, "output_type": "np"}
    with daamkit.edit(toybox, daamkit.Exchange([words], [texts[1]])):
        found = toybox([texts[0]], generator=torch.manual_seed(0), **options).images
    wanted = toybox([texts[1]], generator=torch.manual_seed(0), **options).images
    assert np.array_equal(found, wanted)


def known(**shares):
    """Rows of a model of eight prompts of two things, whose colours come from the colour words."""
    rows = []
    for i in range(8):
        for thing in ("first", "second"):
            told = {"prompt": f"p{i}", "seed": i, "form": "attributive", "things": f"t{i}"}
            told |= {"split": ("training", "held-out")[i % 2], "thing": thing, "name": "cat"}
            for where, whose, outcome in (
                ("nothing", "none", "own"),
                ("nouns", "swapped", "own"), ("colours", "swapped", "swapped"),
                ("colours", "unrelated", "other" if thing == "first" else "missing"),
            ):  # fmt: skip
                share = {each: float(each == outcome) for each in binding.OUTCOMES}
                rows.append(told | {"exchanged": where, "source": whose, "same": 0.0} | share)
    return pd.DataFrame(rows)


def test_tables_tell_where_colours_come_from(study):
    tables = study.tables(known())
    table = tables["binding"].set_index(["split", *TOLD])
    colours, nouns = (
        table.loc[("all", "colours", "swapped")],
        table.loc[("all", "nouns", "swapped")],
    )
    assert (colours["swapped"], colours["own_over"], colours["swapped_over"]) == (1, -1, 1)
    assert (nouns["own"], nouns["own_over"], nouns["swapped_over"]) == (1, 0, 0)
    assert colours["swapped_low"] < 1 and nouns["own_over_low"] < 0 < nouns["own_over_high"]
    assert colours["swapped_over_unrelated"] == 1 and np.isnan(nouns["swapped_over_unrelated"])
    control = table.loc[("all", "colours", "unrelated")]
    assert (control["other"], control["missing"], control["n"]) == (0.5, 0.5, 16)
    assert table.loc[("held-out", "colours", "unrelated"), "n"] == 8
    order = tables["order"].set_index(["thing", *TOLD])
    assert order.loc[("first", "colours", "unrelated"), "other"] == 1
    assert order.loc[("second", "colours", "unrelated"), "missing"] == 1


def test_of_two_encoders_the_pooled_vector_too(monkeypatch):
    nothing = pd.DataFrame({"name": [], "colour": [], "area": []})
    monkeypatch.setattr(oracle, "trained", lambda world: None)
    monkeypatch.setattr(oracle, "read_all", lambda images, model: [nothing for _ in images])
    study = Binding(n=4, steps=1, seed=3)
    words = T5TokenizerFast.from_pretrained(resources.path("toybox-flux") / "tokenizer_2")
    toy = daamkit.load("toybox")
    parts = toy.text_encoder, toy.tokenizer, toy.vae
    pipe = flux.assemble(flux.transformer(), flux.t5(words), words, *parts)
    rows = runner.run(study, pipe=tiny_joint.quiet(pipe), progress=False)
    assert set(rows["exchanged"]) >= {"pooled", "end", "padding", "the rest", "all"}
    same = rows.groupby(TOLD)["same"].mean()
    assert same["all", "itself"] == 1 and same["pooled", "swapped"] < 1


def test_what_is_not_asked(sd):
    with pytest.raises(DaamkitError, match="prompts of two coloured things"):
        Binding(prompts="mine.txt")
    with pytest.raises(DaamkitError, match="world 1 or 2"):
        Binding(world=3)
    with pytest.raises(DaamkitError, match="128 x 128"):
        runner.run(Binding(n=4, steps=1), pipe=sd, progress=False)
