"""The warning in a real browser: under the prompt, where an eye finds it."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from daamkit.maps.run import Run
from daamkit.views.doubts import doubts
from daamkit.views.inspector import Inspector
from tests import pictures
from tests.browser.pages import look, settle, word


@pytest.fixture(scope="module")
def run() -> Run:
    return pictures.run("a monkey and a turtle", seed=51, steps=25)


def test_the_page_warns_of_a_thing_that_is_not_there(page, run, tmp_path) -> None:
    (said,) = doubts(run).values()
    look(page, Inspector(run), tmp_path)
    note = page.locator(".note.doubts")
    expect(note).to_have_text(f"turtle: {said}")
    assert said.startswith("probably not in the image") and note.is_visible()
    for label, style in (("turtle", "dashed"), ("monkey", "solid")):
        expect(word(page, label)).to_have_css("border-bottom-style", style)


def test_of_two_images_it_says_in_which_and_of_those_that_are_shown(page, run, tmp_path) -> None:
    other = replace(run, record={**run.record, "model": {}})  # of another model: nothing is said
    inspector = Inspector(run, other, names=["one", "other"])
    look(page, inspector, tmp_path)
    note = page.locator(".note.doubts")
    expect(note).to_contain_text("turtle in one: probably not in the image")
    page.evaluate('() => daamkitModel.set("columns", ["other"])')
    settle(page)
    expect(note).to_be_hidden()
    assert "doubted" not in word(page, "turtle").get_attribute("class")
