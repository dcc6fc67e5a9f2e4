"""The parser that ships with daamkit."""

import pytest
import spacy

from daamkit import resources
from daamkit.toybox import conllu, scenes


@pytest.fixture(scope="module")
def parser():
    return spacy.load(resources.path("parser"))


def test_a_prompt_is_parsed(parser) -> None:
    document = parser("a red cat next to a blue car")
    found = {token.text: (token.head.text, token.dep_, token.pos_) for token in document}
    assert found["cat"] == ("cat", "ROOT", "NOUN")
    assert found["red"] == ("cat", "amod", "ADJ")
    assert found["blue"] == ("car", "amod", "ADJ")
    assert found["car"] == ("cat", "nmod", "NOUN")


def test_captions_of_templates_held_out_of_training_are_parsed(parser) -> None:
    words = right = 0
    for text in conllu.sentences(100, seed=9, only=["below", "holding"], without=[]):
        caption = text.splitlines()[0].removeprefix("# text = ")
        rows = [line.split("\t") for line in text.strip().splitlines()[1:]]
        document = parser(caption)
        assert [token.text for token in document] == [row[1] for row in rows]
        for token, row in zip(document, rows, strict=True):
            head = 0 if token.dep_ == "ROOT" else token.head.i + 1
            words += 1
            right += (str(head), token.dep_.lower()) == (row[6], row[7])
    assert right / words >= 0.95


def test_the_parser_tokenizes_captions_as_they_were_written(parser) -> None:
    for scene in scenes.sample(100, seed=8):
        assert [token.text for token in parser.make_doc(scene.caption)] == [
            word.text for word in scene.words
        ]
