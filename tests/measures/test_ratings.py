"""What people say of images: written, read back, counted."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daamkit.errors import DaamkitError
from daamkit.measures import ratings
from tests.maps.test_saved import in_its_place

SCORE: dict[str, Any] = {
    "prompt": "a cat", "seed": 3, "start": 2, "end": 5, "rater": "ada", "score": 4,
    "made": "2026-01-02T03:04:05+00:00",
}  # fmt: skip
PRESENT = {"prompt": "a cat", "seed": 3, "word": "cat", "rater": "ada", "present": True}
PRESENT["made"] = SCORE["made"]
PREFERRED = {
    "prompt": "a cat", "seed": 3, "first": "guided", "second": "plain", "rater": "ada",
    "preferred": "plain", "made": SCORE["made"],
}  # fmt: skip


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def say(file: Path, answer: bool, rater: str, word: str = "cat", **other: Any) -> None:
    row = {"prompt": "a cat", "seed": 3} | other
    ratings.add(file, **row, rater=rater, word=word, present=answer)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


# Written and read


def test_answers_come_back(file: Path) -> None:
    ratings.add(file, prompt="a cat", seed=3, start=2, end=5, rater="ada", score=4)
    ratings.add(file, prompt="a cat", seed=3, word="cat", rater=7, present=False, note="blurred")
    scores, presence = ratings.answers(file), ratings.answers(file, "present")
    assert scores[["prompt", "seed", "start", "end", "rater", "score"]].to_dict("records") == [
        {"prompt": "a cat", "seed": 3, "start": 2, "end": 5, "rater": "ada", "score": 4}
    ]
    assert presence[["word", "rater", "present", "note"]].to_dict("records") == [
        {"word": "cat", "rater": 7, "present": False, "note": "blurred"}
    ]
    assert scores["made"].str.endswith("+00:00").all()


def test_preferences_come_back_and_are_told_apart_by_runs_not_sides(file: Path) -> None:
    ratings.add(file, **PREFERRED | {"left": "plain"})
    ratings.add(file, **PREFERRED | {"preferred": "tie", "left": "guided"})
    ratings.add(file, **PREFERRED | {"first": "blurred", "preferred": "blurred"})
    found = ratings.answers(file, "preferred")[["first", "second", "preferred"]].to_numpy().tolist()
    assert found == [["guided", "plain", "tie"], ["blurred", "plain", "blurred"]]
    assert ratings.answers(file, "score").empty and ratings.answers(file, "present").empty


def test_runs_of_one_prompt_and_seed_are_told_apart_where_they_are_named(file: Path) -> None:
    file.write_text(json.dumps(SCORE) + "\n")  # as it was before runs had names
    for run, score in [("plain", 2), ("guided", 3), ("plain", 5)]:
        ratings.add(file, **SCORE | {"run": run, "score": score})
    found = ratings.answers(file)[["run", "score"]].to_numpy().tolist()
    assert found == [["", 4], ["guided", 3], ["plain", 5]]
    say(file, True, "ada", run="plain")
    answers = ratings.answers(file, "present")
    assert ratings.present(answers, "a cat", 3, ["cat"]) == [True]
    say(file, False, "ada", run="guided")
    with pytest.raises(DaamkitError, match="'plain', 'guided'"):
        ratings.present(ratings.answers(file, "present"), "a cat", 3, ["cat"])


texts = st.text(max_size=12)


@settings(max_examples=40, deadline=None)
@example("two\nlines", 'a "quoted" cat\'s', "é🐱")
@example("a\u2028b\x85c\u2029", "\x1c\x0b\x0c\r", "\\n")
@given(texts, texts, texts)
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, prompt: str, word: str, rater: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "answers.jsonl"
    for present in (False, True):
        ratings.add(file, prompt=prompt, seed=1, word=word, rater=rater, present=present)
    row = ratings.answers(file, "present").to_dict("records")
    assert [(r["prompt"], r["word"], r["rater"], r["present"]) for r in row] == [
        (prompt, word, rater, True)
    ]


def test_who_answers_again_is_heard_the_last_time(file: Path) -> None:
    for score, rater in [(1, "ada"), (2, "bob"), (5, "ada")]:
        ratings.add(file, **without(SCORE, "score") | {"score": score, "rater": rater})
    ratings.add(file, **SCORE | {"start": 0, "end": 1, "score": 3})
    found = ratings.answers(file)[["start", "rater", "score"]].to_numpy().tolist()
    assert found == [[2, "bob", 2], [2, "ada", 5], [0, "ada", 3]]
    assert len(file.read_text().splitlines()) == 4  # what was said stays


def test_a_file_without_a_last_line_end_is_added_to(file: Path) -> None:
    file.write_text(json.dumps(PRESENT))
    say(file, False, "bob")
    assert ratings.answers(file, "present")["present"].tolist() == [True, False]


def test_a_file_of_nothing_has_no_answers(file: Path) -> None:
    file.write_text("\n\n")
    for answer in ("score", "present", "preferred"):
        frame = ratings.answers(file, answer)
        assert frame.empty and {"prompt", "seed", "rater", answer} <= {*frame.columns}
    say(file, True, "ada")
    assert ratings.answers(file, "score").empty


# Bad lines


@pytest.mark.parametrize(
    "line",
    [
        "a cat", "{", "[]", "3", "null", '"score"', "{}",
        *(json.dumps(without(SCORE, name)) for name in SCORE if name != "score"),
        *(json.dumps(without(PRESENT, name)) for name in PRESENT if name != "present"),
        *(json.dumps(SCORE | {"score": score}) for score in (0, 6, -1, 2.5, 4.0, "4", None, [4])),
        *(json.dumps(SCORE | {"score": score}) for score in (True, False)),
        *(json.dumps(PRESENT | {"present": said}) for said in (1, 0, 1.0, "yes", "true", None)),
        json.dumps(PRESENT | {"prompt": ["a cat"]}), json.dumps(PRESENT | {"run": ["plain"]}),
        *(json.dumps(without(PREFERRED, name)) for name in PREFERRED if name != "preferred"),
        *(json.dumps(PREFERRED | {"preferred": said}) for said in ("left", "", 1, None, ["tie"])),
        json.dumps(PREFERRED | {"first": "zebra"}), json.dumps(PREFERRED | {"second": "guided"}),
        json.dumps(PREFERRED | {"second": "tie"}), json.dumps(PREFERRED | {"first": 1}),
    ],
)  # fmt: skip
def test_a_line_that_is_no_answer_is_named(file: Path, line: str) -> None:
    file.write_text(f"{json.dumps(PRESENT)}\n\n{line}\n{json.dumps(SCORE)}\n")
    for answer in ("score", "present"):
        with pytest.raises(DaamkitError, match=r"line 3 of .*answers\.jsonl"):
            ratings.answers(file, answer)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (without(SCORE, "end"), "no 'end'"),
        (without(PRESENT, "rater"), "no 'rater'"),
        (SCORE | {"score": True}, "the score True"),
        (SCORE | {"score": 6}, "the score 6"),
        (PRESENT | {"present": 1}, "the present 1"),
        (without(PRESENT, "present"), "no 'present'"),
    ],
)
def test_what_is_no_answer_is_not_written(file: Path, row: dict, says: str) -> None:
    with pytest.raises(DaamkitError, match=f"{says} in this answer"):
        ratings.add(file, **row)
    assert not file.exists()


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(DaamkitError, match=r"a file of people's answers.*No such file"):
        ratings.answers(file)
    with pytest.raises(DaamkitError, match="directory"):
        ratings.answers(file.parent)
    file.write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(DaamkitError, match="not UTF-8"):
        ratings.answers(file)


# Majorities


def test_the_majority_says_what_an_image_shows(file: Path) -> None:
    for rater, cat, dog, bird in [("ada", 1, 1, 0), ("bob", 1, 0, 0), ("eve", 0, 1, 1)]:
        for word, said in {"cat": cat, "dog": dog, "bird": bird}.items():
            say(file, bool(said), rater, word)
    answers = ratings.answers(file, "present")
    found = ratings.present(answers, "a cat", 3, ["bird", "cat", "dog"])
    assert found == [False, True, True] and all(type(each) is bool for each in found)
    assert ratings.present(answers, "a cat", 3, []) == []


def test_a_tie_says_no_and_a_second_thought_breaks_it(file: Path) -> None:
    say(file, True, "ada")
    say(file, False, "bob")
    assert ratings.present(ratings.answers(file, "present"), "a cat", 3, ["cat"]) == [False]
    say(file, True, "bob")
    assert ratings.present(ratings.answers(file, "present"), "a cat", 3, ["cat"]) == [True]


@pytest.mark.parametrize(("prompt", "seed", "word"), [("a dog", 3, "cat"), ("a cat", 4, "cat")])
def test_answers_on_another_image_do_not_count(
    file: Path, prompt: str, seed: int, word: str
) -> None:
    say(file, True, "ada")
    with pytest.raises(DaamkitError, match=rf"{prompt!r}, seed {seed}, shows {word!r}.*none"):
        ratings.present(ratings.answers(file, "present"), prompt, seed, [word])


def test_what_nobody_was_asked_is_an_error(file: Path) -> None:
    say(file, True, "ada")
    with pytest.raises(DaamkitError, match=r"shows 'dog'; got none in the file"):
        ratings.present(ratings.answers(file, "present"), "a cat", 3, ["cat", "dog"])
    file.write_text("")
    with pytest.raises(DaamkitError, match="shows 'cat'"):
        ratings.present(ratings.answers(file, "present"), "a cat", 3, ["cat"])


def test_numbers_of_numpy_are_numbers(file) -> None:
    ratings.add(file, **without(SCORE, "score") | {"score": np.int64(3)})
    assert ratings.answers(file)["score"].tolist() == [3]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "far too large"])
def test_what_is_no_file_of_answers(file: Path, kind: str) -> None:
    file.write_text("")
    in_its_place(kind, file)
    with pytest.raises(DaamkitError, match=r"a file of people's answers"):
        ratings.answers(file)
    if kind != "far too large":
        with pytest.raises(DaamkitError, match="to write answers"):
            ratings.add(file, **SCORE)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": 5}, {"seed": "3"}, {"seed": 3.5}, {"seed": True}, {"start": "2"}, {"end": None},
        {"rater": ["ada"]}, {"made": 5}, {"run": 1}, {"score": 4.0}, {"score": True},
    ],
)  # fmt: skip
def test_an_answer_of_another_kind_is_refused(file: Path, change: dict) -> None:
    file.write_text(json.dumps(SCORE | {"made": "2026-01-01T00:00:00+00:00"} | change) + "\n")
    with pytest.raises(DaamkitError, match="in line 1 of"):
        ratings.answers(file)


@pytest.mark.parametrize("line", ["[" * 10**5 + "]" * 10**5, '{"score": 1, "score": 5}'])
def test_a_line_that_is_no_plain_object(file: Path, line: str) -> None:
    file.write_text(line + "\n")
    with pytest.raises(DaamkitError, match="in line 1 of"):
        ratings.answers(file)


def test_a_full_disk_leaves_no_half_a_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings.add(file, **SCORE)
    before = file.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(DaamkitError, match="to write answers to .*No space left"):
            ratings.add(file, **SCORE)
    assert file.read_bytes() == before


# Several at once


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_what_others_say_meanwhile_stays_when_the_disk_fails(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    ratings.add(file, **SCORE)

    def fails(number: int) -> None:
        with file.open("a") as other:  # one that knows no locks
            other.write(json.dumps(PRESENT | {"rater": "bob"}) + "\n")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fails)
        with pytest.raises(DaamkitError if isinstance(error, OSError) else KeyboardInterrupt):
            ratings.add(file, **SCORE)
    assert ratings.answers(file, "present")["rater"].tolist() == ["bob"]


def test_one_waits_for_the_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings.add(file, **SCORE)
    real, slow, seen = os.fsync, threading.Event(), list[str]()

    def synced(number: int) -> None:
        if threading.current_thread().name == "ada":
            slow.set()
            time.sleep(0.3)
            seen.append(file.read_text())
            raise OSError(28, "No space left on device")
        real(number)

    def fails() -> None:
        with pytest.raises(DaamkitError, match="No space"):
            ratings.add(file, **SCORE | {"rater": "eve"})

    monkeypatch.setattr("os.fsync", synced)
    ada = threading.Thread(target=fails, name="ada")
    ada.start()
    assert slow.wait(10)
    say(file, True, "bob")
    ada.join()
    assert "bob" not in seen[0]
    assert [json.loads(line)["rater"] for line in file.read_text().splitlines()] == ["ada", "bob"]


def test_one_does_not_wait_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    ratings.add(file, **SCORE)
    before = file.read_bytes()
    monkeypatch.setattr(ratings, "PATIENCE", 0.05)
    with file.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DaamkitError, match="who writes and does not end"):
            ratings.add(file, **SCORE)
    assert file.read_bytes() == before


def test_a_file_system_without_locks_takes_answers(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", none)
    ratings.add(file, **SCORE)
    assert len(ratings.answers(file)) == 1
