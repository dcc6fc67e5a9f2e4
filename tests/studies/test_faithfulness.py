"""The study of faithfulness: who knows what a word does is told from who does not."""

import numpy as np
import pytest
import torch
from PIL import Image

from daamkit.edits.silence import Silence
from daamkit.maps.wordmap import WordMap
from daamkit.measures.faithfulness import highest
from daamkit.studies import controls, runner, stand_ins
from daamkit.studies.denoised import Denoised, exact, unpacked
from daamkit.studies.distances import DISTANCES, apart, views
from daamkit.studies.faithfulness import CURVES, Faithfulness
from daamkit.studies.session import Session
from daamkit.toybox import claims, oracle, scenes
from daamkit.toybox.training.denoiser import packed
from tests.families import tiny_joint

WORKS = "tests.studies.test_faithfulness:Works"


class Works:
    """Silences the word, and looks where the picture changes; `occlusion` at its plainest."""

    def maps(self, run, words, again):
        def change(word):
            pictures = [np.asarray(each.image, float) for each in (run, again(Silence(word)))]
            return torch.from_numpy(np.abs(pictures[0] - pictures[1]).mean(-1)).float()

        return [WordMap(change(word), word, run.maps.size) for word in words]


@pytest.fixture(scope="module")
def study():
    return Faithfulness(n=2, steps=2, levels=(600,), methods=("daam", WORKS, "occlusion"), seed=60)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_where_the_word_works_is_more_faithful_than_what_knows_nothing(rows):
    for (edit, distance), part in rows.groupby(["edit", "distance"]):
        means = part.groupby("method")[[*CURVES]].mean()
        for curve in CURVES:
            said = edit, distance, curve
            assert means.loc[WORKS, curve] > means.loc["smooth noise", curve] + 0.05, said
            assert means.loc["daam", curve] > means.loc["smooth noise", curve], said
        assert means.loc["smooth noise"].between(0.2, 0.8).all()
    assert set(rows["edit"]) == {"silence", "exchange"} and set(rows["distance"]) == {*DISTANCES}
    assert set(rows["set"]) == {"drawn, noise 600"}


def test_each_map_that_knows_nothing_is_there(rows):
    silenced = rows[rows["edit"] == "silence"]
    found = set(silenced["method"]) - {"exact mask", "daam", WORKS, "occlusion"}
    assert found == {*controls.NAMES}
    for prompt, part in silenced.groupby("prompt"):
        assert ("other word" in set(part["method"])) == (len(claims.parse(prompt).things) > 1)


def test_no_method_is_measured_by_the_edit_that_made_it(rows):
    own = rows[rows["method"] == "occlusion"]  # which exchanges a word's vectors
    assert set(own["edit"]) == {"silence"} and own["deletion"].notna().all()
    assert set(rows[rows["method"] == WORKS]["edit"]) == {"silence", "exchange"}  # it does not say


def test_more_changes_in_the_things_own_mask_than_outside(rows):
    own = rows[rows["method"] == "exact mask"]
    assert own[[*CURVES]].isna().all(axis=None)
    means = own.groupby(["edit", "distance"])[["inside", "outside"]].mean()
    assert len(means) == 6 and (means["inside"] > 1.2 * means["outside"]).all()


def test_inside_is_where_the_word_is_edited_everywhere_and_its_map_is_high(study, rows, toybox):
    case = study.cases()[0]
    scene = study.scene(case)
    row = rows[(rows["seed"] == case["seed"]) & (rows["method"] == "daam")]
    row = row[(row["edit"] == "silence") & (row["distance"] == "colours")].iloc[0]
    denoised = Denoised(toybox)
    (run,) = denoised.runs([scene], [case["seed"]], 600)
    word = run.maps.prompt.word(row["word"])

    def moved(**where):
        (other,) = denoised.pictures([scene], [case["seed"]], 600, [Silence(word, **where)])
        return np.abs(np.asarray(run.image, float) - np.asarray(other, float)).mean(-1) / 255

    change, mask = moved(), run.maps.of(word).mask("otsu")
    assert 0.02 < mask.mean() < 0.5
    assert row["inside"] == pytest.approx(change[mask].mean(), rel=1e-3)
    assert row["outside"] == pytest.approx(change[~mask].mean(), rel=1e-3)
    most = highest(run.maps.of(word).expand(absolute=True).numpy(), 0.2)
    deletion, insertion = (moved(where=each).mean() / change.mean() for each in (most, ~most))
    assert row["deletion 0.2"] == pytest.approx(deletion, abs=1e-3)
    assert row["insertion 0.2"] == pytest.approx(1 - insertion, abs=1e-3)
    assert abs(deletion - (1 - insertion)) > 0.02


def test_tables(study, rows):
    tables = study.tables(rows)
    by = ["edit", "distance", "method"]
    table = tables["faithfulness"].set_index(by)
    here = "exchange", "latents"
    part = rows[(rows["edit"] == here[0]) & (rows["distance"] == here[1])]
    keys = ["seed", "noun"]
    areas = {
        name: each.set_index(keys)[[*CURVES]].mean(axis=1) for name, each in part.groupby("method")
    }
    line = table.loc[(*here, WORKS)]
    assert line["area"] == pytest.approx(areas[WORKS].mean()) and line["n"] == len(areas[WORKS])
    assert line["area_low"] <= line["area"] <= line["area_high"]
    assert line["over_daam"] == pytest.approx((areas[WORKS] - areas["daam"]).mean())
    assert np.isnan(table.loc[(*here, "daam"), "over_daam"])
    assert not table.index.isin([(*here, "occlusion"), (*here, "exact mask")]).any()
    over = tables["controls"].set_index([*by, "control"])
    line = over.loc[(*here, "daam", "permuted")]
    assert line["area_over"] == pytest.approx((areas["daam"] - areas["permuted"]).mean())
    more = {
        name: (each["inside"] - each["outside"]).mean() for name, each in part.groupby("method")
    }
    assert line["change_over"] == pytest.approx(more["daam"] - more["permuted"])
    exact_mask = over.loc[(*here, "exact mask", "centre prior")]
    assert np.isnan(exact_mask["area_over"])
    assert exact_mask["change_over"] == pytest.approx(more["exact mask"] - more["centre prior"])
    inside = tables["inside"].set_index(by).loc[(*here, "exact mask")]
    assert inside["over_outside"] == pytest.approx(more["exact mask"])
    curves = tables["curves"].set_index([*by, "share"])
    own = part[part["method"] == WORKS]
    for curve in CURVES:
        found = curves.loc[(*here, WORKS, 0.2), curve]
        assert found == pytest.approx(own[f"{curve} 0.2"].mean())
    titles = [ax.get_title("left") + ax.get_title() for ax in study.plot(tables).axes]
    assert titles == [
        f"{edit} {where}"
        for edit in ("silence", "exchange")
        for where in ("where the map is high", "everywhere else")
    ]


def test_a_permuted_map_has_the_same_values_elsewhere_and_self_attention_is_no_words(toybox):
    (scene,) = scenes.sample(1, 5)
    (run,) = Denoised(toybox).runs([scene], [1], 600, self_attention=True)
    noun = next(word for word in scene.words if word.pos == "NOUN")
    own = run.maps.of(run.maps.prompt.span(noun.start, noun.end))
    found, again, other = (controls.of_values(run, own, seed) for seed in (3, 3, 4))
    moved = found["permuted"].values
    assert torch.equal(moved.flatten().sort()[0], own.values.flatten().sort()[0])
    assert torch.equal(moved, again["permuted"].values)
    assert all(
        (moved == each).float().mean() < 0.5 for each in (own.values, other["permuted"].values)
    )
    layers = run.self_attention["cond"].layers.values()
    finest = [each for each in layers if each.grid == max(each.grid for each in layers)]
    looked = sum(each.values.double().flatten(1).sum(1) for each in finest)  # over those who look
    looked = looked.reshape(finest[0].grid) / looked.mean()
    seen = found["self-attention"].values.double()
    assert torch.allclose(seen / seen.mean(), looked, atol=1e-5) and seen.std() > 0.01


def test_latents_are_what_the_pictures_were_decoded_from(toybox):
    drawn = scenes.sample(2, 5)
    for pipe in (toybox, tiny_joint.toybox_flux()):
        pictures, latents = Denoised(pipe).drawn(drawn, [1, 2], 300)
        with torch.no_grad():
            decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        wanted = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
        for picture, pixels in zip(pictures, wanted, strict=True):
            assert np.abs(np.asarray(picture, float) - pixels).max() <= 1
    image = torch.arange(2 * 4 * 6 * 8.0).reshape(2, 4, 6, 8)
    assert torch.equal(unpacked(packed(image), (6, 8)), image)


def test_distances_are_of_each_picture_from_the_one():
    first, second = scenes.sample(2, 5)
    image, pale = first.image, first.image.copy()
    pale[:64, 96:] = 255 - pale[:64, 96:]
    pictures = [Image.fromarray(each) for each in (image, pale, second.image)]
    latents = torch.zeros(3, 4, 32, 32)
    latents[1, 2, 5, 7] = 4.0
    one, others = views(pictures[:1], latents[:1]), views(pictures[1:], latents[1:])
    found = apart(one, others)
    assert [*found] == [*DISTANCES]
    change = np.abs(image.astype(float) - pale).mean(-1) / 255
    assert found["colours"][0] == pytest.approx(change, abs=1e-6)
    assert found["latents"].sum() == found["latents"][0, 5, 7] == 1.0
    near = found["perceptual"][0]
    assert near.shape == (64, 64) and near[:32, 48:].mean() > 4 * near[40:, :40].mean()
    assert near.mean() < found["perceptual"][1].mean()
    assert [*apart(views(pictures[:1]), others)] == ["colours", "perceptual"]
    encoded = oracle.trained().encode(torch.tensor(image[None]).permute(0, 3, 1, 2) / 127.5 - 1)
    assert np.allclose(encoded[2].numpy(), one.features[2], atol=1e-4)


def test_a_joint_model_is_edited_both_ways():
    pipe = tiny_joint.toybox_flux()
    study = Faithfulness(n=2, levels=(600,), methods=("text_to_image",), seed=65)
    scene, (case, _) = study.scene(study.cases()[0]), study.cases()
    ((*rows,),) = study.measure(Session(study, pipe), [case])
    starts = [thing.start for thing in claims.parse(scene.caption).things]
    nouns = {
        noun: next(word for word in scene.words if word.start == starts[noun])
        for noun in exact(scene)
    }
    fits = {n: stand_ins.instead(pipe, scene, word) is not None for n, word in nouns.items()}
    assert any(fits.values())
    edits = [(noun, "silence") for noun in fits] + [(n, "exchange") for n in fits if fits[n]]
    assert {(row["noun"], row["edit"]) for row in rows} == {*edits}
    assert {"text_to_image", "self-attention", "permuted"} <= {row["method"] for row in rows}
    ranked = [row for row in rows if row["method"] != "exact mask"]
    moved = [row for row in ranked if row["distance"] == "latents"]  # colours hardly, untaught
    assert moved and np.isfinite([row[curve] for row in moved for curve in CURVES]).all()
