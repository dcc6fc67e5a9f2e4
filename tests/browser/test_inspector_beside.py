"""The page of runs that are not alike: what it lacks, subtracts and compares, as seen and heard."""

import dataclasses
import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from daamkit.maps.run import Run
from daamkit.views.inspector import Inspector
from tests import pictures
from tests.browser.pages import away, look, painted, pixels, settle, word
from tests.browser.test_inspector import lines, saved
from tests.families.test_video import traced
from tests.views.runs import made
from tests.views.test_inspector_beside import longer, pooled

ALL = ("step", "site", "head")


def badges(page: Page) -> list[str]:
    """What stands over the pictures that are seen; empty where nothing does."""
    settle(page)
    return page.locator("figure:visible .badge").evaluate_all(
        "(all) => all.map((each) => each.hidden ? '' : each.textContent)"
    )


def heard(page: Page) -> list[str]:
    """What a screen reader says of the pictures."""
    settle(page)
    return page.locator("figure:visible canvas").evaluate_all(
        "(all) => all.map((each) => each.ariaLabel.replace(/^image of .*?[)],? ?/, ''))"
    )


def test_a_word_or_a_part_that_a_run_has_not_is_said(page, tmp_path) -> None:
    runs = pictures.run("a cat", steps=3, keep=ALL), pictures.run("a dog", steps=2, keep=ALL)
    inspector = Inspector(*runs, names=["three", "two"])
    look(page, inspector, tmp_path)
    assert badges(page) == ["", "not in its prompt: cat"]
    assert heard(page) == ["with cat in colour", "not in its prompt: cat"]
    expect(word(page, "cat")).to_have_attribute("title", re.compile("three 100 %, two –"))
    word(page, "cat").hover()
    assert badges(page) == ["", "not in its prompt"]
    assert heard(page) == ["with the map of cat", "cat not in its prompt"]
    word(page, "a").click()
    away(page)
    page.locator("input.step").press("End")
    assert badges(page) == ["", "no map of this part"]
    assert heard(page) == ["with a in colour, step 3", "step 3, no map of this part"]
    inspector.pins, inspector.step = ["a"], 2
    assert lines(saved(page, "SVG", tmp_path)) == lines(inspector._sheet().svg())
    page.get_by_role("tab", name="layers and heads").click()
    page.locator(".head").first.click()
    away(page)
    assert "head" in heard(page)[0] and "step" not in heard(page)[0]


def test_a_difference_is_heard_as_one(page, tmp_path) -> None:
    inspector = Inspector(made("a cat", 1), made("a cat", 2), names=["one", "other"])
    inspector.pins, inspector.difference = ["cat"], True
    look(page, inspector, tmp_path)
    assert heard(page) == ["with the map of cat", "with how the map of cat differs, other - one"]


@pytest.fixture(scope="module")
def video() -> Run:
    return traced("wan", trace={"keep": ("site",)}, output_type="np")


def test_videos_are_subtracted_frame_by_frame(page, video, tmp_path) -> None:
    inspector = Inspector(video, longer(video), names=["one", "two"])
    inspector.pins, inspector.difference = ["red"], True
    look(page, inspector, tmp_path)
    page.locator("input.frame").press("End")
    inspector.columns = ["one, frame 3", "two, frame 3"]
    assert badges(page) == ["", "two, frame 3 - one, frame 3"]
    for name in inspector.columns:
        place = list(inspector.runs).index(name)
        assert np.array_equal(pixels(page, place), painted(inspector, name))
    assert (pixels(page, 5) == pixels(page, 5)[0, 0]).all()  # the same map in as many passes
    expect(page.locator(".status")).to_contain_text("difference from one")
    assert lines(saved(page, "SVG", tmp_path)) == lines(inspector._sheet().svg())


def test_sums_over_other_passes_and_poolings_have_their_scale(page, tmp_path) -> None:
    run = made("a cat and a dog")
    inspector = Inspector(run, longer(run, 4), pooled(run, "daam"), names=["one", "long", "daam"])
    look(page, inspector, tmp_path)
    for i, name in enumerate(inspector.runs):
        assert np.array_equal(pixels(page, i), painted(inspector, name))
    assert np.array_equal(pixels(page, 0), pixels(page, 1))
    expect(page.locator(".ends:visible")).to_contain_text("per pass, paper pooling, the strong")
    title = word(page, "cat").get_attribute("title") or ""
    shares = re.findall(r"(\d+) %", title)
    assert len(shares) == 3 and shares[0] == shares[1]
    word(page, "cat").click()
    away(page)
    page.get_by_label("difference from one").check()
    inspector.pins, inspector.difference = ["cat"], True
    assert badges(page) == ["", "long - one", "other pooling: no difference"]
    for i, name in enumerate(inspector.runs):
        assert np.array_equal(pixels(page, i), painted(inspector, name))
    assert lines(saved(page, "SVG", tmp_path)) == lines(inspector._sheet().svg())


def test_panels_name_their_run(page, tmp_path) -> None:
    runs = [pictures.run("a cat", seed=seed, steps=2, keep=ALL) for seed in (0, 1)]
    inspector = Inspector(*runs, names=["one", "other"])
    look(page, inspector, tmp_path)
    legend, curves = page.locator(".panel .runs"), page.locator(".spark .curve")
    expect(legend).to_have_text(" one  other ")
    dashes = "(all) => all.map((each) => each.getAttribute('stroke-dasharray'))"
    both = curves.evaluate_all(dashes)
    page.get_by_role("tab", name="layers and heads").click()
    expect(page.locator(".panel:visible .title")).to_have_text("cat in one, strongest first")
    page.get_by_label("one", exact=True).uncheck()
    expect(page.locator(".panel:visible .title")).to_have_text("cat in other, strongest first")
    page.get_by_role("tab", name="steps").click()
    expect(legend).to_have_text(" other ")
    assert curves.evaluate_all(dashes) == both[1:] and both[0] != both[1]
    assert legend.locator("path").evaluate_all(dashes) == both[1:]


def test_one_step_is_seen_in_the_curves(page, tmp_path) -> None:
    look(page, Inspector(pictures.run("a cat", steps=1, keep=ALL)), tmp_path)
    box = page.locator(".spark .curve").bounding_box()
    assert box["width"] > 50
    expect(page.locator(".panel .runs")).to_be_hidden()


def test_what_was_not_read_is_said_at_the_prompt(page, tmp_path) -> None:
    run = made("a cat and a dog")
    prompt = dataclasses.replace(run.maps.prompt, cuts={"text_encoder": 9})
    maps = dataclasses.replace(run.maps, prompt=prompt)
    cut = Run(run.image, {"cond": maps}, record=run.record)
    look(page, Inspector(cut), tmp_path)
    said = "The model has read the prompt up to character 9; its limit is 77 tokens."
    expect(page.locator(".unread")).to_have_text(said)
    (tmp_path / "two").mkdir()
    look(page, Inspector(run, cut, names=["one", "cut"]), tmp_path / "two")
    expect(page.locator(".unread")).to_have_text(f"cut: {said}")
    page.get_by_label("cut", exact=True).uncheck()
    expect(page.locator(".unread")).to_be_hidden()


def test_captions_stay_under_their_pictures(page, tmp_path) -> None:
    runs = [made("a red cat", 1), made("a blue dog", 1)]
    for run in runs:
        run.record["model"] = {"name": "of/" + "hub" * 40}
    inspector = Inspector(*runs)
    look(page, inspector, tmp_path)
    expect(page.locator("figcaption").nth(1)).to_contain_text('"a blue dog"')
    page.goto(saved(page, "SVG", tmp_path).as_uri())
    ends = page.locator("text").evaluate_all(
        """(all) => all.filter((each) => ["13", "15"].includes(each.getAttribute("font-size")))
             .map((each) => each.getBBox()).map(({ x, width }) => [x, x + width])"""
    )
    assert len(ends) > 8
    assert all(right <= 402 or left >= 414 for left, right in ends)
