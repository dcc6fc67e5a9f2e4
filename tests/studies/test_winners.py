"""The best method is not measured by what it was chosen for."""

import numpy as np
import pandas as pd
import pytest

from daamkit.studies.winners import DEALT, crossed

HALVES = np.random.default_rng(DEALT).permutation(8) % 2  # of eight prompts


def rows_of(**values):
    """A row a prompt and method; a value for each half, or one for both."""
    rows = []
    for method, each in values.items():
        pair = each if isinstance(each, tuple) else (each, each)
        rows += [
            {"set": "a", "prompt": f"p{i}", "seed": i, "noun": 0, "method": method}
            | {"ap": pair[half] + 0.001 * i}
            for i, half in enumerate(HALVES)
        ]
    return pd.DataFrame(rows)


def line(rows, **options):
    (found,) = crossed(rows, ["ap"], to="daam", **options).to_dict("records")
    return found


def test_the_winner_of_both_halves():
    found = line(rows_of(daam=0.5, good=0.7, bad=0.4))
    assert found["winner"] == "good" and found["over"] == pytest.approx(0.2) and found["n"] == 8
    assert found["over_low"] <= found["over"] <= found["over_high"]


def test_what_wins_by_chance_on_one_half_is_measured_on_the_other():
    """Each is best on one half and worse than the baseline on the other."""
    found = line(rows_of(daam=0.5, one=(0.9, 0.3), two=(0.3, 0.9)))
    assert found["winner"] == "one, two" and found["over"] == pytest.approx(-0.2)


def test_neither_the_baseline_nor_a_control_wins():
    rows = rows_of(daam=0.5, blind=0.9, good=0.4)
    assert line(rows, without=["blind"])["winner"] == "good"
    assert line(rows, without=["blind"])["over"] == pytest.approx(-0.1)
    assert len(crossed(rows_of(daam=0.5), ["ap"], to="daam")) == 0


def test_what_was_not_measured_does_not_win_and_one_prompt_says_nothing():
    rows = rows_of(daam=0.5, good=0.6, unknown=0.9)
    rows.loc[rows["method"] == "unknown", "ap"] = np.nan
    assert line(rows)["winner"] == "good"
    assert len(crossed(rows[rows["prompt"] == "p0"], ["ap"], to="daam")) == 0


def test_pairs_are_of_one_word():
    rows = rows_of(daam=0.5, good=0.7)
    turned = pd.concat([rows[rows["method"] == "good"][::-1], rows[rows["method"] == "daam"]])
    assert line(turned)["over"] == pytest.approx(0.2)


def test_methods_that_lack_words_are_ranked_by_pairs():
    """One that is asked of easy words alone has the higher mean, and gains less."""
    rows = rows_of(daam=0.5, good=0.7, choosy=0.95)
    easy = rows["seed"].isin([0, 1, 2, 3])
    rows.loc[easy & (rows["method"] == "daam"), "ap"] = 0.9
    rows.loc[easy & (rows["method"] == "good"), "ap"] = 1.0
    rows = rows[easy | (rows["method"] != "choosy")]
    assert line(rows)["winner"] == "good"
