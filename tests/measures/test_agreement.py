"""Agreement: the worked examples of Krippendorff's own paper, and what must hold of any answers."""

import inspect
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binom

from daamkit.errors import DaamkitError
from daamkit.measures import intervals
from daamkit.measures.agreement import alpha, opinion, preferences

# "Computing Krippendorff's Alpha-Reliability", 2011: sections A, B, and C to E with missing answers
TWO = {"Meg": "0 1 0 0 0 0 0 0 1 0", "Owen": "1 1 1 0 0 1 0 0 0 0"}
NOMINAL = {"Ben": "a a b b d c c c e d d a", "Gerry": "b a b b b c c c e d d d"}
FOUR = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}
THREE = {  # the example of Wikipedia's article and of the package `krippendorff`
    "A": ". . . . . 3 4 1 2 1 1 3 3 . 3",
    "B": "1 . 2 1 3 3 4 3 . . . . . . .",
    "C": ". . 2 1 3 4 4 . 2 1 1 3 3 . 4",
}


def frame(table: dict[str, str]) -> pd.DataFrame:
    """An answer a row; missing ones are rows without a value, or no rows, in turn."""
    rows = [
        {"unit": i, "rater": rater, "said": None if said == "." else said}
        for rater, answers in table.items()
        for i, said in enumerate(answers.split())
        if said != "." or i % 2
    ]
    return pd.DataFrame(rows)


def found(table: dict[str, str], metric: str, **options: int) -> dict:
    return alpha(frame(table), ["unit"], "said", metric, **options)


@pytest.mark.parametrize(
    ("table", "metric", "value", "about"),
    [
        (TWO, "nominal", 0.095, (10, 2, 20)),
        (NOMINAL, "nominal", 0.692, (12, 2, 24)),
        (FOUR, "nominal", 0.743, (11, 4, 40)),
        (FOUR, "ordinal", 0.815, (11, 4, 40)),
        (FOUR, "interval", 0.849, (11, 4, 40)),
        (THREE, "nominal", 0.691, (12, 3, 26)),
        (THREE, "interval", 0.811, (12, 3, 26)),
    ],
)
def test_worked_examples(table, metric, value, about) -> None:
    told = found(table, metric)
    assert round(told["alpha"], 3) == value
    assert (told["units"], told["raters"], told["answers"]) == about
    assert told["low"] < told["alpha"] < told["high"] <= 1


def test_two_values_have_one_alpha_whatever_the_metric() -> None:
    values = [found(TWO, metric)["alpha"] for metric in ("nominal", "ordinal", "interval")]
    assert values == pytest.approx([values[0]] * 3)


def by_definition(table: np.ndarray, metric: str) -> float:
    """Mean disagreement of the pairs within units over that of all pairs of comparable answers."""
    known = [unit[~np.isnan(unit)] for unit in table.T]
    known = [unit for unit in known if len(unit) > 1]
    every = np.concatenate(known)

    def differ(c: float, k: float) -> float:
        if metric == "ordinal":
            low, high = sorted((c, k))
            between = ((every >= low) & (every <= high)).sum()
            return (between - ((every == c).sum() + (every == k).sum()) / 2) ** 2 if c != k else 0
        return float(c != k) if metric == "nominal" else (c - k) ** 2

    within = [
        (sum(differ(a, b) for a in unit for b in unit) / (len(unit) - 1), len(unit))
        for unit in known
    ]
    observed = sum(total for total, _ in within) / len(every)
    expected = sum(differ(a, b) for a in every for b in every) / len(every) / (len(every) - 1)
    return 1 - observed / expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_is_what_its_definition_says(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 6, (rng.integers(2, 5), 7)).astype(float)
    table[rng.random(table.shape) < 0.2] = np.nan
    table[:2, 0] = 1, 5  # something to compare, and not all alike
    rows = [(u, r, said) for (r, u), said in np.ndenumerate(table)]
    rows = pd.DataFrame(rows, columns=["unit", "rater", "said"])
    told = alpha(rows, ["unit"], "said", metric, draws=20)
    assert told["alpha"] == pytest.approx(by_definition(table, metric))
    shuffled = alpha(rows.sample(frac=1, random_state=0), ["unit"], "said", metric, draws=20)
    assert shuffled["alpha"] == pytest.approx(told["alpha"])


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
def test_the_interval_is_of_what_each_unit_says(metric) -> None:
    """Pseudo-values by leaving units out, two units of chance added; Student's, of eleven units."""
    rows = frame(FOUR)
    rows = rows[rows["said"].notna() & (rows["unit"] != 11)]
    told, many = alpha(rows, ["unit"], "said", metric), 11
    without = [
        alpha(rows[rows["unit"] != unit], ["unit"], "said", metric, draws=2)["alpha"]
        for unit in range(many)
    ]
    parts = [1 - (many * told["alpha"] - (many - 1) * each) for each in without]
    more = np.array([*parts, 1, 1])
    far = stats.t.ppf(0.975, many - 1) * stats.sem(more)
    ends = 1 - more.mean() - far, min(1, 1 - more.mean() + far)
    assert (told["low"], told["high"]) == pytest.approx(ends)


def test_where_many_units_differ_the_interval_is_bootstrapped() -> None:
    """A few differ much, so that the bootstrapped end is farther than Student's."""
    rng = np.random.default_rng(4)
    one = rng.integers(1, 10, 40)
    other = one + (np.arange(40) < 9) * np.where(one > 5, -1, 1)
    other[0] = 1 if one[0] > 5 else 9
    table = {"a": " ".join(map(str, one)), "b": " ".join(map(str, other))}
    rows, told = frame(table), found(table, "interval", draws=500)
    without = [
        alpha(rows[rows["unit"] != unit], ["unit"], "said", "interval", draws=2)["alpha"]
        for unit in range(40)
    ]
    parts = np.array([1 - (40 * told["alpha"] - 39 * each) for each in without])
    _, _, high = intervals.mean(parts, kind="number", draws=500)
    more = np.r_[parts, 1, 1]
    assert more.mean() + stats.t.ppf(0.975, 39) * stats.sem(more) < high
    assert told["low"] == pytest.approx(1 - high)


def test_raters_that_never_differ_may_yet() -> None:
    widths = []
    for many in (10, 100):
        told = found(dict.fromkeys("ab", "1 2 " * (many // 2)), "nominal")
        assert told["alpha"] == told["high"] == 1
        widths.append(1 - told["low"])
    assert 0.3 < widths[0] < 0.6 and 0.03 < widths[1] < 0.08


def test_what_cannot_be_compared_has_no_alpha() -> None:
    for table in ({"A": "1 1 1", "B": "1 1 1"}, {"A": "1 2 3"}, {"A": "1 .", "B": ". 1"}):
        told = found(table, "ordinal")
        assert math.isnan(told["alpha"]) and math.isnan(told["low"])
    one = found({"A": "1", "B": "2"}, "nominal")
    assert one["alpha"] == 0 and math.isnan(one["low"])
    empty = alpha(frame(TWO)[:0], ["unit"], "said", "interval")
    assert math.isnan(empty["alpha"]) and empty["units"] == 0
    assert found({"A": "1 2 3", "B": "1 2 3"}, "interval")["alpha"] == 1


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(DaamkitError, match="'ratio'"):
        inspect.unwrap(alpha)(frame(TWO), ["unit"], "said", "ratio")  # without the type checker
    with pytest.raises(DaamkitError, match=r"one answer of each rater.*1 more, the first by 'Ben'"):
        rows = frame(NOMINAL)
        alpha(pd.concat([rows, rows[:1]]), ["unit"], "said", "nominal")
    with pytest.raises(DaamkitError, match=r"'ordinal' compares.*'a'"):
        found(NOMINAL, "ordinal")


# -- opinions and preferences


def test_opinions_are_drawn_again_by_image() -> None:
    rows = pd.DataFrame(
        [
            {"prompt": prompt, "seed": seed, "rater": rater, "run": run, "score": score}
            for run, base in (("plain", 1), ("guided", 3))
            for prompt, seed, score in (("a", 0, base), ("a", 1, base + 1), ("b", 0, base + 2))
            for rater in "xyz"
        ]
    )
    told = opinion(rows, ["run"])
    assert told["run"].tolist() == ["plain", "guided"] and told["n"].tolist() == [9, 9]
    assert told["mean"].tolist() == [2, 4]
    far = stats.t.ppf(0.975, 2) / np.sqrt(3)  # three images, whose scores deviate by 1
    assert told["low"].tolist() == pytest.approx([1, 4 - far])  # no score is below 1 or above 5
    assert told["high"].tolist() == pytest.approx([2 + far, 5])


def preferred(*said: tuple[int, str, str]) -> pd.DataFrame:
    rows = [{"seed": seed, "rater": rater, "preferred": name} for seed, rater, name in said]
    return pd.DataFrame(rows).assign(prompt="a cat", first="guided", second="plain")


def test_ties_are_half_a_win_and_the_sign_test_counts_images() -> None:
    rows = [(seed, rater, "guided") for seed in range(7) for rater in "xy"]
    rows += [
        (7, "x", "tie"),
        (7, "y", "plain"),
        (8, "x", "tie"),
        (9, "x", "plain"),
        (9, "y", "guided"),
    ]
    (row,) = preferences(preferred(*rows)).to_dict("records")
    assert (row["first"], row["second"]) == ("guided", "plain")
    assert (row["first_wins"], row["second_wins"], row["ties"]) == (15, 2, 2)
    assert (row["images"], row["n"]) == (10, 19)
    assert row["share"] == pytest.approx(16 / 19) and row["low"] < 16 / 19 < row["high"]
    assert row["p"] == pytest.approx(2 * binom.cdf(1, 8, 0.5))  # 7 images to 1; 8 and 9 tied


def test_every_pair_has_a_row_and_nothing_but_ties_no_p() -> None:
    rows = preferred((0, "x", "tie"), (1, "x", "tie"))
    other = preferred((0, "x", "blurred"), (1, "x", "plain")).assign(first="blurred")
    told = preferences(pd.concat([rows, other]))
    assert told["first"].tolist() == ["guided", "blurred"] and told["share"].tolist() == [0.5, 0.5]
    assert math.isnan(told["p"][0]) and told["p"][1] == 1
    empty = preferences(rows[:0])
    assert empty.empty and "share" in empty.columns


@pytest.mark.parametrize(
    "ask",
    [
        lambda rows: alpha(rows, ["prompt"], "score", "ordinal"),
        lambda rows: opinion(rows, ["pos"]),
        preferences,
    ],
)
def test_missing_columns_are_named(ask) -> None:
    with pytest.raises(DaamkitError, match="no .*(score|pos|first)"):
        ask(pd.DataFrame({"prompt": ["a"], "seed": [0], "rater": ["x"]}))
