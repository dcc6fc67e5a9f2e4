"""Tables of studies come into the pages as their comments ask."""

import itertools

import pandas as pd
import pytest

from tests.test_docs import ROOT

PAGE = """# Layers

<!-- table {"from": "layers/layers", "rows": ["part"], "columns": "set", "show": ["ap"],
  "where": {"kind": ["block", "pooling"]}, "called": {"daam": "all", "part": "what"}} -->
old
<!-- end -->

<!-- table {"from": "gone/gone", "rows": ["a"], "show": ["b"]} -->
kept
<!-- end -->
"""


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import tables

    return tables


def test_a_page_is_filled(tables, tmp_path):
    rows = [
        ("drawn", "pooling", "daam", 0.5, 0.45, 0.55, float("nan"), 4),
        ("drawn", "block", "up", 0.25, 0.2, 0.3, -0.25, 4),
        ("drawn", "layer", "up.1", 0.1, 0.0, 0.2, -0.4, 4),
        ("generated", "block", "up", 1 / 3, float("nan"), float("nan"), 0.0, 4),
    ]
    names = ["set", "kind", "part", "ap", "ap_low", "ap_high", "iou_over", "n"]
    (tmp_path / "layers").mkdir()
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "layers" / "layers.csv", index=False)
    text, lacking = tables.fill(PAGE, tmp_path)
    assert lacking == ["gone/gone"] and "kept" in text and "old" not in text
    assert (
        """| what | drawn | generated |
| --- | --- | --- |
| all | 0.500 [0.450, 0.550] |  |
| up | 0.250 [0.200, 0.300] | 0.333 |
<!-- end -->"""
        in text
    )
    assert tables.fill(text, tmp_path)[0] == text


BOTH = """<!-- table {"from": {"one": "one/parts", "two": "two/parts"}, "rows": ["part"],
  "columns": "model", "show": ["ap"]} -->
old
<!-- end -->"""


def test_models_stand_side_by_side(tables, tmp_path):
    parts = {"one": {"up": 0.5, "mid": 0.25}, "two": {"single": 0.125, "up": 1.0}}
    for model, of in parts.items():
        (tmp_path / model).mkdir()
        frame = pd.DataFrame({"part": [*of], "ap": [*of.values()]})
        frame.to_csv(tmp_path / model / "parts.csv", index=False)
    both, lacking = tables.fill(BOTH, tmp_path)
    lines = ["| up | 0.500 | 1.000 |", "| mid | 0.250 |  |", "| single |  | 0.125 |"]
    assert both.splitlines()[2:-1] == ["| part | one | two |", "| --- | --- | --- |", *lines]
    assert not lacking


@pytest.mark.parametrize("gone", ["one", "two"])
def test_a_model_that_is_not_there_keeps_its_column(tables, tmp_path, gone):
    """The other's is new, with its lines, whichever stands first."""
    there = "two" if gone == "one" else "one"
    (tmp_path / there).mkdir()
    frame = pd.DataFrame({"part": ["up", "down"], "ap": [0.75, 0.625]})
    frame.to_csv(tmp_path / there / "parts.csv", index=False)
    empty, _ = tables.fill(BOTH, tmp_path)
    assert f"| part | {there} |" in empty and gone not in empty.splitlines()[2]
    page = BOTH.replace(
        "old", "| part | one | two |\n| --- | --- | --- |\n| up | 0.5 | 0.6 |\n| mid | 0.1 |  |"
    )
    text, lacking = tables.fill(page, tmp_path)
    told = {tuple(line[2:-2].split(" | ")) for line in text.splitlines()[4:-1]}
    if gone == "one":
        assert told == {("up", "0.5", "0.750"), ("mid", "0.1", ""), ("down", "", "0.625")}
    else:
        assert told == {("up", "0.750", "0.6"), ("mid", "", ""), ("down", "0.625", "")}
    assert lacking == [f"{gone}/parts"] and tables.fill(text, tmp_path)[0] == text


def test_several_measures_are_columns(tables):
    frame = pd.DataFrame({"part": ["up"], "n": [12], "iou_over": [0.5], "iou_over_low": [-0.1],
                          "iou_over_high": [1.0], "cuts": ["max 0.4"]})  # fmt: skip
    spec = {"rows": ["part"], "show": ["n", "iou_over", "cuts"], "called": {"iou_over": "gain"}}
    assert (
        tables.markdown(frame, spec)
        == """| part | n | gain | cuts |
| --- | --- | --- | --- |
| up | 12 | +0.500 [-0.100, +1.000] | max 0.4 |
"""
    )


def test_counts_and_means_have_their_own_intervals(tables):
    frame = pd.DataFrame({"split": ["seen"], "mean": [0.5], "low": [0.4], "high": [0.6], "n": [300],
                          "share": [1.0]})  # fmt: skip
    text = tables.markdown(frame, {"rows": ["split"], "show": ["mean", "n", "share"]})
    assert text.endswith("| seen | 0.500 [0.400, 0.600] | 300 | 1.000 |\n")


def test_two_lines_for_one_cell(tables):
    frame = pd.DataFrame({"part": ["up", "up"], "set": ["a", "b"], "ap": [0.1, 0.2]})
    with pytest.raises(ValueError, match="2 lines for one cell"):
        tables.markdown(frame, {"rows": ["part"], "show": ["ap"]})


def test_a_column_that_is_not_there(tables):
    with pytest.raises(KeyError, match="cause"):
        tables.markdown(pd.DataFrame({"part": ["up"]}), {"rows": ["part"], "show": ["cause"]})


def test_several_columns_and_what_others_say(tables):
    frame = pd.DataFrame(
        [
            {"relation": relation, "set": kind, "model": model, "n": n}
            for n, (relation, kind, model) in enumerate(
                itertools.product(("obj", "amod"), ("seen", "held out"), ("a", "b"))
            )
        ]
    )
    spec = {
        "rows": ["relation"],
        "columns": ["model", "set"],
        "show": ["n"],
        "beside": {"the paper": {"obj": "head"}},
    }
    assert tables.markdown(frame, spec).splitlines() == [
        "| relation | the paper | a, seen | b, seen | a, held out | b, held out |",
        "| --- | --- | --- | --- | --- | --- |",
        "| obj | head | 0 | 1 | 2 | 3 |",
        "| amod |  | 4 | 5 | 6 | 7 |",
    ]
