"""What English forbids is mended, and nothing else."""

import pytest

from daamkit.language import parsing
from daamkit.language.repairs import mended

# word/part of speech/relation/head, and what is said instead; "" where nothing is mended
SENTENCES = {
    "a plural after a": (
        "a/DET/det/3 large/ADJ/amod/3 airplane/NOUN/compound/3 flies/NOUN/root/3 over/ADP/case/6"
        " the/DET/det/6 house/NOUN/nmod/3 ./PUNCT/punct/3",
        "det/2 amod/2 nsubj/3 root/3 case/6 det/6 obl/3 punct/3",
    ),
    "a singular after a": ("a/DET/det/2 fruit/NOUN/compound/2 fly/NOUN/root/2", ""),
    "a plural after the": ("the/DET/det/2 fruit/NOUN/compound/2 flies/NOUN/root/2", ""),
    "a plural that is no verb": ("a/DET/det/2 rose/NOUN/compound/2 petals/NOUN/root/2", ""),
    "one thing in the form of a plural": (
        "a/DET/det/2 reading/NOUN/compound/2 glasses/NOUN/root/2",
        "",
    ),
    "under another word": (
        "photo/NOUN/root/0 of/ADP/case/4 a/DET/det/4 plane/NOUN/compound/4 flies/NOUN/nmod/0",
        "",
    ),
    "along a way": (
        "driving/VERB/root/0 down/ADP/compound:prt/0 a/DET/det/4 city/NOUN/compound/4"
        " street/NOUN/obj/0",
        "root/0 case/4 det/4 compound/4 obl/0",
    ),
    "an object": (
        "putting/VERB/root/0 down/ADP/compound:prt/0 a/DET/det/3 book/NOUN/obj/0",
        "",
    ),
    "a way before it": (
        "closing/VERB/root/0 a/DET/det/2 street/NOUN/obj/0 down/ADP/compound:prt/0",
        "",
    ),
}


@pytest.mark.parametrize(("parse", "expected"), SENTENCES.values(), ids=SENTENCES.keys())
def test_a_parse_is_mended(parse: str, expected: str) -> None:
    rows = [row.split("/") for row in parse.split()]
    words, pos, relations, heads = (list(column) for column in zip(*rows, strict=True))
    numbers = [int(head) for head in heads]
    before = " ".join(f"{relation}/{head}" for *_, relation, head in rows)
    mended(words, pos, numbers, relations)
    after = " ".join(f"{r}/{h}" for r, h in zip(relations, numbers, strict=True))
    assert after == (expected or before)


def test_the_shipped_parser_is_mended() -> None:
    parse = parsing.parse("A large airplane flies very low over the houses.")
    said = {token.text: (token.relation, parse.tokens[token.head].text) for token in parse.tokens}
    assert said["airplane"] == ("nsubj", "flies") and said["houses"] == ("obl:over", "flies")
    assert parse.tokens[3].pos == "VERB"
