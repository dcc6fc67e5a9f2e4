"""One word over its image, in axes; of several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked, Occurrence
from daamkit.views import palettes, pieces
from daamkit.views.labels import called
from daamkit.views.plots import scales
from daamkit.views.plots.pictures import shares


def word(
    run: Runs | WordMap,
    word: Asked | None = None,
    occurrence: Occurrence | None = None,
    ax: Axes | None = None,
    *,
    cmap: str | None = None,
    alpha: float | None = None,
    vmax: float | None = None,
    colour: bool = False,
    threshold: float | Rule | None = None,
) -> Axes | Figure:
    """A word's map over the image.

    Parameters
    ----------
    run
        A run; several, which stand side by side on one scale, as means if their numbers of passes
        differ; or a map that a run has given.
    word, occurrence
        Which word, as in `HeatMaps.word`; none for a map.
    ax
        Axes to draw one run into; default those of a new figure.
    cmap
        A colour map of matplotlib; default cividis, or viridis with `colour`.
    alpha
        Opacity of the map, from 0 to 1; default 0.65, or 0.9 with `colour`.
    vmax
        The value that has the last colour, where 0 has the first; default the highest value of all.
    colour
        Keep the image's colours, and let the map be the more opaque the higher it is; otherwise the
        image is grey beneath an even map.
    threshold
        Draw the outline of the mask at this cut, as in `WordMap.mask`.

    Returns
    -------
    axes or figure
        The axes of one run, the figure of several. The last image of the axes is the map, with its
        scale: ``ax.figure.colorbar(ax.images[-1])``.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If `ax` is given for several runs, one is of a video, or they are pooled by different rules.
    """
    runs: list[Run] = []
    divided = [1]
    if isinstance(run, WordMap):
        maps = scales.images([run])
    else:
        runs = scales.images(several(run))
        divided, asked = scales.passes(runs), "" if word is None else word
        maps = [
            scales.mean(each.maps.word(asked, occurrence), passes)
            for each, passes in zip(runs, divided, strict=True)
        ]
    require_one(ax, maps)
    top = scales.highest(maps) if vmax is None else vmax
    height, width = maps[0].size
    draw = partial(lay, cmap=cmap, alpha=alpha, vmax=top, colour=colour, threshold=threshold)
    if len(maps) == 1:
        tall = min(max(3.4 * height / width, 1.5), 7)
        ax = pieces.axes(ax, (3.4, tall + 0.3), "compressed")
        draw(ax, maps[0].image, maps[0])
        ax.set_title(pieces.plain(maps[0].word.label), fontsize=10)
        return pieces.lettered(ax)
    tall = min(max(2.6 * height / width, 1.2), 5.2)
    figure, axes = pieces.sheet(len(maps), (2.6 * len(maps) + 0.7, tall + 0.6))
    for own, found, name in zip(axes, maps, called(runs), strict=True):
        shown = draw(own, found.image, found)
        own.set_title(pieces.plain(name), fontsize=9)
    bar = figure.colorbar(shown, ax=axes, fraction=0.05, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    means = ", means over passes" * (max(divided) > 1)
    figure.suptitle(pieces.plain(maps[0].word.label + means), fontsize=10)
    return pieces.lettered(figure)


def require_one(ax: Axes | None, drawn: Sequence[object]) -> None:
    """See that what is drawn into given axes is one run's.

    Raises
    ------
    DaamkitError
        If there are several.
    """
    if ax is not None and len(drawn) > 1:
        raise DaamkitError(
            wanted="one run to draw into `ax`",
            got=f"{len(drawn)} runs",
            mend="leave `ax` out: several have a figure of their own",
        )


def lay(
    ax: Axes,
    image: Image.Image | None,
    word: WordMap,
    *,
    cmap: str | None = None,
    alpha: float | None = None,
    vmax: float | None,
    colour: bool = False,
    threshold: float | Rule | None = None,
) -> AxesImage:
    """A map over an image, or by itself, in axes of the image's pixels; see `word`. Without `vmax`
    it runs from its lowest to its highest value."""
    height, width = word.size
    frame = (0, width, height, 0)
    cmap, alpha = palettes.laid(colour, cmap, alpha)
    opacity: float | np.ndarray = alpha
    if image is None:
        opacity = 1.0
    elif colour:
        ax.imshow(image.convert("RGB"), extent=frame)
        opacity = alpha * shares(word, vmax)
    else:
        ax.imshow(image.convert("L"), cmap="gray", vmin=0, vmax=255, extent=frame)
    values = word.expand(absolute=True).cpu().numpy()
    low, high = (values.min(), values.max()) if vmax is None else (0, vmax)
    shown = ax.imshow(
        values, cmap=cmap, vmin=low, vmax=max(high, 1e-30), alpha=opacity, extent=frame
    )
    if threshold is not None:
        mask = word.mask(threshold)
        if mask.any() and not mask.all():
            x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
            ax.contour(x, y, mask, levels=[0.5], colors="white", linewidths=1.2)
    ax.set_axis_off()
    return shown
