"""Which tokens a subject is: words by their characters, numbers as the tokenizer counts."""

from types import SimpleNamespace

import jaxtyping
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit import prompts
from daamkit.attention.calls import Call
from daamkit.errors import DaamkitError
from daamkit.guidance.subjects import find, locate
from daamkit.maps.prompt import Prompt
from tests import tiny
from tests.families import tiny_joint

TOKENS, UNET = tiny.tokenizer(), tiny.unet()
PROMPT = "a red cat and a blue car"
LONG = "a cat and " * 30 + "a dog"


def found(subjects, prompt=PROMPT, given=None, **arguments):
    """Columns for each image of a call."""
    pipe = SimpleNamespace(tokenizer=TOKENS, unet=UNET)
    return find(Call(pipe, {"prompt": prompt, **arguments}), subjects, given)


@pytest.mark.parametrize(
    ("subject", "columns"),
    [
        ("cat", (3,)),
        ("CAT", (3,)),
        ("red cat", (2, 3)),
        ("cat and a", (3, 4, 5)),
        (("a", 0), (1,)),
        (("a", 1), (5,)),
        (2, (2,)),
        ((2, 3), (2, 3)),
        ((7, 2), (7, 2)),
        (8, (8,)),  # the end of the text
    ],
)
def test_one_subject(subject, columns):
    assert found([subject]) == [[columns]]
    assert found((subject, "car")) == [[columns, (7,)]]


@settings(max_examples=20, deadline=None)
@given(words=st.lists(st.text("abcdez", min_size=1, max_size=6), min_size=1, max_size=12))
def test_any_word_has_its_tokens(words):
    """All pieces of it, of the right one of several that are equal."""
    ends = [len(TOKENS(" ".join(words[:n])).input_ids) - 1 for n in range(len(words) + 1)]
    subjects = [(word, words[:place].count(word)) for place, word in enumerate(words)]
    expected = [tuple(range(start, end)) for start, end in zip(ends, ends[1:], strict=False)]
    assert found(subjects, " ".join(words)) == [expected]
    assert found([" ".join(words)], " ".join(words)) == [[tuple(range(1, ends[-1]))]]
    assert found(list(range(1, ends[-1])), " ".join(words)) == [[(n,) for n in range(1, ends[-1])]]


def test_lists_for_each_prompt():
    prompts = ["a cat", "a red dog"]
    assert found([["cat"], ["dog", "red"]], prompts) == [[(2,)], [(3,), (2,)]]
    assert found([["cat"], [2]], prompts, num_images_per_prompt=2) == [[(2,)]] * 4
    assert found(["a", 2], prompts) == [[(1,), (2,)]] * 2
    assert found([["cat", "a"]], "a cat", num_images_per_prompt=3) == [[(2,), (1,)]] * 3


def test_nouns():
    assert found("nouns") == [[(3,), (7,)]]
    assert found("nouns", ["a red cat", "two dogs on the left"]) == [[(3,)], [(2,)]]
    bear = "a photo of a teddy bear on a beach"
    assert found("nouns", bear) == found(["teddy bear"], bear)
    with pytest.raises(DaamkitError, match=r"5 subjects at most; got 25 .*Choose among 'cat'"):
        found("nouns", LONG)
    with pytest.raises(DaamkitError, match=r"subjects to guide; got none in 'red'.*words: 'red'"):
        found("nouns", "red")
    with pytest.raises(DaamkitError, match=r"got ''"):
        found("nouns", "")


def test_what_embeddings_stand_for():
    embeds = {"prompt_embeds": [0, 0]}
    assert found(["cat"], None, ["a cat", "a red cat"], **embeds) == [[(2,)], [(3,)]]
    with pytest.raises(DaamkitError, match=r"text that `prompt_embeds` stand for; got none"):
        found(["cat"], None, **embeds)
    for texts, number in (("a cat", 1), (["a cat"] * 3, 3)):
        with pytest.raises(DaamkitError, match=rf"wanted 2 texts.*got {number}"):
            found(["cat"], None, texts, **embeds)


@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        ([], r"subjects to guide; got none in 'a red cat and a blue car'.*'red', 'cat'"),
        ((), r"subjects to guide; got none"),
        ([[]], r"subjects to guide; got none"),
        ("cat", r"a list of subjects, or 'nouns'; got 'cat'. Write \['cat'\]"),
        (["dog"], r"word 'dog'; got the prompt 'a red cat and a blue car'"),
        (["ca"], r"word 'ca'; got the prompt.*nearest words are"),
        (["a"], r"one 'a'; got 2 in"),
        ([("a", 2)], r"occurrence 2 of 'a'; got 2"),
        ([("a", -1)], r"occurrence -1 of 'a'; got 2"),
        ([""], r"wanted a word; got ''"),
        ([0], r"a token of 'a red.*, from 1 to 8; got 0"),
        ([9], r"from 1 to 8; got 9"),
        ([-1], r"from 1 to 8; got -1"),
        ([(2, 77)], r"from 1 to 8; got 77"),
        ([["cat"], ["car"]], r"list of subjects for each of 1 prompts; got 2 lists"),
        ([["cat"], "car"], r"for each of 1 prompts; got 2"),
        ([()], r"a subject: a word.*got \(\)"),
        ([2.0], r"a subject: a word.*got 2.0"),
        ([("a", "cat")], r"a subject: a word.*got \('a', 'cat'\)"),
        ([None], r"a subject: a word.*got None"),
    ],
)
def test_what_is_no_subject(monkeypatch, subjects, words):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(DaamkitError, match=words):
        found(subjects)


def test_lists_mixed_with_words(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(DaamkitError, match=r"for each prompt.*; got 'dog'. Write \['dog'\]"):
        found([["cat"], "dog"], ["a cat", "a dog"])
    with pytest.raises(DaamkitError, match=r"subjects to guide; got none in 'a dog'.*'dog'"):
        found([["cat"], []], ["a cat", "a dog"])


def test_beyond_the_limit():
    assert found([75], LONG) == [[(75,)]]
    with pytest.raises(DaamkitError, match="limit of 77 tokens: the model has not read"):
        found(["dog"], LONG)
    with pytest.raises(DaamkitError, match="limit of 77 tokens"):
        found([("cat", 29)], LONG)
    with pytest.raises(DaamkitError, match="from 1 to 76; got 77"):
        found([77], LONG)


def test_where_no_start_of_text_is_the_first_token_is_a_word():
    """T5 has none: number 0 is as good as others, and padding no token."""
    pipe = tiny_joint.toybox_flux()
    call = Call(pipe, {"prompt": "cats and a red dog", "max_sequence_length": 32})
    (text,) = prompts.by_place(call, "cond")
    cats = text.word("cats").columns
    assert cats[0] == 0 and find(call, [cats, 0]) == [[cats, (0,)]]
    (padding,) = text.special("padding").columns
    with pytest.raises(DaamkitError, match=rf"from 0 to {padding - 1}; got {padding}.*numbers.$"):
        find(call, [padding])


def test_a_text_without_tokens():
    """As an empty one where the tokenizer writes nothing at the end."""
    with pytest.raises(DaamkitError, match=r"subjects to guide; got none in ''"):
        locate(Prompt({"text_encoder": ""}, (), {}, 77), 1)
