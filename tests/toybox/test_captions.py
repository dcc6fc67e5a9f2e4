from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daamkit.errors import DaamkitError
from daamkit.toybox import scenes, sprites
from daamkit.toybox.captions import BACKGROUND, NUMBERS, PLACES, CaptionWord, Noun, Sentence

RELATIONS = {
    "root", "det", "amod", "nummod", "nmod", "nmod:poss", "case", "cc", "conj", "punct",
    "acl", "obl", "obj",
}  # fmt: skip
POS = {"NOUN", "PRON", "ADJ", "DET", "NUM", "ADP", "CCONJ", "VERB", "PUNCT"}

nouns = st.fixed_dictionaries(  # what a Noun is made from
    {
        "name": st.sampled_from(sprites.THINGS),
        "things": st.integers(1, 3).map(lambda n: tuple(range(n))),
        "colour": st.none() | st.sampled_from([*sprites.COLOURS]),
        "texture": st.none() | st.sampled_from(sprites.TEXTURES),
        "size": st.none() | st.sampled_from(sprites.SIZES),
    }
)


def spelled(words: list[CaptionWord] | tuple[CaptionWord, ...]) -> str:
    return " ".join(word.text for word in words).replace(" ,", ",")


def parse(words: list[CaptionWord] | tuple[CaptionWord, ...]) -> str:
    """As CoNLL-U numbers it: relation and head of each word, heads from 1, 0 above the root."""
    return " ".join(
        f"{word.relation}/{0 if word.head == i else word.head + 1}" for i, word in enumerate(words)
    )


def pattern(scene: scenes.Scene) -> str:
    """The caption with its nouns and adjectives blotted out."""
    return " ".join(w.pos if w.pos in ("NOUN", "ADJ") else w.text for w in scene.words)


# -- every caption --------------------------------------------------------------------------------


def test_words_are_where_they_say_they_are(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        for word in scene.words:
            assert scene.caption[word.start : word.end] == word.text


def test_a_caption_is_its_words_in_order(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        assert scene.caption == spelled(scene.words)
        starts = [word.start for word in scene.words]
        assert starts == sorted(set(starts))


def test_a_parse_is_a_tree_with_one_root(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        roots = [i for i, word in enumerate(scene.words) if word.head == i]
        assert roots == [i for i, word in enumerate(scene.words) if word.relation == "root"]
        assert len(roots) == 1
        for at in range(len(scene.words)):
            for _ in scene.words:
                at = scene.words[at].head
            assert at == roots[0]


def test_parses_use_names_of_universal_dependencies_and_all_of_ours_come_up(
    drawn: list[scenes.Scene],
) -> None:
    words = [word for scene in drawn for word in scene.words]
    assert {word.relation for word in words} == RELATIONS
    assert {word.pos for word in words} == POS


@pytest.mark.parametrize(
    ("kind", "caption", "wanted"),
    [
        ("single", "a NOUN", "det/2 root/0"),
        ("single", "a ADJ ADJ NOUN", "det/4 amod/4 amod/4 root/0"),
        ("single", "a NOUN on the NOUN", "det/2 root/0 case/5 det/5 nmod/2"),
        ("single", "a NOUN at NOUN", "det/2 root/0 case/4 nmod/2"),
        ("pair", "a NOUN and a ADJ NOUN", "det/2 root/0 cc/6 det/6 amod/6 conj/2"),
        (
            "pair",
            "a ADJ NOUN next to a ADJ NOUN",
            "det/3 amod/3 root/0 case/8 case/8 det/8 amod/8 nmod/3",
        ),
        (
            "pair",
            "a NOUN to the NOUN of a NOUN",
            "det/2 root/0 case/5 det/5 nmod/2 case/8 det/8 nmod/5",
        ),
        (
            "three",
            "a NOUN , a NOUN and a NOUN",
            "det/2 root/0 punct/5 det/5 conj/2 cc/8 det/8 conj/2",
        ),
        ("count", "two NOUN", "nummod/2 root/0"),
        ("count", "two NOUN and a NOUN", "nummod/2 root/0 cc/5 det/5 conj/2"),
        ("verb", "a NOUN wearing its NOUN", "det/2 root/0 acl/2 nmod:poss/5 obj/3"),
        (
            "verb",
            "a NOUN sitting on a NOUN in the NOUN",
            "det/2 root/0 acl/2 case/6 det/6 obl/3 case/9 det/9 obl/3",
        ),
    ],
)
def test_a_caption_is_parsed_as_a_linguist_would(kind: str, caption: str, wanted: str) -> None:
    every = (scenes.draw(np.random.default_rng(i), kind) for i in count())
    scene = next(scene for scene in every if pattern(scene) == caption)
    assert parse(scene.words) == wanted


# -- writing --------------------------------------------------------------------------------------


def test_a_sentence_written_by_hand() -> None:
    sentence = Sentence()
    dog = sentence.phrase(Noun("dog", (0,), colour="orange", size="big"))
    sentence.phrase(Noun("mouse", (1, 2)), "conj", dog, coordinator=",")
    sentence.phrase(Noun("apple", (3,)), "conj", dog, coordinator="and")
    wearing = sentence.add("wearing", "VERB", "acl", dog)
    sentence.phrase(Noun("crown", (4,)), "obj", wearing, owner=(0,))
    sentence.place("night", wearing, "obl")
    assert sentence.text == "a big orange dog, two mice and an apple wearing its crown at night"
    assert parse(sentence.words) == (
        "det/4 amod/4 amod/4 root/0 punct/7 nummod/7 conj/4 cc/10 det/10 conj/4"
        " acl/4 nmod:poss/13 obj/11 case/15 obl/11"
    )
    assert [word.things for word in sentence.words] == [
        *[(0,)] * 4, (), (1, 2), (1, 2), (), (3,), (3,), (), (0,), (4,), (), (BACKGROUND,),
    ]  # fmt: skip


@given(st.lists(nouns, min_size=1, max_size=4), st.sampled_from([*PLACES]))
def test_whatever_is_written_its_words_know_their_characters(
    said: list[dict[str, Any]], place: str
) -> None:
    sentence = Sentence()
    for index, noun in enumerate(said):
        relation, comma = ("conj", ",") if index else ("root", None)
        sentence.phrase(Noun(**noun), relation, 0, coordinator=comma)
    sentence.place(place, 0)
    assert [sentence.text[word.start : word.end] for word in sentence.words] == [
        word.text for word in sentence.words
    ]
    assert sentence.text == spelled(sentence.words)


@given(nouns)
def test_one_thing_opens_with_its_article_and_several_with_their_number(
    noun: dict[str, Any],
) -> None:
    sentence = Sentence()
    sentence.phrase(Noun(**noun))
    first, second = (word.text for word in sentence.words[:2])
    article = "an" if second[0] in "aeiou" else "a"
    assert first == {1: article, **NUMBERS}[len(noun["things"])]


@pytest.mark.parametrize(
    ("one", "many"), [("cat", "cats"), ("mouse", "mice"), ("bench", "benches")]
)
def test_several_things_are_named_in_the_plural(one: str, many: str) -> None:
    sentence = Sentence()
    sentence.phrase(Noun(one, (0, 1, 2)))
    assert sentence.text == f"three {many}"


def test_more_things_than_there_are_numbers_for_is_an_error() -> None:
    with pytest.raises(DaamkitError, match="at most 5 things"):
        Sentence().phrase(Noun("cat", (0, 1, 2, 3, 4, 5)))


def test_an_unknown_place_is_an_error_that_names_the_places() -> None:
    with pytest.raises(DaamkitError, match=r"'moon'.*beach.*night"):
        Sentence().place("moon", 0)
