"""The study of interventions: a word's own place changes most, and what is done is what is said."""

import numpy as np
import pytest

from daamkit.edits.exchange import Exchange
from daamkit.studies import interventions, runner
from daamkit.studies.denoised import Denoised
from daamkit.studies.interventions import CONTROLS, Interventions
from daamkit.toybox import sprites


@pytest.fixture(scope="module")
def study():
    return Interventions(n=6, steps=2, levels=(600,), seed=60)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_each_word_that_shows_is_silenced_and_some_exchanged(study, rows):
    for case in study.cases():
        scene = study.scene(case)
        own = rows[rows["seed"] == case["seed"]]
        masks = [(word, scene.mask(word)) for word in scene.words]
        shown = [word for word, mask in masks if mask.any() and not mask.all()]
        silenced = own[own["edit"] == "silence"]
        assert silenced["start"].tolist() == [word.start for word in shown]
        assert silenced["pos"].tolist() == [word.pos for word in shown]
    exchanged = rows[rows["edit"] == "exchange"]
    assert set(exchanged["word"]) <= {*sprites.THINGS, *sprites.COLOURS} and len(exchanged) > 4


def test_a_nouns_own_place_changes_most(rows):
    nouns = rows[rows["pos"] == "NOUN"]
    for edit, part in nouns.groupby("edit"):
        means = part[["inside", *CONTROLS]].mean()
        assert all(means["inside"] > 1.5 * means[control] for control in CONTROLS), edit


def test_inside_is_of_the_words_own_mask(study, rows, toybox):
    case = study.cases()[1]
    scene = study.scene(case)
    row = rows[(rows["seed"] == case["seed"]) & (rows["edit"] == "exchange")].iloc[0]
    word = next(each for each in scene.words if each.start == row["start"])
    prompt = Denoised(toybox).runs([scene], [case["seed"]], 600)[0].maps.prompt
    edits = dict(interventions._edits(toybox.tokenizer, scene, word, prompt))
    assert isinstance(edits["exchange"], Exchange)
    pictures = [
        np.asarray(Denoised(toybox).runs([scene], [case["seed"]], 600, taps)[0].image, float) / 255
        for taps in ([], [edits["exchange"]])
    ]
    change = np.abs(pictures[0] - pictures[1]).mean(-1)
    mask = scene.mask(word)
    assert row["inside"] == pytest.approx(change[mask].mean(), rel=1e-3)
    assert row["outside"] == pytest.approx(change[~mask].mean(), rel=1e-3)
    moved = np.roll(mask, (64, 64), (0, 1))
    assert row["moved"] == pytest.approx(change[moved].mean(), rel=1e-3)


def test_tables(study, rows):
    tables = study.tables(rows)
    for name, column in (("parts_of_speech", "pos"), ("relations", "relation")):
        table = tables[name].set_index(["edit", column])
        assert table["n"].sum() == len(rows)
        key = next(iter(table.index))
        part = rows[(rows["edit"] == key[0]) & (rows[column] == key[1])]
        assert table.loc[key, "inside"] == pytest.approx(part["inside"].mean())
        gain = (part["inside"] - part["moved"]).mean()
        assert table.loc[key, "over_moved"] == pytest.approx(gain)
        assert (table["over_outside_low"] <= table["over_outside"]).all()
    study.plot(tables).canvas.draw()


def test_another_of_its_kind_takes_its_article(study):
    for scene in study._scenes:
        for word in scene.words:
            for other in interventions._others(scene, word):
                assert (other[0] in "aeiou") == (word.text[0] in "aeiou")
                assert other not in {each.text for each in scene.words}
