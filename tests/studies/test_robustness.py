"""In which share of settings a conclusion holds."""

import numpy as np
import pandas as pd
import pytest

from daamkit.studies.robustness import held


def rows_of(gain: dict[str, float], cuts: tuple[float, float] = (0.1, -0.1)) -> pd.DataFrame:
    """Eight prompts in two sets; a method that is as much better as `gain` says of each set."""
    rows = []
    for i in range(8):
        for place, more in gain.items():
            one = {"prompt": f"p{i}", "seed": f"{i} {place}", "noun": 0, "set": place}
            one |= {"split": ("seen", "held-out")[i % 2]}
            rows.append(one | {"method": "daam", "ap": 0.5, "max": 0.5, "otsu": 0.5})
            values = {"ap": 0.5 + more, "max": 0.5 + cuts[0], "otsu": 0.5 + cuts[1]}
            rows.append(one | {"method": "new"} | values)
    return pd.DataFrame(rows)


def shares(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    found = held(rows, {"ap": {"cut": ("max", "otsu")}}, to="daam").set_index("setting")
    return {name: (line["holds"], line["of"]) for name, line in found.iterrows()}


def test_what_holds_everywhere() -> None:
    found = held(rows_of({"a": 0.1, "b": 0.2}), {"ap": {}}, to="daam")
    assert set(found["conclusion"]) == {"better"} and set(found["setting"]) == {
        "set",
        "split",
        "quarter",
    }
    assert (found["share"] == 1).all() and set(found["method"]) == {"new"}


def test_what_holds_in_one_set_of_two_and_at_one_cut_of_two() -> None:
    found = shares(rows_of({"a": 0.3, "b": -0.1}))
    assert found == {"set": (1, 2), "split": (2, 2), "quarter": (4, 4), "cut": (1, 2)}
    worse = held(rows_of({"a": -0.3, "b": 0.1}), {"ap": {"cut": ("max", "otsu")}}, to="daam")
    assert set(worse["conclusion"]) == {"worse"}
    assert worse.set_index("setting").loc["cut", "share"] == 0.5


def test_a_quarter_of_the_prompts_may_say_otherwise() -> None:
    rows = rows_of({"a": 0.1})
    some = [f"p{i}" for i in np.flatnonzero(np.random.default_rng(0).permutation(8) % 4 == 1)]
    rows.loc[(rows["method"] == "new") & rows["prompt"].isin(some), "ap"] = 0.4
    assert shares(rows)["quarter"] == (3, 4)


def test_quarters_are_not_the_splits() -> None:
    many = [
        rows_of({"a": 0.1}).assign(
            prompt=lambda rows, i=i: rows["prompt"] + f" {i}",
            seed=lambda rows, i=i: rows["seed"] + f" {i}",
        )
        for i in range(10)
    ]
    rows = pd.concat(many, ignore_index=True)
    new = rows["method"] == "new"
    rows.loc[new & (rows["split"] == "seen"), "ap"] = 0.3  # better on the held-out ones alone
    rows.loc[new & (rows["split"] == "held-out"), "ap"] = 0.9
    assert shares(rows) | {"cut": None} == {
        "set": (1, 1),
        "split": (1, 2),
        "quarter": (4, 4),
        "cut": None,
    }


def test_a_setting_where_nothing_was_measured_does_not_count() -> None:
    rows = rows_of({"a": 0.1, "b": 0.1})
    rows.loc[rows["set"] == "b", "ap"] = np.nan
    assert shares(rows)["set"] == (1, 1)


def test_what_was_not_measured_says_nothing() -> None:
    rows = rows_of({"a": 0.1})
    rows["cause"] = np.nan
    found = held(rows, {"ap": {}, "cause": {}}, to="daam")
    assert set(found["measure"]) == {"ap"}


def test_pairs_are_of_one_noun() -> None:
    rows = rows_of({"a": 0.1})
    turned = pd.concat([rows[rows["method"] == "new"][::-1], rows[rows["method"] == "daam"]])
    assert shares(turned) == shares(rows)
    with pytest.raises(KeyError):
        held(rows.drop(columns="noun"), {"ap": {}}, to="daam")


def test_other_rules_of_what_is_held_against_are_settings() -> None:
    rows = rows_of({"a": 0.1})
    other = rows[rows["method"] == "daam"].assign(method="paper", ap=0.7)
    found = held(pd.concat([rows, other]), {"ap": {}}, to="daam", rules=["paper"])
    ruled = found[found["setting"] == "rule"].set_index("method")
    assert [*ruled.index] == ["new"]  # a rule is not held against itself
    assert (ruled.loc["new", "holds"], ruled.loc["new", "of"]) == (0, 1)


def test_other_columns_are_settings_by_their_name() -> None:
    rows = rows_of({"a": 0.1})
    named = held(rows, {"ap": {"half": ("max",), "cut": ("otsu",)}}, to="daam")
    found = named.set_index("setting")["holds"]
    assert (found["half"], found["cut"]) == (1, 0)


def test_a_gain_whose_interval_holds_nothing_is_undecided() -> None:
    rows = rows_of({"a": 0.0})
    new = rows["method"] == "new"
    rows.loc[new, "ap"] = 0.5 + np.tile([0.2, -0.19], 4)
    found = held(rows, {"ap": {}}, to="daam")
    assert set(found["conclusion"]) == {"undecided"} and found["gain"].iloc[0] == pytest.approx(
        0.005
    )
