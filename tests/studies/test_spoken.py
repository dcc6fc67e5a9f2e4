"""What is said of a caption's words."""

import pytest

from daamkit.studies import spoken
from daamkit.toybox import claims, scenes


def drawn(said, world=2):
    found = scenes.sample(400, 3, world=world)
    return next(each for each in found if f" {said} " in f" {each.caption} ")


@pytest.mark.parametrize(
    ("said", "pos", "head"),
    [("teddy bear", "NOUN", "bear"), ("Statue of Liberty", "PROPN", "Statue"),
     ("hot dog", "NOUN", "dog"), ("Mount Fuji", "PROPN", "Fuji")],
)  # fmt: skip
def test_a_name_is_what_its_head_is(said, pos, head):
    scene = drawn(said)
    start = scene.caption.index(said)
    found = spoken.of(scene, start, 2)
    word = next(each for each in scene.words if each.text == head and each.start >= start)
    assert found["thing"] and found["pos"] == pos and found["relation"] == word.relation
    first = next(each for each in scene.words if each.start == start)
    assert first not in spoken.others(scene)


def test_other_words_mention_what_shows():
    scene = drawn("a striped")
    said = [word.text for word in spoken.others(scene)]
    nouns = {scene.caption[each.start : each.end] for each in claims.parse(scene.caption).things}
    assert "striped" in said and "a" in said and not nouns & {*said}
    assert "and" not in said and "to" not in said
    word = next(each for each in scene.words if each.text == "striped")
    assert spoken.of(scene, word.start, 2) == {
        "thing": False, "pos": "ADJ", "relation": "amod", "beside": "",
    }  # fmt: skip


def test_verbs_of_world_2_mention_who_acts():
    every = scenes.sample(400, 3, world=2)
    verbs = [(each, word) for each in every for word in spoken.others(each) if word.pos == "VERB"]
    assert len(verbs) > 20
    for scene, verb in verbs:
        first = next(word for word in scene.words if word.pos in ("NOUN", "PROPN") and word.things)
        if len(scene.things) == 2 and "while" not in scene.caption:
            assert (scene.mask(verb) == scene.mask(first)).all()


def test_kin_beside_a_thing():
    beside = {}
    for scene in scenes.sample(300, 5):
        things = claims.parse(scene.caption).things
        for each in things:
            others = frozenset(other.name for other in things) - {each.name}
            beside[each.name, others] = spoken.of(scene, each.start, 1)["beside"]
    kin = {("cat", "dog"), ("dog", "cat"), ("lion", "bear"), ("chair", "bench")}
    for (name, others), found in beside.items():
        if not others:
            assert found == "nothing"
        elif any((name, other) in kin for other in others):
            assert found == "co-hyponym"
        elif len(others) == 1 and {name, *others} <= {"cat", "car", "clock", "bow", "apple"}:
            assert found == "others"
    assert set(beside.values()) == set(spoken.BESIDE)
