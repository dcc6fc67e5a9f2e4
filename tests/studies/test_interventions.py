"""The study of interventions: a word's own place changes most, and what is done is what is said."""

import numpy as np
import pytest

import daamkit
from daamkit import resources
from daamkit.edits.exchange import Exchange
from daamkit.prompts import tokenized
from daamkit.studies import interventions, runner, stand_ins
from daamkit.studies.denoised import Denoised
from daamkit.studies.interventions import CONTROLS, Interventions
from daamkit.toybox import scenes, sprites
from tests.families import tiny_joint


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
    assert set(exchanged["pos"]) == {"NOUN", "ADJ"} and len(exchanged) > 4
    assert not set(exchanged["word"]) & {"a", "an", "and", "grass"}


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
    edits = dict(interventions._edits(toybox, scene, word, prompt))
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
            for other in stand_ins.others(scene, word):
                assert (other[0] in "aeiou") == (word.text[0] in "aeiou")
                assert other not in {each.text for each in scene.words}


@pytest.fixture(scope="module")
def world2():
    """Its tokenizers have read world 2's captions."""
    return daamkit.load(resources.path("toybox-flux"), low_cpu_mem_usage=False)


def saying(said):
    """A drawn scene of world 2."""
    drawn = scenes.sample(400, 3, world=2)
    return next(each for each in drawn if f" {said} " in f" {each.caption} ")


@pytest.mark.parametrize(
    ("said", "at", "kind"),
    [
        ("teddy bear", "bear", sprites.COMPOUNDS),
        ("Mount Fuji", "Fuji", sprites.NAMES),
        ("mushroom", "mushroom", sprites.MORE),
        ("striped", "striped", sprites.TEXTURES),
        ("small", "small", sprites.SIZES),
        ("turtles", "turtles", [f"{each}s" for each in sprites.THINGS]),
    ],
)
def test_world_2_has_its_own_kinds_and_names_of_several_words(world2, said, at, kind):
    scene = saying(said)
    word = next(each for each in scene.words if each.text == at)
    start, end = stand_ins.place(scene, word)
    assert scene.caption[start:end] == said
    prompt = tokenized(world2, scene.caption)
    edits = dict(interventions._edits(world2, scene, word, prompt))
    text = edits["exchange"].source
    other = text[start : len(text) - len(scene.caption) + end]
    assert other in kind and other in stand_ins.others(scene, word) and other != said
    assert text == scene.caption[:start] + other + scene.caption[end:]
    assert edits["exchange"].words.text == said and edits["silence"].words.text == at
    for rest in scene.words:  # the name is exchanged once
        if start <= rest.start < end and rest is not word:
            assert set(dict(interventions._edits(world2, scene, rest, prompt))) == {"silence"}


def test_another_has_as_many_tokens_in_every_text_encoder(study, toybox):
    """This T5 reads most words letter by letter."""
    pipe, found = tiny_joint.toybox_flux(), []
    for scene in study._scenes:
        for word in scene.words:
            text = stand_ins.instead(pipe, scene, word)
            if text is None:
                continue
            after = len(scene.caption) - word.end
            other = text[word.start : len(text) - after]
            assert text == scene.caption[: word.start] + other + scene.caption[word.end :]
            for tokenizer in (pipe.tokenizer, pipe.tokenizer_2):
                counts = [len(tokenizer(each).input_ids) for each in (word.text, other)]
                assert counts[0] == counts[1]
            found.append((text, stand_ins.instead(toybox, scene, word)))
    assert len(found) > 3 and any(one != other for one, other in found)
