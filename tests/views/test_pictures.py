"""Runs, maps and words at the end of a cell; plots of several runs; what `plots.save` writes."""

import dataclasses
import re
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import daamkit
from daamkit import plots
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.views import palettes
from daamkit.views.facts import facts
from daamkit.views.labels import called
from tests.views.runs import made

IMAGE = re.compile(r'<img src="data:image/\w+;base64,[^"]+" alt="([^"]+)"')


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def stepped(seed: int = 0, steps: int = 3) -> Run:
    """A run that kept its steps: each has more of the same maps than the one before."""
    run = made(seed=seed)
    (layer,) = run.maps.layers.values()
    more = torch.arange(1, steps + 1)[:, None, None, None] * layer.values
    parts = {"up": dataclasses.replace(layer, values=more)}
    maps = dataclasses.replace(run.maps, layers=parts, keep=frozenset({"step"}), steps=steps)
    return Run(run.image, {"cond": maps}, {}, run.record)


def headed(seed: int) -> Run:
    run = made(seed=seed)
    (layer,) = run.maps.layers.values()
    whole = Layer("up", ("up",), "up", 2, torch.stack([layer.values, 2 * layer.values]))
    maps = dataclasses.replace(run.maps, layers={"up": whole}, keep=frozenset({"site", "head"}))
    return Run(run.image, {"cond": maps}, {}, run.record)


def test_what_ends_a_cell_is_a_picture_and_a_line() -> None:
    run = made("a cat and a <b>", seed=7)
    for shown, line in (
        (run, "Run('a cat and a <b>', seed 7, 64x64, 1 passes)"),
        (run.maps, "HeatMaps(a, cat, and, a (2), b; 64x64, 1 passes, pooled as 'paper')"),
    ):
        assert repr(shown) == line
        page = shown._repr_html_()
        assert "attention of the word cat" in IMAGE.findall(page) and "&lt;b&gt;" in page
    word = run.maps.word("cat")
    assert re.fullmatch(r"WordMap\('cat', 64x64, up to [\d.]+\)", repr(word))
    assert IMAGE.findall(word._repr_html_()) == ["attention of the word cat"]
    assert 'width="384"' in word._repr_html_()  # 64 pixels would be read by nobody


def test_a_table_tells_of_each_of_its_columns() -> None:
    page = facts({"": made()})
    _, *names = re.findall("<th scope=col>(.*?)</th>", page)
    said = page.split("<p class=note>")[-1]
    assert len(names) == 6 and all(name in said for name in names)


def test_several_runs_stand_in_one_table_a_column_each() -> None:
    first, second = made(), made()
    second.record["seed"] = {"seed": 8, "fresh": True}
    page = facts({"one": first, "<two>": second})
    assert page.count("<table") == 2 and page.count("<h2>") == 2
    words, how = re.findall("<table.*?</table>", page, re.S)
    assert re.findall("<th scope=col>(.*?)</th>", words) == ["word", *["one", "&lt;two&gt;"] * 3]
    cat = re.search("<th scope=row>cat</th>(.*?)</tr>", words)
    area = f"{first.table().set_index('word').loc['cat', 'area']:.1%}"
    assert cat and re.findall("<td>(.*?)</td>", cat[1])[2:4] == [area, area]
    assert "<th scope=row>seed</th><td>0</td><td>8</td>" in how
    assert f"<th scope=row>pooling</th><td colspan=2>{first.maps.rule}</td>" in how


def test_a_word_that_one_prompt_lacks_has_empty_cells() -> None:
    page = facts({"one": made(), "two": made("a cat and a bear")})
    dog = re.search("<th scope=row>dog</th>(.*?)</tr>", page)
    cells = re.findall("<td>(.*?)</td>", dog[1]) if dog else []
    assert all(cells[::2]) and cells[1::2] == ["", "", ""]


def test_a_map_is_an_array_of_the_images_size() -> None:
    word = made().maps.word("cat")
    array = np.asarray(word)
    assert array.dtype == np.float32
    assert np.array_equal(array, word.expand(absolute=True).numpy())
    assert np.asarray(word, np.float64).dtype == np.float64
    shown = plt.imshow(word)
    assert np.array_equal(shown.get_array(), array)


def test_maps_know_their_image() -> None:
    run = made()
    assert run.maps.word("cat").image is run.image
    assert run.maps.select(sites="up").words()[0].image is run.image
    latents = Run(None, run.branches)
    assert latents.maps.word("cat").image is None
    assert "(latents only)" in latents.maps._repr_html_()
    assert isinstance(latents.maps, HeatMaps)


def test_a_word_is_drawn_where_it_is_told_on_the_scale_it_is_told() -> None:
    run = made()
    word = run.maps.word("cat")
    _, own = plt.subplots()
    ax = word.plot(ax=own, vmax=2.0, alpha=0.5, cmap="magma")
    assert ax is own and ax.get_title() == "cat"
    beneath, heat = ax.images
    assert heat.get_clim() == (0, 2) and heat.get_alpha() == 0.5
    assert heat.get_cmap().name == "magma"
    assert np.array_equal(beneath.get_array(), np.asarray(run.image.convert("L")))
    assert np.array_equal(heat.get_array(), np.asarray(word))


def test_colours_stay_where_the_word_does_not_lie() -> None:
    run = made()
    word = run.maps.word("cat")
    beneath, heat = run.plot("cat", colour=True).images
    assert np.array_equal(beneath.get_array(), np.asarray(run.image))
    assert heat.get_alpha() == pytest.approx(0.9 * np.clip(np.asarray(word) / np.max(word), 0, 1))
    picture = np.asarray(plots.overlay(run, "cat", colour=True, vmax=float(np.max(word))), int)
    nowhere = np.asarray(word) <= 1e-6 * np.max(word)
    assert nowhere.any()
    assert np.array_equal(picture[nowhere], np.asarray(run.image, int)[nowhere])


def test_which_of_two_words() -> None:
    run = made("a cat and a cat")
    second = np.asarray(run.maps.word("cat", 1))
    for ax in (run.plot("cat", occurrence=1), plots.word(run, "cat", 1), run.plot(("cat", 1))):
        assert np.array_equal(ax.images[-1].get_array(), second) and ax.get_title() == "cat (2)"
    with pytest.raises(DaamkitError, match="'cat'"):
        run.plot("cat")


def test_several_words_stand_side_by_side() -> None:
    run = made()
    figure = run.plot("cat", "dog")
    assert [ax.get_title() for ax in figure.axes[:3]] == ["image", "cat", "dog"]
    assert [ax.get_title() for ax in run.plot().axes if ax.images] == [
        "image",
        "a",
        "cat",
        "and",
        "a (2)",
        "dog",
    ]


@pytest.mark.parametrize("plot", ["word", "grid", "steps", "heads"])
@pytest.mark.parametrize("colour", [False, True])
def test_runs_side_by_side_have_one_scale(plot, colour) -> None:
    make = {"steps": stepped, "heads": headed}.get(plot, lambda seed: made(seed=seed))
    runs = [make(seed=seed) for seed in (0, 1)]
    figure = getattr(plots, plot)(runs, "cat", colour=colour)
    assert isinstance(figure, Figure)
    titles = " ".join(ax.get_title() + ax.get_title("left") for ax in figure.axes)
    assert "seed 0" in titles and "seed 1" in titles
    scaled = [
        ax.images[-1] for ax in figure.axes if ax.images and ax.images[-1].get_array().ndim == 2
    ]
    assert len(scaled) >= 2 and len({image.get_clim() for image in scaled}) == 1


@pytest.mark.parametrize("plot", ["grid", "steps"])
def test_maps_side_by_side_take_the_options_of_one(plot) -> None:
    run = stepped()
    given = {"grid": ["cat", "dog"], "steps": "cat"}[plot]

    def drawn(**options) -> Figure:
        return getattr(plots, plot)(run, given, **options)

    _, *shown, bar = drawn(cmap="magma", alpha=0.5, vmax=2.0).axes
    assert bar.get_xlim() == (0, 2) and len(shown) == {"grid": 2, "steps": 3}[plot]
    for ax in shown:
        beneath, heat = ax.images
        assert (heat.get_clim(), heat.get_alpha()) == ((0, 2), 0.5)
        assert heat.get_cmap().name == "magma"
        assert np.array_equal(beneath.get_array(), np.asarray(run.image.convert("L")))
    assert [len(ax.images) for ax in drawn(vmax=2.0).axes[1:-1]] == [1] * len(shown)
    beneath, heat = drawn(colour=True, alpha=0.5, vmax=2.0).axes[1].images
    assert np.array_equal(beneath.get_array(), np.asarray(run.image))
    assert heat.get_alpha() == pytest.approx(0.5 * np.clip(heat.get_array() / 2, 0, 1))


def test_maps_that_share_no_scale() -> None:
    run = made()
    for colour in (False, True):
        figure = run.plot("cat", "dog", shared=False, colour=colour)
        for ax, word in zip(figure.axes[1:3], ("cat", "dog"), strict=True):
            values = np.asarray(run.maps.word(word))
            assert ax.images[-1].get_clim() == (values.min(), values.max())
    with pytest.raises(DaamkitError, match="to end at `vmax`; got shared=False"):
        run.plot("cat", "dog", shared=False, vmax=2.0)


@pytest.mark.parametrize("plot", ["word", "heads"])
def test_axes_are_for_one_run(plot) -> None:
    runs, (_, ax) = [headed(seed=0), headed(seed=1)], plt.subplots()
    with pytest.raises(DaamkitError, match="one run to draw into `ax`; got 2 runs"):
        getattr(plots, plot)(runs, "cat", ax=ax)
    assert not ax.images and getattr(plots, plot)(runs[:1], "cat", ax=ax) is ax


def test_heads_lie_over_the_image_in_its_colours() -> None:
    run = headed(seed=0)
    beneath, heat = plots.heads(run, "cat", colour=True).images
    small, pixels = np.asarray(run.image.resize((48, 48))), beneath.get_array()
    assert pixels.shape == (48, 48 + 3 + 48, 3) and beneath.get_extent() == heat.get_extent()
    assert np.array_equal(pixels[:, :48], small) and np.array_equal(pixels[:, 51:], small)
    assert (pixels[:, 48:51] == 255).all()
    column = run.maps.prompt.word("cat").columns[0]
    values = run.maps.layers["up"].values[0, column].numpy()
    second = 0.9 * values / values.max()  # the second head has twice the first's
    assert heat.get_alpha()[:, 17:] == pytest.approx(second, abs=1e-6)
    assert heat.get_alpha()[:, :16] == pytest.approx(second / 2, abs=1e-6)
    assert not heat.get_alpha()[:, 16].any() and heat.get_cmap().name == palettes.GLOW


def test_a_movie_has_a_frame_a_step_on_one_scale(tmp_path) -> None:
    runs = [stepped(0), stepped(1, steps=2)]
    movie = plots.animate(runs, "cat", fps=4)
    assert len(movie) == 3 and movie.frames[0].size == (384 * 2 + 8, 384)
    top = max(float(np.max(run.maps.select(steps=-1).word("cat"))) for run in runs)
    alone = plots.overlay(
        runs[0].image, runs[0].maps.select(steps=1).word("cat"), vmax=top, side=384
    )
    assert np.array_equal(np.asarray(movie.frames[1])[:, :384], np.asarray(alone))
    for suffix in (".gif", ".png", ".webp"):
        with Image.open(plots.save(movie, tmp_path / f"cat{suffix}")) as file:
            assert file.n_frames == 3
            assert suffix == ".webp" or file.info["duration"] == 250
    assert IMAGE.findall(movie._repr_html_()) == ["attention of cat over 3 steps"]
    with pytest.raises(DaamkitError, match="more than 0"):
        plots.animate(runs, "cat", fps=0)
    with pytest.raises(DaamkitError, match=r"\.gif"):
        movie.save(tmp_path / "cat.mp4")


def test_pictures_and_pages_are_saved_too(tmp_path) -> None:
    run = made()
    with Image.open(plots.save(plots.overlay([run, run], "cat"), tmp_path / "two.png")) as file:
        assert file.size == (64 + 8 + 64, 64)
    frame = run.relations()
    page = plots.save(plots.relations(frame, hover=True), tmp_path / "points.html").read_text()
    assert "cdn." not in page.split("plotly.js v")[0]
    with pytest.raises(DaamkitError, match=r"ends in \.html"):
        plots.save(plots.relations(frame, hover=True), tmp_path / "points.png")


def test_frames_fit_the_plots_that_name_them() -> None:
    run = made("a red cat and a dog")
    assert len(plots.relations(run.relations()).get_yticklabels()) > 1
    (line,) = plots.sweep(run.relations(threshold=[0.3, 0.4, 0.5])).lines
    assert np.asarray(line.get_xdata(), float).tolist() == [0.3, 0.4, 0.5]


def test_runs_are_told_apart_by_seed_where_it_differs() -> None:
    runs = [made(seed=0), made(seed=1), made("a cat and a dog", 0, "attend_and_excite")]
    assert called(runs) == ["unguided, seed 0", "unguided, seed 1", "attend_and_excite"]
    assert called([made(seed=3), made(seed=3)]) == ["unguided", "unguided (2)"]
    assert list(daamkit.Inspector(runs[0], runs[1]).runs) == [
        "unguided, seed 0",
        "unguided, seed 1",
    ]
    assert (made(seed=None).seed, runs[1].seed, runs[2].method) == (None, 1, "attend_and_excite")


def test_plots_are_found_by_who_types() -> None:
    assert "plots" in dir(daamkit) and daamkit.plots is plots


def test_an_export_has_every_mask_and_map(tmp_path) -> None:
    run = made("a cat and a cat")
    folder = run.export(tmp_path / "out", 0.3)
    assert sorted(each.name for each in (folder / "masks").iterdir()) == sorted(
        ["00-a.png", "01-cat.png", "02-and.png", "03-a--2-.png", "04-cat--2-.png"]
    )
    with np.load(folder / "maps.npz") as arrays:
        assert arrays["words"].tolist()[4] == "cat (2)"
        assert np.array_equal(arrays["maps"][4], np.asarray(run.maps.word("cat", 1)))
        assert np.array_equal(arrays["masks"][4], run.maps.word("cat", 1).mask(0.3))
    with Image.open(folder / "masks" / "01-cat.png") as mask:
        assert np.array_equal(np.asarray(mask), run.maps.word("cat", 0).mask(0.3))
    assert len((folder / "words.csv").read_text().splitlines()) == 6
    made().export(folder)
    assert len([*(folder / "masks").iterdir()]) == 5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    for taken in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(DaamkitError, match="a new folder, or an earlier export's"):
            run.export(taken)


def test_each_map_stands_under_the_name_of_its_run() -> None:
    runs = [made(seed=4), made(seed=2)]
    figure = plots.word(runs, "cat")
    for ax, run in zip(figure.axes, runs, strict=False):
        assert ax.get_title() == f"unguided, seed {run.seed}"
        shown = run.maps.word("cat").expand(absolute=True).numpy()
        assert np.array_equal(ax.images[-1].get_array(), shown)


def test_a_things_outline_and_name_have_one_colour_of_their_own() -> None:
    left, right = np.zeros((2, 64, 64), bool)
    left[8:24, 4:20] = right[8:48, 36:60] = True
    rows = [
        {"name": "cat", "colour": "own", "left": 4, "bottom": 24, "mask": left},
        {"name": "car", "colour": "red", "left": 36, "bottom": 48, "mask": right},
    ]
    picture = plots.instances(Image.new("RGB", (64, 64)), pd.DataFrame(rows).assign(kind="thing"))
    pixels, (first, second) = np.asarray(picture), palettes.distinct(2)
    assert picture.size == (128, 128) and tuple(first) != tuple(second)
    for x, y, tint in (
        (8, 30, first),  # the cat's outline, then the corner of its name
        (8, 51, first),
        (72, 60, second),
        (72, 99, second),
    ):
        assert tuple(pixels[y, x]) == tuple(tint), (x, y)
    assert not pixels[:16].any() and not pixels[30, 14:34].any()  # above them, and within the cat
