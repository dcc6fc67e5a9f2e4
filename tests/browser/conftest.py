"""A real browser. A page fails its test if it logs an error or asks the network for anything."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.browser.firefox import Firefox

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


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    """Where it is installed."""
    place = next(filter(None, map(shutil.which, ("firefox", "firefox-esr"))), None)
    if place is None:
        pytest.skip("Firefox is not installed")
    (tmp_path / "profile").mkdir()
    browser = Firefox(place, tmp_path / "profile")
    yield browser
    browser.close()
    assert not browser.wrong, browser.wrong


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
