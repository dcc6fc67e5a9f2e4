"""What runs are called: by what tells them apart."""

from dataclasses import replace

from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token
from daamkit.views.labels import called, differing, made, unread
from tests.views.runs import made as run_of

PLAIN = ("a cat", "seed 1", "unguided", "whole")


def test_they_are_called_by_what_differs() -> None:
    guided, other = ("a cat", "seed 1", "SynGen", "whole"), ("a dog", "seed 1", "SynGen", "stopped")
    assert differing([PLAIN, guided]) == ["unguided", "SynGen"]
    assert differing([guided, other]) == ["a cat, whole", "a dog, stopped"]
    assert differing([PLAIN]) == ["a cat, seed 1, unguided, whole"]
    assert differing([PLAIN, PLAIN]) == [
        "a cat, seed 1, unguided, whole", "a cat, seed 1, unguided, whole (2)",
    ]  # fmt: skip
    assert differing([]) == []


def test_what_a_name_tells_is_not_said_again() -> None:
    plain = run_of("a cat")
    record = {"model": {"name": "toy"}, "guidance": [{"method": "SynGen"}], "seed": {"seed": 1}}
    run = Run(plain.image, plain.branches, record=record)
    assert made(run) == "toy, SynGen, seed 1"
    assert made(run, "SynGen") == "toy, seed 1"
    assert made(run, "a cat, seed 1") == "toy, SynGen"


def edited(run: Run, *edits: dict) -> Run:
    return Run(run.image, run.branches, record={**run.record, "edits": list(edits)})


SILENCE = {"edit": "Silence", "settings": {"words": "cat", "layers": None, "branch": "cond"}}
KNOCK = {"edit": "KnockOut", "settings": {"heads": [1, 2]}}


def test_an_edit_is_in_the_name() -> None:
    plain = run_of("a cat")
    assert called([plain, edited(plain, SILENCE)]) == ["unguided", "Silence(cat)"]
    both = edited(run_of("a cat", 0, "SynGen"), SILENCE, KNOCK)
    assert called([both]) == ["SynGen + Silence(cat) + KnockOut"]
    words = {"edit": "Silence", "settings": {"words": ["cat", "dog"]}}
    assert called([edited(plain, words)]) == ["Silence(cat, dog)"]
    assert made(edited(plain, SILENCE)) == "Silence(cat), seed 0"
    assert made(edited(plain, words), "Silence(cat, dog)") == "seed 0"


def test_prompts_are_in_names_where_they_differ_and_are_asked_for() -> None:
    runs = [run_of("a red cat"), run_of("a dog", 1), run_of("a red cat")]
    assert called(runs)[0] == "unguided, seed 0"
    assert called(runs, prompts=True) == [
        'unguided, seed 0, "a red cat"',
        'unguided, seed 1, "a dog"',
        'unguided, seed 0, "a red cat" (2)',
    ]
    assert called(runs[::2], prompts=True) == ["unguided", "unguided (2)"]
    ((_, long),) = [called([runs[0], run_of("cat " * 99 + "dog")], prompts=True)]
    assert len(long) < 80 and long.endswith('cat dog"') and "…" in long


def test_what_differs_from_the_first_is_told() -> None:
    first, other = run_of("a red cat"), run_of("a dog")
    assert made(other, "", first) == '"a dog", seed 0'
    assert made(other, 'unguided, "a dog"', first) == made(first, "", first) == "seed 0"
    maps = replace(other.maps, rule="daam")
    mixed = Run(other.image, {"cond": maps}, record=other.record)
    assert made(mixed, "", other) == "seed 0, daam pooling"


def test_what_was_not_read_is_told_of_each_encoder() -> None:
    texts = {"text_encoder": "a red cat on a mat", "text_encoder_2": "a red cat on a mat"}
    token = Token(0, "text_encoder", "a", 0, 1)

    def told(cuts: dict[str, int]) -> str:
        return unread(Prompt(texts, (token,), cuts, 77))

    assert told({}) == ""
    assert told({"text_encoder": 9}) == (
        "The prompt was read by text_encoder up to character 9, and to its end by the rest."
    )
    assert told({"text_encoder": 9, "text_encoder_2": 9}) == (
        "The model has read the prompt up to character 9; its limit is 77 tokens."
    )
    each = told({"text_encoder": 9, "text_encoder_2": 12})
    assert each == (
        "The prompt was read by text_encoder up to character 9, text_encoder_2 up to character 12."
    )
