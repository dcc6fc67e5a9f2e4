"""Pictures of heat maps: pixels, with no axes around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from daamkit.maps.collection import Runs, several
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked, Occurrence
from daamkit.views import palettes
from daamkit.views.outline import outline
from daamkit.views.plots import scales

SIDE, GAP = 384, 8  # pixels: about as large as smaller pictures are drawn, and between two


def overlay(
    run: Runs | Image.Image | None,
    word: Asked | WordMap,
    occurrence: Occurrence | None = None,
    *,
    opacity: float | None = None,
    threshold: float | Rule | None = None,
    rule: Rule = "max",
    colour: bool = False,
    cmap: str | None = None,
    vmax: float | None = None,
    side: int | None = None,
) -> Image.Image:
    """A word's map over the image, from dark blue for its lowest value to yellow for its highest.

    Parameters
    ----------
    run
        A run, or several, which are put side by side on one scale from 0 to the highest value of
        all, as means if their numbers of passes differ. Or an image, with the map itself as `word`;
        None shows the map alone.
    word, occurrence
        Which word, as in `HeatMaps.word`; or its map.
    opacity
        Opacity of the map, from 0 to 1; default 0.65, or 0.9 with `colour`.
    threshold, rule
        Draw the outline of the mask, cut as in `WordMap.mask`.
    colour
        Keep the image's colours, and let the map be the more opaque the higher it is; otherwise the
        image is grey beneath an even map.
    cmap
        A colour map of matplotlib; default cividis, or viridis with `colour`.
    vmax
        The value that has the last colour, where 0 has the first; by default the map's highest and
        lowest values have them.
    side
        Enlarge a smaller picture by a whole factor to about this many pixels; None: as it is.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If a map is a video's, or several runs are pooled by different rules.
    """
    if run is None or isinstance(run, Image.Image):
        if not isinstance(word, WordMap):
            raise TypeError("of an image alone the map is wanted: overlay(image, run.maps.word(w))")
        beneath, maps = [run], scales.images([word])
    else:
        runs = scales.images(several(run))
        beneath = [each.image for each in runs]
        if isinstance(word, WordMap):
            maps = scales.images([word]) * len(runs)
        else:
            maps = [
                scales.mean(each.maps.word(word, occurrence), passes)
                for each, passes in zip(runs, scales.passes(runs), strict=True)
            ]
        if len(maps) > 1 and vmax is None:
            vmax = scales.highest(maps)
    cmap, opacity = palettes.laid(colour, cmap, opacity)
    tiles = [
        _enlarged(_blend(image, each, opacity, threshold, rule, colour, cmap, vmax), side)
        for image, each in zip(beneath, maps, strict=True)
    ]
    return beside(tiles)


def beside(tiles: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, on white; one as it is."""
    if len(tiles) == 1:
        return tiles[0]
    width = sum(tile.width + GAP for tile in tiles) - GAP
    page = Image.new("RGB", (width, max(tile.height for tile in tiles)), "white")
    x = 0
    for tile in tiles:
        page.paste(tile, (x, 0))
        x += tile.width + GAP
    return page


def shares(word: WordMap, vmax: float | None = None) -> Float[np.ndarray, "height width"]:
    """A map from 0 to 1: of 0 to `vmax`, or without it of its lowest to its highest value."""
    if vmax is None:
        return word.expand().cpu().numpy()
    return np.clip(word.expand(absolute=True).cpu().numpy() / max(vmax, 1e-30), 0, 1)


def _blend(
    image: Image.Image | None,
    word: WordMap,
    opacity: float,
    threshold: float | Rule | None,
    rule: Rule,
    colour: bool,
    cmap: str,
    vmax: float | None,
) -> UInt8[np.ndarray, "height width 3"]:
    share = shares(word, vmax)
    heat = palettes.colours(share, cmap).astype(np.float32)
    if image is not None:
        plain = np.asarray(image.resize(word.size[::-1]).convert("RGB" if colour else "L"))
        plain = plain.reshape(*plain.shape[:2], -1).astype(np.float32)
        opaque = (opacity * (share if colour else np.ones_like(share)))[..., None]
        heat = opaque * heat + (1 - opaque) * plain
    if threshold is not None:
        heat[outline(word.mask(threshold, rule))] = 255
    return heat.round().astype(np.uint8)


def _enlarged(pixels: UInt8[np.ndarray, "height width 3"], side: int | None) -> Image.Image:
    picture = Image.fromarray(pixels)
    times = max(1, round((side or 0) / max(picture.size)))
    size = (picture.width * times, picture.height * times)
    return picture if times == 1 else picture.resize(size, Image.Resampling.BICUBIC)


def instances(image: Image.Image, frame: pd.DataFrame, scale: int = 2) -> Image.Image:
    """An image with the outline, colour and name of each thing in it.

    Parameters
    ----------
    image
        The image.
    frame
        A row for each instance: ``kind`` ("thing" rows are drawn), ``name``, ``colour`` ("own" is
        not written), ``left``, ``bottom`` (pixels) and ``mask`` ((height, width) bool), as
        `toybox.oracle.detections` returns them.
    scale
        How many times larger to draw it.
    """
    things = frame[frame["kind"] == "thing"]
    size = (image.width * scale, image.height * scale)
    pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    tints = palettes.distinct(len(things))
    for mask, tint in zip(things["mask"], tints, strict=True):
        large = np.kron(mask, np.ones((scale, scale), bool))
        line = outline(large)
        pixels[line | (outline(large & ~line))] = tint
    page = Image.fromarray(pixels)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(7 * scale)
    for row, tint in zip(things.itertuples(), tints, strict=True):
        text = row.name if row.colour == "own" else f"{row.colour} {row.name}"
        width, height = pen.textlength(text, font) + 4, 9 * scale
        x = min(max(row.left * scale, 0), page.width - width)
        y = min(row.bottom * scale + 2, page.height - height)
        pen.rectangle((x, y, x + width, y + height), tint)
        pen.text((x + 2, y), text, "white", font)
    return page
