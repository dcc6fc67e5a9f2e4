"""A word's map in each layer and head."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.maps.wordmap import over_tokens
from daamkit.maps.words import Asked, Occurrence, Word
from daamkit.views import palettes, pieces
from daamkit.views.labels import called
from daamkit.views.plots.scales import images
from daamkit.views.plots.words import require_one

_TILE = 64  # pixels of the image beneath a head's map, about


def heads(
    run: Runs,
    word: Asked,
    occurrence: Occurrence | None = None,
    ax: Axes | None = None,
    *,
    vmax: float | None = None,
    colour: bool = False,
) -> Axes | Figure:
    """A word's map in each layer and head: attention probability, its mean over steps.

    Rows are cross-attention layers in the order in which a UNet runs them, the middle included;
    columns are heads.

    Parameters
    ----------
    run
        A run traced with "site" and "head" in `keep=`, which is the default; several stand side by
        side, on one scale.
    word, occurrence
        Which word, as in `HeatMaps.word`.
    ax
        Axes to draw one run into; default those of a new figure.
    vmax
        The value that has the last colour, where 0 has the first; default the highest value of all.
    colour
        Lay the maps over the image in its own colours, the more opaque the higher they are.

    Returns
    -------
    axes or figure
        The axes of one run, the figure of several.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If sites or heads were not kept apart, `ax` is given for several runs, or one is of a video.
    """
    runs = images(several(run))
    require_one(ax, runs)
    pages = [_page(each, each.maps.prompt.word(word, occurrence)) for each in runs]
    top = max(float(np.nanmax(values)) for values, _, _ in pages) if vmax is None else vmax
    text = runs[0].maps.prompt.word(word, occurrence).label
    most = max(values.shape[1] / step[1] for values, _, step in pages)
    rows = max(len(layers) for _, layers, _ in pages)
    size = (min(2.6 + 0.75 * most, 16), min(1.6 + 0.75 * rows, 40))
    if len(runs) == 1:
        ax = pieces.axes(ax, size, "compressed")
        title = f"{text}: attention of each layer and head"
        return pieces.lettered(_draw(ax, runs[0].image, *pages[0], top, colour, title))
    figure, axes = pieces.sheet(len(runs), (size[0] * len(runs), size[1]))
    for own, each, page, name in zip(axes, runs, pages, called(runs), strict=True):
        _draw(own, each.image, *page, top, colour, f"{text}: {name}")
    return pieces.lettered(figure)


Page = tuple[Float[np.ndarray, "height width"], list[Layer], tuple[int, int]]


def _page(run: Run, found: Word) -> Page:
    """All heads' maps as one picture, the layers that its rows are, and how far apart maps lie."""
    maps = run.maps
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
    return page, layers, step


def _draw(
    ax: Axes,
    image: Image.Image | None,
    page: Float[np.ndarray, "height width"],
    layers: list[Layer],
    step: tuple[int, int],
    top: float,
    colour: bool,
    title: str,
) -> Axes:
    gap = step[0] * len(layers) - page.shape[0]
    cmap, alpha = palettes.laid(colour, None, None)
    opacity: np.ndarray | None = None
    if colour and image is not None:
        height, width = page.shape
        frame = (-0.5, width - 0.5, height - 0.5, -0.5)
        ax.imshow(_beneath(image, page, step, gap), extent=frame)
        opacity = alpha * np.clip(np.nan_to_num(page) / max(top, 1e-30), 0, 1)
    shown = ax.imshow(page, cmap=cmap, vmin=0, vmax=top, alpha=opacity, interpolation="nearest")
    high, wide = step[0] - gap, step[1] - gap
    most = (page.shape[1] + gap) // step[1]
    middle = (np.arange(len(layers)) * step[0] + high / 2 - 0.5).tolist()
    ax.set_yticks(middle, [pieces.plain(_short(layer)) for layer in layers], fontsize=8)
    ax.set_xticks(
        (np.arange(most) * step[1] + wide / 2 - 0.5).tolist(),
        [str(head) for head in range(most)],
        fontsize=8,
    )
    pieces.label_axes(ax, title, "head", "layer: block.attention.transformer, cells")
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, aspect=40, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("attention probability, mean over steps", fontsize=8)
    return ax


def _beneath(
    image: Image.Image, page: Float[np.ndarray, "height width"], step: tuple[int, int], gap: int
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The image where each head's map lies, white between them."""
    times = max(1, _TILE // step[1])
    side = ((step[1] - gap) * times, (step[0] - gap) * times)
    tile = np.asarray(image.convert("RGB").resize(side))
    tile = np.pad(tile, ((0, gap * times), (0, gap * times), (0, 0)))
    rows, columns = ((length + gap) // own for length, own in zip(page.shape, step, strict=True))
    whole = np.tile(tile, (rows, columns, 1))[: page.shape[0] * times, : page.shape[1] * times]
    whole[np.kron(np.isnan(page), np.ones((times, times), bool))] = 255
    return whole


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
