"""The pictures of the inspector with no browser: what `paint.js` paints, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.views import palettes
from daamkit.views.inspector.contents import CUTS, levels
from daamkit.views.inspector.state import State
from daamkit.views.outline import outline

OPACITY = 0.65
Pixels = UInt8[np.ndarray, "height width 3"]


def paint(runs: Mapping[str, Run], state: State, name: str) -> Pixels:
    """The image of a column and what lies over it."""
    run, first = runs[name], next(iter(runs.values()))
    single = state.single
    if single is None and len(state.pins) > 1:
        return _masks(run, state)
    own = None if single is None else state.map(run, single)
    if single is None or own is None:
        return _image(run)
    if state.difference and run is not first:
        base = state.map(first, single)
        if base is not None and base.size == own.size:
            gaps = _gap(run, first, state, single)
            scale = max(_largest(runs[each], first, state, single) for each in state.columns)
            at = 127 + np.floor((gaps / scale if scale > 0 else gaps * 0) * 127 + 0.5).astype(int)
            return palettes.colours(np.linspace(0, 1, 255), palettes.DIFFERENCE)[at]
    heat = palettes.colours(np.clip((levels(own).astype(float) - 0.5) / CUTS, 0, 1))
    pixels = _over(heat.astype(float), _grey(run), OPACITY)
    pixels[outline(own.mask(state.threshold))] = 255
    return pixels


def _masks(run: Run, state: State) -> Pixels:
    """The mask of each pinned word in its hue, in stripes where they overlap."""
    hues = np.array(palettes.distinct(5))
    found = [state.map(run, pin) for pin in state.pins]
    empty = np.zeros(run.maps.size, bool)
    masks = np.stack([empty if m is None else m.mask(state.threshold) for m in found])
    count = masks.sum(0)
    y, x = np.indices(run.maps.size)
    stripe = max(2, min(run.maps.size) // 42)
    turn = (x + y) // stripe % np.maximum(count, 1)  # which of the masks here shows
    rank = np.cumsum(masks, 0) - 1
    which = (masks & (rank == turn)).argmax(0)
    tinted = _over(hues[which % 5].astype(float), _grey(run), OPACITY)
    plain = np.repeat(_grey(run)[..., None], 3, -1).astype(np.uint8)
    return np.where((count > 0)[..., None], tinted, plain)


def _gap(run: Run, first: Run, state: State, word: Word) -> Float[np.ndarray, "height width"]:
    """What the one run's map has more than the first's, by the middle of its levels."""
    maps = [state.map(each, word) for each in (run, first)]
    values = [
        np.clip(levels(m).astype(float) - 0.5, 0, CUTS)
        / CUTS
        * float(m.expand(absolute=True).max())
        for m in maps
        if m is not None
    ]
    return values[0] - values[1]


def _largest(run: Run, first: Run, state: State, word: Word) -> float:
    if state.map(run, word) is None or run.maps.size != first.maps.size:
        return 0.0
    return float(np.abs(_gap(run, first, state, word)).max())


def _over(colours: Float[np.ndarray, "h w 3"], grey: Int[np.ndarray, "h w"], by: float) -> Pixels:
    return np.floor(by * colours + (1 - by) * grey[..., None] + 0.5).astype(np.uint8)


def _grey(run: Run) -> Int[np.ndarray, "height width"]:
    if run.image is None:
        return np.full(run.maps.size, 128)
    size = run.maps.size[::-1]
    return np.asarray(run.image.convert("RGB").resize(size).convert("L"), int)


def _image(run: Run) -> Pixels:
    if run.image is None:
        return np.full((*run.maps.size, 3), 128, np.uint8)
    return np.asarray(run.image.convert("RGB").resize(run.maps.size[::-1]))


def sheet(pictures: list[Pixels], gap: int = 8) -> Image.Image:
    """Pictures side by side, on nothing."""
    width = sum(picture.shape[1] + gap for picture in pictures) - gap
    page = Image.new("RGBA", (width, max(picture.shape[0] for picture in pictures)))
    x = 0
    for picture in pictures:
        page.paste(Image.fromarray(picture), (x, 0))
        x += picture.shape[1] + gap
    return page
