"""Reading a prompt's claims back: exact on every caption, whose writer knows them."""

from collections import Counter

import pytest

from daamkit.errors import DaamkitError
from daamkit.studies import prompts
from daamkit.toybox import claims, scenes
from daamkit.toybox.scenes import Scene


def test_every_caption_is_read_as_it_was_written(drawn: list[Scene]) -> None:
    for scene in drawn:
        asked = claims.parse(scene.caption)
        said = [
            (claim.name, claim.colour, claim.texture, claim.size)
            for claim in asked.things
            for _ in range(claim.count)
        ]
        assert said == [(t.name, t.colour, t.texture, t.size) for t in scene.things]
        assert asked.place == scene.place
        relations = [claim.relation for claim in asked.things]
        assert relations[0] is None and relations[1:] == [scene.relation] * (len(relations) - 1)
        for claim in asked.things:
            assert scene.caption[claim.start : claim.end] == claim.noun
        if asked.ground:
            assert scene.caption[slice(*asked.ground)] == scene.place


def test_every_caption_of_world_2_is_read_as_it_was_written() -> None:
    for scene in scenes.sample(500, 31, world=2):
        asked = claims.parse(scene.caption)
        counted = Counter(thing.name for thing in scene.things)
        for claim in asked.things:
            assert scene.caption[claim.start : claim.end] == claim.noun
            same = sum(other.count for other in asked.things if other.name == claim.name)
            at_least = any(word in scene.caption for word in ("group", "bunch"))
            assert same == counted[claim.name] or (at_least and 3 == same <= counted[claim.name])
        assert {claim.name for claim in asked.things} == set(counted), scene.caption
        looks = [(claim.colour, claim.texture, claim.size) for claim in asked.things]
        for claim, (colour, texture, size) in zip(asked.things, looks, strict=True):
            drawn = [thing for thing in scene.things if thing.name == claim.name]
            assert any(
                (colour is None or thing.colour == colour)
                and thing.texture == texture
                and thing.size == size
                and thing.hidden == (claim.manner == "half hidden")
                and (claim.not_colour is None or thing.colour != claim.not_colour)
                for thing in drawn
            ), scene.caption
        assert asked.place == scene.place
        relations = [claim.relation for claim in asked.things[1:]]
        if scene.relation == "while":
            assert relations[1] == "while" and len(relations) == 3
        elif scene.relation == "without":
            assert len(asked.absent) == 1 and not relations
        else:
            assert relations == [scene.relation] * len(relations), scene.caption
            assert not asked.absent


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("a cat without", "'without'"),
        ("a red cat that is blue", "'that is blue'"),
        ("without a cat", "'without'"),
        ("a group of cat", "'cat'"),
        ("on the left a cat", "'on the left'"),
        ("a cat that is", "'that'"),
    ],
)
def test_what_world_2_cannot_say_is_an_error(prompt: str, says: str) -> None:
    with pytest.raises(DaamkitError, match=says):
        claims.parse(prompt)


def test_sides_after_the_nouns_are_a_relation() -> None:
    one, two = claims.parse("a cat on the left and a dog on the right").things
    assert (one.side, two.side, two.relation) == ("left", "right", "to the left of")


def test_all_276_prompts_of_the_benchmark_are_read() -> None:
    known = prompts.benchmark()
    assert {kind: len(texts) for kind, texts in known.items()} == {
        "animals": 66,
        "animal_object": 144,
        "objects": 66,
    }
    plain = [text for text in known["animal_object"] if " with a " in text]
    assert len(plain) == 36
    for text in sum(known.values(), []):
        assert len(claims.parse(text).things) == 2
    assert "a cat and a dog" in known["animals"]


def test_looks_belong_to_their_own_noun() -> None:
    one, two = claims.parse("A RED cat, two small striped dogs").things
    assert (one.name, one.noun, one.colour, one.size) == ("cat", "cat", "red", None)
    assert (two.name, two.noun, two.colour, two.texture, two.size, two.count) == (
        "dog",
        "dogs",
        None,
        "striped",
        "small",
        2,
    )
    assert two.relation == "and"


def test_a_comma_before_and_is_no_second_relation() -> None:
    assert [c.relation for c in claims.parse("a cat, a dog, and a bear").things] == [
        None,
        "and",
        "and",
    ]


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("a cat on a table", "the word 'table'"),
        ("a cat & a dog", "the word '&'"),
        ("a red thing", "'thing'"),
        ("a cat on a car", "'on'"),
        ("a cat in the red desert", "'desert'"),
        ("a red blue cat", "'blue'"),
        ("and a cat", "'and'"),
        ("a cat and", "'and'"),
        ("a cat and two", "'and'"),
        ("cats and a dog", "two cats"),
        ("two cat", "'cat'"),
        ("a cat on the grass in the snow", "'snow'"),
        ("a cat at the grass", "'grass'"),
        ("a cat within a car", "'within'"),
        ("on the grass", "names a thing"),
        ("", "names a thing"),
    ],
)
def test_what_the_world_lacks_is_an_error(prompt: str, says: str) -> None:
    with pytest.raises(DaamkitError, match=says):
        claims.parse(prompt)
