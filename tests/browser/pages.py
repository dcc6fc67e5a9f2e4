"""What a hand and an eye do to an inspector's page."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Page

from daamkit.views.inspector import Inspector, painting
from daamkit.views.inspector.traits import STATE

PAGES: dict[str, Path] = {}  # by inspector: one that is looked at often is written once


def look(page: Page, inspector: Inspector, folder: Path) -> None:
    """Open its page in the state that it has."""
    if inspector.model_id not in PAGES:
        PAGES[inspector.model_id] = folder / "page.html"
        inspector.save(folder / "page.html")
    page.goto(PAGES[inspector.model_id].as_uri())
    page.wait_for_selector("html[data-ready]")
    now = {name: getattr(inspector, name) for name in STATE}
    page.evaluate(
        "(now) => Object.entries(now).forEach(([name, value]) => daamkitModel.set(name, value))",
        now,
    )
    settle(page)


def settle(page: Page) -> None:
    """Two frames: what was asked for is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def word(page: Page, label: str) -> Any:
    return page.locator(f'.word[data-word="{label}"]')


def state(page: Page, name: str) -> Any:
    return page.evaluate("(name) => daamkitModel.get(name) ?? null", name)


def away(page: Page) -> None:
    """The pointer where it points at nothing."""
    page.mouse.move(2, 2)
    settle(page)


def point(page: Page, x: float, y: float, column: int = 0) -> None:
    """The pointer at shares of an image's width and height."""
    box = page.locator(".columns canvas").nth(column).bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    settle(page)


def pixels(page: Page, column: int = 0) -> np.ndarray:
    """What a canvas shows, (height, width, 3)."""
    settle(page)
    canvas = page.locator(".columns canvas").nth(column)
    return decoded(canvas.evaluate("(canvas) => canvas.toDataURL('image/png')"))


def decoded(uri: str) -> np.ndarray:
    """A picture, (height, width, 3), from its data URI."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def painted(inspector: Inspector, name: str | None = None) -> np.ndarray:
    name = name or next(iter(inspector.runs))
    return painting.paint(inspector.runs, inspector._state(), name)


def shown(page: Page, kind: str) -> pd.DataFrame:
    """A table of the page: rows by their names, in each cell what is said and what is behind it."""
    rows = page.evaluate(
        """(kind) =>
          [...document.querySelector(`table[data-kind=${kind}]`).rows].map((row) =>
            [...row.cells].map((cell) => [cell.firstChild, cell.querySelector("small")].map(
              (part) => part?.textContent.trim() ?? "")))""",
        kind,
    )
    names = [cell[0] for cell in rows[0][1:]]
    return pd.DataFrame([row[1:] for row in rows[1:]], [row[0][0] for row in rows[1:]], names)
