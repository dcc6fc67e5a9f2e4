"""The inspector's page in a real browser: what is seen is what the library says."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import daamkit
from daamkit.maps.run import Run
from daamkit.measures.syntax import relations
from daamkit.views.inspector import Inspector, painting
from tests import pictures

PROMPT = "a red cat next to a blue car"


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Two images of one prompt with all that a trace can keep."""
    return [pictures.run(PROMPT, seed=seed, keep=("step", "site", "head")) for seed in (0, 1)]


def look(page: Page, inspector: Inspector, folder: Path) -> None:
    page.goto(inspector.save(folder / "page.html").as_uri())
    page.wait_for_selector("html[data-ready]")
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


def pixels(page: Page, column: int = 0) -> np.ndarray:
    """What a canvas shows, (height, width, 3)."""
    settle(page)
    canvas = page.locator(".columns canvas").nth(column)
    uri = canvas.evaluate("(canvas) => canvas.toDataURL('image/png')")
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def shown(page: Page, kind: str, column: int = 0) -> pd.DataFrame:
    """A table of the page, as text."""
    rows = page.evaluate(
        """([kind, column]) =>
          [...document.querySelectorAll(`table[data-kind=${kind}]`)[column].rows].map((row) =>
            [...row.cells].map((cell) => cell.textContent))""",
        [kind, column],
    )
    return pd.DataFrame(rows[1:], columns=rows[0])


def test_hovering_a_word_lays_its_map_over_the_image(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    look(page, inspector, tmp_path)
    plain = np.asarray(runs[0].image)
    assert np.array_equal(pixels(page), plain)
    word(page, "red").hover()
    inspector.word = "red"
    assert np.array_equal(
        pixels(page), painting.paint(inspector.runs, inspector._state(), "unguided")
    )
    page.mouse.move(5, 790)
    assert np.array_equal(pixels(page), plain)


def test_pins_show_in_hues_with_stripes_where_they_overlap(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    look(page, inspector, tmp_path)
    for label in ("cat", "red", "car"):
        word(page, label).click()
    page.mouse.move(5, 790)
    inspector.pins = ["cat", "red", "car"]
    assert np.array_equal(
        pixels(page), painting.paint(inspector.runs, inspector._state(), "unguided")
    )
    word(page, "red").click()
    page.mouse.move(5, 790)
    assert state(page, "pins") == ["cat", "car"]


@pytest.mark.parametrize("presses", [0, 1, -23, 60])
def test_the_threshold_gives_the_librarys_numbers(presses, page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.pins = ["cat", "red"]
    look(page, inspector, tmp_path)
    slider = page.locator("input.threshold")
    slider.focus()
    for _ in range(abs(presses)):
        slider.press("ArrowRight" if presses > 0 else "ArrowLeft")
    settle(page)
    threshold = state(page, "threshold")
    assert threshold == pytest.approx(0.4 + presses / 200)
    row = relations(runs[0], threshold).query("head == 'cat' and dependent == 'red'").iloc[0]
    found = shown(page, "pairs").iloc[0, 1:].tolist()
    assert found == [f"{row[name]:.4f}" for name in ("iou", "iod", "ioh")]


def test_dragging_the_threshold_moves_mask_and_numbers(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.pins = ["cat", "red"]
    look(page, inspector, tmp_path)
    box = page.locator("input.threshold").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    settle(page)
    inspector.threshold = state(page, "threshold")
    assert 0.6 < inspector.threshold < 0.8
    assert float(shown(page, "pairs")["IoU"][0]) == pytest.approx(
        inspector.table()["iou"][0], abs=5e-5
    )


def test_hovering_a_pixel_ranks_the_words(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    look(page, inspector, tmp_path)
    box = page.locator(".columns canvas").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    settle(page)
    inspector.pixel = state(page, "pixel")
    found, truth = shown(page, "pixel"), inspector.table().set_index("word")
    for row in found.itertuples():
        assert float(row.share.removesuffix(" %")) == pytest.approx(
            100 * truth.loc[row.word, "share"], abs=1
        )
        assert float(row.value) == pytest.approx(truth.loc[row.word, "value"], rel=0.05, abs=1e-3)
    assert found["word"][0] == inspector.table()["word"][0]


def test_brushing_a_region_tells_which_words_explain_it(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    look(page, inspector, tmp_path)
    box = page.locator(".columns canvas").bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"], steps=4)
    page.mouse.up()
    settle(page)
    inspector.region = state(page, "region")
    truth = inspector.table().set_index("word")
    found = shown(page, "region")
    assert len(found) == len(truth) == 8
    for row in found.itertuples():
        label = row.word
        assert float(row.mass.removesuffix(" %")) == pytest.approx(
            100 * truth.loc[label, "mass"], abs=1
        )
        assert float(row.IoU) == pytest.approx(truth.loc[label, "iou"], abs=0.0051)
        assert float(row.lift) == pytest.approx(truth.loc[label, "lift"], rel=0.02, abs=0.01)


def test_keys_reach_everything(page, runs, tmp_path) -> None:
    look(page, Inspector(runs[0]), tmp_path)
    word(page, "a").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert state(page, "word") == "red"
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Space")
    assert state(page, "pins") == ["red", "car"]
    page.keyboard.press("Escape")
    assert state(page, "pins") == []
    page.locator(".columns canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert state(page, "pixel") == [64, 60]
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    assert state(page, "region") is not None
    page.keyboard.press("Escape")
    assert state(page, "region") is None
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowDown")
    region = state(page, "region")
    page.keyboard.press("Shift+ArrowRight")  # the corner that is held stays
    assert state(page, "region")[:3] == region[:3] and state(page, "region")[3] > region[3]
    for _ in range(40):  # everything that can be pressed can be tabbed to, and shows it
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const at = document.activeElement;
              return at === document.body || at.matches("summary, .arc, .scroll")
                || getComputedStyle(at).outlineStyle !== "none";
            }"""
        )
        assert outline


def test_an_arc_pins_its_head_and_dependent(page, runs, tmp_path) -> None:
    look(page, Inspector(runs[0]), tmp_path)
    arc = page.get_by_role("button", name="amod: head cat, dependent red")
    arc.focus()
    page.keyboard.press("Enter")
    settle(page)
    assert state(page, "pins") == ["cat", "red"]
    expect(arc).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")  # to the next arc
    expect(page.locator(".arc").nth(2)).to_be_focused()
    page.locator(".arc text", has_text="nmod:next_to").click()
    assert state(page, "pins") == ["cat", "car"]


def test_steps_are_scrubbed_and_played(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    whole = pixels(page)
    page.locator("input.step").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page, "step") == 1
    inspector.step = 1
    near = painting.paint(inspector.runs, inspector._state(), "unguided").astype(int)
    found = pixels(page).astype(int)
    assert np.abs(found - near).mean() < 2 < np.abs(whole - near).mean()
    expect(page.locator(".values")).to_contain_text("near, not exact")
    page.get_by_role("button", name="play").click()
    expect(page.locator("label", has_text="step")).to_contain_text("4 of 5")
    expect(page.locator("label", has_text="step")).to_contain_text("all 5")
    expect(page.locator(".play")).to_have_text("play")
    assert np.array_equal(pixels(page), whole)


def test_a_head_narrows_the_map(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    page.locator("summary").click()
    expect(page.locator(".head")).to_have_count(7 * 4)
    whole = pixels(page)
    button = page.get_by_role("button", name="head 2 of up 1.0.0")
    button.click()
    inspector.site, inspector.head = state(page, "site"), state(page, "head")
    assert inspector.head == 2 and inspector.site.startswith("up_blocks.1.attentions.0")
    near = painting.paint(inspector.runs, inspector._state(), "unguided").astype(int)
    found = pixels(page).astype(int)
    assert np.abs(found - near).mean() < 4 < np.abs(whole - near).mean()
    button.click()
    assert state(page, "site") is None and np.array_equal(pixels(page), whole)
    page.get_by_role("button", name="up 1.0.0", exact=True).click()
    assert state(page, "head") is None and state(page, "site") == inspector.site


def test_columns_are_linked_and_their_difference_is_centred(page, runs, tmp_path) -> None:
    inspector = Inspector(*runs, names=["one", "other"])
    look(page, inspector, tmp_path)
    word(page, "cat").hover()
    inspector.word = "cat"
    for i, name in enumerate(inspector.runs):
        assert np.array_equal(
            pixels(page, i), painting.paint(inspector.runs, inspector._state(), name)
        )
    word(page, "cat").click()
    page.get_by_label("difference from one").check()
    inspector.pins, inspector.word, inspector.difference = ["cat"], None, True
    for i, name in enumerate(inspector.runs):
        truth = painting.paint(inspector.runs, inspector._state(), name).astype(int)
        assert np.abs(pixels(page, i) - truth).max() <= (0 if i == 0 else 8)  # one of 255 colours
    page.get_by_label("other", exact=True).uncheck()
    assert state(page, "columns") == ["one"]
    expect(page.locator("figure:visible")).to_have_count(1)
    page.get_by_label("one", exact=True).click()  # the last one stays
    assert state(page, "columns") == ["one"]


def test_the_scale_of_differences_is_that_of_the_columns_shown(page, runs, tmp_path) -> None:
    far = pictures.run("a cat", steps=2)
    inspector = Inspector(*runs, far, names=["one", "other", "far"])
    inspector.pins, inspector.difference, inspector.columns = ["cat"], True, ["one", "other"]
    look(page, inspector, tmp_path)
    truth = painting.paint(inspector.runs, inspector._state(), "other").astype(int)
    assert np.abs(pixels(page, 1) - truth).max() <= 8


def test_a_layers_values_are_the_librarys(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.site = next(iter(runs[0].maps.layers))
    inspector.pixel = (70, 90)
    for head in (None, 1):
        inspector.head = head
        look(page, inspector, tmp_path)
        truth, found = inspector.table().set_index("word"), shown(page, "pixel")
        total = sum(float(value) for value in found["value"])
        assert total == pytest.approx(truth["value"].sum(), rel=0.15)
        top = found["word"][0]
        assert float(found["value"][0]) == pytest.approx(truth.loc[top, "value"], rel=0.15)


def test_characters_are_counted_as_python_counts_them(page, tmp_path) -> None:
    prompt = "a \N{GRINNING FACE} cat and a dog"
    look(page, Inspector(pictures.run(prompt)), tmp_path)
    assert page.locator(".words").text_content() == prompt
    words = ["a", "\N{GRINNING FACE}", "cat", "and", "a", "dog"]
    assert page.locator(".word").all_text_contents() == words


def test_a_long_prompt_is_written_in_several_lines(page, tmp_path) -> None:
    prompt = (
        "a red cat and a blue dog and a green bird and a yellow car and a big bench near a tree"
    )
    look(page, Inspector(pictures.run(prompt)), tmp_path)
    strip = page.locator(".strip")
    assert strip.evaluate("(strip) => strip.scrollWidth <= strip.clientWidth")
    expect(page.locator(".prompt")).to_contain_text("up to 20 words")
    assert page.locator(".arc").count() == 0


def test_a_clicked_pixel_is_kept(page, runs, tmp_path) -> None:
    look(page, Inspector(runs[0]), tmp_path)
    page.locator(".columns canvas").click(position={"x": 100, "y": 60})
    clicked = state(page, "pixel")
    page.mouse.move(5, 790)
    settle(page)
    assert state(page, "pixel") == clicked
    page.locator(".columns canvas").press("Escape")
    assert state(page, "pixel") is None


def test_what_is_seen_can_be_saved(page, runs, tmp_path) -> None:
    inspector = Inspector(*runs, names=["one", "<b>other</b>"])
    inspector.pins = ["cat", "car"]
    look(page, inspector, tmp_path)
    word(page, "red").click()
    page.mouse.move(5, 790)
    inspector.pins = ["cat", "car", "red"]
    files = {}
    for name in ("PNG", "SVG", "HTML"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        files[name] = tmp_path / f"saved.{name.lower()}"
        download.value.save_as(files[name])
    inspector.save(tmp_path / "own.png")
    saved, own = (np.asarray(Image.open(file)) for file in (files["PNG"], tmp_path / "own.png"))
    assert np.array_equal(saved, own)
    text = files["SVG"].read_text()
    assert "&lt;b&gt;other&lt;/b&gt;" in text and text.count("data:image/png") == 2
    page.goto(files["SVG"].as_uri())
    page.goto(files["HTML"].as_uri())
    page.wait_for_selector("html[data-ready]")
    assert state(page, "pins") == ["cat", "car", "red"]  # as it was seen
    assert np.array_equal(pixels(page), saved[:, :128, :3])


def test_a_prompt_of_html_is_text(page, tmp_path) -> None:
    prompt = "a </script><script>alert(1)</script> cat <img src=x onerror=alert(2)> & dog"
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    inspector = Inspector(pictures.run(prompt), pictures.run(prompt, seed=1))
    look(page, inspector, tmp_path)
    assert page.locator(".words").text_content() == prompt
    assert page.locator("#widget img").count() == 0
    word(page, "dog").hover()
    settle(page)
    assert prompt in page.locator(".columns canvas").first.get_attribute("aria-label")


def test_without_scripts_there_is_a_picture(chromium: Browser, runs, tmp_path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Inspector(runs[0]).save(tmp_path / "page.html").as_uri())
    images = page.locator("#widget img")
    assert [images.nth(i).get_attribute("alt") for i in (0, 3)] == [
        f"generated image: {PROMPT}",
        "attention of the word cat",
    ]
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth === 128)")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_all(scheme, page, runs, tmp_path) -> None:
    page.emulate_media(color_scheme=scheme)
    inspector = Inspector(*runs, names=["one", "other"])
    inspector.pins = ["cat", "red"]
    look(page, inspector, tmp_path)
    page.locator("summary").click()
    settle(page)
    found = Axe().run(page).response["violations"]
    assert not [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_a_page_opens_in_the_state_it_was_saved_in(page, runs, tmp_path) -> None:
    inspector = Inspector(runs[0])
    inspector.pins, inspector.threshold, inspector.region = ["cat", "red"], 0.25, (0, 0, 64, 64)
    inspector.step = 2
    look(page, inspector, tmp_path)
    for name in ("pins", "threshold", "region", "step"):
        assert state(page, name) == getattr(inspector, name)
    expect(page.locator("label", has_text="step")).to_contain_text("3 of")


def test_words_said_twice_and_runs_of_other_prompts(page, tmp_path) -> None:
    inspector = Inspector(pictures.run("a cat and a dog"), pictures.run("a cat on a car"))
    look(page, inspector, tmp_path)
    word(page, "a (2)").hover()
    settle(page)
    assert state(page, "word") == "a (2)"
    word(page, "dog").hover()
    expect(page.locator("figcaption").nth(1)).to_contain_text("not in its prompt")


def test_maps_of_sums_only_are_shown_with_what_they_lack(page, tmp_path) -> None:
    look(page, Inspector(pictures.run("a cat", keep=())), tmp_path)
    expect(page.locator(".controls")).to_contain_text("Steps were not kept")
    look(page, Inspector(pictures.run("", keep=())), tmp_path)
    assert page.locator(".word").count() == 0


def test_no_name_is_used_twice_in_one_script() -> None:
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", str(Inspector._esm), re.M)
    assert len(names) == len(set(names))
    assert not re.search(r"^(import|export (?!default))", str(Inspector._esm), re.M)


def test_numbers_are_the_same_after_saving(runs, tmp_path) -> None:
    runs[0].save(tmp_path / "run")
    again = Inspector(daamkit.open(tmp_path / "run"))
    first = Inspector(runs[0])
    assert again._data == first._data
    buffer = io.BytesIO()
    painting.sheet([painting.paint(again.runs, again._state(), "unguided")]).save(buffer, "PNG")
    assert buffer.getvalue()
