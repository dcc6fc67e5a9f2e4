"""Heat maps side by side on one scale: of words, over steps, of one run or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked, Occurrence
from daamkit.views import palettes, pieces
from daamkit.views.labels import called
from daamkit.views.plots.scales import highest, images, mean, passes
from daamkit.views.plots.words import lay

_TILE = 1.7  # inches


@dataclass(frozen=True)
class _Row:
    """What is drawn of a run: its maps, each with its name."""

    run: Run
    maps: list[WordMap]
    texts: list[str]


@dataclass(frozen=True)
class _Look:
    """How maps are drawn: see `grid`."""

    shared: bool
    colour: bool
    cmap: str | None
    alpha: float | None
    vmax: float | None


def grid(
    run: Runs,
    words: Asked | Sequence[Asked] | None = None,
    columns: int = 5,
    *,
    occurrence: Occurrence | None = None,
    shared: bool = True,
    colour: bool = False,
    cmap: str | None = None,
    alpha: float | None = None,
    vmax: float | None = None,
) -> Figure:
    """The image and the maps of its words, with one scale of colours.

    Parameters
    ----------
    run
        A run with maps of the prompt; several stand one below the other, on one scale, as means if
        their numbers of passes differ.
    words
        Which words; default all, in the prompt's order.
    columns
        Pictures in a row.
    occurrence
        Which occurrence of words that are given by their text, where one occurs several times.
    shared
        The same attention has the same colour in all maps, from 0; else each map runs from its
        lowest to its highest value, and says what the highest is.
    colour
        Lay the maps over the image in its own colours, the more opaque the higher they are.
    cmap
        A colour map of matplotlib; default cividis, or viridis with `colour`.
    alpha
        Opacity of the maps, from 0 to 1, over the image, which is grey without `colour`; default
        0.9 with `colour`, else the maps stand by themselves.
    vmax
        The value that has the last colour, where 0 has the first; default the highest value of all.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If a prompt has no words, a `vmax` is given for maps that share no scale, a run is of a
        video, or several are pooled by different rules.
    """
    if vmax is not None and not shared:
        raise DaamkitError(
            wanted="a scale that the maps share, to end at `vmax`",
            got="shared=False",
            mend="leave one of them out",
        )
    runs, rows = images(several(run)), []
    divided = passes(runs)
    for each, count in zip(runs, divided, strict=True):
        prompt = each.maps.prompt
        chosen = prompt.words() if words is None else prompt.each(words, occurrence)
        if not chosen or columns < 1:
            raise DaamkitError(
                wanted="a word or more, in a column or more",
                got=f"{len(chosen)} in {columns}",
                mend="name words of the prompt",
            )
        maps = [mean(each.maps.of(word), count) for word in chosen]
        texts = [word.label for word in chosen]
        if not shared:
            texts = [f"{t}\nup to {highest([m]):.2g}" for t, m in zip(texts, maps, strict=True)]
        rows.append(_Row(each, maps, texts))
    look = _Look(shared, colour, cmap, alpha, vmax)
    return _sheet(rows, columns, look, _unit(runs[0].maps, max(divided) > 1))


def steps(
    run: Runs,
    word: Asked,
    occurrence: Occurrence | None = None,
    at: Sequence[int] | None = None,
    columns: int = 5,
    *,
    colour: bool = False,
    cmap: str | None = None,
    alpha: float | None = None,
    vmax: float | None = None,
) -> Figure:
    """The image and a word's map at some steps, with one scale of colours.

    Parameters
    ----------
    run
        A run traced with "step" in `keep=`; several stand one below the other, on one scale.
    word, occurrence
        Which word, as in `HeatMaps.word`.
    at
        Steps, from 0; default up to nine, from the first to the last.
    columns
        Pictures in a row.
    colour, cmap, alpha, vmax
        As in `grid`.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If steps were not kept apart, there is no such step, a run is of a video, or several are
        pooled by different rules.
    """
    runs, rows = images(several(run)), []
    passes(runs)  # each step is one: only the rule is to be the same
    for each in runs:
        found, maps = each.maps.prompt.word(word, occurrence), each.maps
        some = np.unique(np.linspace(0, maps.steps - 1, 9).round().astype(int)).tolist()
        chosen = some if at is None else [int(step) for step in at]
        shown = [maps.select(steps=step).of(found) for step in chosen]
        if not shown or columns < 1:
            raise DaamkitError(
                wanted="a step or more, in a column or more",
                got=f"{len(shown)} in {columns}",
                mend=f"choose from 0 to {maps.steps - 1}",
            )
        texts = [f"{found.label}, step {range(maps.steps)[step]}" for step in chosen]
        rows.append(_Row(each, shown, texts))
    look = _Look(True, colour, cmap, alpha, vmax)
    return _sheet(rows, columns, look, _unit(runs[0].maps.select(steps=0)))


def _sheet(rows: Sequence[_Row], columns: int, look: _Look, unit: str) -> Figure:
    """Of each run the image, then its maps with their names; the scale below."""
    columns = min(columns, 1 + max(len(row.maps) for row in rows))
    cells: list[tuple[_Row, int] | None] = []  # a row's image is its cell -1; None stays empty
    for row in rows:
        cells += [(row, at) for at in range(-1, len(row.maps))]
        cells += [None] * (-len(cells) % columns)
    names = dict(zip([id(row) for row in rows], _names([row.run for row in rows]), strict=True))
    lines = 1 + max(text.count("\n") for row in rows for text in (*row.texts, names[id(row)]))
    prompts = {row.run.prompt for row in rows}
    title = fill(rows[0].run.prompt, 23 * columns) if len(prompts) == 1 else ""
    unit = fill(unit if look.shared else f"{unit}: lowest to highest of each map", 26 * columns)
    height, width = rows[0].run.maps.size
    tall = min(max(_TILE * height / width, 0.6 * _TILE), 2 * _TILE)
    down = len(cells) // columns
    rest = 0.6 + 0.17 * (title.count("\n") + 1) + 0.14 * (unit.count("\n") + 1)
    size = (columns * _TILE, down * (tall + 0.18 * lines + 0.07) + rest)
    figure, axes = pieces.sheet(columns, size, down)
    top = look.vmax
    if look.shared and top is None:
        top = highest([own for row in rows for own in row.maps])
    for ax, cell in zip(axes, cells, strict=True):
        ax.set_axis_off()
        if cell is None:
            continue
        row, at = cell
        if at < 0:
            _picture(ax, row.run, names[id(row)])
            continue
        image = row.run.image if look.colour or look.alpha is not None else None
        lay(
            ax, image, row.maps[at], cmap=look.cmap, alpha=look.alpha, vmax=top,
            colour=look.colour,
        )  # fmt: skip
        ax.set_title(pieces.plain(row.texts[at]), fontsize=9)
    cmap = palettes.laid(look.colour, look.cmap, None)[0]
    scale = ScalarMappable(Normalize(0, 1 if top is None else top), cmap)
    bar = figure.colorbar(
        scale, ax=axes, orientation="horizontal", shrink=min(1, 3 / columns), aspect=40, pad=0.02
    )
    bar.ax.tick_params(labelsize=8)
    bar.set_label(unit, fontsize=8)
    if not look.shared:
        bar.set_ticks([0, 1], labels=["lowest", "highest"])
    figure.suptitle(pieces.plain(title), fontsize=10)
    return pieces.lettered(figure)


def _names(runs: Sequence[Run]) -> list[str]:
    """What stands over each run's image."""
    if len(runs) == 1:
        return ["image" if runs[0].image is not None else "(latents only)"]
    several_prompts = len({run.prompt for run in runs}) > 1
    named = [f"{run.prompt}\n{name}" for run, name in zip(runs, called(runs), strict=True)]
    return [
        "\n".join(fill(line, 24) for line in name.split("\n"))
        for name in (named if several_prompts else called(runs))
    ]


def _picture(ax: Axes, run: Run, name: str) -> None:
    height, width = run.maps.size
    if run.image is not None:
        ax.imshow(run.image, extent=(0, width, height, 0))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.set_title(pieces.plain(name), fontsize=9)


def _unit(maps: HeatMaps, means: bool = False) -> str:
    """What the numbers are, by the pooling rule, and whether they are means over passes."""
    over = f"{maps.steps} steps" if maps.steps > 1 else "a step"
    if maps.rule == "daam":
        every = "layers, heads and steps" if means else f"layers and heads, sum over {over}"
        return f"attention probability, mean over {every}"
    every = "layers and heads, mean over steps" if means else f"layers, heads and {over}"
    return f"attention probability, sum over {every}"
