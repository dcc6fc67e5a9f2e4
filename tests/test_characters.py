"""Characters become words: marks, emoji, scripts without spaces, weighting syntax."""

import unicodedata

import pytest

from daamkit import characters
from daamkit.maps.words import WordError
from tests.clip import prompt as read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("बिल्ली and कुत्ता", ["बिल्ली", "and", "कुत्ता"]),
        ("แมว and สุนัข", ["แมว", "and", "สุนัข"]),
        ("a cafe\u0301, a cat-like dog's", ["a", "cafe\u0301", "a", "cat-like", "dog's"]),
        ("a 🐱 and 👩\u200d🚀, 🏳️\u200d🌈🇩🇪!", ["a", "🐱", "and", "👩\u200d🚀", "🏳️\u200d🌈", "🇩🇪"]),
        ("👍🏽 (c) © → 5€", ["👍🏽", "c", "5"]),
        ("猫と犬", ["猫", "と", "犬"]),
        ("고양이가 의자에", ["고양이가", "의자에"]),
        ("(red cat:1.3), [dog], {bird}", ["red", "cat", "dog", "bird"]),
        ("a cat BREAK a dog <lora:ink-wash_v2:0.8>", ["a", "cat", "a", "dog"]),
        ("at 10:30) a break", ["at", "10", "a", "break"]),
        ("ratio 4:3 of cats", ["ratio", "4", "3", "of", "cats"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in characters.words(text)] == expected
    assert [word.text for word in read(text).words()] == expected


def test_every_token_of_a_word_is_in_it() -> None:
    for text in ("बिल्ली and कुत्ता", "แมว and สุนัข", "a cafe\u0301 and a cat"):
        prompt = read(text)
        own = {column for word in prompt.words() for column in word.columns}
        for token in prompt.tokens:
            assert token.special or token.column in own or token.text.isspace()


@pytest.mark.parametrize(
    ("text", "word", "start"),
    [
        ("一只猫坐在椅子上", "猫", 2),
        ("一只猫坐在椅子上", "椅子", 5),
        ("猫と犬", "犬", 2),
        ("고양이가 의자에 앉아 있다", "고양이", 0),
        ("고양이가 의자에 앉아 있다", "의자", 5),
        ("แมวดำนั่ง", "แมว", 0),
        ("a cafe\u0301", "café", 2),
        ("a café", "cafe\u0301", 2),
        ("ein Ko\u0308nig", "könig", 4),
        ("a 🐱", "🐱", 2),
        ("a cat-like dog", "cat", 2),
        ("(red cat:1.3)", "red cat", 1),
    ],
)
def test_a_word_is_found(text: str, word: str, start: int) -> None:
    found = read(text).word(word)
    assert (found.start, found.occurrence) == (start, 0)
    assert unicodedata.normalize("NFC", found.text).lower() == unicodedata.normalize("NFC", word)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a concatenated", "cat"),
        ("고양이", "양이"),
        ("의자놀이", "의자"),
        ("a cafe\u0301", "cafe"),
        ("बिल्ली", "बिल"),
    ],
)
def test_a_part_of_a_word_is_not(text: str, word: str) -> None:
    with pytest.raises(WordError, match="which has not got it"):
        read(text).word(word)


def test_weighting_syntax_is_known_and_said() -> None:
    prompt = read("(a cat:1.2) BREAK <lora:ink:0.8> a dog")
    assert [(mark.text, mark.kind) for mark in prompt.marks()] == [
        (":1.2", "weight"),
        ("BREAK", "break"),
        ("<lora:ink:0.8>", "network"),
    ]
    for mark in prompt.marks():
        assert prompt.text[mark.start : mark.end] == mark.text
        assert prompt.span(mark.start, mark.end).columns
    for word in ("BREAK", "lora", "ink", "1.2"):
        with pytest.raises(WordError, match="weighting syntax"):
            prompt.word(word)
    assert read("take a break").word("break").start == 7
    assert read("a plain prompt: 2 cats").marks() == []
