"""The playground in JupyterLab: type, generate, stop, guide, compare, and run what was copied."""

import base64
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from daamkit.views.page import page as write
from daamkit.views.playground import Playground, opening
from daamkit.views.playground.traits import PlaygroundTraits
from tests.browser.test_jupyter import ask, lab, restart  # noqa: F401 - a fixture


def shot(page: Page | Locator, name: str) -> None:
    if shots := os.environ.get("DAAMKIT_SHOTS"):
        page.screenshot(path=f"{shots}/{name}.png")


def unreadable(page: Page) -> list[Any]:
    """What an axe scan finds in the playground."""
    found = Axe().run(page, ".daamkit-playground").response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


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
    expect(view.locator(".generate")).to_be_enabled()
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
    expect(view.locator(".cells figcaption").last).to_contain_text("what differs", timeout=120_000)
    shot(page, "playground-changed")

    view.locator("summary").click()
    assert unreadable(page) == []
    bars = page.locator(".jp-OutputArea-output").filter(has_text=re.compile(r"/(6|500) \["))
    expect(bars).to_have_count(0)  # the pipeline's own
    restart(page)
    for name in (".generate", ".save"):
        view.locator(name).click()
        expect(view.locator(".problem")).to_have_text("No kernel: run the cell again.")
    assert not wrong, wrong
    context.close()


FILL = """(rows) => Object.entries(rows).forEach(([name, list]) => daamkitModel.set(
  name, list.map(([text, png]) => [text, Uint8Array.from(atob(png), (c) => c.charCodeAt(0))])))"""
HEARD = """() => daamkitModel.listeners.filter(([event]) => event === "msg:custom")
  .forEach(([, listener]) => listener({ kind: "heard" }))"""

LAB_DARK = {  # as JupyterLab's dark theme has them
    "--jp-layout-color1": "#212121",
    "--jp-border-color1": "#616161",
    "--jp-brand-color1": "#2196f3",
    "--jp-content-font-color1": "#fff",
    "--jp-content-font-color2": "rgba(255,255,255,.7)",
}
DRESS = """(colours) => Object.entries(colours).forEach(([name, value]) =>
  document.documentElement.style.setProperty(name, value))"""


@pytest.fixture(scope="module")
def made() -> Playground:
    play = Playground("toybox", "a red cat next to a blue car")
    play.steps, play.methods, play.subjects = 2, ["AttendAndExcite"], ["cat", "car"]
    play.generate()
    play.wait(60)
    return play


@pytest.mark.parametrize("scheme", ["light", "dark", "lab-dark"])
def test_a_phone_shows_it_and_silence_is_told(
    scheme, chromium: Browser, made: Playground, tmp_path: Path
) -> None:
    names = PlaygroundTraits.class_own_traits(sync=True)
    state = {name: getattr(made, name) for name in names} | {"_still": ""}
    rows = {
        name: [[text, base64.b64encode(png).decode()] for text, png in state.pop(name)]
        for name in ("cells", "history")
    }
    state |= dict.fromkeys(rows, [])
    file = tmp_path / "page.html"
    file.write_text(write("playground", str(made._esm), str(made._css), state, "<p>still</p>"))
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme.split("-")[-1]
    )
    page = context.new_page()
    page.clock.install()
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.evaluate(FILL, rows)
    page.evaluate(DRESS, LAB_DARK if scheme == "lab-dark" else {})
    expect(page.locator(".cells img")).to_have_count(3)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert unreadable(page) == []
    shot(page, f"playground-phone-{scheme}")

    chip = page.locator('.ticks [data-word="red"]')
    chip.press("Enter")  # it is made anew, and the keyboard stays where it was
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(chip).to_be_focused()

    problem = page.locator(".problem")
    page.locator(".generate").click()
    expect(problem).to_be_hidden()
    page.clock.fast_forward(9_000)
    expect(problem).to_contain_text("No kernel has answered")
    page.evaluate(HEARD)
    expect(problem).to_be_hidden()
    page.evaluate("daamkitModel.set('words', ['two', 'frogs'])")  # of a prompt that is typed
    expect(page.locator(".ticks button")).to_have_text(["two", "frogs"])
    expect(page.locator(".word option")).to_have_text(made._offered)
    context.close()
