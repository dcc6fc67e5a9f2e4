"""The inspector without a browser: its state, its tables, its files, its still picture."""

import base64
import dataclasses
import gc
import gzip
import io
import json
import re
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures.syntax import relations
from daamkit.views import plots
from daamkit.views.inspector import Inspector, arcs, contents, painting
from tests import pictures
from tests.views.runs import made

PROMPT = "a red cat next to a blue car"
NASTY = "a </script><script>alert(1)</script> cat <img src=x> & dog"


@pytest.fixture(scope="module")
def run() -> Run:
    return pictures.run(PROMPT, keep=("step", "site", "head"))


@pytest.fixture(scope="module")
def other() -> Run:
    return pictures.run(PROMPT, seed=1)


@pytest.fixture
def inspector(run: Run) -> Inspector:
    return Inspector(run)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, contents.CUTS), st.sampled_from(range(8)))
def test_levels_are_the_masks_at_every_cut(run: Run, cut: int, word: int) -> None:
    found = run.maps.words()[word]
    mask = found.mask(cut / contents.CUTS)
    assert np.array_equal(contents.levels(found) > cut, mask)


def test_a_map_that_is_nowhere_above_zero_is_in_no_mask(run: Run) -> None:
    word = run.maps.word("cat")
    dark = dataclasses.replace(word, values=-word.values)
    assert not contents.levels(dark).any()


def test_what_is_sent_is_what_the_maps_are(run: Run, inspector: Inspector) -> None:
    column = inspector._column_0
    data = gzip.decompress(column["data"])
    cat = inspector.words.index("cat")
    whole = np.frombuffer(data, np.uint8, 8 * 128 * 128, column["whole"]).reshape(8, 128, 128)
    assert np.array_equal(whole[cat] > 80, run.maps.word("cat").mask(0.4))
    steps = column["steps"]
    shape = (8, steps["count"], *steps["grid"])
    each = np.frombuffer(data, np.uint8, np.prod(shape), steps["at"]).reshape(shape)
    values = each[cat, 2] / 255 * steps["peaks"][cat][2]
    truth = run.maps.select(steps=2).word("cat").expand((64, 64), absolute=True).numpy()
    assert np.corrcoef(values.ravel(), truth.ravel())[0, 1] > 0.98
    assert [layer["stage"] for layer in column["layers"]] == ["down"] * 2 + ["mid"] + ["up"] * 4
    layer = column["layers"][4]
    shape = (8, layer["heads"], *layer["grid"])
    each = np.frombuffer(data, np.uint8, np.prod(shape), layer["at"]).reshape(shape)
    kept = run.maps.layers[layer["name"]].values.sum(0)[:, list(run.maps.word("cat").word.columns)]
    scaled = each[cat] / 255 * np.array(layer["peaks"][cat])[:, None, None]
    assert scaled == pytest.approx(kept.mean(1).numpy(), abs=float(kept.max()) / 255)


def test_tables_are_the_librarys_numbers(run: Run, other: Run) -> None:
    inspector = Inspector(run, other, names=["one", "other"])
    inspector.threshold = 0.3
    words = inspector.table()
    assert words["column"].tolist() == ["one"] * 8 + ["other"] * 8
    assert words["area"][:8].tolist() == run.table(0.3)["area"].tolist()
    inspector.pins = ["car", "blue"]
    pairs = inspector.table().set_index("column")
    for name, each in inspector.runs.items():
        truth = relations(each, 0.3).query("head == 'car' and dependent == 'blue'").iloc[0]
        for measure in ("iou", "iod", "ioh"):
            assert pairs.loc[name, measure] == truth[measure]
    inspector.region = (0, 0, 128, 128)
    region = inspector.table()
    assert np.allclose(region["inside"], 1) and np.allclose(region["lift"], 1)
    inspector.region = None
    inspector.columns = ["other"]
    inspector.pixel = (64, 30)
    pixel = inspector.table("pixel")
    assert pixel["share"].sum() == pytest.approx(1) and (pixel["column"] == "other").all()
    assert pixel["share"].is_monotonic_decreasing


@settings(deadline=None, max_examples=20)
@given(st.tuples(*[st.integers(0, 63)] * 2), st.tuples(*[st.integers(65, 128)] * 2))
def test_a_region_and_what_is_outside_of_it_share_all_mass(start, end) -> None:
    inspector = Inspector(pictures.run("a cat"))
    top, left, bottom, right = *start, *end
    inspector.region = (top, left, bottom, right)
    inside = inspector.table().set_index("word")["inside"]
    values = inspector.runs["unguided"].maps.word("cat").expand(absolute=True).clamp(min=0)
    within = values[top:bottom, left:right].sum() / values.sum()
    assert inside["cat"] == pytest.approx(float(within), abs=1e-5)
    lift = inspector.table().set_index("word")["lift"]
    area = (bottom - top) * (right - left) / 128**2
    assert lift["cat"] * area == pytest.approx(inside["cat"])


def test_a_part_of_the_maps_is_measured_exactly(run: Run, inspector: Inspector) -> None:
    inspector.step = 3
    area = inspector.table().set_index("word").loc["cat", "area"]
    assert area == run.maps.select(steps=3).word("cat").area(0.4)
    inspector.site = next(iter(run.maps.layers))
    assert inspector.step is None
    inspector.head = 1
    narrow = run.maps.select(sites=inspector.site, heads=1).word("cat")
    assert inspector.table().set_index("word").loc["cat", "area"] == narrow.area(0.4)
    inspector.step = 0
    assert inspector.site is None and inspector.head is None


@pytest.mark.parametrize(
    ("trait", "value", "says"),
    [
        ("word", "dog", "inspector.words"),
        ("pins", ["cat", "dog"], "'dog'"),
        ("pins", ["a", "red", "cat", "next", "to", "car"], "as many as there are hues"),
        ("threshold", 1.5, r"in \[0, 1\]"),
        ("scale", "log", "'shared' or 'own'"),
        ("step", 9, "from 0 to 4"),
        ("step", -1, "a step from 0"),
        ("head", -1, "a head from 0"),
        ("site", "nowhere", "he layers are down"),
        ("head", 0, "inspector.site"),
        ("region", (0, 0, 200, 10), "128 x 128"),
        ("region", (5, 5, 5, 9), "top, left, bottom, right"),
        ("region", (1, 2, 3), "top, left, bottom, right"),
        ("pixel", (128, 0), "128 x 128"),
        ("pixel", (1,), "(y, x)"),
        ("columns", ["nobody"], "nobody"),
        ("columns", [], "a column to show"),
    ],
)
def test_what_is_not_there_is_said(trait, value, says, inspector: Inspector) -> None:
    before = getattr(inspector, trait)
    with pytest.raises(DaamkitError, match=re.escape(says) if "(" in says else says):
        setattr(inspector, trait, value)
    assert getattr(inspector, trait) == before


def test_a_message_of_the_browser_may_hold_several_parts(run: Run, inspector: Inspector) -> None:
    first, second = list(run.maps.layers)[:2]
    inspector.step = 1
    inspector.set_state({"site": first, "head": 2, "step": None})
    assert (inspector.site, inspector.head, inspector.step) == (first, 2, None)
    inspector.set_state({"site": second})  # the same head of another layer
    assert (inspector.site, inspector.head) == (second, 2)
    inspector.set_state({"step": 1, "site": None, "head": None})
    assert (inspector.site, inspector.head, inspector.step) == (None, None, 1)


def test_columns_that_lack_a_part_say_nothing_of_it(run: Run, other: Run, tmp_path) -> None:
    for pair in ((run, other), (other, run)):
        inspector = Inspector(*pair, names=["one", "two"])
        inspector.step, inspector.word = 2, "cat"
        kept = "one" if pair[0] is run else "two"
        assert set(inspector.table()["column"]) == {kept}
        inspector.save(tmp_path / "seen.png")


def test_what_fits_only_the_larger_image_is_of_that_image() -> None:
    small, large = pictures.run("a cat"), pictures.run("a cat", height=128, width=192)
    inspector = Inspector(small, large, names=["small", "large"])
    inspector.region = (0, 130, 50, 190)
    assert set(inspector.table()["column"]) == {"large"}
    inspector.region, inspector.pixel = None, (5, 150)
    assert set(inspector.table()["column"]) == {"large"}
    with pytest.raises(DaamkitError, match="128 x 128 or 128 x 192"):
        inspector.pixel = (128, 0)


def test_closed_it_holds_no_run(inspector: Inspector, run: Run) -> None:
    inspector.close()
    assert not inspector.runs
    own = Run(run.image, run.branches)
    held = weakref.ref(own)
    again = Inspector(own)
    again.close()
    del own
    gc.collect()
    assert held() is None


def test_parts_that_were_not_kept_are_said(other: Run) -> None:
    with pytest.raises(DaamkitError, match="'step' in `keep=`"):
        Inspector(other).step = 0


@pytest.mark.parametrize("kind", ["pairs", "pixel", "region"])
def test_a_table_of_nothing_chosen_says_how_to_choose(kind, inspector: Inspector) -> None:
    with pytest.raises(DaamkitError, match="inspector"):
        inspector.table(kind)
    with pytest.raises(DaamkitError, match="words, pairs, pixel, region"):
        inspector.table("nothing")


def test_it_opens_with_the_nouns_each_in_its_hue(inspector: Inspector) -> None:
    labels = {word: label for label, word in inspector._words.items()}

    def shown() -> dict[str, int]:
        return {labels[word]: hue for word, hue in inspector._state().shown}

    assert shown() == {"cat": 0, "car": 1}
    inspector.pins = ["car", "red", "next"]  # a word keeps its hue, others take what is free
    assert shown() == {"car": 1, "red": 0, "next": 2}
    minor = [word["label"] for word in inspector._about["words"] if word["minor"]]
    assert minor == ["a", "to", "a (2)"] or minor == ["a", "next", "to", "a (2)"]


def test_the_scale_is_that_of_the_plots(run: Run, other: Run) -> None:
    inspector = Inspector(run)
    cat = inspector._state().map(run, run.maps.word("cat").word)
    (shown, *_) = plots.grid(run).axes[1].images
    assert inspector._state().top([run], run, cat) == shown.norm.vmax
    both = Inspector(run, other)
    tops = [plots.grid(each).axes[1].images[0].norm.vmax for each in (run, other)]
    assert both._state().top(both.runs.values(), run, cat) == max(tops)
    both.scale = "own"
    assert both._state().top(both.runs.values(), run, cat) == float(cat.expand(absolute=True).max())


def test_a_weak_word_is_faint_on_the_shared_scale() -> None:
    run = made("a cat and a dog")
    maps = run.branches["cond"]
    layer = maps.layers["up"]
    values = layer.values.clone()
    values[run.maps.word("dog").word.columns[0]] *= 0.25
    weak = dataclasses.replace(maps, layers={"up": dataclasses.replace(layer, values=values)})
    inspector = Inspector(Run(run.image, {"cond": weak}))
    inspector.pins = ["dog"]
    plain = np.asarray(run.image, float)

    def change(scale: str) -> float:
        inspector.scale = scale
        painted = painting.paint(inspector.runs, inspector._state(), "unguided")
        return float(np.abs(painted - plain).max())

    assert change("shared") < 0.4 * change("own")


def test_runs_can_be_put_beside_those_that_are_there(run: Run, other: Run) -> None:
    inspector = Inspector(run)
    first = inspector._column_0
    inspector.append(other)
    assert list(inspector.runs) == inspector.columns == ["unguided", "unguided, seed 1"]
    assert inspector._column_0 is first  # neither made nor sent again
    both = Inspector(run, other)
    assert inspector._column_1 == both._column_1 | {"name": "unguided, seed 1"}
    assert "_column_1" in inspector.get_state() and inspector.to_html().count('"_column_') == 2
    with pytest.raises(DaamkitError, match="each of its own"):
        inspector.append(other, names=["unguided"])
    assert len(inspector.table()) == 2 * len(inspector.words)


def test_the_view_is_written_as_code(run: Run, other: Run) -> None:
    inspector = Inspector(run, other, names=["one", "it's"])
    inspector.pins, inspector.threshold, inspector.scale = ["cat", "red"], 0.25, "own"
    inspector.region, inspector.columns = (1, 2, 30, 40), ["it's"]
    space = {"daamkit": daamkit, "runs": [run, other]}
    exec(inspector.code(), space)
    again = space["inspector"]
    for name in ("pins", "threshold", "scale", "region", "columns"):
        assert getattr(again, name) == getattr(inspector, name)
    assert list(again.runs) == ["one", "it's"]


@pytest.mark.parametrize(
    ("prompt", "opening", "silent"),
    [
        ("一只 猫 和 一只 狗", 5, "reads English"),
        ("חתול אדום וכלב", 3, "reads English"),
        ("a cat \N{DOG FACE} on a bench", 3, ""),
        ("running", 1, ""),
        ("", 0, "no words"),
    ],
)
def test_prompts_of_all_kinds_open(prompt: str, opening: int, silent: str) -> None:
    about = Inspector(made(prompt))._about
    assert len(about["opening"]) == opening
    assert silent in about["silent"] and bool(about["silent"]) == bool(silent)
    assert not (about["arcs"] and silent)


def test_of_many_nouns_the_strongest_are_coloured() -> None:
    run = made("cat dog car boat house tree")
    inspector = Inspector(run)
    peaks = {word.word.text: float(word.values.max()) for word in run.maps.words()}
    weakest = min(peaks, key=peaks.__getitem__)
    shown = [inspector.words[place] for place in inspector._about["opening"]]
    assert shown == [word for word in inspector.words if word != weakest]


def test_arcs_are_said_in_plain_words(inspector: Inspector) -> None:
    said = {arc["says"]: arc["minor"] for arc in inspector._about["arcs"]}
    assert said["red describes cat"] is False and said["cat next to car"] is False
    assert said["a introduces cat"] is True
    assert arcs.says("conj", "cat", "dog") == "cat and dog"
    assert arcs.says("unheard", "cat", "dog") == "dog belongs to cat"


def test_names_tell_runs_apart(run: Run, other: Run) -> None:
    assert list(Inspector(run, run).runs) == ["unguided", "unguided (2)"]
    assert list(Inspector(run, other).runs) == ["unguided, seed 0", "unguided, seed 1"]
    for names in (["a"], ["a", "a"]):
        with pytest.raises(DaamkitError, match="names"):
            Inspector(run, other, names=names)


def test_words_said_twice_have_names_of_their_own() -> None:
    inspector = Inspector(pictures.run("a cat and a dog"))
    assert inspector.words == ["a", "cat", "and", "a (2)", "dog"]
    inspector.pins = ["a", "a (2)", "a"]
    assert inspector.pins == ["a", "a (2)"]
    assert inspector.table()["dependent"].tolist() == ["a (2)"]


def test_runs_of_other_prompts_show_the_words_they_share(run: Run) -> None:
    inspector = Inspector(run, pictures.run("a cat on a bench"), names=["one", "other"])
    inspector.pins = ["cat", "red"]
    table = inspector.table().set_index("column")
    assert table.loc["one", "iou"] > 0 and np.isnan(table.loc["other", "iou"])
    inspector.pins, inspector.pixel = [], (9, 9)
    assert set(inspector.table().query("column == 'other'")["word"]) == {"a", "cat", "a (2)"}


def test_what_is_seen_is_written(run: Run, other: Run, tmp_path) -> None:
    inspector = Inspector(run, other, names=["one", "<other>"])
    inspector.word = "cat"
    with Image.open(inspector.save(tmp_path / "seen.png")) as sheet:
        assert sheet.width == 16 + 2 * (384 + 16) and sheet.height > 384
    inspector.word = None
    plain = np.asarray(inspector._sheet().png()).astype(int)
    inspector.region, inspector.pixel = (8, 16, 40, 64), (20, 30)
    marked = np.asarray(inspector._sheet().png()).astype(int)[: plain.shape[0]]
    changed = np.abs(marked - plain[: len(marked)]).max(-1) > 99
    assert changed.any(0)[16:400].any() and changed.any(0)[416:].any()  # in both pictures
    inspector.region = inspector.pixel = None
    svg = inspector.save(tmp_path / "seen.svg").read_text()
    assert "&lt;other&gt;" in svg and svg.count("<image") == 2
    assert 'fill="#0072b2">cat</text>' in svg  # in the prompt and in the legend
    assert svg.count(">toybox, seed 0, 5 steps</text>") == svg.count("seed 1, 5 steps") == 1
    with pytest.raises(DaamkitError, match=r"\.svg"):
        inspector.save(tmp_path / "seen.gif")


def test_a_prompt_of_html_is_text_in_every_form() -> None:
    run = pictures.run(NASTY)
    inspector = Inspector(run, names=["<i>"])
    page = inspector.to_html()
    assert page.count("<script") == 2 and "alert(1)</script>" not in page
    data = re.search(r'id="state">(.*?)</script>', page, re.DOTALL)
    assert data is not None and json.loads(data[1])["_about"]["prompt"] == NASTY
    bundle, _ = inspector._repr_mimebundle_()
    for text in (bundle["text/html"], daamkit.html(run), run._repr_html_()):
        assert "<script" not in text and "&lt;script&gt;" in text and "<img src=x" not in text
        assert f'alt="generated image: {NASTY[:2]}&lt;/script' in text


def test_a_notebook_keeps_a_picture_with_no_kernel(inspector: Inspector) -> None:
    bundle, _ = inspector._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    images = re.findall(
        r'<td><img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', bundle["text/html"]
    )
    assert [alt for _, alt in images][:3] == [
        f"generated image: {PROMPT}", "attention of the word a", "attention of the word red",
    ]  # fmt: skip
    assert len(images) == 9
    for data, _ in images:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (128, 128)
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width > 800


def test_a_run_without_words_or_image_can_be_inspected(run: Run) -> None:
    empty = Inspector(pictures.run(""))
    assert empty.words == [] and empty.table().empty
    assert "(empty prompt)" in empty.to_html()
    latents = Inspector(Run(None, run.branches))
    latents.word = "cat"
    assert "(latents only)" in latents.to_html() and len(latents._sheet().seen) == 1


def test_a_prompt_that_was_cut_is_said() -> None:
    run = pictures.run("cat " * 90)
    inspector = Inspector(run)
    assert len(inspector.words) == 75 < len(run.prompt.split())
    assert all(max(arc["head"], arc["dependent"]) < 75 for arc in inspector._about["arcs"])
    assert "The model has read the prompt up to character" in inspector.to_html()
