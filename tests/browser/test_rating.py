"""Ratings in a real browser, joined to the real widget."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from daamkit.views.page import page as write
from daamkit.views.rating import Rating
from tests.views.runs import made

HOSTILE = "a <script>alert(1)</script> cat </script><img src=x onerror=alert(2)> & a dog"
TRAITS = [name for name, trait in vars(Rating).items() if hasattr(trait, "metadata")]
PUSH = """changes => {
  for (const [name, value] of Object.entries(changes)) {
    const text = value.bytes === undefined ? null : atob(value.bytes);
    const bytes = text === null ? null : Uint8Array.from(text, (c) => c.charCodeAt(0));
    daamkitModel.set(name, bytes ? new DataView(bytes.buffer) : value);
  }
  daamkitModel.changed.clear();  // what Python says is not said back to it
}"""
Show = Callable[[Rating], Page]


def state(rating: Rating) -> dict[str, Any]:
    return {name: getattr(rating, name) for name in TRAITS}


def packed(value: Any) -> Any:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Show:
    """Open a rating: what the page saves reaches Python, what Python then sets reaches the page."""
    shown: list[Rating] = []

    def saved(changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            setattr(shown[-1], name, value)
        told = {name: packed(value) for name, value in state(shown[-1]).items() if name != "said"}
        page.evaluate(PUSH, told)

    def open_page(rating: Rating) -> Page:
        shown.append(rating)
        file = tmp_path / f"page {len(shown)}.html"
        file.write_text(write("rating", rating._esm, rating._css, state(rating), "<p>still</p>"))
        page.goto(file.as_uri())
        page.locator("[data-ready=yes]").wait_for()
        return page

    page.expose_function("daamkitSaved", saved)
    return open_page


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rated(page: Page, index: int, total: int) -> None:
    expect(page.locator(".count")).to_have_text(f"{index} of {total} rated")


def pixels(page: Page, place: int) -> list[int]:
    """Colours of the middle of a picture, as the browser has decoded them."""
    return (
        page.locator("img")
        .nth(place)
        .evaluate(
            """async (image) => {
          await image.decode();
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
          const pen = canvas.getContext("2d");
          pen.drawImage(image, 0, 0);
          return [...pen.getImageData(32, 32, 1, 1).data].slice(0, 3);
        }"""
        )
    )


def test_keys_rate_words_one_by_one_until_all_are_rated(show, file) -> None:
    run = made()
    rating = Rating([run], file)
    page = show(rating)
    root = page.locator(".daamkit-rating")
    root.focus()
    for i, key in enumerate("41523"):
        rated(page, i, 5)
        before, word, after = rating.text
        expect(page.locator(".text")).to_have_text(before + word + after)
        expect(page.locator("mark")).to_have_text(word)
        expect(page.locator("[role=status]")).to_have_text(f"Item {i + 1} of 5: {word}")
        assert pixels(page, 0) == list(run.image.getpixel((32, 32)))
        page.keyboard.press(key)
    rated(page, 5, 5)
    expect(page.locator("[role=status]")).to_have_text("All is rated. Thank you.")
    expect(page.locator(".item")).to_be_hidden()
    assert [row["score"] for row in lines(file)] == [4, 1, 5, 2, 3]
    page.keyboard.press("3")
    assert len(lines(file)) == 5


def test_it_resumes_after_half(show, file) -> None:
    first = show(Rating([made()], file))
    first.locator(".daamkit-rating").focus()
    first.keyboard.press("2")
    rated(first, 1, 5)
    first.keyboard.press("2")
    rated(first, 2, 5)
    again = Rating([made()], file)
    page = show(again)
    rated(page, 2, 5)
    for i in range(2, 5):
        page.get_by_role("button", name="excellent").click()
        rated(page, i + 1, 5)
    table = again.table()
    assert table["score"].tolist() == [2, 2, 5, 5, 5] and table["start"].nunique() == 5


def test_backspace_goes_back_and_the_later_answer_counts(show, file) -> None:
    rating = Rating([made()], file)
    page = show(rating)
    page.locator(".daamkit-rating").focus()
    expect(page.locator("button[data-key=Backspace]")).to_be_hidden()
    word = page.locator("mark").inner_text()
    page.keyboard.press("1")
    rated(page, 1, 5)
    page.keyboard.press("Backspace")
    rated(page, 0, 5)
    expect(page.locator("mark")).to_have_text(word)
    expect(page.locator("button[aria-pressed=true]")).to_have_text("1 bad")
    page.keyboard.press("5")
    rated(page, 1, 5)
    expect(page.locator("button[aria-pressed=true]")).to_have_count(0)
    assert rating.table()["score"].tolist() == [5] and len(lines(file)) == 2


@pytest.mark.parametrize(
    ("kind", "keys", "answers"),
    [
        ("present", "yNy", [True, False, True]),
        ("preference", ["1", "ArrowRight", "0"], ["left", "right", "tie"]),
    ],
)
def test_keys_of_the_other_kinds(show, file, kind, keys, answers) -> None:
    runs = [made("a cat", seed, *way) for seed in range(3) for way in ((), ("guided",))]
    runs = runs[::2] if kind == "present" else runs
    page = show(Rating(runs, file, kind=kind))
    page.locator(".daamkit-rating").focus()
    for i, key in enumerate(keys):
        rated(page, i, 3)
        expect(page.locator("figure:visible")).to_have_count(1 if kind == "present" else 2)
        page.keyboard.press(key)
    rated(page, 3, 3)
    said = lines(file)
    if kind == "present":
        assert [row["present"] for row in said] == answers
    else:
        other = {"guided": "unguided", "unguided": "guided"}
        sides = [{"left": row["left"], "right": other[row["left"]]} for row in said]
        shown = [each.get(name, name) for each, name in zip(sides, answers, strict=True)]
        assert [row["preferred"] for row in said] == shown


def test_a_held_key_and_keys_with_modifiers_answer_nothing_more(show, file) -> None:
    page = show(Rating([made()], file))
    page.locator(".daamkit-rating").focus()
    page.keyboard.down("3")
    for _ in range(4):
        page.keyboard.down("3")  # repeats
    page.keyboard.up("3")
    rated(page, 1, 5)
    page.keyboard.press("Alt+4")
    page.keyboard.press("x")
    page.keyboard.press("9")
    page.wait_for_timeout(100)
    rated(page, 1, 5)
    assert len(lines(file)) == 1


def test_an_answer_that_cannot_be_written_is_told(show, file, monkeypatch) -> None:
    page = show(Rating([made()], file))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("daamkit.measures.ratings.add", full)
        page.get_by_role("button", name="good").click()
        expect(page.locator("[role=status]")).to_contain_text("No space left on device")
    rated(page, 0, 5)
    page.get_by_role("button", name="good").click()
    rated(page, 1, 5)


def test_the_keyboard_path_keeps_its_focus(show, file) -> None:
    page = show(Rating([made("cat")], file))
    page.keyboard.press("Tab")
    expect(page.locator(".daamkit-rating")).to_be_focused()
    width = "node => parseFloat(getComputedStyle(node).outlineWidth)"
    assert page.locator(".daamkit-rating").evaluate(width) >= 2
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="bad")).to_be_focused()
    assert page.get_by_role("button", name="bad").evaluate(width) >= 2
    page.keyboard.press("Enter")
    rated(page, 1, 1)
    expect(page.locator(".daamkit-rating")).to_be_focused()  # the button is gone
    page.keyboard.press("Backspace")
    rated(page, 0, 1)


@pytest.mark.parametrize("kind", ["score", "preference"])
def test_a_prompt_with_script_is_shown_as_text(show, file, kind) -> None:
    runs = [made(HOSTILE), made(HOSTILE, 0, "a")]
    page = show(Rating(runs, file, kind=kind, names=["<b>plain</b>", "guided"]))
    page.on("dialog", lambda dialog: pytest.fail("it ran"))
    expect(page.locator(".text")).to_have_text(HOSTILE)
    assert page.locator(".daamkit-rating script, .text img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["score", "present", "preference"])
def test_all_fits_one_screen_and_an_axe_scan_finds_nothing_serious(
    show, file, kind, scheme
) -> None:
    runs = [made("a red cat next to a blue car", 0, *way, side=128) for way in ((), ("guided",))]
    rating = Rating(runs if kind == "preference" else runs[:1], file, kind=kind)
    if rating.total > 1:
        rating.answer(4 if kind == "score" else True)
        rating.undo()
    page = show(rating)
    page.emulate_media(color_scheme=scheme)
    page.locator(".daamkit-rating").focus()
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    found = [
        f for f in Axe().run(page).response["violations"] if f["impact"] in ("serious", "critical")
    ]
    assert not found, [(f["id"], f["nodes"]) for f in found]
    boxes = [
        box.bounding_box() for box in page.locator("button:visible, img:visible, p:visible").all()
    ]
    assert all(
        b["x"] >= 0 and b["x"] + b["width"] <= 1280 and b["y"] + b["height"] <= 800 for b in boxes
    )
