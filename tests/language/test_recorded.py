"""spaCy's own English models through the converter: their parses as recorded in `golden/parses`."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from daamkit.language import dependencies, evaluate, parsing, treebank

FOLDER = Path(__file__).parent.parent / "golden" / "parses"
CAPTIONS = Path(__file__).parent / "captions.conllu"
VOCAB = spacy.blank("en").vocab


def recorded(model: str, what: str) -> list[Doc]:
    return list(DocBin().from_disk(FOLDER / f"{model}-{what}.spacy").get_docs(VOCAB))


@pytest.mark.parametrize("model", ["sm", "md"])
def test_and_keeps_its_name_in_every_photo_of_two(model: str) -> None:
    shapes = {}  # a prompt of each way that the model parses them
    for (text, end), document in zip(evaluate.pairs(), recorded(model, "pairs"), strict=True):
        assert document.text == text
        shape = [(word.pos_, word.dep_, word.head.i) for word in document]
        key = (tuple(shape), " drier" in text)
        shapes.setdefault(key, (document, end))
    assert len(shapes) > 40
    for document, end in shapes.values():
        assert evaluate.joined(parsing.from_spacy(document, clear=True), end), document.text


@pytest.mark.parametrize(("model", "uas", "las"), [("sm", 0.971, 0.955), ("md", 0.973, 0.968)])
def test_captions_are_converted_well(model: str, uas: float, las: float) -> None:
    gold = list(treebank.documents(CAPTIONS, VOCAB))
    found = evaluate.scores(gold, recorded(model, "captions"), clear=True)
    assert found["words"] == 382
    assert found["uas"] >= uas and found["las"] >= las


@pytest.mark.parametrize("model", ["sm", "md"])
def test_nothing_stays_unconverted_in_prompts(model: str) -> None:
    documents = recorded(model, "prompts")
    assert len(documents) == 100
    for document in documents:
        parse = parsing.from_spacy(document, clear=True)
        assert "".join(token.text for token in parse.tokens) == "".join(document.text.split())
        assert not dependencies.is_clear(token.basic for token in parse.tokens)
        for token in parse.tokens:
            above, steps = token, 0
            while above.head != above.index and steps <= len(parse.tokens):
                above, steps = parse.tokens[above.head], steps + 1
            assert above.relation == "root"
