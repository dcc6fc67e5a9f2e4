"""The studies: what their cases are, what they measure, what their tables say."""

import inspect
import io
import itertools
import json
from collections import Counter
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from daamkit import registry
from daamkit.errors import DaamkitError
from daamkit.language import parsing, taxonomy
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import ratings
from daamkit.studies import cohyponyms, find, objects, prompts, relations, runner, truths
from daamkit.studies.adjectives import CHANGES, Adjectives
from daamkit.studies.cohyponyms import GROUPS, Cohyponyms
from daamkit.studies.objects import Objects
from daamkit.studies.parts_of_speech import PartsOfSpeech, shape
from daamkit.studies.relations import CUTS, Relations
from daamkit.toybox import claims, heldout, scenes
from daamkit.toybox.sprites import THINGS

BRIEF = {  # what else makes a study short
    "neglect": {"methods": ("none", "self_attention"), "n": 4},
    "self_attention": {"settings": ("none", "cfg"), "scenes": 16, "sets": 1},
    "adjectives": {"n": 3},
    "guidance_effects": {"methods": ("self_attention",)},
    "attribution": {"n": 4, "levels": (300,)},
    "faithfulness": {"n": 2, "levels": (300,), "methods": ("daam",)},
    "necessity": {"n": 2, "levels": (600,)},
    "interventions": {"n": 6, "levels": (600,)},
    "binding": {"n": 4},
    "agreement": {"n": 4, "levels": (300,), "world": 1, "other": "toybox", "methods": ("daam",)},
}


def measured(study, pipe) -> pd.DataFrame:
    return runner.run(study, pipe=pipe, batch_size=4, progress=False)


@pytest.mark.parametrize("name", registry.studies.names())
def test_a_study_is_found_by_name_and_its_cases_are_plain_data_that_come_again(name) -> None:
    def cases_of(seed):
        return find(name)(**BRIEF.get(name, {}) | {"n": 8, "seed": seed}).cases()

    cases = cases_of(3)
    assert len(cases) == 8
    assert cases == json.loads(json.dumps(cases)) == cases_of(3)
    assert cases != cases_of(4)
    assert all({"prompt", "seed"} <= case.keys() for case in cases)
    assert {"model", "n", "seed", "steps"} <= {field.name for field in fields(find(name))}


def test_a_study_that_is_not_there() -> None:
    with pytest.raises(DaamkitError, match="objects, parts_of_speech"):
        find("colours")


@pytest.mark.parametrize(
    "name",
    # kin and look-alikes are of world 2, which the oracle that ships does not read: test_likeness
    sorted({*registry.studies.names()} - {"likeness"}),
)
def test_every_study_runs_and_shows_what_it_found(name, toybox) -> None:
    study = find(name)(**{"n": 8, "steps": 3} | BRIEF.get(name, {}))
    rows = measured(study, toybox)
    assert rows.columns[0] == "case" and {"prompt", "seed"} <= set(rows)
    tables = study.tables(rows)
    assert all(len(table) for table in tables.values())
    figure = study.plot(tables)
    assert isinstance(figure, Figure)
    figure.canvas.draw()


# -- objects


def test_nouns_are_exchanged_number_for_number() -> None:
    texts = ["a red cat and two dogs", "an apple on the left of three horses", "a car"]
    changed = objects.exchange(texts, None, seed=1)
    assert changed == objects.exchange(texts, None, seed=1) != texts
    for old, new in zip(texts, changed, strict=True):
        before, after = parsing.parse(old).nouns(), parsing.parse(new).nouns()
        kept = [noun.text for noun in before if noun.name in ("left",)]
        assert [noun.text for noun in after if noun.name == "left"] == kept
        for a, b in zip(before, after, strict=True):
            assert a.noun.many == b.noun.many
            assert a.name == "left" or a.name != b.name
    assert "a apple" not in " ".join(changed) and "an c" not in " ".join(changed)


def test_only_nouns_of_the_pool_are_exchanged() -> None:
    changed = objects.exchange(["a cat on the grass", "a dog on the snow"], None, 0, ["cat", "dog"])
    assert changed == ["a dog on the grass", "a cat on the snow"]


def test_objects_are_natural_unreal_and_held_out() -> None:
    cases = Objects(n=30).cases()
    assert [case["set"] for case in cases] == ["natural"] * 10 + ["unreal"] * 10 + ["held out"] * 10
    assert [case["seed"] for case in cases] == list(range(30))
    unseen = [prompts.held_out(claims.parse(case["prompt"])) for case in cases]
    assert all(unseen[20:]) and not all(unseen[:20])


def test_objects_of_a_file_are_half_natural_half_unreal(tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat and a dog\na bird and a frog\na car\na bear and a bow\na lion")
    cases = Objects(n=10, prompts=str(file)).cases()
    assert [case["set"] for case in cases] == ["natural"] * 5 + ["unreal"] * 5


@pytest.mark.parametrize(
    ("text", "unseen"),
    [("a cat and a {b}", True), ("a {c} {n}", True), ("a cat", False)],
)
def test_what_no_training_caption_holds(text, unseen) -> None:
    b = next(name for name in THINGS if frozenset(("cat", name)) in heldout.pairs)
    colour, noun = next(look for look in sorted(heldout.coloured) if look[1] in THINGS)
    said = text.format(b=b, c=colour, n=noun)
    assert prompts.held_out(claims.parse(said)) is unseen


def test_the_papers_protocol_with_masks_drawn_by_hand(toybox, tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat and a dog\na bird and a frog\na car on the grass\na bear and a bow")
    said = {"prompts": str(file), "n": 4, "steps": 3}
    drawn = runner.draw(Objects(**said), tmp_path / "images", toybox)
    assert runner.draw(Objects(**said), tmp_path / "images", pipe=None) == drawn  # all there
    names = {truths.stem(each["prompt"], each["seed"]) for each in Objects(**said).cases()}
    assert {path.stem for path in (tmp_path / "images").iterdir()} == names
    case = Objects(**said).cases()[0]
    stem = truths.stem(case["prompt"], case["seed"])
    noun = parsing.parse(case["prompt"]).nouns()[0]
    masks = tmp_path / "masks"
    masks.mkdir()
    white = np.zeros((128, 128), np.uint8)
    white[20:80, 30:90] = 255
    Image.fromarray(white).save(masks / f"{stem}--{noun.name}.png")
    rows = measured(Objects(**said, truth=f"masks:{masks}"), toybox)
    assert set(rows["why"]) == {"", "not known"}  # nobody has drawn the others
    rows = rows[rows["why"] == ""]
    assert set(rows["prompt"]) == {case["prompt"]} and set(rows["word"]) == {noun.name}
    whole = rows[rows["method"] == "whole image"]["iou"].item()
    assert whole == pytest.approx((white > 0).mean())
    assert {"daam", "paper", "k-means + Hungarian", "centre prior"} <= set(rows["method"])


# -- parts of speech


def word_map(values: np.ndarray) -> WordMap:
    return WordMap(torch.from_numpy(values).float(), Word("cat", 0, 3, (1,)), values.shape)


def test_the_shape_of_known_maps() -> None:
    even = shape(word_map(np.ones((8, 8))))
    assert even["entropy"] == pytest.approx(1) and even["sharpness"] == pytest.approx(1)
    assert (even["centre_y"], even["centre_x"]) == pytest.approx((0.5, 0.5))
    assert even["area max 0.4"] == 1
    point = np.zeros((8, 16))
    point[1, 6] = 3
    found = shape(word_map(point))
    assert found["entropy"] == pytest.approx(0) and found["sharpness"] == pytest.approx(128)
    assert (found["centre_y"], found["centre_x"]) == pytest.approx((1.5 / 8, 6.5 / 16))
    assert found["area max 0.4"] == pytest.approx(1 / 128)
    assert shape(word_map(7 * point)) == pytest.approx(found)  # whatever its scale


def test_opinions_are_told_by_tag(toybox, tmp_path) -> None:
    study = PartsOfSpeech(n=3, steps=2)
    rows = measured(study, toybox)
    file = tmp_path / "ratings.jsonl"
    nouns = rows[rows["pos"] == "NOUN"].drop_duplicates(["prompt", "start"])
    for i, row in enumerate(nouns.itertuples()):
        said = {"prompt": row.prompt, "seed": int(row.seed), "start": int(row.start)}
        ratings.add(file, **said, end=int(row.end), score=2 + 2 * (i % 2), rater="x")
    table = PartsOfSpeech(n=3, steps=2, ratings=str(file)).tables(rows)["opinion"]
    assert table["pos"].tolist() == ["NOUN"] and table["n"].item() == len(nouns)
    scores = [2 + 2 * (i % 2) for i in range(len(nouns))]
    assert table["mean"].item() == pytest.approx(np.mean(scores))
    assert "opinion" not in study.tables(rows)


# -- relations


def pairs(relation: str, iod: float, ioh: float, n: int = 6, head: str = "cat") -> list[dict]:
    return [
        {"case": i, "prompt": f"prompt {i}", "relation": relation, "rule": rule, "tau": tau}
        | {"iou": 0.3, "iod": iod + 0.01 * (i % 2), "ioh": ioh, "head": head, "head_pos": "NOUN"}
        for i in range(n)
        for rule, tau in CUTS
    ]


def test_dominance_is_iod_minus_ioh_and_is_told_for_every_cut() -> None:
    rows = [*pairs("obj", 0.8, 0.5, 8), *pairs("amod", 0.4, 0.6), *pairs("unrelated", 0.1, 0.1)]
    rows += [*pairs("coreferent", 0.9, 0.8), *pairs("rare", 0.9, 0.1, 2)]
    tables = Relations(top=2).tables(pd.DataFrame(rows))
    table = tables["relations"].set_index("relation")
    assert table.index.tolist() == ["obj", "amod", "all edges", "coreferent", "unrelated"]
    assert table.loc["obj", "dominance"] == pytest.approx(0.305)
    assert table.loc["obj", "dominance_low"] > 0 > table.loc["amod", "dominance_high"]
    assert table.loc["all edges", "pairs"] == 16  # the rare one too
    assert table.loc["obj", "miou"] == pytest.approx(0.3)
    survives = tables["survives"].set_index("relation")
    assert survives.loc["obj"].tolist() == [len(CUTS), 0, 0]
    assert survives.loc["amod"].tolist() == [0, len(CUTS), 0]
    assert len(tables["sweep"]) == 5 * len(CUTS)


def test_collectives_are_told_apart_from_sides() -> None:
    rows = [*pairs("nmod:of", 0.8, 0.1, 3, "left"), *pairs("nmod:of", 0.2, 0.6, 4, "pair")]
    table = Relations().tables(pd.DataFrame(rows))["relations"].set_index("relation")
    assert table["pairs"].to_dict() == {"nmod:of (collective)": 4, "nmod:of": 3, "all edges": 7}
    assert table.loc["nmod:of", "dominance"] > 0 > table.loc["nmod:of (collective)", "dominance"]


def test_the_same_pairs_as_the_parse_has(toybox) -> None:
    rows = measured(Relations(n=3, steps=2), toybox)
    for prompt, part in rows.groupby("prompt"):
        found = part.drop_duplicates(["head_start", "dependent_start", "relation"])
        expected = [(p.head.text, p.dependent.text) for p in parsing.parse(prompt).pairs()]
        assert [*zip(found["head"], found["dependent"], strict=True)] == expected


# -- co-hyponyms


@pytest.mark.parametrize(("vocabulary", "n"), [("toybox", 200), ("coco", 300), ("toybox", 7)])
def test_both_groups_have_the_same_words_equally_often(vocabulary, n) -> None:
    words, breadth = cohyponyms.VOCABULARIES[vocabulary]
    table = taxonomy.cohyponyms(words, breadth=breadth)
    kin, others = cohyponyms.pairs([*zip(table["a"], table["b"], strict=True)], n, seed=0)
    assert len(kin) == len(others) == n
    count = [Counter(word for pair in group for word in pair) for group in (kin, others)]
    assert count[0] == count[1]
    related = {frozenset(pair) for pair in zip(table["a"], table["b"], strict=True)}
    assert all(frozenset(pair) in related for pair in kin)
    assert all(a != b and frozenset((a, b)) not in related for a, b in others)


def test_the_authors_pairs_as_they_grouped_them() -> None:
    cases = Cohyponyms(vocabulary="authors", n=160).cases()
    kin, others = (
        {frozenset((case["a"], case["b"])) for case in cases if case["group"] == group}
        for group in GROUPS
    )
    assert kin == {
        frozenset(pair)
        for words in taxonomy.DAAM.values()
        for pair in itertools.combinations(words, 2)
    }
    assert len(kin) == 40 and kin.isdisjoint(others)
    assert "a bus and a truck" in {case["prompt"] for case in cases}


def test_the_vocabulary_of_world_2_wants_its_oracle():
    with pytest.raises(DaamkitError, match="knows the vocabulary 'toybox-2'; got that of world 1"):
        Cohyponyms(vocabulary="toybox-2").check()


def test_the_toy_worlds_families_are_wordnets() -> None:
    from daamkit.toybox.sprites import FAMILIES

    words, breadth = cohyponyms.VOCABULARIES["toybox"]
    table = taxonomy.cohyponyms(words, breadth=breadth)
    related = {frozenset(pair) for pair in zip(table["a"], table["b"], strict=True)}
    for family in FAMILIES:
        assert all(frozenset((a, b)) in related for a in family for b in family if a != b)


def test_one_family_has_no_strangers() -> None:
    with pytest.raises(DaamkitError, match="two families"):
        cohyponyms.pairs([("cat", "dog"), ("dog", "bear")], 4, 0)


def test_the_groups_differ_as_they_were_made_to() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(400):
        group = i % 2
        both = bool(rng.random() < (0.5, 0.8)[group])
        iou = float(np.clip(rng.normal((0.4, 0.2)[group], 0.05), 0, 1))
        said = {"case": i, "prompt": "p", "a": f"a{i // 2 % 10}", "b": f"b{group}", "both": both}
        rows += [
            said | {"group": GROUPS[group], "rule": rule, "tau": tau, "iou": iou}
            for rule, tau in CUTS
        ]
    tables = Cohyponyms().tables(pd.DataFrame(rows))
    table = tables["groups"].set_index(["measure", "group"])
    gap = table.loc[("both", "difference")]
    assert gap["high"] < 0 and gap["p"] < 0.01
    means = table.loc["both", "mean"]
    assert gap["mean"] == pytest.approx(means[GROUPS[0]] - means[GROUPS[1]])
    assert table.loc[("iou", "difference"), "low"] > 0.15
    assert len(tables["sweep"]) == len(CUTS) and (tables["sweep"]["low"] > 0.15).all()


def test_the_overlap_is_of_the_words_where_they_stand(monkeypatch) -> None:
    spans = []

    def span(start: int, end: int) -> Word:
        spans.append((start, end))
        return Word("", start, end, (1,))

    maps = SimpleNamespace(
        prompt=SimpleNamespace(span=span), of=lambda word: WordMap(torch.eye(4), word, (8, 8))
    )
    monkeypatch.setattr(Cohyponyms, "_there", lambda *_: [True, False])
    case = {"prompt": "a hot dog and a dog", "a": "hot dog", "b": "dog", "seed": 0}
    rows = inspect.unwrap(Cohyponyms._rows)(Cohyponyms(), case, SimpleNamespace(maps=maps))
    assert spans == [(2, 9), (16, 19)]
    assert {(row["present_a"], row["present_b"], row["both"]) for row in rows} == {
        (True, False, False)
    }


def test_a_persons_answers_stand_in_for_the_oracle(toybox, tmp_path) -> None:
    file = tmp_path / "presence.jsonl"
    study = Cohyponyms(n=4, steps=2, presence=str(file))
    for case in study.cases()[:3]:
        for name in (case["a"], case["b"]):
            said = {"prompt": case["prompt"], "seed": case["seed"], "word": name}
            ratings.add(file, **said, present=name == case["a"], rater="x")
    with pytest.raises(DaamkitError, match="an answer whether the image"):
        measured(study, toybox)  # nobody was asked about the last
    last = study.cases()[3]
    for name in (last["a"], last["b"]):
        said = {"prompt": last["prompt"], "seed": last["seed"], "word": name}
        ratings.add(file, **said, present=True, rater="x")
    rows = measured(Cohyponyms(n=4, steps=2, presence=str(file)), toybox)
    found = rows.drop_duplicates("case")
    assert found["present_a"].all() and found["both"].tolist() == [False] * 3 + [True]


# -- adjectives


def test_versions_change_what_they_are_named_after() -> None:
    for case in Adjectives(n=60).cases():
        versions = {name: text.split() for name, text in case["versions"].items()}
        plain = case["prompt"].split()
        assert list(versions) == list(CHANGES) and versions["nothing"] == plain
        assert versions["article"] == ["the", *plain[1:]]
        assert versions["adjective swapped"][2:] == plain[2:]
        assert versions["adjective swapped"][1] != plain[1]
        assert versions["adjective removed"][1:] == plain[2:]
        assert versions["noun swapped"][1] == plain[1]
        assert versions["noun swapped"][2] != plain[2] == case["noun"]


def test_changing_nothing_changes_nothing(toybox) -> None:
    rows = measured(Adjectives(n=2, steps=4), toybox)
    nothing = rows[rows["change"] == "nothing"]
    assert len(nothing) and (nothing["moved"] == 0).all()
    assert (rows[rows["change"] == "adjective swapped"]["moved"] > 0).all()
    held = measured(Adjectives(n=2, steps=4, replay=True), toybox)
    of = {name: frame.set_index(["case", "change", "region"])["moved"]
          for name, frame in (("free", rows), ("held", held))}  # fmt: skip
    assert of["held"].xs("nothing", level="change").max() < 1e-3  # the softmax rounds otherwise
    swapped = pd.DataFrame(of).xs(("adjective swapped", "inside"), level=("change", "region"))
    assert (swapped["free"] != swapped["held"]).any()


def test_half_a_picture_is_drawn_again_and_what_is_none_is_left(toybox, tmp_path) -> None:
    study = Objects(n=4, steps=1)
    files = runner.draw(study, tmp_path, toybox)
    whole = [file.read_bytes() for file in files]

    def decode(raw: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(raw))).astype(int)

    files[0].write_bytes(whole[0][: len(whole[0]) // 2])
    files[1].write_bytes(b"mine")
    assert runner.draw(study, tmp_path, toybox) == files
    assert [file.read_bytes() for file in files[1:]] == [b"mine", *whole[2:]]
    again, once = (decode(raw) for raw in (files[0].read_bytes(), whole[0]))
    assert np.allclose(again, once, atol=2)  # drawn alone, no more with others
    with pytest.raises(DaamkitError, match="a folder to write.*a file lies where"):
        runner.draw(study, files[0], toybox)


def test_the_papers_frames() -> None:
    cases = Adjectives(n=30, frames="paper").cases()
    assert {case["noun"] for case in cases} == {"shovel", "ball", "car"}
    assert "a rusty shovel sitting in a clean shed" in {case["prompt"] for case in cases}


# -- truths, bad settings


def test_what_the_oracle_knows_and_what_it_does_not() -> None:
    scene = scenes.sample(1, 5, "single")[0]
    name = next(word.text for word in scene.words if word.pos == "NOUN")
    image = Image.fromarray(scene.image)
    found = truths.truth("oracle").masks(image, "", [name, "unicorn", "grass"])
    assert found[0] is not None and truths.present(found[0])
    assert found[1] is None
    assert found[2] is not None and found[2].shape == (128, 128)
    with pytest.raises(DaamkitError, match="where 'unicorn' is"):
        truths.certain(found, [name, "unicorn", "grass"], "oracle")


def test_a_segmenter_without_a_class_cannot_say() -> None:
    class Closed:
        def segment(self, image, names):
            from daamkit.vision.segmentation import _classes

            return [np.ones((4, 4), bool) for name in names if _classes({0: "cat"}, name)]

    truth = truths.Segmented(Closed())
    found = truth.masks(Image.new("RGB", (4, 4)), "", ["cat", "dog"])
    assert found[0] is not None and found[1] is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Relations(n=0), "1 or more cases"),
        (lambda: Objects(n=3), "4 or more cases"),
        (lambda: Relations(dtype="fp16"), "float16, bfloat16"),
        (lambda: Relations(seed=-1), "a seed from 0"),
        (lambda: Cohyponyms(prompts="x.txt").cases(), "pairs of a vocabulary"),
        (
            lambda: Cohyponyms(vocabulary="imagenet").cases(),
            "'toybox', 'toybox-2', 'coco' or 'authors'",
        ),
        (lambda: Adjectives(frames="poems").cases(), "'toybox' or 'paper'"),
        (lambda: Adjectives(prompts="x.txt").cases(), "the file x.txt"),
        (lambda: truths.truth("masks:/nowhere"), "no such folder"),
        (lambda: truths.truth("no/such-segmenter-at-all"), "the segmenter"),
    ],
)
def test_bad_settings(make, message, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DaamkitError, match=message):
        make()


def test_every_cut_of_relations_is_a_rule_of_masks() -> None:
    found = word_map(np.random.default_rng(0).random((8, 8)))
    for rule, tau in relations.CUTS:
        if rule != "soft":
            assert found.mask(tau, rule).shape == (8, 8)
