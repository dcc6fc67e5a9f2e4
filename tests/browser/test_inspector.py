"""The inspector's page in a real browser: what is seen is what the library says."""

import base64
import dataclasses
import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageColor
from playwright.sync_api import Browser, Page, expect

import daamkit
from benchmarks import inspector as benchmark
from daamkit.maps.run import Run
from daamkit.measures.syntax import relations
from daamkit.views import palettes
from daamkit.views.inspector import Inspector
from daamkit.views.png import data_uri
from tests import pictures
from tests.browser.firefox import Firefox
from tests.browser.pages import (
    away,
    decoded,
    look,
    painted,
    pixels,
    point,
    settle,
    shown,
    state,
    word,
)
from tests.views.runs import made

PROMPT = "a red cat next to a blue car"
CLEAR = {"word": None, "pins": [], "step": None, "site": None, "head": None, "threshold": 0.4,
         "scale": "shared", "region": None, "pixel": None, "difference": False}  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Two images of one prompt with all that a trace can keep."""
    return [pictures.run(PROMPT, seed=seed, keep=("step", "site", "head")) for seed in (0, 1)]


@pytest.fixture(scope="module")
def one(runs: list[Run]) -> Inspector:
    return Inspector(runs[0])


@pytest.fixture(scope="module")
def two(runs: list[Run]) -> Inspector:
    return Inspector(*runs, names=["one", "<b>other</b>"])


@pytest.fixture
def inspector(one: Inspector) -> Iterator[Inspector]:
    yield clear(one)


@pytest.fixture
def pair(two: Inspector) -> Iterator[Inspector]:
    yield clear(two)


def clear(inspector: Inspector) -> Inspector:
    for name, value in CLEAR.items():
        setattr(inspector, name, value)
    inspector.columns = list(inspector.runs)
    return inspector


def test_it_opens_with_the_nouns_in_colour(page, pair, tmp_path) -> None:
    look(page, pair, tmp_path)
    for i, name in enumerate(pair.runs):
        assert np.array_equal(pixels(page, i), painted(pair, name))
        assert not np.array_equal(painted(pair, name), np.asarray(pair.runs[name].image))
    assert page.locator(".word.shown").evaluate_all(
        "(words) => words.map((word) => word.dataset.word)"
    ) == ["cat", "car"]
    expect(page.locator(".status")).to_contain_text("Coloured: cat, car")
    page.get_by_label("each its own").check()
    pair.scale = "own"
    for i, name in enumerate(pair.runs):
        assert np.array_equal(pixels(page, i), painted(pair, name))


def test_a_chips_bars_are_its_peaks_against_the_strongest(page, pair, tmp_path) -> None:
    look(page, pair, tmp_path)
    peaks = pair.table("words").pivot(index="word", columns="column", values="peak")
    for label in pair.words:
        shares = (
            word(page, label)
            .locator(".bars i")
            .evaluate_all(
                "(bars) => bars.map((bar) => Number(bar.style.getPropertyValue('--share')))"
            )
        )
        truth = peaks.loc[label, list(pair.runs)] / peaks.to_numpy().max()
        assert shares == pytest.approx(truth.tolist(), rel=1e-5)
    assert len(set(peaks.to_numpy().ravel())) == 2 * len(pair.words)


def test_hovering_a_word_lays_its_map_over_the_image(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    opening = pixels(page)
    word(page, "red").hover()
    inspector.word = "red"
    assert np.array_equal(pixels(page), painted(inspector))
    page.get_by_label("each its own").check()
    inspector.scale, inspector.word = "own", "next"
    word(page, "next").hover()
    assert np.array_equal(pixels(page), painted(inspector))
    page.get_by_label("one scale for all words").check()
    away(page)
    assert np.array_equal(pixels(page), opening)


def test_pins_show_in_hues_with_stripes_where_they_overlap(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    for label in ("cat", "red", "car"):
        word(page, label).click()
    away(page)
    inspector.pins = ["cat", "red", "car"]
    assert np.array_equal(pixels(page), painted(inspector))
    word(page, "red").click()
    away(page)
    assert state(page, "pins") == ["cat", "car"]


def test_no_sixth_word_takes_a_hue_that_is_taken(page, inspector, tmp_path) -> None:
    inspector.pins = ["a", "red", "cat", "next", "to"]
    look(page, inspector, tmp_path)
    word(page, "car").click()
    settle(page)
    assert state(page, "pins") == inspector.pins
    expect(page.locator(".status")).to_contain_text("let one go first")
    hues = page.locator(".status .hue").evaluate_all(
        "(each) => each.map((i) => i.style.background)"
    )
    assert len(set(hues)) == 5


@pytest.mark.parametrize("presses", [0, 1, -23, 60])
def test_the_threshold_gives_the_librarys_numbers(presses, page, inspector, runs, tmp_path) -> None:
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
    found = shown(page, "pairs")["this run"]
    assert [cell[1] for cell in found] == [f"{row[name]:.4f}" for name in ("iou", "iod", "ioh")]
    said = f"overlap {row.iou:.0%}; {row.iod:.0%} of red lies on cat".replace("%", " %")
    expect(page.locator(".headline")).to_have_text(said)
    inspector.threshold = threshold
    assert np.array_equal(pixels(page), painted(inspector))


def test_dragging_the_threshold_moves_mask_and_numbers(page, inspector, tmp_path) -> None:
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
    assert float(shown(page, "pairs")["this run"]["overlap"][1]) == pytest.approx(
        inspector.table()["iou"][0], abs=5e-5
    )


def test_hovering_a_pixel_ranks_the_words(page, inspector, runs, tmp_path) -> None:
    look(page, inspector, tmp_path)
    y, x = runs[0].maps.word("cat").peak()
    point(page, (x + 0.5) / 128, (y + 0.5) / 128)
    inspector.pixel = state(page, "pixel")
    found, truth = shown(page, "pixel")["this run"], inspector.table().set_index("word")
    for label, (share, value) in found.items():
        assert float(share.removesuffix(" %")) == pytest.approx(
            100 * truth.loc[label, "share"], abs=1
        )
        assert float(value) == pytest.approx(truth.loc[label, "value"], rel=0.05, abs=1e-3)
    assert found.index[0] == truth.index[0] == "cat"
    bars = page.locator(".stage .tip .row:visible span:first-child").all_text_contents()
    assert bars == truth.index[:3].tolist()


def test_where_no_word_stands_out_it_says_so(page, inspector, runs, tmp_path) -> None:
    look(page, inspector, tmp_path)
    content = [w.mask() for w in runs[0].maps.words() if w.word.text not in ("a", "to", "next")]
    nowhere = np.argwhere(~np.any(content, 0) & ~runs[0].maps.word("next").mask())
    y, x = nowhere[len(nowhere) // 2]
    point(page, (x + 0.5) / 128, (y + 0.5) / 128)
    expect(page.locator(".stage .tip")).to_have_text("no word stands out", use_inner_text=True)


def test_brushing_a_region_tells_which_words_explain_it(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    for start, end in (((0.1, 0.3), (0.5, 0.9)), ((0.02, 0.02), (0.9, 0.95))):  # small, large
        point(page, *start)
        page.mouse.down()
        point(page, *end)
        page.mouse.up()
        settle(page)
        inspector.region = state(page, "region")
        truth = inspector.table().set_index("word")
        found = shown(page, "region")["this run"]
        assert len(found) == len(truth) == 8
        for label, (inside, behind) in found.items():
            lift, iou = re.fullmatch(r"×([\d.]+) IoU ([\d.]+)", behind).groups()
            assert float(inside.removesuffix(" %")) == pytest.approx(
                100 * truth.loc[label, "inside"], abs=1
            )
            assert float(iou) == pytest.approx(truth.loc[label, "iou"], abs=0.0051)
            assert float(lift) == pytest.approx(truth.loc[label, "lift"], rel=0.02, abs=0.01)


def test_keys_reach_everything(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.dataset.word ?? ''") != "a":
        page.keyboard.press("Tab")
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
    for _ in range(20):  # everything that can be pressed can be tabbed to, and shows it
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const at = document.activeElement;
              return at === document.body || at.matches(".arc, .scroll")
                || getComputedStyle(at).outlineStyle !== "none";
            }"""
        )
        assert outline


def test_an_arc_pins_its_head_and_dependent(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    arc = page.get_by_role("button", name="red describes cat (amod)")
    arc.focus()
    page.keyboard.press("Enter")
    settle(page)
    assert state(page, "pins") == ["cat", "red"]
    expect(arc).to_have_attribute("aria-pressed", "true")
    assert arc.locator("title").text_content() == "red describes cat"
    page.locator(".arc text", has_text="nmod:next_to").click()
    assert state(page, "pins") == ["cat", "car"]
    few = page.locator(".arc").count()
    page.get_by_role("button", name="more arcs").click()  # of function words
    assert page.locator(".arc").count() > few
    expect(page.get_by_role("button", name="a introduces cat (det)")).to_be_visible()


HEAR = """() => {
  const said = document.querySelector("input.step").closest("label").querySelector("output");
  globalThis.heard = [said.textContent];
  new MutationObserver(() => heard.push(said.textContent)).observe(said, { childList: true });
}"""


def test_steps_are_scrubbed_and_played(page, inspector, tmp_path) -> None:
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    whole = pixels(page)
    page.locator("input.step").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page, "step") == 1
    inspector.step = 1
    near = painted(inspector).astype(int)
    drawn = (pixels(page).astype(int) for _ in range(50))  # in the next frame, or the one after
    assert any(np.abs(each - near).mean() < 2 for each in drawn)
    expect(page.locator(".values")).to_contain_text("near, not exact")
    expect(page.locator(".status")).to_contain_text("step 2 ×")
    page.locator(".spark").click(position={"x": 5, "y": 5})
    assert state(page, "step") == 0
    expect(page.locator(".curve")).to_have_count(1)
    expect(page.locator("label", has_text="step")).to_contain_text("1 of 5")
    page.evaluate(HEAR)
    page.get_by_role("button", name="play").click()
    expect(page.locator("label", has_text="step")).to_contain_text("all 5")
    heard = [*dict.fromkeys(page.evaluate("heard"))]
    assert heard == [*(f"{step} of 5" for step in range(1, 6)), "all 5"]
    expect(page.locator(".play")).to_have_text("play")
    assert any(np.array_equal(pixels(page), whole) for _ in range(50))


def test_a_steps_map_lies_over_what_the_model_meant_then(page, toybox, tmp_path) -> None:
    with daamkit.trace(toybox, keep=("step",), previews=True) as tracer:
        toybox(PROMPT, num_inference_steps=3, generator=torch.Generator().manual_seed(0))
    run = tracer.run
    plain = Inspector(Run(run.image, run.branches))
    inspector = Inspector(run)
    for each in (plain, inspector):
        each.pins, each.step = ["cat"], 1
    look(page, inspector, tmp_path)
    near, without = painted(inspector).astype(int), painted(plain).astype(int)
    seen = (pixels(page) for _ in range(50))  # it is read meanwhile
    assert any(np.abs(each - near).mean() < 2 for each in seen)
    assert np.abs(pixels(page) - without).mean() > 10


def test_a_large_images_steps_lie_in_cells(page, tmp_path) -> None:
    small = benchmark.make(2, 2, 64)
    maps = dataclasses.replace(small.maps, size=(300, 601))
    light = Image.linear_gradient("L").convert("RGB")
    meant = [data_uri(light.rotate(turn)) for turn in (90, 180)]
    run = Run(Image.new("RGB", (601, 300), "green"), {"cond": maps}, record={"previews": meant})
    inspector = Inspector(run)
    inspector.step = 1
    for state_ in ({"pins": ["cats", "car"]}, {"pins": [], "word": "cats"}):
        for name, value in state_.items():
            setattr(inspector, name, value)
        look(page, inspector, tmp_path)
        near = painted(inspector).astype(int)
        seen = (pixels(page).astype(int) for _ in range(50))  # it is read meanwhile
        assert any(np.abs(each - near).mean() < 4 for each in seen)
        blocks = pixels(page)[:, :600].reshape(100, 3, 200, 3, 3)  # a cell is 3 x 3 pixels
        assert (blocks == blocks[:, :1, :, :1]).all()


def test_heads_come_by_strength_and_narrow_the_map(page, inspector, runs, tmp_path) -> None:
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    whole = pixels(page)
    page.get_by_role("tab", name="layers and heads").click()
    expect(page.locator(".head")).to_have_count(7 * 4)
    columns = list(runs[0].maps.word("cat").word.columns)
    peaks = {
        layer.name: layer.values.sum(0)[:, columns].mean(1).amax((-1, -2))
        for layer in runs[0].maps.layers.values()
    }
    order = page.locator(".head").evaluate_all("(heads) => heads.map((each) => each.ariaLabel)")
    best = max(peaks, key=lambda name: float(peaks[name].max()))
    numbers = ".".join(re.findall(r"\d+", best)[:3])
    assert order[0].startswith(f"head {int(peaks[best].argmax())} of ")
    assert order[0].endswith(numbers)
    seen, kept = page.locator(".head canvas").first, peaks[best].argmax()
    data = base64.b64decode(seen.evaluate("(cell) => cell.toDataURL()").partition(",")[2])
    cells = runs[0].maps.layers[best].values.sum(0)[int(kept), columns].mean(0)
    bytes_ = (cells / cells.max() * 255).round().numpy()
    drawn = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(drawn, palettes.colours(bytes_ / 255))
    button = page.get_by_role("button", name="head 2 of up 1.0.0", exact=True)
    button.hover()
    settle(page)
    assert state(page, "site") is None and not np.array_equal(pixels(page), whole)  # a preview
    away(page)
    assert np.array_equal(pixels(page), whole)
    button.click()
    away(page)
    inspector.site, inspector.head = state(page, "site"), state(page, "head")
    assert inspector.head == 2 and inspector.site.startswith("up_blocks.1.attentions.0")
    near = painted(inspector).astype(int)
    assert np.abs(pixels(page).astype(int) - near).mean() < 4
    expect(page.locator(".status")).to_contain_text("head 2 of up 1.0.0 ×")
    button.click()
    away(page)
    assert state(page, "site") is None and np.array_equal(pixels(page), whole)
    page.get_by_label("layer", exact=True).select_option(inspector.site)
    assert state(page, "head") is None and state(page, "site") == inspector.site
    stops = page.locator(".head").evaluate_all("(heads) => heads.filter((h) => h.tabIndex === 0)")
    assert len(stops) == 1


def headed(seed: int) -> Run:
    """Four layers of 32 heads, the first layer's weakest."""
    run, rng = made("a cat and a dog", seed), np.random.default_rng(seed)
    maps, layer = run.maps, run.maps.layers["up"]
    layers = {}
    for i in range(4):
        name = f"up_blocks.{i}.attentions.0.transformer_blocks.0.attn2"
        strength = torch.from_numpy(rng.permutation(np.linspace(0.5, 1, 32, dtype=np.float32)))
        values = (i + 1) * strength[:, None, None, None] * layer.values
        layers[name] = dataclasses.replace(
            layer, name=name, sites=(name,), heads=32, values=values, order=i
        )
    kept = dataclasses.replace(maps, layers=layers, keep=frozenset({"site", "head"}))
    return Run(run.image, {"cond": kept}, {}, run.record)


def test_every_head_of_a_layer_is_within_reach(page, tmp_path) -> None:
    inspector = Inspector(headed(0), headed(1), names=["one", "other"])
    look(page, inspector, tmp_path)
    page.get_by_role("tab", name="layers and heads").click()
    heads, note = page.locator(".head"), page.locator(".panel:visible .note").first
    names = "(heads) => heads.map((each) => each.ariaLabel)"
    expect(heads).to_have_count(60)
    expect(note).to_contain_text("The 60 strongest of 128")
    strongest = heads.evaluate_all(names)
    assert not any("up 0" in name for name in strongest)
    page.get_by_label("layer", exact=True).select_option(index=1)
    expect(heads).to_have_count(32)
    assert all(name.endswith("of up 0.0.0") for name in heads.evaluate_all(names))
    heads.nth(31).click()
    expect(heads).to_have_count(32)
    expect(heads.nth(31)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".status")).to_contain_text("of up 0.0.0 ×")
    page.get_by_label("layer", exact=True).select_option(index=0)
    expect(heads).to_have_count(60)
    heads.nth(7).click()  # of all: they stay where they are
    expect(heads.nth(7)).to_have_attribute("aria-pressed", "true")
    assert heads.evaluate_all(names) == strongest
    page.get_by_label("one", exact=True).uncheck()
    settle(page)
    assert heads.evaluate_all(names) != strongest  # the other run's, which alone is shown


def test_columns_are_linked_and_their_difference_is_centred(page, pair, tmp_path) -> None:
    look(page, pair, tmp_path)
    word(page, "cat").click()
    page.get_by_label("difference from one").check()
    away(page)
    pair.pins, pair.difference = ["cat"], True
    for i, name in enumerate(pair.runs):
        truth = painted(pair, name).astype(int)
        assert np.abs(pixels(page, i) - truth).max() <= (0 if i == 0 else 8)  # one of 255 colours
    page.get_by_label("<b>other</b>", exact=True).uncheck()
    assert state(page, "columns") == ["one"]
    expect(page.locator("figure:visible")).to_have_count(1)
    expect(page.locator(".status")).to_contain_text("1 of 2 runs ×")
    page.get_by_label("one", exact=True).click()  # the last one stays
    assert state(page, "columns") == ["one"]


def test_the_scale_of_differences_is_that_of_the_columns_shown(page, runs, tmp_path) -> None:
    far = pictures.run("a cat", steps=2)
    inspector = Inspector(*runs, far, names=["one", "other", "far"])
    inspector.pins, inspector.difference, inspector.columns = ["cat"], True, ["one", "other"]
    look(page, inspector, tmp_path)
    truth = painted(inspector, "other").astype(int)
    assert np.abs(pixels(page, 1) - truth).max() <= 8


def test_a_layers_values_are_the_librarys(page, inspector, runs, tmp_path) -> None:
    inspector.site = next(iter(runs[0].maps.layers))
    inspector.pixel = (70, 90)
    for head in (None, 1):
        inspector.head = head
        look(page, inspector, tmp_path)
        truth, found = inspector.table().set_index("word"), shown(page, "pixel")["this run"]
        total = sum(float(value) for _, value in found)
        assert total == pytest.approx(truth["value"].sum(), rel=0.15)
        top = found.index[0]
        assert float(found.iloc[0][1]) == pytest.approx(truth.loc[top, "value"], rel=0.15)


def test_what_narrows_the_view_can_be_let_go(page, inspector, tmp_path) -> None:
    inspector.pins, inspector.step, inspector.pixel = ["cat", "red"], 2, (40, 52)
    inspector.threshold, inspector.scale = 0.3, "own"
    look(page, inspector, tmp_path)
    chips = page.locator(".status .chip")
    texts = [text.removesuffix(" ×") for text in chips.all_text_contents()]
    assert texts == ["cat", "red", "step 3", "pixel 40, 52"]
    page.get_by_role("button", name="let go: step 3").click()
    assert state(page, "step") is None
    page.get_by_role("button", name="clear all").click()
    settle(page)
    assert state(page, "pins") == [] and state(page, "pixel") is None
    expect(chips).to_have_count(0)
    assert (state(page, "threshold"), state(page, "scale")) == (0.3, "own")  # they narrow nothing


def test_a_map_that_no_pointer_holds_can_be_let_go(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    status, opening = page.locator(".status"), "Coloured: cat, car. Click words to choose others."
    word(page, "red").hover()
    settle(page)
    assert status.text_content() == opening
    away(page)
    page.evaluate("daamkitModel.set('word', 'red')")  # as Python does
    expect(status).to_have_text("clear allmap of red ×")
    page.get_by_role("button", name="let go: map of red").click()
    assert state(page, "word") is None
    expect(status).to_have_text(opening)


def test_a_head_that_is_pointed_at_has_no_chip(page, inspector, tmp_path) -> None:
    inspector.pins, inspector.region = ["cat"], (3, 4, 50, 60)
    look(page, inspector, tmp_path)
    page.get_by_role("tab", name="layers and heads").click()
    before = page.locator(".status").text_content()
    page.locator(".head").first.hover()
    settle(page)
    assert page.locator(".status").text_content() == before


def test_a_run_can_be_put_beside_it(page, inspector, two, tmp_path) -> None:
    look(page, inspector, tmp_path)
    page.get_by_role("tab", name="layers and heads").click()
    page.get_by_role("button", name="more arcs").click()
    page.locator("input.threshold").focus()
    top = "(panel) => panel.scrollTop"
    page.locator(".panel:visible").evaluate("(panel) => { panel.scrollTop = 12; }")
    assert page.locator(".panel:visible").evaluate(top) == 12
    sent = {**two._column_1, "name": "more"}
    data = sent.pop("data")
    page.evaluate(
        """([sent, data]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          daamkitModel.set("_column_1", { ...sent, data: new DataView(bytes.buffer) });
          daamkitModel.set("columns", ["unguided", "more"]);
          daamkitModel.set("_names", ["unguided", "more"]);
        }""",
        [sent, base64.b64encode(data).decode()],
    )
    expect(page.locator("figure:visible")).to_have_count(2)
    tab = page.get_by_role("tab", name="layers and heads")  # and all is as it was left
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("button", name="a introduces cat (det)")).to_be_visible()
    expect(page.get_by_role("button", name="more arcs")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("input.threshold")).to_be_focused()
    assert page.locator(".panel:visible").evaluate(top) == 12
    for i, name in enumerate(clear(two).runs):
        assert np.array_equal(pixels(page, i), painted(two, name))


SHIFTS = """() => {
  const found = [];
  const note = (entries) => entries.forEach(({ value, sources }) =>
    found.push([value, ...sources.map(({ node }) => `${node?.className ?? ""}`)]));
  const watch = new PerformanceObserver((list) => note(list.getEntries()));
  watch.observe({ type: "layout-shift" });
  globalThis.shifts = () => (note(watch.takeRecords()), found);
}"""


def shifts(page: Page) -> list:
    """What has moved since this was asked to watch: how far, and which elements."""
    settle(page)
    return page.evaluate("shifts()")


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_nothing_moves(columns, page, tmp_path) -> None:
    names, long = [f"run {i}" for i in range(columns)], "electroencephalographers"
    inspector = Inspector([made(f"a red cat and {long}", seed=i) for i in range(columns)],
                          names=names)  # fmt: skip

    def hover() -> None:
        for label in ("cat", long, "red"):
            word(page, label).hover()
            settle(page)
        away(page)

    for width in (900, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 1000})
        look(page, inspector, tmp_path)
        sides = page.locator("figure").evaluate_all("(all) => all.map((each) => each.clientWidth)")
        assert len(set(sides)) == 1 and len(sides) == columns
        page.evaluate(SHIFTS)
        hover()
        for x in (0.2, 0.5, 0.9):
            point(page, x, x)
        page.mouse.down()
        page.mouse.up()
        away(page)
        word(page, "cat").click()
        word(page, "red").click()
        point(page, 0.2, 0.2)
        page.mouse.down()
        point(page, 0.6, 0.7)
        page.mouse.up()
        settle(page)
        page.locator("input.threshold").focus()
        for key in ("ArrowRight", "PageUp", "Home"):
            page.keyboard.press(key)
            settle(page)
        away(page)
        page.get_by_label("each its own").check()
        page.get_by_role("button", name="clear all").click()
        page.get_by_role("tab", name="layers and heads").click()
        if columns > 1:
            page.get_by_label("difference from run 0").check()
        hover()
        assert shifts(page) == []
        page.evaluate("document.querySelector('.prompt').style.marginTop = '9px'")
        assert len(shifts(page)) == 1  # that one is seen


@pytest.fixture
def phone(chromium: Browser, inspector, tmp_path) -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    look(page, inspector, tmp_path)
    yield page
    context.close()


def test_a_finger_scrolls_taps_and_holds(phone, inspector) -> None:
    canvas = phone.locator(".columns canvas")
    canvas.scroll_into_view_if_needed()
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390  # nothing hangs over the edge
    box = canvas.bounding_box()
    hand = phone.context.new_cdp_session(phone)
    before = phone.evaluate("scrollY")
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.8 * box["height"]
    for kind, by in (("touchStart", 0), *(("touchMove", 25 * i) for i in range(1, 9))):
        touch = {"type": kind, "touchPoints": [{"x": x, "y": y - by}]}
        hand.send("Input.dispatchTouchEvent", touch)
        settle(phone)
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert phone.evaluate("scrollY") > before + 100
    assert state(phone, "region") is None and state(phone, "pixel") is None
    canvas.scroll_into_view_if_needed()
    canvas.tap(position={"x": 100, "y": 60})
    settle(phone)
    assert state(phone, "pixel") is not None and state(phone, "region") is None
    cat = word(phone, "cat")
    cat.tap()
    settle(phone)
    assert (state(phone, "word"), state(phone, "pins")) == ("cat", [])
    chips = re.compile(r"^clear all\s*map of cat ×\s*pixel \d+, \d+ ×$")
    expect(phone.locator(".status")).to_have_text(chips)
    phone.locator(".values").tap()  # elsewhere: what was tapped stays
    assert state(phone, "word") == "cat"
    cat.tap()
    assert state(phone, "word") is None
    box = cat.bounding_box()
    finger = [{"x": box["x"] + 8, "y": box["y"] + 8}]
    hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": finger})
    phone.wait_for_timeout(600)
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settle(phone)
    assert state(phone, "pins") == ["cat"]
    phone.get_by_label("draw boxes").check()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.7)):
        finger = [{"x": box["x"] + share * box["width"], "y": box["y"] + share * box["height"]}]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": finger})
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settle(phone)
    top, left, bottom, right = state(phone, "region")
    assert bottom - top > 40 and right - left > 40


def test_on_a_phone_no_chip_is_out_of_sight(phone) -> None:
    status = phone.locator(".status")
    before = status.bounding_box()
    now = {"pins": ["cat", "blue", "car"], "word": "red", "step": 2, "pixel": [40, 52],
           "region": [10, 10, 60, 90]}  # fmt: skip
    phone.evaluate(
        "(now) => Object.entries(now).forEach(([name, value]) => daamkitModel.set(name, value))",
        now,
    )
    settle(phone)
    frame, chips = status.bounding_box(), status.locator("button").all()
    assert frame == before and len(chips) == 8
    for box in (chip.bounding_box() for chip in chips):
        assert frame["x"] <= box["x"] <= box["x"] + box["width"] <= frame["x"] + frame["width"]
        assert frame["y"] <= box["y"] <= box["y"] + box["height"] <= frame["y"] + frame["height"]
    phone.evaluate("scrollTo(0, 400)")
    settle(phone)
    assert phone.evaluate("scrollY") == 400 and status.bounding_box()["y"] == 0


def test_characters_are_counted_as_python_counts_them(page, tmp_path) -> None:
    prompt = "a \N{GRINNING FACE} cat and a dog"
    look(page, Inspector(pictures.run(prompt)), tmp_path)
    assert page.locator(".words").text_content() == prompt
    words = ["a", "\N{GRINNING FACE}", "cat", "and", "a", "dog"]
    assert page.locator(".word").all_text_contents() == words


def test_a_prompt_that_does_not_fit_one_line_has_no_arcs(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    expect(page.locator(".arc").first).to_be_visible()
    page.set_viewport_size({"width": 300, "height": 800})
    expect(page.locator(".arc")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= 300")


@pytest.mark.parametrize(
    "prompt", ["一只 猫 和 一只 狗", "חתול אדום וכלב", "a cat \N{DOG FACE}", ""]
)
def test_prompts_of_all_kinds(prompt, page, tmp_path) -> None:
    inspector = Inspector(made(prompt))
    look(page, inspector, tmp_path)
    assert page.locator(".words").text_content() == prompt
    assert page.locator(".word").count() == len(prompt.split())
    right = (
        [page.locator(".word").nth(i).bounding_box()["x"] for i in (0, -1)] if prompt else [0, 1]
    )
    assert (right[0] > right[1]) == prompt.startswith("ח")  # it begins on the right
    assert lines(saved(page, "SVG", tmp_path)) == lines(inspector._sheet().svg())
    said = "The prompt is empty" if not prompt else "" if prompt.startswith("a") else "English"
    expect(page.locator(".prompt")).to_contain_text(said)
    assert prompt.startswith("a") or page.locator(".arc").count() == 0


def test_a_clicked_pixel_is_kept(page, inspector, tmp_path) -> None:
    look(page, inspector, tmp_path)
    page.locator(".columns canvas").click(position={"x": 100, "y": 60})
    clicked = state(page, "pixel")
    away(page)
    assert state(page, "pixel") == clicked
    page.locator(".columns canvas").press("Escape")
    assert state(page, "pixel") is None


def saved(page: Page, kind: str, folder: Path) -> Path:
    """What the button under "share" saves."""
    page.get_by_role("tab", name="share").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).click()
    file = folder / f"saved.{kind.lower()}"
    download.value.save_as(file)
    return file


def lines(svg: Path | str) -> list[tuple[str, str, str]]:
    """Each text of a picture, its colour, and whether it is read from the right."""
    text = svg.read_text(encoding="utf-8") if isinstance(svg, Path) else svg
    found = re.findall(r"<text ([^>]*)>([^<]*)</text>", text)
    tint = [re.search('fill="([^"]*)"', about)[1] for about, _ in found]
    colour = ["{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(each.replace(" ", ",")))
              if each.startswith("rgb") else each[1:] for each in tint]  # fmt: skip
    return [(unescape(said), own, str('direction="rtl"' in about))
            for (about, said), own in zip(found, colour, strict=True)]  # fmt: skip


def marks(svg: str) -> list[dict[str, str]]:
    """Boxes and places that are marked in the pictures, each as its attributes."""
    found = re.findall(r"<(?:rect|circle) ([^>]*?stroke=[^>]*?)/?>", svg.partition("<image")[2])
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', each)) for each in found]


@pytest.mark.parametrize(
    "now",
    [
        {"pins": ["cat", "red"], "threshold": 0.25, "region": [1, 2, 30, 40], "pixel": [5, 6]},
        {"word": "a (2)", "scale": "own", "step": 2},
        {"pins": ["car"], "difference": True},
        {"pins": ["car"], "difference": True, "columns": ["<b>other</b>"]},
        {"word": "car", "difference": True, "columns": ["one"]},
        {"pins": ["cat", "car"], "difference": True, "site": 4, "head": 1},
        {"site": 0},
    ],
)
def test_the_legend_is_the_librarys(now, page, pair, runs, tmp_path) -> None:
    for name, value in now.items():
        setattr(pair, name, list(runs[0].maps.layers)[value] if name == "site" else value)
    look(page, pair, tmp_path)
    own = pair._sheet()
    svg = saved(page, "SVG", tmp_path)
    assert lines(svg) == lines(own.svg()) and marks(svg.read_text()) == marks(own.svg())
    assert len(marks(own.svg())) == 8 * ("region" in now)  # a box, a place, each twice, in each run
    for i, each in enumerate(own.seen):  # and so is what it tells of
        shown = page.locator("figure:visible canvas").nth(i).evaluate("(c) => c.toDataURL()")
        data = base64.b64decode(shown.partition(",")[2])
        gap = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) - each.pixels
        assert np.abs(gap).mean() < 4


def test_the_view_is_copied_as_python(page, inspector, tmp_path) -> None:
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    page.get_by_role("tab", name="share").click()
    page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => (globalThis.copied = text); }"
    )
    page.get_by_role("button", name="copy as Python").click()
    expect(page.locator(".exports").last).to_contain_text("copied")
    assert page.evaluate("copied") == inspector.code()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.get_by_role("button", name="copy as Python").click()
    expect(page.locator(".exports").last).to_contain_text("press Ctrl+C")
    assert (
        page.get_by_label("this view as Python").evaluate(
            "({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd)"
        )
        == inspector.code()
    )


def test_what_is_seen_can_be_saved(page, pair, tmp_path) -> None:
    pair.pins = ["cat", "car", "red"]
    look(page, pair, tmp_path)
    page.get_by_role("tab", name="share").click()
    expect(page.get_by_label("this view as Python")).to_have_value(pair.code())
    files = {name: saved(page, name, tmp_path) for name in ("PNG", "SVG", "HTML")}
    pair.save(tmp_path / "own.png")
    with Image.open(files["PNG"]) as found, Image.open(tmp_path / "own.png") as own:
        assert found.size == own.size  # 2x, and the same lines of text
        gap = np.abs(np.asarray(found.convert("RGB"), int) - np.asarray(own, int)).mean()
    assert gap < 6
    text = files["SVG"].read_text()
    assert "&lt;b&gt;other&lt;/b&gt;" in text and text.count("data:image/png") == 2
    assert "toybox, seed 1, 5 steps" in text
    page.goto(files["SVG"].as_uri())
    page.goto(files["HTML"].as_uri())
    page.wait_for_selector("html[data-ready]")
    assert state(page, "pins") == ["cat", "car", "red"]  # as it was seen
    assert np.array_equal(pixels(page), painted(pair))


def test_with_no_kernel_it_says_what_does_not_work(page, inspector, tmp_path) -> None:
    page.clock.install()
    look(page, inspector, tmp_path)
    page.evaluate("delete daamkitModel.source")  # as behind a notebook; nobody answers
    page.get_by_role("tab", name="share").click()
    page.get_by_role("button", name="HTML").click()
    page.clock.fast_forward(9000)
    expect(page.locator(".exports")).to_contain_text(["", "No kernel has answered"])
    word(page, "red").click()
    assert state(page, "pins") == ["red"]


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


def test_without_scripts_there_is_a_picture(chromium: Browser, inspector, tmp_path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(inspector.save(tmp_path / "page.html").as_uri())
    images = page.locator("#widget img")
    assert [images.nth(i).get_attribute("alt") for i in (0, 3)] == [
        f"generated image: {PROMPT}",
        "attention of the word cat",
    ]
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth === 128)")
    context.close()


def test_each_gesture_that_is_timed_is_drawn(page, tmp_path) -> None:
    run = benchmark.make(4, 4, 64, previews=True)
    look(page, Inspector(run, run, names=["one", "other"]), tmp_path)
    found = benchmark.gestures(page, 2)
    assert {
        "hover a word", "hover a word, heads open", "go to a step, with previews",
        "toggle the scale", "threshold, two pins and a box",
    } <= set(found)  # fmt: skip
    assert all(len(times) == 2 for times in found.values())
    assert int(page.locator(".daamkit-inspector").get_attribute("data-drawn")) > 2 * len(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_all(scheme, page, pair, tmp_path) -> None:
    page.emulate_media(color_scheme=scheme)
    look(page, pair, tmp_path)
    problems = []
    for tab, pins in {"steps": [], "layers and heads": ["cat", "red"], "share": ["a"]}.items():
        page.get_by_role("tab", name=tab).click()
        page.evaluate("(pins) => daamkitModel.set('pins', pins)", pins)
        settle(page)
        problems += [
            (tab, each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in Axe().run(page).response["violations"]
        ]
    assert problems == []
    names = page.locator("input, button, select, textarea").evaluate_all(
        """(all) => all.map((each) =>
          each.ariaLabel || each.labels?.[0]?.textContent || each.textContent)"""
    )
    assert all(name.strip() for name in names)


def test_firefox_shows_the_same(firefox: Firefox, inspector, tmp_path) -> None:
    frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

    def seen() -> np.ndarray:
        firefox.evaluate(frames)
        uri = "() => document.querySelector('.columns canvas').toDataURL('image/png')"
        return decoded(firefox.evaluate(uri))

    def middle(selector: str) -> tuple[float, float]:
        x, y = firefox.evaluate(
            """(selector) => { const box = document.querySelector(selector).getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2]; }""",
            selector,
        )
        return x, y

    firefox.goto(inspector.save(tmp_path / "page.html").as_uri())
    ready = "document.documentElement.hasAttribute('data-ready')"
    firefox.evaluate(f"async () => {{ while (!{ready}) await new Promise(requestAnimationFrame) }}")
    assert np.array_equal(seen(), painted(inspector))
    firefox.move(*middle('.word[data-word="red"]'))
    inspector.word = "red"
    assert np.array_equal(seen(), painted(inspector))
    firefox.move(*middle('.word[data-word="red"]'), click=True)
    firefox.move(*middle(".columns canvas"))
    firefox.evaluate(frames)
    pins, pixel = firefox.evaluate("() => ['pins', 'pixel'].map((name) => daamkitModel.get(name))")
    assert pins == ["red"] and pixel is not None


def test_it_can_be_seen_with_forced_colours(page, inspector, tmp_path) -> None:
    page.emulate_media(forced_colors="active")
    inspector.pins = ["cat"]
    look(page, inspector, tmp_path)
    back = "(node) => getComputedStyle(node).backgroundColor"
    assert word(page, "cat").evaluate(back) != word(page, "red").evaluate(back)
    assert np.array_equal(pixels(page), painted(inspector))


def test_a_page_opens_in_the_state_it_was_saved_in(page, inspector, tmp_path) -> None:
    inspector.pins, inspector.threshold, inspector.region = ["cat", "red"], 0.25, (0, 0, 64, 64)
    inspector.step = 2
    page.goto(inspector.save(tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    for name in ("pins", "threshold", "region", "step"):
        assert state(page, name) == getattr(inspector, name)
    expect(page.locator("label", has_text="step")).to_contain_text("3 of")


def test_words_said_twice_and_runs_of_other_prompts(page, tmp_path) -> None:
    inspector = Inspector(made("a cat and a dog"), made("a cat on a car"))
    look(page, inspector, tmp_path)
    word(page, "a (2)").hover()
    settle(page)
    assert state(page, "word") == "a (2)"
    word(page, "dog").hover()
    expect(page.locator(".badge").nth(1)).to_have_text("not in its prompt")


def test_maps_of_sums_only_are_shown_with_what_they_lack(page, tmp_path) -> None:
    look(page, Inspector(pictures.run("a cat", keep=())), tmp_path)
    expect(page.locator(".tabs")).to_contain_text("Steps were not kept")


def test_no_name_is_used_twice_in_one_script() -> None:
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", str(Inspector._esm), re.M)
    assert len(names) == len(set(names))
    assert not re.search(r"^(import|export (?!default))", str(Inspector._esm), re.M)


def test_numbers_are_the_same_after_saving(inspector, runs, tmp_path) -> None:
    runs[0].save(tmp_path / "run")
    again = Inspector(daamkit.open(tmp_path / "run"))
    assert again._column_0["data"] == inspector._column_0["data"]
    assert np.array_equal(painted(again), painted(inspector))
