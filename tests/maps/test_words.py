"""Law 4: words and tokens meet on characters."""

import inspect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daamkit.errors import DaamkitError
from daamkit.maps import tokens
from daamkit.maps.prompt import Prompt
from daamkit.maps.words import WordError
from tests import clip, tiny


def read(text: str, **others: str) -> Prompt:
    return clip.prompt({"text_encoder": text, **others})


@given(st.text(max_size=18))
def test_tokens_cover_the_text_in_order(text):
    prompt = read(text)
    tokens = [token for token in prompt.tokens if not token.special]
    assert [t.column for t in tokens] == list(range(1, len(tokens) + 1))
    assert all(text[t.start : t.end] == t.text for t in tokens)
    starts = [t.start for t in tokens]
    assert starts == sorted(starts)
    assert [t.special for t in prompt.tokens if t.special] == ["SOS", "EOS", "padding"]


WORDS = st.sampled_from(["cat", "dog", "elephants", "red", "cat-like", "Cat", "cat's"])


@given(st.lists(WORDS, min_size=1, max_size=12))
def test_every_word_is_found_by_its_occurrence(chosen):
    prompt = read(" ".join(chosen))
    found = prompt.words()
    assert [word.text for word in found] == chosen
    for word in found:
        assert prompt.word(word.text, word.occurrence) == word
        assert prompt.text[word.start : word.end] == word.text
    columns = [column for word in found for column in word.columns]
    assert columns == list(range(1, len(columns) + 1))


@pytest.mark.parametrize("occurrence", [0, 1, "all"])
def test_a_word_is_known_again(occurrence):
    prompt = read("A Cat, a dog, a cat", text_encoder_2="a cat and a Cat")
    for encoder in (None, "text_encoder_2"):
        word = prompt.word("cat", occurrence, encoder)
        assert prompt.word(word) == word


def test_a_word_that_another_model_has_read_is_none_here():
    """The same prompt, at other columns: T5 reads no start of text, CLIP does."""
    text = "a red cat and a cat"
    prompt, other = read(text), clip.prompt({"text_encoder_2": text})
    tokens = [replace(each, column=max(each.column - 1, 0)) for each in other.tokens[1:]]
    other = replace(other, tokens=tuple(tokens))
    for occurrence in (0, 1, "all"):
        word = other.word("cat", occurrence)
        assert other.check(word) == word
        with pytest.raises(WordError, match="of another prompt or model"):
            prompt.check(word)
    for name in ("EOS", "padding"):
        with pytest.raises(WordError, match="of another prompt or model"):
            prompt.check(other.special(name))
        assert prompt.check(prompt.special(name)) == prompt.special(name)
    double = prompt.word("cat", "all")
    with pytest.raises(WordError, match="of another prompt or model"):  # two of three columns are
        prompt.check(replace(double, columns=(*double.columns, 2)))


def test_a_word_in_several_pieces():
    word = read("three elephants").word("elephants")
    assert len(word.columns) > 1 and word.columns[0] == 2


def test_phrases_and_spaces_and_case():
    prompt = read("A  Red\ncat, next to it")
    assert prompt.word("red cat").columns == (2, 3)
    assert prompt.word("RED").text == "Red"
    assert prompt.span(3, 10).columns == (2, 3)


def test_a_part_of_a_compound_is_found_where_there_is_no_whole_word():
    assert read("a cat-like dog").word("cat").columns == (2,)
    assert read("the cat's hat").word("cat").end == 7
    assert read("a cat-like dog and a cat").word("cat").start == 21


def test_words_match_whole():
    prompt = read("a catamaran and a cat")
    assert prompt.word("cat").start == 18
    with pytest.raises(WordError):
        prompt.word("catama")


def test_the_second_cat_is_another_word():
    prompt = read("a cat and a cat")
    first, second = (prompt.word("cat", i) for i in (0, 1))
    assert (first.start, second.start) == (2, 12) and first.columns != second.columns
    with pytest.raises(
        WordError, match=r"got 2 in .*0 at character 2, 1 at character 12.*occurrence="
    ):
        prompt.word("cat")
    with pytest.raises(WordError, match="Choose from 0 to 1"):
        prompt.word("cat", 2)


def test_all_occurrences_together():
    prompt = read("a cat and a red cat")
    assert prompt.word("cat", "all").columns == (2, 6)
    assert prompt.word("red", "all") == prompt.word("red")


def test_a_word_that_is_not_there_names_the_nearest():
    with pytest.raises(WordError, match=r"wanted the word 'zebra'.*nearest words are 'zebras'"):
        read("two zebras and a dog").word("zebra")
    with pytest.raises(WordError, match=r"Its words are 'two', 'dogs'"):
        read("two dogs").word("hypotenuse")
    with pytest.raises(KeyError):  # it is a KeyError too, readable all the same
        read("two dogs").word("cat")


def test_an_empty_prompt():
    prompt = read("")
    assert prompt.words() == [] and prompt.special("SOS").columns == (0,)
    with pytest.raises(WordError, match=r"got an empty prompt.*special\('SOS'\)"):
        prompt.word("cat")
    with pytest.raises(WordError, match="wanted a word"):
        prompt.word("  ")


def test_a_prompt_cut_at_the_models_limit():
    text = "a cat and " * 30 + "a dog"
    prompt = read(text)
    assert prompt.columns == 77 and prompt.cuts["text_encoder"] < len(text)
    assert all(word.end <= prompt.cuts["text_encoder"] for word in prompt.words())
    with pytest.raises(WordError, match=r"cut at the model's limit of 77 tokens.*not read.*a dog"):
        prompt.word("dog")
    assert [t.special for t in prompt.tokens if t.special] == ["SOS", "EOS"]


def test_a_span_tells_which_of_several_it_is():
    text = "a red cat, a cat-like Cat and two cats"
    prompt = read(text)
    for place, occurrence in ((6, 0), (22, 1)):
        found = prompt.span(place, place + 3)
        assert found == prompt.word("cat", occurrence) and found.occurrence == occurrence
    assert prompt.span(0, 5).occurrence == 0 and prompt.span(11, 12).occurrence == 1  # "a"
    assert prompt.span(13, 16).text == "cat"  # a part of a compound


def test_two_encoders_that_read_different_texts():
    prompt = read("a cat", text_encoder_2="a red dog and a cat")
    assert prompt.word("cat").columns == (2,)
    assert prompt.word("cat", encoder="text_encoder_2").columns == (6,)
    assert prompt.word("dog").columns == (3,)
    with pytest.raises(WordError, match="text_encoder_9"):
        prompt.word("cat", encoder="text_encoder_9")


def test_special_tokens_of_each_encoder():
    prompt = read("a cat", text_encoder_2="a red dog and a cat")
    assert prompt.special("EOS").columns == (3,)
    assert prompt.special("EOS", "text_encoder_2").columns == (7,)
    assert prompt.special("padding").columns == (4, 5, 6, 7, 8)
    with pytest.raises(WordError, match="special token called 'BOS'.*SOS, EOS, padding"):
        inspect.unwrap(Prompt.special)(prompt, "BOS")


def test_a_textual_inversion_of_several_vectors_shifts_what_follows():
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["<thing>", "<thing>_1", "<thing>_2"])
    prompt = clip.prompt("a <thing> and a cat", tokenizer)
    assert prompt.word("<thing>").columns == (2, 3, 4)
    assert prompt.word("cat").columns == (7,)
    converted = tokenizer("a <thing> <thing>_1 <thing>_2 and a cat").input_ids
    assert tokenizer.convert_ids_to_tokens(converted[7]) == "cat</w>"


def test_a_slow_tokenizer_is_refused():
    slow = type("Slow", (), {"is_fast": False, "model_max_length": 77})()
    with pytest.raises(DaamkitError, match="which characters.*Slow"):
        clip.prompt("a cat", slow)


@given(st.text(max_size=40))
def test_plain_data_and_back(text):
    prompt = read(text, text_encoder_2="a cat")
    assert Prompt.from_json(prompt.to_json()) == prompt


def test_a_text_without_an_end_token_is_cut_where_the_limit_is():
    spans = [(0, 1), (1, 5), (5, 9)]
    assert tokens.cut([4, 5, 6], spans, 2) == ([4, 5], spans[:2], 5)
    ended = [*spans, (0, 0)]
    assert tokens.cut([4, 5, 6, 1], ended, 3) == ([4, 5, 1], [*spans[:2], (0, 0)], 5)
