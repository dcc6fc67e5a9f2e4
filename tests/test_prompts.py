"""What was read is matched with what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daamkit import prompts
from daamkit.errors import DaamkitError
from daamkit.prompts import Read, rows
from tests import clip


@given(st.text(st.sampled_from("aB \n\t."), max_size=12))
def test_a_text_read_in_lower_case_and_without_blanks_around_is_found_again(text):
    given = text.lower().strip()
    at = rows._alike(given, text)
    assert at is not None and [text[i].lower() for i in at] == list(given)
    assert rows._alike(" ".join(text.split()), text) is not None


@pytest.mark.parametrize("given, text", [("ab", "a b"), ("a b", "ab"), ("a", "a b"), ("a b", "a")])
def test_another_text_is_not(given, text):
    assert rows._alike(given, text) is None


def test_a_text_hidden_behind_another_ones_mask_has_no_words_there():
    prompt = clip.prompt("a cat, a dog")
    columns = {"text_encoder": [*range(7), *[7] * 70]}
    assert prompt.word("dog").columns == (5,)
    read = Read(prompt, columns)
    assert prompts.reached(read, {"text_encoder": 6}).prompt == prompt
    hidden = prompts.reached(read, {"text_encoder": 5}).prompt
    assert [word.text for word in hidden.words()] == ["a", "cat", "a"]
    with pytest.raises(DaamkitError, match="limit of 5 tokens: the model has not read 'dog'"):
        hidden.word("dog")
