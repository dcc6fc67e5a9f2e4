"""The playground in JupyterLab: type, generate, stop, guide, compare, and run what was copied."""

import os
import re
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect

from daamkit.views.playground import opening
from tests.browser.test_jupyter import ask, lab  # noqa: F401 - a fixture


def shot(page: Page | Locator, name: str) -> None:
    if shots := os.environ.get("DAAMKIT_SHOTS"):
        page.screenshot(path=f"{shots}/{name}.png")


def test_from_a_prompt_to_the_code(chromium: Browser, lab: str, tmp_path: Path) -> None:  # noqa: F811
    file = opening.write(tmp_path / "play.ipynb", "toybox")
    notebook = nbformat.read(file, as_version=4)
    shown = notebook.cells[0].source.replace("daamkit.P", "play = daamkit.P")
    notebook.cells[0].source = f"{shown}\nplay.steps = 6\nplay"
    notebook.cells.append(nbformat.v4.new_code_cell("'the end'"))
    nbformat.write(notebook, file)
    context = chromium.new_context(viewport={"width": 1280, "height": 1400})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{lab}lab/tree/play.ipynb")
    page.wait_for_selector(".jp-Notebook-cell", timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    view = page.locator(".daamkit-playground")
    view.wait_for(timeout=120_000)
    expect(page.get_by_text("'the end'").last).to_be_visible(timeout=60_000)
    status, made = view.locator(".status"), view.locator(".made")

    def generate(told: str | re.Pattern[str]) -> None:
        view.locator(".generate").click()
        expect(status).to_contain_text(told, timeout=120_000)

    view.locator(".prompt").fill("a monkey and a turtle")
    view.locator(".seed").fill("51")
    view.locator(".seed").press("Tab")
    generate("done: a monkey and a turtle, seed 51")
    expect(made).to_have_count(1)
    expect(view.locator(".cells figure")).to_have_count(6)  # the picture and five words
    shot(page, "playground")

    view.locator(".steps").fill("500")
    view.locator(".steps").press("Tab")
    generate(re.compile(r"step \d+ of 500, \d+ s left"))
    shot(page, "playground-busy")
    view.locator(".stop").click()
    expect(status).to_contain_text("stopped after", timeout=120_000)

    view.locator(".steps").fill("6")
    view.locator(".steps").press("Tab")
    for word in ("monkey", "turtle"):
        view.locator(f'.ticks [data-word="{word}"]').click()
    view.locator('[data-method="AttendAndExcite"]').check()
    generate("done: a monkey and a turtle, seed 51, AttendAndExcite")
    expect(made).to_have_count(3)
    shot(view, "playground-alone")

    view.locator(".copy").click()
    expect(view.locator(".told")).to_have_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "daamkit.AttendAndExcite(['monkey', 'turtle'])" in copied
    for at in (0, 2):
        made.nth(at).locator("input").check()
        expect(made.nth(at).locator("input")).to_be_checked()
    expect(page.locator(".daamkit-inspector .columns canvas")).to_have_count(2, timeout=60_000)
    shot(page, "playground-compared")

    (tmp_path / "copied.py").write_text(copied)
    same = ask(
        page,
        "import numpy; n = {}; exec(open('copied.py').read(), n); "
        "print((numpy.asarray(n['run'].image) == numpy.asarray(play.runs[2].image)).all())",
    )
    expect(same.last).to_contain_text("True", timeout=120_000)

    view.locator(".word").select_option("turtle")
    view.locator(".to").fill("frog")
    view.locator(".change").click()
    expect(view.locator(".cells figcaption").last).to_have_text("what differs", timeout=120_000)
    shot(page, "playground-changed")
    assert not wrong, wrong
    context.close()
