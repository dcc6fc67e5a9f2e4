"""The first notebook in JupyterLab: run it, point and click, and Python knows."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

FIRST = Path(__file__).parents[2] / "notebooks" / "01_first_map.ipynb"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """A server of its own for one folder; its address."""
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        "--port=0", "--IdentityProvider.token=", "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly", f"--ServerApp.root_dir={tmp_path}",
    ]  # fmt: skip
    log = (tmp_path / "log.txt").open("w+")
    server = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
    try:
        for _ in range(240):
            found = re.search(r"http://127\.0\.0\.1:\d+/", Path(log.name).read_text())
            if found:
                break
            time.sleep(0.25)
        else:
            pytest.fail(Path(log.name).read_text())
        yield found[0]
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def ask(page: Page, code: str) -> Any:
    """Run code in a new last cell; its output."""
    cells = page.locator(".jp-Notebook-cell")
    cells.last.locator(".cm-content").click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")
    return cells.last.locator(".jp-OutputArea-output")


def restart(page: Page) -> None:
    """The kernel begins anew and knows nothing of what the page shows."""
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator('.lm-Menu [data-command="kernelmenu:restart"]').click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    page.mouse.move(0, 0)


def test_pointing_and_clicking_reach_python(chromium: Browser, lab: str, tmp_path: Path) -> None:
    notebook = nbformat.read(FIRST, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells.append(nbformat.v4.new_code_cell("'the end'"))
    nbformat.write(notebook, tmp_path / "first.ipynb")
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((lab, "data:", "blob:"))
            else wrong.append(f"request: {request.url}")
        ),
    )
    page.goto(f"{lab}lab/tree/first.ipynb")
    page.wait_for_selector(".jp-Notebook-cell", timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # asked to run before, it wants a kernel
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    view = page.locator(".daamkit-inspector")
    view.wait_for(timeout=120_000)
    expect(page.get_by_text("'the end'").last).to_be_visible(timeout=60_000)

    first, second = view.locator(".word").nth(1), view.locator(".word").nth(2)
    labels = [each.get_attribute("data-word") for each in (first, second)]
    view.scroll_into_view_if_needed()
    expect(page.locator('[class^="daamkit-still"]')).to_be_hidden()
    first.hover()
    page.wait_for_timeout(300)
    if shots := os.environ.get("DAAMKIT_SHOTS"):
        page.screenshot(path=f"{shots}/lab.png")
    first.click()
    second.click()
    view.locator(".columns canvas").first.click()  # keeps the pixel
    page.wait_for_timeout(300)
    if shots:
        page.screenshot(path=f"{shots}/lab-pins.png")
    expect(ask(page, "print(inspector.pins, inspector.pixel is not None)")).to_contain_text(
        f"{labels} True"
    )
    ask(page, f"inspector.pins = [{labels[1]!r}]; inspector.threshold = 0.7")
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(view.locator("output").first).to_contain_text("0.700")

    view.get_by_role("tab", name="layers and heads").click()
    head = view.locator(".head").nth(2)  # chosen by one message of several traits
    number = head.get_attribute("aria-label").split()[1]
    head.click()
    expect(head).to_have_attribute("aria-pressed", "true")
    expect(ask(page, "print(inspector.site is None, inspector.head)")).to_contain_text(
        f"False {number}"
    )
    ask(page, "inspector.append(run, names=['again'])")
    expect(view.locator("figure:visible")).to_have_count(2, timeout=60_000)
    count = page.locator(".jp-Notebook-cell").count()
    second.focus()
    page.keyboard.press("b")  # JupyterLab's key for a new cell, where nothing keeps it from it
    page.keyboard.press("x")
    page.wait_for_timeout(200)
    assert page.locator(".jp-Notebook-cell").count() == count

    restart(page)
    before = view.locator(".columns canvas").first.screenshot()
    first.hover()
    page.wait_for_timeout(300)
    assert view.locator(".columns canvas").first.screenshot() != before
    first.click()
    expect(first).to_have_attribute("aria-pressed", "true")
    view.get_by_role("tab", name="share").click()
    view.get_by_role("button", name="HTML", exact=True).click()
    expect(view.get_by_text("There is no kernel any more")).to_be_visible()
    assert not wrong, wrong
    context.close()
