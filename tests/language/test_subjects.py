"""Subjects: the concrete things of a prompt, by their whole phrases."""

import pytest

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language import parsing, segments, subjects, wordnet


def found(text: str) -> list[str]:
    return [phrase.text for phrase in subjects.subjects(parsing.parse(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red cat and a blue car", ["cat", "car"]),
        ("a photo of a fire hydrant and a hot dog", ["fire hydrant", "hot dog"]),
        ("a cat on a beach", ["cat"]),
        ("a cat in a box", ["cat", "box"]),
        ("a photo of a beach", ["beach"]),
        ("a cat to the left of a dog", ["cat", "dog"]),
        ("an oil painting of a dog", ["dog"]),
        ("a cat, highly detailed, 8k, artstation", ["cat"]),
        ("a plate without a banana", ["plate"]),
        ("a sign that says 'dog'", ["sign"]),
        ("a painting", ["painting"]),
        ("beautiful", []),
    ],
)
def test_subjects(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_too_many_are_an_error_with_the_list_to_choose_from() -> None:
    text = "a cat, a dog, a bird, a horse, a cow and a sheep"
    every = subjects.subjects(parsing.parse(text))
    assert subjects.few(every[:5], text) == every[:5]
    with pytest.raises(DaamkitError, match=r"5 subjects at most; got 6 .* 'cat', .*'sheep'"):
        subjects.few(every, text)


@pytest.mark.parametrize("file", ["media", "abstract", "styles", "places"])
def test_the_lists_are_in_small_letters_each_once(file: str) -> None:
    words = segments.known(f"{file}.txt")
    assert len(set(words)) == len(words) > 10
    assert [word.lower() for word in words] == words
    assert resources.path("language", f"{file}.txt").read_text("utf-8").startswith("# ")


def test_places_are_classes_of_wordnet() -> None:
    for name in segments.known("places.txt"):
        assert wordnet.wordnet().synset(name).name() == name
