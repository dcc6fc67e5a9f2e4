"""The warning where it is seen: the inspector's page and the report; and where it is not due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daamkit.maps.run import Run
from daamkit.views import report
from daamkit.views.doubts import doubts
from daamkit.views.inspector import Inspector
from tests import pictures

WARNING = "probably not in the image"


@pytest.fixture(scope="module")
def run() -> Run:
    """The oracle sees the monkey and no turtle."""
    return pictures.run("a monkey and a turtle", seed=51, steps=25)


def test_the_thing_that_is_missing_is_doubted_and_the_other_is_not(run):
    found = doubts(run)
    assert list(found) == [run.prompt.index("turtle")]
    assert found[run.prompt.index("turtle")].startswith(WARNING)


def test_the_inspector_and_the_report_say_so(run, tmp_path):
    inspector, said = Inspector(run), doubts(run)[run.prompt.index("turtle")]
    turtle = inspector.words.index("turtle")
    assert inspector._column_0["doubts"] == [(turtle, said)]
    pages = {"inspector": inspector.save(tmp_path / "page.html")}
    pages["report"] = report.write(run, tmp_path / "report")
    for name, page in pages.items():
        text = page.read_text(encoding="utf-8")
        assert text.count(WARNING) == 1 and said in text, name


@pytest.mark.parametrize("changed", [{"guidance": [{"method": "AttendAndExcite"}]}, {"model": {}}])
def test_nothing_is_said_of_what_is_not_calibrated(run, changed, tmp_path):
    other = replace(run, record={**run.record, **changed})
    page = Inspector(other).save(tmp_path / "page.html")
    assert WARNING not in page.read_text(encoding="utf-8")
    assert other.reliability()["rank"].tolist() == [
        2,
        1,
    ]  # the turtle is doubted first all the same
