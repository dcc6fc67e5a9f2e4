"""World 2: what is said is parsed as a linguist would, and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations, count, pairwise, product

import numpy as np
import pytest

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.toybox import claims, clauses, gatherings, heldout, scenes, sprites
from daamkit.toybox.captions import BACKGROUND, NUMBERS, CaptionWord
from daamkit.toybox.scenes import Scene
from daamkit.toybox.worlds import WORLDS

DAAM_TAGS = {
    "NOUN", "PROPN", "ADJ", "VERB", "ADV", "NUM", "PRON", "DET", "ADP", "AUX", "CCONJ", "SCONJ",
    "PART", "PUNCT",
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return scenes.sample(1200, 11, world=2, split="training")


def find(kind: str, fits: Callable[[Scene], bool]) -> Scene:
    drawn = (scenes.draw(np.random.default_rng((3, i)), kind, 2) for i in count())
    return next(scene for scene in drawn if fits(scene))


def parse(scene: Scene) -> str:
    return " ".join(
        f"{word.text}/{word.pos}/{word.relation}/{0 if word.head == i else word.head + 1}"
        for i, word in enumerate(scene.words)
    )


def extent(scene: Scene, index: int) -> int:
    left, top, right, bottom = scene.things[index].box
    return max(right - left, bottom - top)


def centre(mask: np.ndarray) -> tuple[float, float]:
    """x and y."""
    y, x = np.nonzero(mask)
    return float(x.mean()), float(y.mean())


# -- every scene ----------------------------------------------------------------------------------


def test_words_stand_where_they_say_and_form_a_tree(drawn: list[Scene]) -> None:
    for scene in drawn:
        roots = [i for i, word in enumerate(scene.words) if word.head == i]
        assert [scene.words[i].relation for i in roots] == ["root"], scene.caption
        for at, word in enumerate(scene.words):
            assert scene.caption[word.start : word.end] == word.text
            for _ in scene.words:
                at = scene.words[at].head
            assert at == roots[0], scene.caption


def test_all_tags_of_the_daam_paper_and_its_relations_come_up(drawn: list[Scene]) -> None:
    words = [word for scene in drawn for word in scene.words]
    assert {word.pos for word in words} == DAAM_TAGS
    wanted = {"nsubj", "obj", "obl", "compound", "amod", "nmod", "det", "case", "punct", "aux"}
    assert wanted <= {word.relation for word in words}


def test_a_mention_is_of_things_that_are_there_and_each_thing_is_mentioned(
    drawn: list[Scene],
) -> None:
    for scene in drawn:
        mentioned = {thing for word in scene.words for thing in word.things}
        assert mentioned - {BACKGROUND} == set(range(len(scene.things))), scene.caption
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            assert mask.sum() >= 60, (scene.caption, thing)


def test_every_thing_and_kind_is_drawn(drawn: list[Scene]) -> None:
    assert {thing.name for scene in drawn for thing in scene.things} == set(sprites.EVERYTHING)
    assert max(len(scene.things) for scene in drawn) == 5
    assert abs(sum(weight for weight, _ in WORLDS[2].values()) - 1) < 1e-9


def test_kinds_of_a_world_are_named_in_errors() -> None:
    with pytest.raises(DaamkitError, match=r"'three'.*several.*denial"):
        scenes.sample(1, 0, "three", world=2)
    with pytest.raises(DaamkitError, match=r"world.*3"):
        scenes.sample(1, 0, world=3)
    with pytest.raises(DaamkitError, match=r"'test'.*held-out"):
        scenes.sample(1, 0, world=2, split="test")


# -- parses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "pattern", "wanted"),
    [
        (
            "clause",
            "DET NOUN VERB DET NOUN",
            "DET/det/2 NOUN/nsubj/3 VERB/root/0 DET/det/5 NOUN/obj/3",
        ),
        (
            "clause",
            "DET NOUN AUX VERB ADP DET NOUN PUNCT",
            "DET/det/2 NOUN/nsubj/4 AUX/aux/4 VERB/root/0 ADP/case/7 DET/det/7 NOUN/obl/4"
            " PUNCT/punct/4",
        ),
        (
            "clause",
            "DET NOUN VERB DET NOUN SCONJ DET NOUN VERB DET NOUN",
            "DET/det/2 NOUN/nsubj/3 VERB/root/0 DET/det/5 NOUN/obj/3 SCONJ/mark/9 DET/det/8"
            " NOUN/nsubj/9 VERB/advcl/3 DET/det/11 NOUN/obj/9",
        ),
        (
            "single",
            "DET NOUN PRON AUX PART ADJ",
            "DET/det/2 NOUN/root/0 PRON/nsubj/6 AUX/cop/6 PART/advmod/6 ADJ/acl:relcl/2",
        ),
        ("single", "DET ADV ADJ NOUN", "DET/det/4 ADV/advmod/3 ADJ/amod/4 NOUN/root/0"),
        (
            "single",
            "DET PROPN ADP PROPN",
            "DET/det/2 PROPN/root/0 ADP/case/4 PROPN/nmod/2",
        ),
        ("collective", "DET NOUN ADP NOUN", "DET/det/2 NOUN/root/0 ADP/case/4 NOUN/nmod/2"),
        (
            "comparison",
            "DET NOUN AUX ADJ ADP DET NOUN",
            "DET/det/2 NOUN/nsubj/4 AUX/cop/4 ADJ/root/0 ADP/case/7 DET/det/7 NOUN/obl/4",
        ),
        (
            "pair",
            "DET NOUN AUX ADP DET NOUN ADP DET NOUN",
            "DET/det/2 NOUN/nsubj/6 AUX/cop/6 ADP/case/6 DET/det/6 NOUN/root/0 ADP/case/9"
            " DET/det/9 NOUN/nmod/6",
        ),
        (
            "pair",
            "DET NOUN ADP DET NOUN CCONJ DET NOUN ADP DET NOUN",
            "DET/det/2 NOUN/root/0 ADP/case/5 DET/det/5 NOUN/nmod/2 CCONJ/cc/8 DET/det/8"
            " NOUN/conj/2 ADP/case/11 DET/det/11 NOUN/nmod/8",
        ),
    ],
)
def test_a_caption_is_parsed_as_a_linguist_would(kind: str, pattern: str, wanted: str) -> None:
    scene = find(kind, lambda scene: " ".join(word.pos for word in scene.words) == pattern)
    assert " ".join(part.split("/", 1)[1] for part in parse(scene).split()) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hot dog", "hot/ADJ/amod/2 dog/NOUN/root/0"),
        ("fire engine", "fire/NOUN/compound/2 engine/NOUN/root/0"),
        ("Mount Fuji", "Mount/PROPN/compound/2 Fuji/PROPN/root/0"),
        ("Santa Claus", "Santa/PROPN/root/0 Claus/PROPN/flat/1"),
    ],
)
def test_names_of_several_words(name: str, wanted: str) -> None:
    scene = find("single", lambda scene: scene.things[0].name == name and not scene.place)
    tail = parse(scene)
    shift = len(scene.words) - len(wanted.split())
    if shift == 0:
        assert tail == wanted
    for word in scene.words:
        if word.text in name.split():
            assert word.things == (0,)


# -- what is said is drawn ------------------------------------------------------------------------


def test_a_denied_thing_is_not_drawn_and_its_words_have_no_pixels() -> None:
    for i in range(60):
        scene = scenes.draw(np.random.default_rng((5, i)), "denial", 2)
        assert len(scene.things) == 1
        absent = [
            word
            for word in scene.words
            if word.pos in ("NOUN", "PROPN") and word.text not in ("grass", "beach", "snow")
            and not word.things
        ]  # fmt: skip
        assert absent, scene.caption
        assert not any(scene.mask(word).any() for word in absent)
        assert {"without", "no"} & {word.text for word in scene.words}


def test_a_thing_that_is_not_red_has_another_colour() -> None:
    scene = find("single", lambda scene: any(word.text == "not" for word in scene.words))
    denied = next(word for word in scene.words if word.pos == "ADJ" and not word.things)
    assert scene.things[0].colour not in (None, denied.text)


def test_comparisons_are_drawn_so() -> None:
    for i in range(60):
        scene = scenes.draw(np.random.default_rng((6, i)), "comparison", 2)
        first, second = extent(scene, 0), extent(scene, 1)
        bigger = scene.relation == "bigger than"
        large, small = (first, second) if bigger else (second, first)
        assert large > 1.5 * small, scene.caption


def test_counts_and_collectives_have_as_many_things_as_they_say() -> None:
    words = {word: number for number, word in NUMBERS.items()} | {"one": 1}
    for i in range(80):
        scene = scenes.draw(np.random.default_rng((7, i)), "count", 2)
        number = next(word for word in scene.words if word.pos == "NUM")
        assert len(number.things) == words[number.text]
    sizes = {"pair": (2, 2), "group": (3, 5), "bunch": (3, 5)}
    for i in range(80):
        scene = scenes.draw(np.random.default_rng((8, i)), "collective", 2)
        whole = next(word for word in scene.words if word.text in sizes)
        low, high = sizes[whole.text]
        assert low <= len(scene.things) <= high
        assert whole.things == tuple(range(len(scene.things)))


def test_counted_things_stand_apart() -> None:
    for i in range(40):
        scene = scenes.draw(np.random.default_rng((9, i)), "count", 2)
        for a, b in combinations([thing.box for thing in scene.things], 2):
            wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
            tall = max(0, min(a[3], b[3]) - max(a[1], b[1]))
            smaller = min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
            assert wide * tall < 0.15 * smaller, scene.caption


def test_sides_are_where_they_are_said_to_be() -> None:
    """Also in "a cat on the left and a dog on the right"."""
    forms = set()
    for i in range(400):
        scene = scenes.draw(np.random.default_rng((10, i)), "pair", 2)
        if scene.relation not in ("to the left of", "to the right of"):
            continue
        (x, _), (other, _) = map(centre, scene.masks)
        assert (x < other) == (scene.relation == "to the left of"), scene.caption
        forms.add(" on the left" in scene.caption or " on the right" in scene.caption)
    assert forms == {True, False}


def test_a_rider_is_astride_and_a_sitter_above() -> None:
    seen = set()
    for i in range(200):
        scene = scenes.draw(np.random.default_rng((12, i)), "verb", 2)
        if scene.relation in ("riding", "sitting on"):
            (x, y), (_, under) = map(centre, scene.masks)
            assert y < under, scene.caption
            (_, _, _, bottom), (left, top, right, _) = (thing.box for thing in scene.things)
            assert left < x < right and bottom > top, scene.caption  # on it, not in the air beside
            seen.add(scene.relation)
    assert seen == {"riding", "sitting on"}


def test_a_half_hidden_thing_shows_about_its_upper_half() -> None:
    scene = find("single", lambda scene: "half hidden" in scene.caption)
    thing, mask = scene.things[0], scene.masks[0]
    whole = sprites.sprite(thing.name, extent(scene, 0), thing.colour, thing.texture)
    part = mask.sum() / (np.asarray(whole.getchannel("A")) > 127).sum()
    assert thing.hidden and 0.2 < part < 0.8
    assert not find("count", lambda scene: True).things[0].hidden


def test_adverbs_are_drawn_so() -> None:
    small = find("single", lambda scene: " very small " in f" {scene.caption} ")
    ordinary = find("single", lambda scene: len(scene.words) == 2 and not scene.place)
    assert extent(small, 0) < 0.65 * extent(ordinary, 0)
    vivid = find("single", lambda scene: "brightly coloured" in scene.caption)
    assert vivid.things[0].colour is not None
    assert not any(word.text == vivid.things[0].colour for word in vivid.words)


# -- what no training caption holds ---------------------------------------------------------------


def test_the_file_lists_what_the_hash_chooses() -> None:
    place = resources.path("toybox", "heldout.json")
    assert json.loads(place.read_text(encoding="utf-8")) == heldout.listed()


def test_a_fifth_is_held_out() -> None:
    n = len(sprites.EVERYTHING)
    assert 0.16 < len(heldout.pairs) / (n * (n - 1) / 2) < 0.24
    looks = len(sprites.COLOURS) * (n - len(sprites.NAMES))
    assert 0.16 < len(heldout.coloured) / looks < 0.24
    assert {role for _, role, _ in heldout.roles} == {"subject", "object"}


Event = tuple[str, str, str]


def events(caption: str) -> list[Event]:
    """Verb, subject and object of each event, as the caption is read."""
    things = claims.parse(caption).things
    return [
        (claim.relation, actor.name, claim.name)
        for actor, claim in pairwise(things)
        if claim.relation in clauses.VERBS
    ]


def compositions(scene: Scene) -> tuple[set[str], set[tuple[str, str]], list[Event]]:
    """Names and colours, drawn or said (or denied), and events, from the scene alone."""
    said = claims.parse(scene.caption)
    every = (*scene.things, *said.things, *said.absent)
    looks = {(thing.colour, thing.name) for thing in every if thing.colour}
    return {thing.name for thing in every}, looks, events(scene.caption)


def test_training_scenes_hold_no_composition_that_is_held_out(drawn: list[Scene]) -> None:
    for scene in drawn:
        assert not heldout.is_held_out(*compositions(scene)), scene.caption
    assert {"without", "while"} <= {scene.relation for scene in drawn}


@pytest.mark.parametrize("kind", WORLDS[2])
def test_held_out_scenes_hold_at_least_one(kind: str) -> None:
    for scene in scenes.sample(30, 21, kind, world=2, split="held-out"):
        assert heldout.is_held_out(*compositions(scene)), scene.caption


def test_roles_are_held_out_of_training() -> None:
    """Of subjects and objects, with a participle and in a clause, in the first event and the
    second."""
    held = set()
    for kind, split, i in product(("verb", "clause"), ("training", "held-out"), range(400)):
        caption = scenes.say(np.random.default_rng((22, i)), kind, 2, split).text
        found = events(caption)
        assert len(found) == 1 + (" while " in caption), caption
        for at, (verb, *names) in enumerate(found):
            for role, name in zip(("subject", "object"), names, strict=True):
                if (verb, role, name) in heldout.roles:
                    assert split == "held-out", caption
                    held.add(((kind, at), role))
    assert held == set(product([("verb", 0), ("clause", 0), ("clause", 1)], ["subject", "object"]))


def test_verbs_and_links_are_as_often_as_they_say() -> None:
    assert abs(sum(gatherings.LINKS.values()) - 1) < 1e-9
    assert abs(sum(weight for _, _, weight, *_ in clauses.VERBS.values()) - 1) < 1e-9


def test_words_keep_their_type(drawn: list[Scene]) -> None:
    assert all(isinstance(word, CaptionWord) for scene in drawn[:20] for word in scene.words)
