"""Heat maps of a run: of its words, over its steps, by layer and head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.maps.wordmap import over_tokens
from daamkit.maps.words import Asked, Occurrence, Word
from daamkit.views import palettes, pieces
from daamkit.views.labels import labels

_TILE = 1.7  # inches


def grid(
    run: Run,
    words: Asked | Sequence[Asked] | None = None,
    columns: int = 5,
    *,
    shared: bool = True,
    occurrence: Occurrence | None = None,
) -> Figure:
    """The image and the maps of its words, with one scale of colours.

    Parameters
    ----------
    run
        With maps of the prompt.
    words
        Which; default all words, in the prompt's order.
    columns
        Pictures in a row.
    shared
        The same attention has the same colour in all maps, from 0; else each map runs from its
        lowest to its highest value, and says which that is.
    occurrence
        Of the words that are given by their text, where one stands several times.

    Raises
    ------
    WordError
        If the prompt has no such word, or several.
    DaamkitError
        If the prompt has no words.
    """
    prompt = run.maps.prompt
    chosen = prompt.words() if words is None else prompt.each(words, occurrence)
    if not chosen or columns < 1:
        raise DaamkitError(
            wanted="a word or more, in a column or more",
            got=f"{len(chosen)} in {columns}",
            mend="name words of the prompt",
        )
    maps = [run.maps.of(word).expand(absolute=True).cpu().numpy() for word in chosen]
    texts = labels(chosen)
    if not shared:
        texts = [f"{t}\nup to {m.max():.2g}" for t, m in zip(texts, maps, strict=True)]
    return _sheet(run, maps, texts, columns, shared, _unit(run.maps))


def steps(
    run: Run,
    word: Asked,
    at: Sequence[int] | None = None,
    columns: int = 5,
    *,
    occurrence: Occurrence | None = None,
) -> Figure:
    """The image and a word's map at some steps, with one scale of colours.

    Parameters
    ----------
    run
        Traced with "step" in `keep=`.
    word, occurrence
        Which, as in `HeatMaps.word`.
    at
        Steps, from 0; default up to nine, from the first to the last.
    columns
        Pictures in a row.

    Raises
    ------
    WordError
        If the prompt has no such word, or several.
    DaamkitError
        If steps were not kept apart, or there is no such step.
    """
    found, maps = run.maps.prompt.word(word, occurrence), run.maps
    if at is None:
        at = np.unique(np.linspace(0, maps.steps - 1, 9).round().astype(int)).tolist()
    parts = [maps.select(steps=int(step)) for step in at]
    shown = [part.of(found).expand(absolute=True).cpu().numpy() for part in parts]
    if not shown or columns < 1:
        raise DaamkitError(
            wanted="a step or more, in a column or more",
            got=f"{len(shown)} in {columns}",
            mend=f"choose from 0 to {maps.steps - 1}",
        )
    texts = [f"{found.text}, step {range(maps.steps)[step]}" for step in at]
    return _sheet(run, shown, texts, columns, True, _unit(parts[0]))


def heads(
    run: Run,
    word: Asked,
    ax: Axes | None = None,
    *,
    occurrence: Occurrence | None = None,
) -> Axes:
    """A word's map in each layer and head: attention probability, its mean over steps.

    Rows are cross-attention layers in the order in which a UNet runs, the middle included; columns
    are heads.

    Parameters
    ----------
    run
        Traced with "site" and "head" in `keep=`, as is the default.
    word, occurrence
        Which, as in `HeatMaps.word`.
    ax
        Where; default a new figure.

    Raises
    ------
    WordError
        If the prompt has no such word, or several.
    DaamkitError
        If sites or heads were not kept apart.
    """
    found, maps = run.maps.prompt.word(word, occurrence), run.maps
    if not {"site", "head"} <= maps.keep:
        raise DaamkitError(
            wanted="sites and heads kept apart",
            got=f"a trace that kept {sorted(maps.keep) or 'sums only'}",
            mend="trace with `keep=('site', 'head')`, which is the default",
        )
    layers = sorted(maps.layers.values(), key=lambda layer: layer.order)
    tiles = [_heads(layer, found, maps) for layer in layers]
    side = max(tile.shape[-2:] for tile in tiles)
    most = max(len(tile) for tile in tiles)
    gap = max(1, side[1] // 16)
    step = (side[0] + gap, side[1] + gap)
    page = np.full((len(tiles) * step[0] - gap, most * step[1] - gap), np.nan)
    for row, tile in enumerate(tiles):
        for column, head in enumerate(_repeated(tile, side)):
            y, x = row * step[0], column * step[1]
            page[y : y + side[0], x : x + side[1]] = head
    size = (min(2.6 + 0.75 * most, 16), min(1.6 + 0.75 * len(tiles), 40))
    ax = pieces.axes(ax, size, "compressed")
    shown = ax.imshow(page, cmap=palettes.HEAT, vmin=0, interpolation="nearest")
    names = [_short(layer) for layer in layers]
    middle = (np.arange(len(tiles)) * step[0] + side[0] / 2 - 0.5).tolist()
    ax.set_yticks(middle, [pieces.plain(name) for name in names], fontsize=8)
    ax.set_xticks(
        (np.arange(most) * step[1] + side[1] / 2 - 0.5).tolist(),
        [str(head) for head in range(most)],
        fontsize=8,
    )
    pieces.name(
        ax,
        f"{found.text}: attention of each layer and head",
        "head",
        "layer: block.attention.transformer, cells",
    )
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, aspect=40, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("attention probability, mean over steps", fontsize=8)
    return ax


def _sheet(
    run: Run,
    maps: Sequence[Float[np.ndarray, "height width"]],
    texts: Sequence[str],
    columns: int,
    shared: bool,
    unit: str,
) -> Figure:
    """The image, then maps with their names, and the scale."""
    columns = min(columns, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    height, width = run.maps.size
    tall = min(max(_TILE * height / width, 0.6 * _TILE), 2 * _TILE)
    lines = 1 + max(text.count("\n") for text in texts)
    unit = unit if shared else f"{unit}: lowest to highest of each map"
    prompt, unit = fill(run.prompt, 23 * columns), fill(unit, 26 * columns)
    rest = 0.6 + 0.17 * (prompt.count("\n") + 1) + 0.14 * (unit.count("\n") + 1)
    size = (columns * _TILE, rows * (tall + 0.18 * lines + 0.07) + rest)
    figure, axes = pieces.sheet(columns, size, rows)
    top = max(max(float(values.max()) for values in maps), 1e-30)
    for ax in axes:
        ax.set_axis_off()
    if run.image is not None:
        axes[0].imshow(run.image, extent=(0, width, height, 0))
    axes[0].set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes[0].set_title("image" if run.image is not None else "(latents only)", fontsize=9)
    for ax, values, text in zip(axes[1:], maps, texts, strict=False):
        low, high = (0.0, top) if shared else (float(values.min()), float(values.max()))
        ax.imshow(values, cmap=palettes.HEAT, vmin=low, vmax=high, extent=(0, width, height, 0))
        ax.set_title(pieces.plain(text), fontsize=9)
    scale = ScalarMappable(Normalize(0, top if shared else 1), palettes.HEAT)
    bar = figure.colorbar(
        scale, ax=axes, orientation="horizontal", shrink=min(1, 3 / columns), aspect=40, pad=0.02
    )
    bar.ax.tick_params(labelsize=8)
    bar.set_label(unit, fontsize=8)
    if not shared:
        bar.set_ticks([0, 1], labels=["lowest", "highest"])
    figure.suptitle(pieces.plain(prompt), fontsize=10)
    return figure


def _unit(maps: HeatMaps) -> str:
    """What the numbers are, by the pooling rule."""
    over = f"{maps.steps} steps" if maps.steps > 1 else "a step"
    if maps.rule == "daam":
        return f"attention probability, mean over layers and heads, sum over {over}"
    return f"attention probability, sum over layers, heads and {over}"


def _heads(layer: Layer, word: Word, maps: HeatMaps) -> Float[np.ndarray, "heads y x"]:
    values = layer.values.sum(0) if "step" in maps.keep else layer.values
    return over_tokens(values, word).float().cpu().numpy() / maps.steps


def _repeated(
    tile: Float[np.ndarray, "heads y x"], side: tuple[int, int]
) -> Float[np.ndarray, "heads height width"]:
    """Each cell as large as it is: nothing in between is made up."""
    y = np.arange(side[0]) * tile.shape[1] // side[0]
    x = np.arange(side[1]) * tile.shape[2] // side[1]
    return tile[:, y][:, :, x]


def _short(layer: Layer) -> str:
    """ "up_blocks.1.attentions.0.transformer_blocks.0.attn2" as "up 1.0.0, 16 x 16"."""
    numbers = ".".join(re.findall(r"\.(\d+)", layer.name))
    return f"{layer.group} {numbers}, {layer.grid[0]} x {layer.grid[1]}"
