"""Ratings in Python: what is asked, in which order, and what comes on the disk."""

import inspect
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.measures import ratings
from daamkit.views import plots
from daamkit.views.rating import Rating
from tests.views.runs import made

METHODS = ((), ("attend_and_excite",))
HOSTILE = "a <script>alert(1)</script> cat & dog"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def pairs(n: int = 4) -> list:
    return [
        made(f"a cat and dog {seed}", seed, *methods) for seed in range(n) for methods in METHODS
    ]


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def walk(rating: Rating, value) -> list[tuple]:
    """What is shown, item by item, answered to the end."""
    seen = []
    while rating.index < rating.total:
        seen.append((*rating.text, rating.image, rating.beside))
        rating.answer(value)
    return seen


# -- what is asked


def test_scores_ask_for_every_word_once_with_its_own_map(file) -> None:
    run = made()
    rating, marked = Rating([run], file), []
    while rating.index < rating.total:
        before, word, after = rating.text
        assert before + word + after == run.prompt
        assert np.array_equal(picture(rating.image), np.asarray(run.image))
        found = run.maps.of(run.maps.prompt.span(len(before), len(before) + len(word)))
        assert np.array_equal(picture(rating.beside), np.asarray(plots.overlay(run.image, found)))
        marked.append((len(before), word))
        rating.answer(1 + rating.index % 5)
    assert sorted(marked) == [(0, "a"), (2, "cat"), (6, "and"), (10, "a"), (12, "dog")]
    table = rating.table()
    assert table["score"].tolist() == [1, 2, 3, 4, 5]
    spans = list(zip(table["start"], table["end"], strict=True))
    assert [run.prompt[start:end] for start, end in spans] == [word for _, word in marked]
    assert rating.text == ["", "", ""] and rating.image == rating.beside == b""


def test_chosen_words_are_asked_wherever_they_stand(file) -> None:
    runs = [made("a cat and a cat", 0), made("a dog and A hot dog", 1)]
    assert Rating(runs, file, words=["cat"]).total == 2
    assert Rating(runs, file, words=["a", "hot dog", "A"]).total == 5
    with pytest.raises(DaamkitError, match="wanted the word 'bird'"):
        Rating(runs, file, words=["cat", "bird"])


def test_presence_asks_for_the_things_of_the_prompt_or_for_any_without_the_prompt(file) -> None:
    runs = [made("a red cat and a dog", 0), made("a bird", 1)]
    rating = Rating(runs, file, kind="present")
    assert sorted(text[1] for text in walk(rating, True)) == ["bird", "cat", "dog"]
    foils = Rating(runs, file, kind="present", words=["cat", "zebra"], rater="eve")
    assert foils.total == 4
    shown = walk(foils, False)
    assert {text[:3] for text in shown} == {("", "cat", ""), ("", "zebra", "")}
    assert not any(text[4] for text in shown)
    answers = ratings.answers(file, "present")
    assert ratings.present(answers, "a bird", 1, ["bird", "zebra"]) == [True, False]


def test_preferences_name_the_run_on_the_side_that_was_chosen(file) -> None:
    runs = pairs(8)
    rating = Rating(runs, file, kind="preference")
    images = {(run.record["seed"]["seed"], len(run.record["guidance"])): run.image for run in runs}
    lefts = []
    while rating.index < rating.total:
        side = ("left", "right", "tie")[rating.index % 3]
        shown = {"left": rating.image, "right": rating.beside}
        rating.answer(side)
        row = lines(file)[-1]
        assert (row["first"], row["second"]) == ("attend_and_excite", "unguided")
        lefts.append(row["left"])
        if side == "tie":
            assert row["preferred"] == "tie"
        else:
            chosen = images[row["seed"], int(row["preferred"] == "attend_and_excite")]
            assert np.array_equal(picture(shown[side]), np.asarray(chosen))
    assert len(lefts) == 8 and len(set(lefts)) == 2  # the sides are mixed


def test_three_methods_make_three_pairs(file) -> None:
    runs = [made("a cat", 0), made("a cat", 0, "a"), made("a cat", 0, "ab")]
    rating = Rating(runs, file, kind="preference", names=["plain", "one", "two"])
    walk(rating, "tie")
    found = {(row["first"], row["second"]) for row in lines(file)}
    assert found == {("one", "plain"), ("one", "two"), ("plain", "two")}


# -- order, and coming back


def test_the_order_hangs_on_rater_and_seed_and_not_on_the_order_of_runs(tmp_path) -> None:
    runs = pairs(3)

    def seen(kind, value, name, runs=runs, **options) -> list:
        return walk(Rating(runs, tmp_path / name, kind=kind, **options), value)

    for kind, value in (("score", 3), ("preference", "tie")):
        first = seen(kind, value, f"{kind} 1")
        assert seen(kind, value, f"{kind} 2", runs[::-1]) == first
        others = [
            seen(kind, value, f"{kind} 3", rater="eve"), seen(kind, value, f"{kind} 4", seed=1)
        ]  # fmt: skip
        for other in others:
            assert other != first
            if kind == "score":
                assert sorted(other) == sorted(first)


@pytest.mark.parametrize(
    ("kind", "value"), [("score", 4), ("present", True), ("preference", "left")]
)
def test_it_resumes_where_it_stopped(file, tmp_path, kind, value) -> None:
    runs = pairs()
    whole = walk(Rating(runs, tmp_path / "whole", kind=kind, rater="Ada L."), value)
    rating = Rating(runs, file, kind=kind, rater="Ada L.")
    half = []
    for _ in range(rating.total // 2):
        half.append((*rating.text, rating.image, rating.beside))
        rating.answer(value)
    again = Rating(runs, file, kind=kind, rater="Ada L.")
    assert (again.index, again.total) == (len(half), len(whole))
    again.undo()
    assert again.given == {"score": "4", "present": "y", "preference": "1"}[kind]
    again.answer(value)
    assert half + walk(again, value) == whole
    assert len(lines(file)) == len(whole) + 1
    assert Rating(runs, file, kind=kind, rater="Ada L.").index == len(whole)
    assert Rating(runs, file, kind=kind, rater="eve").index == 0


def test_a_later_answer_counts(file) -> None:
    rating = Rating([made()], file)
    with pytest.raises(DaamkitError, match="the first"):
        rating.undo()
    rating.answer(2)
    rating.answer(3)
    rating.undo()
    assert rating.given == "3"
    rating.undo()
    assert (rating.index, rating.given) == (0, "2")
    rating.answer(5)
    assert (rating.index, rating.given) == (1, "3")
    assert [row["score"] for row in lines(file)] == [2, 3, 5]
    assert rating.table()["score"].tolist() == [3, 5]  # in the order in which they were last said
    assert Rating([made()], file).index == 2


def test_each_answer_is_on_the_disk_before_the_next_item_shows(file) -> None:
    rating, written = Rating([made()], file), []
    rating.observe(lambda _: written.append(len(lines(file))), "index")
    walk(rating, 3)
    assert written == [1, 2, 3, 4, 5]


# -- the browser's side


def test_a_key_counts_once_and_for_the_item_it_was_meant_for(file) -> None:
    rating = Rating([made()], file)
    rating.said = {"turn": 1, "item": 0, "key": "4"}
    rating.said = {"turn": 2, "item": 0, "key": "5"}  # pressed before the next item was there
    assert (rating.index, rating.heard) == (1, 2)
    rating.said = {"turn": 3, "item": 1, "key": "7"}
    assert rating.index == 1 and "''" in rating.problem
    rating.said = {"turn": 4, "item": 1, "key": "Backspace"}
    assert rating.index == 0 and rating.problem == ""
    rating.said = {"turn": 5, "item": 0, "key": "Backspace"}
    assert rating.index == 0 and "the first" in rating.problem
    assert [row["score"] for row in lines(file)] == [4]


def test_a_full_disk_is_told_and_the_item_stays(file, monkeypatch) -> None:
    rating = Rating([made()], file)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ratings, "add", full)
    rating.said = {"turn": 1, "item": 0, "key": "4"}
    assert (rating.index, rating.heard) == (0, 1) and "No space left" in rating.problem
    with pytest.raises(DaamkitError, match="No space left"):
        rating.answer(4)


def test_nothing_sent_or_shown_tells_the_run_its_seed_or_others_answers(file) -> None:
    notes = [made("a cat and a dog", 987654, *methods) for methods in METHODS]
    for run in notes:
        run.image.info["comment"] = "attend_and_excite"
        run.image.text = {"seed": "987654"}
    for kind, value in (("score", 1), ("present", False), ("preference", "left")):
        walk(Rating(notes, file, kind=kind, rater="Bob B."), value)
        rating = Rating(notes, file, kind=kind, rater="Ada L.")
        bundle, _ = rating._repr_mimebundle_()
        state = {name: value for name, value in rating.get_state().items() if name != "_esm"}
        for told in (repr(state), repr(bundle), repr(rating)):
            for secret in ("attend", "unguided", "987654", "Bob B.", "Ada L."):
                assert secret not in told
        assert rating.given == "" and rating.index == 0


# -- without a kernel


def test_a_still_picture_is_left_and_text_stays_text(file) -> None:
    run = made(HOSTILE)
    for kind, runs in (("score", [run]), ("preference", [run, made(HOSTILE, 0, "a")])):
        rating = Rating(runs, file, kind=kind)
        bundle, _ = rating._repr_mimebundle_()
        html = bundle["text/html"]
        assert "<script" not in html and "script&gt;" in html and " &amp; " in html
        assert html.count("data:image/png;base64,") == 2 and "http" not in html
        assert f"0 of {rating.total} are rated" in html
        assert "application/vnd.jupyter.widget-view+json" in bundle
    walk(rating, "tie")
    assert "<img" not in rating._repr_mimebundle_()[0]["text/html"]


def test_a_notebook_gets_the_still_in_an_output_of_its_own(file, monkeypatch) -> None:
    outputs: list[dict] = []
    monkeypatch.setattr("daamkit.views.widget.display", lambda data, **_: outputs.append(data))
    rating = Rating([made()], file)
    rating._ipython_display_()
    still, live = outputs
    assert set(still) == {"text/html", "text/plain"} and rating._still in still["text/html"]
    assert set(live) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert live["text/plain"] == "Rating(score: 0 of 5 are rated)"


# -- agreement


def test_agreement_is_that_of_all_raters(file) -> None:
    for rater, shift in (("ada", 0), ("eve", 0), ("bob", 1)):
        rating = Rating([made()], file, rater=rater)
        while rating.index < rating.total:
            rating.answer(1 + min(len(rating.text[0]) // 3 + shift, 4))
    (row,) = rating.agreement().to_dict("records")
    assert (row["metric"], row["units"], row["raters"], row["answers"]) == ("ordinal", 5, 3, 15)
    assert 0 < row["alpha"] < 1
    for kind, value in (("present", True), ("preference", "tie")):
        rating = Rating(pairs(2), file, kind=kind, rater="Ada L.")
        walk(rating, value)
        (row,) = rating.agreement().to_dict("records")
        assert row["metric"] == "nominal" and np.isnan(row["alpha"])


# -- errors


@pytest.mark.parametrize(
    ("runs", "options", "says"),
    [
        ([], {}, "runs with an image.*got 0,"),
        ([replace(made(), image=None)], {}, "1 without an image"),
        ([made(seed=None)], {}, "1 without a seed"),
        ([made(), made("a dog", 1)], {"kind": "preference"}, "no two runs of one prompt and seed"),
        (pairs(1), {"kind": "preference", "words": ["cat"]}, "no words"),
        ([made(), made()], {}, r"two of 'a cat and a dog', seed 0, called 'unguided'.*names="),
        ([made()], {"names": ["a", "b"]}, r"a name for each of 1 runs.*\['a', 'b'\]"),
        ([made()], {"names": ["tie"]}, "none of them 'tie'"),
        ([made("!!!")], {}, "prompts without words"),
        ([made("red")], {"kind": "present"}, "name nothing.*words="),
    ],
)
def test_what_cannot_be_asked(file, runs, options, says) -> None:
    with pytest.raises(DaamkitError, match=says):
        Rating(runs, file, **options)
    assert not file.exists()


def test_an_unknown_kind(file) -> None:
    with pytest.raises(DaamkitError, match="score, present, preference; got 'stars'"):
        inspect.unwrap(Rating.__init__)(Rating.__new__(Rating), [made()], file, kind="stars")


def test_a_file_that_cannot_be_written_or_is_something_else(tmp_path, file) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "answers.jsonl"):
        with pytest.raises(DaamkitError, match="to write answers to"):
            Rating([made()], place)
    file.write_text("years of work\n")
    with pytest.raises(DaamkitError, match="line 1"):
        Rating([made()], file)
    assert file.read_text() == "years of work\n"


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("score", 0), ("score", 6), ("score", True), ("score", "4"), ("present", 1),
     ("present", "yes"), ("preference", "unguided"), ("preference", 1)],
)  # fmt: skip
def test_what_is_no_answer_is_not_written(file, kind, wrong) -> None:
    rating = Rating(pairs(1), file, kind=kind)
    with pytest.raises(DaamkitError, match=f"an answer of .*got {wrong!r}"):
        rating.answer(wrong)
    assert rating.index == 0 and file.read_text() == ""


def test_after_the_end_there_is_nothing_to_answer(file) -> None:
    rating = Rating(pairs(1), file, kind="preference")
    walk(rating, "tie")
    with pytest.raises(DaamkitError, match="1 of 1 being rated"):
        rating.answer("tie")
    rating.undo()
    assert (rating.index, rating.given) == (0, "0")


def test_a_single_run_needs_no_list(file) -> None:
    assert Rating(made(), file).total == Rating([made()], file).total
