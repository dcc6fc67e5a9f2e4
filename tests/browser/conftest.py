"""A real browser. A page fails its test if it logs an error or asks the network for anything."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def play() -> Iterator[Playwright]:
    with sync_playwright() as play:
        yield play


@pytest.fixture(scope="session")
def chromium(play: Playwright) -> Iterator[Browser]:
    place = next(filter(None, map(shutil.which, NAMES)), None)
    if place is None:
        message = "these tests want Chromium and found none: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    browser = play.chromium.launch(executable_path=place, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def firefox(play: Playwright) -> Iterator[Browser]:
    """Playwright's own build, the only one that it drives: `playwright install firefox`."""
    if not Path(play.firefox.executable_path).exists():
        pytest.skip("playwright's Firefox is not installed")
    browser = play.firefox.launch()
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of 1280 x 800; what it must not do fails the test at its end."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:", "blob:", "about:"))
            else wrong.append(f"request: {request.url}")
        ),
    )
    yield page
    context.close()
    assert not wrong, wrong
