"""What was read by hand still comes out as it was read; the measures count as they say."""

import json
from pathlib import Path

from daamkit import resources
from daamkit.language import evaluate, parsing, silver, subjects, taxonomy

CAPTIONS = Path(__file__).parent / "captions.conllu"


def rows(file: str) -> list[dict]:
    lines = resources.path("language", file).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_senses_that_were_read() -> None:
    read = rows("nouns.jsonl")
    assert len(read) == 100 and sum(row["right"] for row in read) == 99
    for row in read:
        assert taxonomy.sense(row["noun"]) == row["sense"]
        assert taxonomy.definition(row["sense"]) == row["definition"]


def test_the_subjects_that_were_read() -> None:
    read = rows("subjects.jsonl")
    assert len(read) == 100 and sum(row["right"] for row in read) == 90
    parses = parsing.parse_all([row["prompt"] for row in read])
    for row, parse in zip(read, parses, strict=True):
        assert [phrase.text for phrase in subjects.subjects(parse)] == row["subjects"]


def test_disagreements_were_judged_on_held_out_prompts() -> None:
    read = rows("disagreements.jsonl")
    assert len({row["prompt"] for row in read}) == len(read) == 60
    for row in read:
        assert silver.held_out(row["prompt"])
        assert row["prompt"][row["start"] :].startswith(row["word"])
    said = evaluate.judged()
    assert said["ours"] >= said["theirs"] > 0


def test_the_shipped_parser_on_forty_captions() -> None:
    found = evaluate.on_treebank(CAPTIONS)
    assert found["words"] == 382
    assert found["uas"] >= 0.97 and found["las"] >= 0.96


def test_and_keeps_its_name_in_a_photo_of_two() -> None:
    texts = ["a photo of a fire hydrant and a tennis racket", "a photo of a zebra and a tv"]
    for parse in parsing.parse_all(texts):
        last = parse.tokens[-1]
        assert last.relation == "conj:and"
        assert parse.tokens[last.head].text in ("hydrant", "zebra")


def test_the_rule_against_the_authors() -> None:
    found = evaluate.on_kin()
    assert (found["authors"], found["rule"], found["both"]) == (40, 74, 21)


def test_silver_is_a_treebank_as_it_was_parsed(tmp_path) -> None:
    from daamkit.language import treebank

    texts = ["a red cat. A dog sleeps.", "two birds"]
    file = tmp_path / "silver.conllu"
    file.write_text("".join(silver.sentences(texts, None)), "utf-8")
    vocab = parsing.spacy_pipeline().vocab
    found = list(treebank.joined(file, vocab, most=1))
    parses = parsing.parse_all(texts)
    assert [t.text for d in found for t in d] == [t.text for p in parses for t in p.tokens]
    assert "".join(d.text for d in found).replace(" ", "") == "".join(texts).replace(" ", "")
    assert silver.agreement(parses[0], parses[0]) == 1 and silver.agreement(*parses) == 0


def test_no_word_is_missing_on_prompts() -> None:
    texts = [row["prompt"] for row in rows("disagreements.jsonl")[:20]]
    found = evaluate.on_prompts(texts)
    assert (found["crashes"], found["missing"], found["beside"]) == (0, 0, 0)
