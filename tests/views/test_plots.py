"""Plots show the numbers they were given, and text as text."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from daamkit.measures.intervals import means
from daamkit.toybox import oracle, scenes
from daamkit.views import palettes, pieces, plots
from tests.tiny import generate

PROMPT = "a red cat, <b>$5</b> and a $6 car"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def run(sd):
    with daamkit.trace(sd, keep=("step", "site", "head")) as tracer:
        generate(sd, PROMPT, steps=3)
    return tracer.run


@pytest.fixture(scope="module")
def sums(sd):
    with daamkit.trace(sd, keep=()) as tracer:
        generate(sd, PROMPT)
    return tracer.run


@pytest.fixture
def related() -> pd.DataFrame:
    """Rows of `Run.relations` of three prompts."""
    rng = np.random.default_rng(4)
    rows = [
        {"prompt": f"<i>{k}</i>", "relation": relation, "head": "cat", "dependent": "<script>"}
        | {"rule": "max", "tau": 0.4}
        | dict(zip(("iou", "iod", "ioh"), rng.random(3), strict=True))
        for k in range(3)
        for relation in ("det", "amod", "amod")
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def guided() -> pd.DataFrame:
    """Guidance adds 0.25 to all but the last of four, which it has not."""
    rows = [
        {"prompt": f"<b>{k}</b>", "seed": 0, "method": method, "measure": "iou"}
        | {"value": np.nan if k == 3 and gain else 0.1 * k + gain}
        for k in range(4)
        for method, gain in (("none", 0.0), ("attend_and_excite", 0.25))
    ]
    return pd.DataFrame(rows)


def shown(ax) -> list[str]:
    """Texts of axes as they are drawn: no formula among them."""
    ax.figure.canvas.draw()
    titles = [ax.title, *(text for text in getattr(ax.figure, "texts", []))]
    told = [text._preprocess_math(text.get_text()) for text in titles]
    assert not any(formula for _, formula in told)
    return [text for text, _ in told]


def xy(line) -> list[tuple[float, float]]:
    return [*zip(*(np.asarray(each, float).tolist() for each in line.get_data()), strict=True)]


# -- pictures


def test_instances_are_outlined_where_they_are() -> None:
    scene = scenes.sample(1, seed=7)[0]
    image = Image.fromarray(scene.image)
    frame = oracle.detections(image)
    page = plots.instances(image, frame, scale=3)
    assert page.size == (384, 384)
    plain = np.asarray(image.resize(page.size, Image.Resampling.BICUBIC), int)
    changed = (np.asarray(page, int) != plain).any(-1)
    outside = np.ones((128, 128), bool)
    for row in frame[frame["kind"] == "thing"].itertuples():
        edge = row.mask & ~np.roll(row.mask, 1, axis=0)
        assert changed[np.kron(edge, np.ones((3, 3), bool))].mean() > 0.3
        label = slice(row.bottom - 8, row.bottom + 12)
        outside[row.top : row.bottom, row.left : row.right] = False
        outside[label] = False
    assert not changed[np.kron(outside, np.ones((3, 3), bool))].any()


def test_nothing_read_is_the_image_itself() -> None:
    image = Image.new("RGB", (32, 32), "white")
    empty = pd.DataFrame(columns=["kind", "name", "colour", "left", "bottom", "mask"])
    assert np.array_equal(np.asarray(plots.instances(image, empty, scale=1)), np.asarray(image))


# -- maps


def test_a_grid_has_the_image_and_all_words_on_one_scale(run) -> None:
    figure = plots.grid(run, columns=4)
    pictures, bar = figure.axes[:-1], figure.axes[-1]
    words = run.maps.words()
    assert [ax.get_title() for ax in pictures if ax.images] == [
        *("image", "a", "red", "cat", "b", "5", "b (2)", "and", "a (2)", "6", "car"),
    ]
    maps = [word.expand(absolute=True).numpy() for word in words]
    for ax, values in zip(pictures[1:], maps, strict=False):
        (drawn,) = ax.images
        assert np.array_equal(drawn.get_array(), values)
        assert drawn.get_clim() == (0, pytest.approx(max(m.max() for m in maps)))
    assert "sum over 3 steps" in bar.get_xlabel()
    assert shown(figure.axes[0])[1] == PROMPT


def test_a_grid_of_some_words_each_on_its_own_scale(run) -> None:
    figure = plots.grid(run, ["car", "red"], shared=False)
    _, car, red, _ = figure.axes
    for ax, word in ((car, "car"), (red, "red")):
        values = run.maps.word(word).expand(absolute=True).numpy()
        assert ax.images[0].get_clim() == (values.min(), values.max())
        assert ax.get_title() == f"{word}\nup to {values.max():.2g}"
    with pytest.raises(DaamkitError, match="dog"):
        plots.grid(run, ["dog"])
    with pytest.raises(DaamkitError, match="a word or more"):
        plots.grid(run, [])


def test_steps(run, sums) -> None:
    figure = plots.steps(run, "cat", at=[0, -1])
    _, first, last, _ = figure.axes
    for ax, step in ((first, 0), (last, 2)):
        values = run.maps.select(steps=step).word("cat").expand(absolute=True).numpy()
        assert ax.get_title() == f"cat, step {step}"
        assert np.array_equal(ax.images[0].get_array(), values)
    assert first.images[0].get_clim() == last.images[0].get_clim()
    assert len(plots.steps(run, run.maps.prompt.word("cat")).axes) == 1 + 3 + 1
    with pytest.raises(DaamkitError, match="'step' in `keep="):
        plots.steps(sums, "cat")
    with pytest.raises(DaamkitError, match="steps from 0 to 2; got 3"):
        plots.steps(run, "cat", at=[3])


def test_heads_in_the_order_of_the_network(run, sums) -> None:
    ax = plots.heads(run, "cat")
    names = [label.get_text() for label in ax.get_yticklabels()]
    stages = [name.split()[0] for name in names]
    assert stages == sorted(stages, key=["down", "mid", "up"].index) and "mid" in stages
    assert len(names) == len(run.maps.layers)
    page = np.ma.filled(ax.images[0].get_array(), np.nan)
    finest = max(layer.grid[0] for layer in run.maps.layers.values())
    top = next(iter(run.maps.layers.values()))
    assert top.group == "down" and top.grid == (finest, finest)
    values = top.values.sum(0)[0, list(run.maps.word("cat").word.columns)].mean(0) / 3
    assert np.allclose(page[:finest, :finest], values)
    middle = next(layer for layer in run.maps.layers.values() if layer.group == "mid")
    values = middle.values.sum(0)[1, list(run.maps.word("cat").word.columns)].mean(0) / 3
    gap = max(1, finest // 16)
    y, x = stages.index("mid") * (finest + gap), finest + gap
    times = finest // middle.grid[0]
    assert np.allclose(
        page[y : y + finest, x : x + finest], np.kron(values, np.ones((times, times)))
    )
    with pytest.raises(
        DaamkitError, match="sites and heads kept apart; got a trace that kept sums"
    ):
        plots.heads(sums, "cat")


# -- frames


def test_relations_are_the_means_of_their_rows(related) -> None:
    ax = plots.relations(related)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["det (3)", "amod (6)"]
    wanted = means(related, ["relation"], "iod").set_index("relation")
    (amod, at), (det, below) = xy(ax.lines[1])
    assert (amod, det) == (wanted["mean"]["amod"], wanted["mean"]["det"])
    assert (at, below) == (1, 0)
    low, high = (ax.collections[1].get_segments()[0][k][0] for k in (0, 1))
    assert (low, high) == (wanted["low"]["amod"], wanted["high"]["amod"])
    assert ax.lines[1].get_color() == palettes.DEPENDENT
    assert ax.lines[2].get_color() == palettes.HEAD
    several = pd.concat([related, related.assign(tau=0.5)])
    with pytest.raises(DaamkitError, match="rows of one tau, to plot relations; got 0.4, 0.5"):
        plots.relations(several)


def test_what_is_pointed_at_says_what_it_is(related) -> None:
    figure = plots.relations(related, hover=True)
    assert len(figure.data) == 2 * 3
    pairs, mean = figure.data[:2]
    iou = related["iou"].iloc[0]
    assert pairs.hovertext[0] == (
        f"&lt;i&gt;0&lt;/i&gt;<br>cat → &lt;script&gt;<br>det, IoU: {iou:.3f}"
    )
    assert mean.hovertext[0].endswith("<br>n = 6, of 3 prompts")
    assert list(pairs.x) == related["iou"].tolist()
    assert list(mean.x) == [related.groupby("relation")["iou"].mean()[k] for k in ("amod", "det")]
    assert "<script" not in figure.to_json() and "<i>" not in figure.to_json()


def test_a_sweep_has_a_line_a_rule_and_its_interval(related) -> None:
    rows = pd.concat(
        related.assign(rule=rule, tau=tau, iou=related["iou"] * tau)
        for rule in ("max", "minmax")
        for tau in (0.5, 0.3, 0.4)
    )
    ax = plots.sweep(rows)
    wanted = means(rows, ["rule", "tau"], "iou").sort_values("tau")
    for line, fill, rule in zip(ax.lines, ax.collections, ("max", "minmax"), strict=True):
        part = wanted[wanted["rule"] == rule]
        assert xy(line) == [*zip(part["tau"], part["mean"], strict=True)]
        edge = fill.get_paths()[0].vertices[:, 1]
        assert edge.min() == part["low"].min() and edge.max() == part["high"].max()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["max", "minmax"]
    figure = plots.sweep(rows, hover=True)
    assert [line.name for line in figure.data] == ["max", "minmax"]
    assert figure.data[0].hovertext[0].startswith("max, threshold 0.3<br>")
    assert figure.data[0].hovertext[0].endswith("n = 9, of 3 prompts")
    with pytest.raises(DaamkitError, match="rows of one rule"):
        plots.sweep(rows, by="relation")
    lines = plots.sweep(rows, by="relation", dashes="rule").lines
    assert {line.get_linestyle() for line in lines} == {"-", "--"} and len(lines) == 4


def test_entanglement_of_rows_and_of_their_table_is_one(related) -> None:
    rows = pd.DataFrame(
        [
            {"prompt": f"{k}", "change": change, "region": region, "moved": 0.1 * k * size}
            for k in range(4)
            for change, size in (("article", 1), ("adjective swapped", 3))
            for region, size in (("inside", size), ("outside", 0.2 * size))
        ]
    )
    table = means(rows, ["change", "region"], "moved")
    drawn = [plots.entanglement(each) for each in (rows, table)]
    for ax in drawn:
        inside, outside = ax.lines[:2]
        assert [x for x, _ in xy(inside)] == pytest.approx([0.15, 0.45])
        assert [x for x, _ in xy(outside)] == pytest.approx([0.03, 0.09])
        assert [label.get_text() for label in ax.get_yticklabels()][::-1] == [
            "article", "adjective swapped",
        ]  # fmt: skip
    kinds = rows.assign(kind="colour")
    with pytest.raises(DaamkitError, match="rows of one change"):
        plots.entanglement(kinds, by="kind")
    with pytest.raises(DaamkitError, match="one mean for each change, region"):
        plots.entanglement(pd.concat([table, table]))


def test_guidance_pair_by_pair(guided) -> None:
    ax = plots.guidance(guided)
    pairs = [xy(line) for line in ax.lines[:-2]]
    assert len(pairs) == 3  # one lacks a value
    assert all(after - before == pytest.approx(0.25) for (_, before), (_, after) in pairs)
    (_, before), (_, after) = (xy(line)[0] for line in ax.lines[-2:])
    assert (before, after) == (pytest.approx(0.1), pytest.approx(0.35))
    (label,) = ax.get_xticklabels()
    assert label.get_text() == "attend-and-excite\n+0.250 [+0.250, +0.250]\nn = 3"
    assert ax.get_ylabel() == "IoU"
    figure = plots.guidance(guided, hover=True)
    assert figure.data[0].hovertext[0] == (
        "prompt: &lt;b&gt;0&lt;/b&gt;<br>seed: 0<br>0.000 → 0.250 (+0.250)"
    )
    assert figure.data[2].hovertext[0] == "attend_and_excite, with<br>0.350 [0.102, 0.598]<br>n = 3"


def test_guidance_wants_pairs(guided) -> None:
    with pytest.raises(DaamkitError, match="one row for each method and prompt, seed; got several"):
        plots.guidance(pd.concat([guided, guided]))
    with pytest.raises(DaamkitError, match="the method 'off' and of another"):
        plots.guidance(guided, base="off")
    with pytest.raises(DaamkitError, match="pairs of 'none' and 'attend_and_excite'"):
        plots.guidance(guided.assign(seed=range(8)))
    with pytest.raises(DaamkitError, match="rows of one measure"):
        plots.guidance(pd.concat([guided, guided.assign(measure="overlap")]))


def test_frequencies_of_rows_lists_and_tables(related) -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(
        [
            {"prompt": f"{k}", "layer": "up 8x8", "psi": 1.0, "frequency": [0.0, 0.25, 0.5]}
            | {"above": rng.random(3).tolist(), "all": [0.1, 0.2, 0.3]}
            for k in range(3)
        ]
    )
    long = rows.explode(["frequency", "above", "all"]).rename(columns={"all": "everywhere"})
    wanted = [np.mean([a[k] for a in rows["above"]]) - rows["all"][0][k] for k in (1, 2)]
    for frame in (rows, long):
        ax = plots.frequency(frame)
        assert [x for x, _ in xy(ax.lines[0])] == [0.25, 0.5]  # the mean is no detail
        assert [y for _, y in xy(ax.lines[0])] == pytest.approx(wanted)
    table = pd.DataFrame(
        {"layer": "up", "frequency": [0.5], "difference": 0.3, "low": 0.1, "high": 0.4}
    )
    assert xy(plots.frequency(table).lines[0]) == [(0.5, 0.3)]
    with pytest.raises(DaamkitError, match="rows of one psi"):
        plots.frequency(pd.concat([rows, rows.assign(psi=1.3)]))


WANTED = {
    "relations": ["relation", "prompt", "iou", "iod", "ioh"],
    "sweep": ["rule", "tau", "iou", "prompt"],
    "entanglement": ["change", "region", "moved", "prompt"],
    "guidance": ["method", "value", "prompt"],
    "frequency": ["layer", "frequency", "above", "everywhere", "prompt"],
}


@pytest.mark.parametrize("name", WANTED)
def test_frames_without_rows_or_columns_are_told_what_is_wanted(name) -> None:
    plot, columns = getattr(plots, name), WANTED[name]
    with pytest.raises(DaamkitError, match=f"columns {', '.join(columns)}.*got no row"):
        plot(pd.DataFrame(columns=columns))
    row = pd.DataFrame([dict.fromkeys(columns[:-1], 1)])
    with pytest.raises(DaamkitError, match=f"columns {', '.join(columns)}.*no {columns[-1]}"):
        plot(row)


def test_values_that_are_all_missing(related) -> None:
    with pytest.raises(DaamkitError, match="a value of 'iou', to plot a sweep; got 9 rows"):
        plots.sweep(related.assign(iou=np.nan))


def test_plots_draw_where_they_are_told(related, run) -> None:
    figure, axes = pieces.sheet(2, (8, 3))
    assert plots.relations(related, ax=axes[0]) is axes[0]
    assert plots.heads(run, "cat", ax=axes[1]) is axes[1]
    assert not plt.get_fignums()  # nothing is left for a notebook to show twice
    assert plots.relations(related).figure.number in plt.get_fignums()  # but what it shows itself


def test_names_hold_no_formula_and_no_tag(related) -> None:
    ax = plots.relations(related.assign(relation="<b>$x$</b>"))
    (label,) = ax.get_yticklabels()
    assert label._preprocess_math(label.get_text()) == ("<b>$x$</b> (9)", False)
    figure = plots.relations(related.assign(relation="<b>x</b>"), hover=True)
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;x&lt;/b&gt; (9)",)


# -- files


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_a_plot_twice_is_the_same_bytes(suffix, related, run, tmp_path) -> None:
    made = []
    for name in ("a", "b"):
        place = plots.save(plots.relations(related), tmp_path / "new" / f"{name}{suffix}", dpi=50)
        made.append(place.read_bytes())
    assert made[0] == made[1]
    if suffix == ".svg":
        assert b"<text" not in made[0] and b"<dc:date>" not in made[0]
    if suffix == ".pdf":
        assert b"/FontFile2" in made[0] and b"/Type3" not in made[0]


def test_what_is_no_file_of_a_plot(related, tmp_path) -> None:
    with pytest.raises(DaamkitError, match="ends in .svg, .pdf, .png; got 'a.txt'"):
        plots.save(plots.relations(related), tmp_path / "a.txt")
    with pytest.raises(DaamkitError, match="what a plot has returned; got object"):
        plots.save(object(), tmp_path / "a.png")


# -- colours


def test_neighbouring_colours_differ() -> None:
    colours = palettes.distinct(7)
    assert len(set(colours[:5])) == 5 and colours[5] == colours[0]
    assert pieces.colour(0) == palettes.HEAD != palettes.DEPENDENT


def test_no_difference_is_nearly_white() -> None:
    less, none, more = palettes.colours(np.array([0.0, 0.5, 1.0]), palettes.DIFFERENCE).astype(int)
    assert none.min() > 240 and np.ptp(none) < 5
    assert less[2] > less[0] + 50 and more[0] > more[2] + 50


def test_series_lie_around_their_row_the_first_on_top() -> None:
    at = pieces.places(rows=2, series=3)
    assert np.allclose(at.mean(0), [1, 0]) and (np.diff(at, axis=0) < 0).all()
