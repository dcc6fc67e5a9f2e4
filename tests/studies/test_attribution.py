"""The benchmark of attribution methods: who knows the truth is told from who does not."""

import numpy as np
import pytest
import torch

from daamkit import registry
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.studies import localisation, runner
from daamkit.studies.attribution import AttributionStudy
from daamkit.studies.denoised import Denoised, exact
from daamkit.toybox import scenes
from daamkit.toybox.training.denoiser import packed
from tests.families import tiny_joint

METHODS = ("daam", "propagation", "occlusion", "tests.studies.test_attribution:Knowing")
KNOWN: dict[str, dict] = {}  # by caption: the exact masks by noun


class Knowing:
    """Has looked at the masks of drawn scenes; of an image that is generated it knows nothing."""

    def maps(self, run, words, again):
        masks = KNOWN[run.prompt]
        found = localisation.words(run.maps, localisation.claims.parse(run.prompt))
        number = {word.start: i for i, word in found.items()}
        values = [torch.from_numpy(masks[number[word.start]]).float() for word in words]
        return [WordMap(own, word, run.maps.size) for own, word in zip(values, words, strict=True)]


@pytest.fixture(scope="module")
def study():
    study = AttributionStudy(n=8, steps=2, levels=(300,), methods=METHODS, seed=60)
    for scene in study._scenes:
        KNOWN[scene.caption] = exact(scene)
    return study


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_each_scene_is_noised_and_its_caption_generated(study):
    cases = study.cases()
    assert [case["level"] for case in cases] == [300, -1] * 4
    assert [case["split"] for case in cases[::2]] == ["training", "held-out"] * 2
    held = scenes.sample(2, 60, split="held-out")
    assert [case["prompt"] for case in cases[2::4]] == [scene.caption for scene in held]


def test_who_knows_the_truth_has_all_of_it(rows):
    drawn = rows[rows["set"] == "drawn, noise 300"].set_index("method")
    knowing = drawn.loc[METHODS[3]]
    assert (knowing["ap"] == 1).all() and (knowing["max 0.4"] == 1).all()
    assert (drawn.loc["smooth noise", "ap"] < 1).all()
    assert drawn.loc["daam", "ap"].mean() > drawn.loc["smooth noise", "ap"].mean()
    assert set(drawn.index) == {*METHODS, "centre prior", "smooth noise", "other word"} - (
        set() if "other word" in drawn.index else {"other word"}
    )
    assert rows["cause"].between(0, 1).all()
    own = drawn.loc["occlusion"]
    assert own["cause"].mean() > drawn.loc["smooth noise", "cause"].mean()


def test_what_a_method_costs(rows):
    once = rows.drop_duplicates(["set", "seed", "method"]).set_index("method")
    assert (once.loc[["daam", "propagation"], "generations"] == 0).all()
    counts = rows[rows["method"] == "occlusion"].groupby(["set", "seed"])
    assert (counts["generations"].first() == counts.size()).all()  # one a word
    assert (once.loc["occlusion", "seconds"] > 0).all()


def test_tables(study, rows):
    tables = study.tables(rows)
    table = tables["attribution"].set_index(["set", "method"])
    part = rows[(rows["set"] == "drawn, noise 300") & (rows["method"] == "daam")]
    line = table.loc[("drawn, noise 300", "daam")]
    assert line["ap"] == pytest.approx(part["ap"].mean()) and line["n"] == len(part)
    assert line["ap_low"] <= line["ap"] <= line["ap_high"] and np.isnan(line["over_daam"])
    knowing = table.loc[("drawn, noise 300", METHODS[3])]
    assert knowing["over_daam"] == pytest.approx(1 - part["ap"].mean())
    assert np.isnan(table.loc[("drawn, noise 300", "occlusion"), "cause"])
    assert (tables["splits"].groupby("split").size() > 0).all()
    assert tables["agreement"]["mean"].between(-1, 1).all()
    figure = study.plot(tables)
    titles = [ax.get_title("left") + ax.get_title() for ax in figure.axes]
    assert titles == ["Finds the thing", "Finds what the word does"]


def test_one_step_leaves_the_pipeline_alone(toybox):
    scheduler, unet = toybox.scheduler, toybox.unet
    (scene,) = scenes.sample(1, 5)
    low, high = (Denoised(toybox).runs([scene], [1], level)[0] for level in (50, 900))
    assert toybox.scheduler is scheduler and toybox.unet is unet
    distance = [np.abs(np.asarray(run.image, float) - scene.image).mean() for run in (low, high)]
    assert distance[0] < distance[1]


def test_a_flux_denoises_as_its_paths_are_straight():
    """What it predicts, times the noise's share, is what is taken away."""
    pipe = tiny_joint.toybox_flux()
    (scene,) = scenes.sample(1, 5)
    kept = []
    whole = pipe.transformer.forward

    def forward(*args, **kwargs):
        made = whole(*args, **kwargs)
        kept.append((kwargs["hidden_states"], made[0]))
        return made

    pipe.transformer.forward = forward
    runs = Denoised(pipe).runs([scene, scene], [1, 2], 400)
    (noisy, velocity), own = kept[0], Denoised(pipe)._latents([scene, scene])
    noise = torch.stack(
        [torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(i)) for i in (1, 2)]
    )
    assert torch.allclose(noisy, packed(0.6 * own + 0.4 * noise), atol=1e-6)
    clean = pipe._unpack_latents(noisy - 0.4 * velocity, 128, 128, pipe.vae_scale_factor)
    with torch.no_grad():
        image = pipe.vae.decode(clean / pipe.vae.config.scaling_factor).sample
    wanted = ((image / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    for run, pixels in zip(runs, wanted, strict=True):
        assert np.abs(np.asarray(run.image, float) - pixels).max() <= 1


def test_settings_that_cannot_be():
    with pytest.raises(DaamkitError, match="levels from 0 to 999"):
        AttributionStudy(levels=(1000,))
    with pytest.raises(DaamkitError, match="daamkit study objects"):
        AttributionStudy(prompts="mine.txt")
    with pytest.raises(registry.RegistryError, match="Did you mean 'daam'"):
        AttributionStudy(methods=("dam",)).check()
