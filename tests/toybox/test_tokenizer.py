from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from daamkit.errors import DaamkitError
from daamkit.toybox import sprites
from daamkit.toybox import tokenizer as toy
from daamkit.toybox.captions import PLURALS
from daamkit.toybox.scenes import Scene


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("toy") / "tokenizer"
    toy.write(folder, captions=600)
    learned: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return learned


def test_captions_come_back_from_their_ids(tokenizer: CLIPTokenizer, drawn: list[Scene]) -> None:
    captions = [scene.caption for scene in drawn]
    ids = tokenizer(captions).input_ids
    back = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert [text.replace(" ,", ",") for text in back] == captions


def test_most_words_are_one_piece_and_long_ones_two(tokenizer: CLIPTokenizer) -> None:
    pieces = {word: len(tokenizer.tokenize(word)) for word in (*sprites.THINGS, *sprites.COLOURS)}
    several = {word: n for word, n in pieces.items() if n > 1}
    assert several == {"elephant": 2, "suitcase": 2, "backpack": 2}


def test_some_plurals_are_several_pieces(tokenizer: CLIPTokenizer) -> None:
    plurals = [PLURALS.get(name, name + "s") for name in sprites.THINGS]
    several = [word for word in plurals if len(tokenizer.tokenize(word)) > 1]
    assert len(several) > len(plurals) / 4


@settings(max_examples=200)
@given(text=st.text(max_size=60).filter(lambda text: "<|" not in text))
def test_any_text_has_known_pieces_only(tokenizer: CLIPTokenizer, text: str) -> None:
    first, *pieces, last = tokenizer(text).input_ids
    assert (first, last) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.unk_token_id not in pieces
    assert pieces or not text.strip()


@given(text=st.text("abcxyzABCXYZ0189.,;:!?'\"-_()<>@#", min_size=1))
def test_any_printable_text_comes_back_but_for_case_and_spaces(
    tokenizer: CLIPTokenizer, text: str
) -> None:
    (back,) = tokenizer.batch_decode(tokenizer([text]).input_ids, skip_special_tokens=True)
    assert back.replace(" ", "") == text.lower()


def test_a_prompt_holds_77_tokens(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer.model_max_length == 77
    short, long = tokenizer(["cat", "cat " * 100], truncation=True, padding="max_length").input_ids
    assert len(short) == len(long) == 77
    assert long[-1] == tokenizer.eos_token_id


words = st.text("abc", min_size=1, max_size=9)
counts = st.dictionaries(words, st.integers(1, 5), max_size=12)


@given(counts, st.randoms())
def test_learning_does_not_depend_on_the_order_of_words(
    counts: dict[str, int], random: Random
) -> None:
    items = [*counts.items()]
    random.shuffle(items)
    assert toy.learn(Counter(dict(items))) == toy.learn(Counter(counts))


@given(counts)
def test_ids_have_no_gaps_and_every_merge_is_a_piece(counts: dict[str, int]) -> None:
    vocabulary, merges = toy.learn(Counter(counts))
    assert sorted(vocabulary.values()) == [*range(len(vocabulary))]
    made = ["".join(merge.split()) for merge in merges]
    assert set(made) < vocabulary.keys()
    assert all(len(piece.removesuffix("</w>")) <= toy.LONGEST for piece in made)


def test_the_most_frequent_pair_is_merged_first() -> None:
    _, merges = toy.learn(Counter({"cat": 3, "cot": 2, "bat": 1}), merges=2)
    assert merges == ["a t</w>", "c at</w>"]


def test_a_tokenizer_written_twice_is_the_same(tmp_path: Path) -> None:
    for name in ("first", "second"):
        toy.write(tmp_path / name, captions=50, seed=3)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_tokenizer_of_no_captions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DaamkitError, match="at least one scene"):
        toy.write(tmp_path, captions=0)
