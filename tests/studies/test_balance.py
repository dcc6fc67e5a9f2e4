"""Captions of world 2 in which what is rare has cases enough."""

from collections import Counter

import numpy as np
import pytest

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.language.phrases import of_what
from daamkit.studies import balance
from daamkit.studies.parts_of_speech import TAGS, PartsOfSpeech
from daamkit.studies.relations import PAPER, Relations
from daamkit.toybox import scenes

FEWEST = 40


def test_the_papers_ten_relations_have_cases_enough_as_parsed() -> None:
    parses = parsing.parse_all([case["prompt"] for case in Relations(world=2).cases()])
    counts = Counter(
        of_what(edge.relation, edge.head.text, edge.head.pos)
        for parse in parses
        for edge in parse.edges()
    )
    assert len(PAPER) == 10 and len(parses) == Relations.n
    assert {name: counts[name] for name in PAPER if counts[name] < FEWEST} == {}


def test_the_papers_fourteen_tags_have_cases_enough_as_parsed() -> None:
    parses = parsing.parse_all([case["prompt"] for case in PartsOfSpeech(world=2).cases()])
    counts = Counter(token.pos for parse in parses for token in parse.tokens)
    assert len(TAGS) == 14 and len(parses) == PartsOfSpeech.n
    assert {name: counts[name] for name in TAGS if counts[name] < FEWEST} == {}


def test_of_a_collective_of_a_name_and_of_others() -> None:
    words = scenes.say(np.random.default_rng(4), "collective", 2).words
    held = balance.held_in(words)
    assert held["nmod:of (collective)"] == 1 and not held["nmod:of"]
    texts = ("a bunch of balloons", "the Statue of Liberty", "a cat to the left of a dog")
    found = [
        {of_what(edge.relation, edge.head.text, edge.head.pos) for edge in parse.edges()}
        for parse in parsing.parse_all([*texts])
    ]
    names = ("nmod:of (collective)", "nmod:of (name)", "nmod:of")
    assert [[name in each for name in names] for each in found] == np.eye(3, dtype=bool).tolist()


def test_half_of_the_captions_are_drawn_at_random() -> None:
    rare, any_ = balance.captions(40, 3, ["PART"]), balance.captions(40, 3, [])
    assert len(set(rare)) == 40 and rare[:20] == any_[:20] and rare[20:] != any_[20:]
    assert all("not" in text.split() for text in rare[20:])
    assert balance.captions(4, 3, ["none such"])[:2] == any_[:2]


def test_world_1_and_files_are_as_ever(tmp_path) -> None:
    assert Relations(n=3).cases() == Relations(n=3, world=1).cases()
    assert Relations(n=3).cases() != Relations(n=3, world=2).cases()
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\na dog\na bear")
    assert {case["prompt"] for case in Relations(n=3, world=2, prompts=str(file)).cases()} == {
        "a cat",
        "a dog",
        "a bear",
    }
    with pytest.raises(DaamkitError, match="world 1 or 2"):
        Relations(world=3)
