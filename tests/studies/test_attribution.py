"""The benchmark of attribution methods: who knows the truth is told from who does not."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import daamkit
from daamkit import registry
from daamkit.attention.families import denoisers
from daamkit.attention.hooks import attach
from daamkit.attribution.method import UnsuitedPromptError
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.measures.faithfulness import highest
from daamkit.studies import attribution, halves, localisation, runner
from daamkit.studies.attribution import AttributionStudy
from daamkit.studies.costs import Counted
from daamkit.studies.denoised import Denoised, exact
from daamkit.studies.halves import HALVES
from daamkit.studies.objects import Objects
from daamkit.studies.session import Session
from daamkit.toybox import claims, scenes
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
        nothing = np.zeros(run.maps.size, bool)  # of what hardly shows
        known = [masks.get(number[word.start], nothing) for word in words]
        values = [torch.from_numpy(mask).float() for mask in known]
        return [WordMap(own, word, run.maps.size) for own, word in zip(values, words, strict=True)]


class Choosy:
    """Bears prompts of one thing alone."""

    def maps(self, run, words, again):
        if len(words) > 1:
            raise UnsuitedPromptError(wanted="a thing", got="several", mend="ask for one")
        return [run.maps.of(word) for word in words]


class Silencing(Knowing):
    """Says that it is made by silence."""

    by = "silence"

    def maps(self, run, words, again):
        return [run.maps.of(word) for word in words]


class Listening:
    """Reads what words attend to, and what they do among themselves."""

    relations = ("text_to_image", "text_to_text")

    def maps(self, run, words, again):
        assert set(run.related) == set(self.relations)
        return [run.related["text_to_image"].map(word) for word in words]


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
    assert set(drawn.index) == {*METHODS, "centre prior", "smooth noise", "other word"}
    for prompt, part in drawn.groupby("prompt"):
        assert ("other word" in part.index) == (len(claims.parse(prompt).things) > 1)
    assert rows["cause"].between(0, 1).all()
    own = drawn.loc["occlusion"]
    assert own["cause"].mean() > drawn.loc["smooth noise", "cause"].mean()


def test_cause_is_the_share_of_the_change_where_the_map_is_highest(study, rows, toybox):
    case = study.cases()[0]
    scene, seed = study.scene(case), case["seed"]
    own = rows[(rows["seed"] == seed) & (rows["set"] == "drawn, noise 300")].set_index("method")
    row, denoised = own.loc[["daam"]].iloc[0], Denoised(toybox)
    (run,) = denoised.runs([scene], [seed], 300)
    word, mask = run.maps.prompt.word(row["word"]), exact(scene)[row["noun"]]
    (other,) = denoised.pictures([scene], [seed], 300, [daamkit.Silence(word)])
    change = np.abs(np.asarray(run.image, float) - np.asarray(other, float)).mean(-1)
    found = highest(run.maps.of(word).expand(absolute=True).numpy(), mask.mean())
    assert found.sum() == mask.sum() < mask.size / 3
    assert row["cause"] == pytest.approx(change[found].sum() / change.sum(), rel=1e-3)


def test_what_a_method_costs(rows):
    once = rows.drop_duplicates(["set", "seed", "method"]).set_index("method")
    costs = ["generations", "passes", "backwards"]
    assert (once.loc[["daam", "propagation", "smooth noise"], costs] == 0).all(axis=None)
    counts = rows[rows["method"] == "occlusion"].groupby(["set", "seed"]).first()
    asked = [len(claims.parse(prompt).things) for prompt in counts["prompt"]]
    assert counts["generations"].tolist() == asked  # one a noun, also of those that are not there
    own = once.loc["occlusion"]
    steps = own["set"].map({"drawn, noise 300": 1, "generated": 2})
    assert (own["passes"] == steps * own["generations"]).all() and (own["backwards"] == 0).all()
    assert (own["seconds"] > 0).all()


@pytest.mark.parametrize(
    ("name", "joint", "passes", "backwards"),
    [
        ("concepts", True, 4, 0),  # of two steps: one more each
        ("concepts", False, 3, 0),  # one more for all
        ("ovam", False, 3, 0),
        ("gradients", False, 6, 2),  # with a graph, and without a prompt
        ("daam", False, 0, 0),
    ],
)
def test_passes_of_the_denoiser_are_counted(toybox, name, joint, passes, backwards):
    pipe = tiny_joint.toybox_flux() if joint else toybox
    hooks = [len(part._forward_pre_hooks) for part in denoisers(pipe).values()]

    def draw(*taps):
        with attach(pipe, *taps), daamkit.trace(pipe) as tracer:
            pipe("a cat", num_inference_steps=2, generator=torch.Generator().manual_seed(0))
        return tracer.run

    run, method = draw(), Counted(registry.attributions.find(name)())
    for _ in range(2):  # the latest alone
        method.maps(run, [run.maps.prompt.word("cat")], draw)
        assert method.spent == {"passes": passes, "backwards": backwards}
    assert [len(part._forward_pre_hooks) for part in denoisers(pipe).values()] == hooks


def test_tables(study, rows):
    tables = study.tables(rows)
    table = tables["attribution"].set_index(["set", "method"])
    part = rows[(rows["set"] == "drawn, noise 300") & (rows["method"] == "daam")]
    line = table.loc[("drawn, noise 300", "daam")]
    assert line["ap"] == pytest.approx(part["ap"].mean()) and line["n"] == len(part)
    assert line["ap_low"] <= line["ap"] <= line["ap_high"] and np.isnan(line["ap_over"])
    knowing = table.loc[("drawn, noise 300", METHODS[3])]
    assert knowing["iou"] == 1 and knowing["ap_over"] == pytest.approx(1 - part["ap"].mean())
    assert knowing["iou_over"] == pytest.approx(1 - line["iou"])
    cause = rows[(rows["set"] == "drawn, noise 300") & (rows["method"] == METHODS[3])]["cause"]
    assert knowing["cause_over"] == pytest.approx(cause.mean() - part["cause"].mean())
    own = table.loc[("drawn, noise 300", "occlusion")]
    assert own["cause"] > 0 and own["passes"] >= 1  # made by another edit than `cause`
    assert (tables["splits"].groupby("split").size() > 0).all()
    assert {"ap", "iou", "cause", "iou_over"} <= set(tables["splits"].columns)
    agreement = tables["agreement"].set_index(["set", "over"])["mean"]
    part = rows[(rows["set"] == "generated") & rows["cause"].notna()]
    part = part[part["method"] != "occlusion"]  # made by an edit, as `cause` is
    known = {"methods": part[part["method"].isin(METHODS)], "methods and controls": part}
    for over, part in known.items():
        each = [stats.spearmanr(of["ap"], of["cause"]) for _, of in part.groupby(["seed", "noun"])]
        wanted = np.mean([found.statistic for found in each])
        assert agreement["generated", over] == pytest.approx(wanted)
    winners = tables["winner"].set_index(["set", "measure"])
    won = winners.loc[("drawn, noise 300", "ap")]
    assert won["winner"] == METHODS[3] and won["over"] == pytest.approx(knowing["ap_over"])
    causes = winners["winner"][:, "cause"].tolist()
    assert len(causes) == 2 and "occlusion" not in causes  # nor any other edit
    assert set(tables["parts_of_speech"]["pos"]) == {"NOUN"}
    assert set(tables["beside"]["beside"]) <= {"co-hyponym", "others", "nothing"}
    figure = study.plot(tables)
    titles = [ax.get_title("left") + ax.get_title() for ax in figure.axes]
    assert titles == ["Finds the thing", "Finds what the word does"]


def test_methods_agree_where_controls_do_not():
    methods, blind = ["daam", "paper", "ovam"], ["centre prior", "smooth noise", "other word"]
    rows = pd.DataFrame({"method": methods + blind, "ap": [0.1, 0.2, 0.3] * 2})
    rows["cause"] = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]
    rows = rows.assign(set="drawn", seed=1, noun=0, prompt="a cat")
    found = attribution._agreement(rows).set_index("over")["mean"]
    assert found.to_dict() == pytest.approx({"methods": 1.0, "methods and controls": 0.0})


def test_a_prompt_that_does_not_bear_a_method_has_no_row_of_it(toybox):
    name = f"{__name__}:Choosy"
    study = AttributionStudy(n=8, steps=1, levels=(300,), seed=60, methods=("daam", name))
    rows = runner.run(study, pipe=toybox, threads=1, progress=False)
    alone = {len(claims.parse(prompt).things) == 1 for prompt in rows["prompt"].unique()}
    assert alone == {True, False}
    for prompt, part in rows.groupby("prompt"):
        assert (name in set(part["method"])) == (len(claims.parse(prompt).things) == 1)
    assert rows.groupby("prompt")["method"].apply(lambda each: "daam" in set(each)).all()


def test_nouns_that_were_not_drawn_compete_too(toybox):
    asked = []

    class Noting:
        def maps(self, run, words, again):
            asked.append((run.prompt, [word.text for word in words]))
            return [run.maps.of(word) for word in words]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.attributions, "find", lambda name: Noting)
        study = AttributionStudy(n=4, steps=1, levels=(300,), seed=60, methods=("daam",))
        runner.run(study, pipe=toybox, threads=1, progress=False)
    for prompt, words in asked:
        assert words == [prompt[each.start : each.end] for each in claims.parse(prompt).things]


def test_conclusions_under_other_settings(toybox):
    methods = ("daam", "paper", "heads", "concepts")
    study = AttributionStudy(
        n=8, steps=6, levels=(300,), methods=methods, seed=60, draws=2, robustness=True
    )
    cases = study.cases()
    assert [case["draw"] for case in cases] == [0, 1] * 4
    assert [case["prompt"] for case in cases[:2]] == [cases[0]["prompt"]] * 2
    assert len({(case["seed"], case["level"]) for case in cases}) == 8
    rows = runner.run(study, pipe=toybox, threads=1, progress=False)
    halved = [f"ap, {half}" for half in HALVES]
    by = rows.set_index(["method", "set"])
    same = (by[halved].sub(by["ap"], axis=0)).abs()
    for name in ("daam", "paper"):
        assert (same.loc[name, "generated"].to_numpy() > 0).any(0).all()  # each half is another map
    for name in ("daam", "paper", "heads"):
        assert same.loc[name, "drawn, noise 300"][halved[2:]].isna().all(axis=None)  # of one step
    assert (same.loc["concepts", "generated"] == 0).all(axis=None)  # draws by itself
    table = study.tables(rows)["robustness"]
    of = table[table["measure"] == "ap"].set_index(["method", "setting"])["of"]
    heads = same.loc["heads", "generated"][halved[:2]]
    assert heads.isna().all().tolist() == [True, False]  # all of its heads run in the second half
    assert (of["heads", "half"], of["heads", "rule"], of["heads", "draw"]) == (3, 1, 2)
    assert of["concepts", "half"] == 4  # held against halves of DAAM
    assert ("paper", "rule") not in of.index


def test_halves_are_of_what_the_rule_pools(toybox):
    with daamkit.trace(toybox, keep=("step", "site", "head")) as tracer:
        toybox("a red cat", num_inference_steps=3, generator=torch.Generator().manual_seed(0))
    run, found = tracer.run, halves.of(tracer.run)
    assert [*found] == [*HALVES]
    kept = [set(found[name].maps.layers) for name in HALVES[:2]]
    pooled = {name for name, each in run.maps.layers.items() if "daam" not in each.left_out}
    assert kept[0] | kept[1] == pooled and not kept[0] & kept[1]
    assert max(run.maps.layers[name].order for name in kept[0]) < min(
        run.maps.layers[name].order for name in kept[1]
    )
    assert [found[name].maps.steps for name in HALVES[2:]] == [1, 2]
    (site, *_) = run.maps.layers
    parts = [found[name].maps.layers[site].values for name in HALVES[2:]]
    assert torch.equal(torch.cat(parts), run.maps.layers[site].values)


def test_what_is_silenced_has_no_cause(toybox):
    name = f"{__name__}:Silencing"
    study = AttributionStudy(n=4, steps=1, levels=(300,), seed=60, methods=("daam", name))
    rows = study.measure(Session(study, toybox), study.cases()[:1])[0]
    assert {np.isnan(row["cause"]) for row in rows if row["method"] == name} == {True}
    assert not any(np.isnan(row["cause"]) for row in rows if row["method"] != name)


def test_every_word_has_the_mask_of_what_it_mentions(toybox):
    study = AttributionStudy(
        n=4, steps=1, levels=(600,), seed=61, methods=("daam", "occlusion"), every_word=True
    )
    drawn = study.cases()
    assert {case["level"] for case in drawn} == {600}  # generated images say not what "red" shows
    rows = pd.DataFrame(sum(study.measure(Session(study, toybox), drawn), []))
    own = rows[rows["method"] == "daam"].set_index(["seed", "noun"])
    assert {"NOUN", "ADJ", "DET"} <= set(own["pos"]) and own.index.is_unique
    for case in drawn:
        scene, said = study.scene(case), own.loc[case["seed"]]
        words = {word.text: word for word in scene.words if scene.words.count(word) == 1}
        for text, area in zip(said["word"], said["area"], strict=True):
            if text in words and [each.text for each in scene.words].count(text) == 1:
                assert area == pytest.approx(scene.mask(words[text]).mean())
        names = said[said["thing"]]
        assert names.index.max() < said[~said["thing"]].index.min()
    other = rows[(rows["pos"] == "ADJ") & (rows["method"] == "other word")]
    assert len(other)  # of a thing that the adjective does not mention
    tables = study.tables(rows)
    assert set(tables["parts_of_speech"]["pos"]) >= {"NOUN", "ADJ", "DET"}
    many = tables["attribution"].set_index("method")["n"]
    assert many["daam"] == many["occlusion"] == own["thing"].sum() < len(own)
    assert {"amod", "det"} <= set(tables["relations"]["relation"])
    assert set(tables["splits"]["method"]) >= {"daam", "occlusion"}


def test_every_word_of_a_joint_model():
    methods = ("daam", "text_to_image", "occlusion")
    study = AttributionStudy(n=4, steps=1, levels=(600,), seed=69, methods=methods, every_word=True)
    session = Session(study, tiny_joint.toybox_flux())
    rows = pd.DataFrame(sum(study.measure(session, study.cases()), []))
    assert {"daam", "text_to_image", "centre prior"} <= set(rows[rows["pos"] == "DET"]["method"])


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


def test_a_method_says_itself_which_relations_it_reads(toybox):
    name = f"{__name__}:Listening"
    study = AttributionStudy(n=4, steps=1, levels=(300,), seed=60, methods=("daam", name))
    pipe, text = tiny_joint.toybox_flux(), "a red cat and a dog"
    kept = study.tracing(pipe, text)["relations"]
    assert kept == dict.fromkeys(Listening.relations, [("cat", 0), ("dog", 0)])
    assert "relations" not in study.tracing(toybox, text)  # its text looks at nothing
    alone = AttributionStudy(n=4, steps=1, levels=(300,), methods=("daam", "propagation"))
    assert "relations" not in alone.tracing(pipe, text)
    case = study.cases()[0]
    assert {row["method"] for row in study.measure(Session(study, pipe), [case])[0]} > {
        "daam",
        name,
    }
    for other in (name, "text_to_image"):
        with pytest.raises(DaamkitError, match=f"{other}, which wants text_to_image.*attribution"):
            Objects(attributions=(other,)).check()
    Objects(attributions=("propagation",)).check()


def test_settings_that_cannot_be():
    with pytest.raises(DaamkitError, match="levels from 0 to 999"):
        AttributionStudy(levels=(1000,))
    with pytest.raises(DaamkitError, match="daamkit study objects"):
        AttributionStudy(prompts="mine.txt")
    with pytest.raises(DaamkitError, match="noise for each scene"):
        AttributionStudy(draws=0)
    with pytest.raises(registry.RegistryError, match="Did you mean 'daam'"):
        AttributionStudy(methods=("dam",)).check()
