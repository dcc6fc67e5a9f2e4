"""A video in the inspector's page: its frames are scrubbed and played."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from daamkit.maps.run import Run
from daamkit.views.inspector import Inspector
from tests.browser.pages import look, painted, pixels, settle, state
from tests.families.test_video import traced
from tests.views.runs import made


@pytest.fixture(scope="module")
def video() -> Run:
    return traced("wan", trace={"keep": ("step", "site")}, output_type="np")


def seen(page: Page) -> np.ndarray:
    """What the one canvas that is seen shows."""
    names = page.locator("figure").evaluate_all("(all) => all.map((each) => each.hidden)")
    assert names.count(False) == 1
    return pixels(page, names.index(False))


def test_frames_are_scrubbed_and_played(page, video, tmp_path) -> None:
    inspector = Inspector(video)
    look(page, inspector, tmp_path)
    expect(page.get_by_role("tab", name="frames")).to_have_attribute("aria-selected", "true")
    expect(page.locator("label", has_text="frame")).to_contain_text("1 of 3")
    expect(page.locator(".status .chip")).to_have_count(0)
    pictures = []
    for name in inspector.runs:
        inspector.columns = [name]
        assert state(page, "columns") == [name]
        settle(page)
        pictures.append(seen(page))
        assert np.array_equal(pictures[-1], painted(inspector, name))
        page.locator("input.frame").press("ArrowRight")
    assert not np.array_equal(pictures[0], pictures[2])
    expect(page.locator("label", has_text="frame")).to_contain_text("3 of 3")
    expect(page.locator("figcaption:visible")).to_contain_text("unguided, frame 3")
    page.evaluate(
        """() => {
          globalThis.went = [];
          daamkitModel.on("change:columns", () => went.push(...daamkitModel.get("columns")));
        }"""
    )
    names = list(inspector.runs)
    for went in (names[:1], [*names[1:], *names[:1]]):  # to the end, then the start
        page.evaluate("went.length = 0")
        page.locator(".play:visible").click()
        expect(page.locator(".play:visible")).to_have_text("play")
        assert page.evaluate("went") == went


def test_a_video_is_one_of_the_runs(page, video, tmp_path) -> None:
    inspector = Inspector(made("a red cat", side=16), video, names=["image", "moving"])
    look(page, inspector, tmp_path)
    page.locator("input.frame").press("End")
    assert state(page, "columns") == ["image", "moving, frame 3"]
    expect(page.locator(".status .chip")).to_have_count(0)
    page.get_by_label("image", exact=True).uncheck()
    assert state(page, "columns") == ["moving, frame 3"]
    expect(page.locator(".status")).to_have_text("clear all1 of 2 runs ×")
    page.get_by_role("button", name="clear all").click()
    settle(page)
    assert state(page, "columns") == ["image", "moving, frame 3"]
    page.get_by_label("moving", exact=True).uncheck()
    assert state(page, "columns") == ["image"]
    page.get_by_label("moving", exact=True).check()
    assert state(page, "columns") == ["image", "moving, frame 1"]
    page.locator("input.frame").press("ArrowRight")
    inspector.columns = ["image", "moving, frame 2"]
    page.get_by_role("tab", name="share").click()
    expect(page.get_by_label("this view as Python")).to_have_value(inspector.code())
