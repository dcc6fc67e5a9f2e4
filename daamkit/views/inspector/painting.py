"""The pictures of the inspector with no browser: what `paint.js` paints, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.views import palettes
from daamkit.views.inspector.contents import CUTS, HUES, levels, previews
from daamkit.views.inspector.state import State, unlike
from daamkit.views.outline import outline
from daamkit.views.png import from_uri

HEAT, HUE = 0.65, 0.7  # opacity over grey of a single map, and of a word's hue
Pixels = UInt8[np.ndarray, "height width 3"]


def paint(runs: Mapping[str, Run], state: State, name: str) -> Pixels:
    """The image of a column and what lies over it."""
    run, single = runs[name], state.single
    own = None if single is None else state.map(run, single)
    if single is None:
        return _words(runs, run, state)
    if own is None:
        return _image(run, state)
    if state.difference and state.bases[name] != name:
        gaps = _gap(runs, name, state, single)
        if gaps is not None:
            every = [_gap(runs, each, state, single) for each in state.columns]
            scale = max(float(np.abs(gap).max()) for gap in every if gap is not None)
            at = 127 + np.floor((gaps / scale if scale > 0 else gaps * 0) * 127 + 0.5).astype(int)
            return palettes.colours(np.linspace(0, 1, 255), palettes.DIFFERENCE)[at]
    heat = palettes.colours(_shares(own, state.top(runs.values(), run, own)))
    pixels = _over(heat.astype(float), _grey(run, state), HEAT)
    pixels[outline(own.mask(state.threshold))] = 255
    return pixels


def _words(runs: Mapping[str, Run], run: Run, state: State) -> Pixels:
    """The mask of each shown word: the higher its map, the more the picture is grey in its hue.

    Where several lie on each other: of pinned words stripes, else the one that is strongest there.
    """
    pixels = _image(run, state)
    pairs = [(state.map(run, word), hue) for word, hue in state.shown]
    found = [(word, hue) for word, hue in pairs if word is not None]
    if not found:
        return pixels
    masks = np.stack([word.mask(state.threshold) for word, _ in found])
    shares = np.stack([_shares(word, state.top(runs.values(), run, word)) for word, _ in found])
    if state.pins:
        y, x = np.indices(run.maps.size)
        stripe = max(2, min(run.maps.size) // 42)
        turn = (x + y) // stripe % np.maximum(masks.sum(0), 1)  # which of the masks here shows
        which = (masks & (np.cumsum(masks, 0) - 1 == turn)).argmax(0)
    else:
        which = np.where(masks, shares, -1).argmax(0)
    share = np.take_along_axis(shares, which[None], 0)[0]
    opacity = np.where(masks.any(0), np.floor(255 * share + 0.5), 0).astype(int)[..., None]
    hues = np.array(palettes.distinct(HUES), float)[[hue for _, hue in found]][which]
    tinted = _over(hues, _grey(run, state), HUE)
    return ((pixels * (255 - opacity) + tinted * opacity + 127) // 255).astype(np.uint8)


def _shares(word: WordMap, top: float) -> Float[np.ndarray, "height width"]:
    """The map as shares of the strongest value, by the middle of its levels; at most 1."""
    values = _middle(word)
    return np.minimum(values / top, 1) if top > 0 else values


def _middle(word: WordMap) -> Float[np.ndarray, "height width"]:
    """The map's values, as near as its levels tell them."""
    peak = float(word.expand(absolute=True).max())
    return np.clip(levels(word).astype(float) - 0.5, 0, CUTS) / CUTS * peak


def _gap(
    runs: Mapping[str, Run], name: str, state: State, word: Word
) -> Float[np.ndarray, "height width"] | None:
    """What a column's map has more than that which it is compared with, in as many passes as that;
    None where they cannot be."""
    run, base = runs[name], runs[state.bases[name]]
    one, other = state.map(run, word), state.map(base, word)
    if one is None or other is None or unlike(run, base):
        return None
    return _middle(one) * state.times(run, base) - _middle(other)


def _over(colours: Float[np.ndarray, "h w 3"], grey: Int[np.ndarray, "h w"], by: float) -> Pixels:
    return np.floor(by * colours + (1 - by) * grey[..., None] + 0.5).astype(np.uint8)


def _grey(run: Run, state: State) -> Int[np.ndarray, "height width"]:
    return np.asarray(Image.fromarray(_image(run, state)).convert("L"), int)


def _image(run: Run, state: State) -> Pixels:
    """The image, or what the model meant it to be at the step, where that was kept."""
    meant = previews(run)[state.step : state.step + 1] if state.step is not None else []
    for uri in filter(None, meant):
        with suppress(OSError):  # no picture
            return _sized(from_uri(uri), run)
    return _sized(run.image, run)


def _sized(image: Image.Image | None, run: Run) -> Pixels:
    if image is None:
        return np.full((*run.maps.size, 3), 128, np.uint8)
    return np.asarray(image.convert("RGB").resize(run.maps.size[::-1]))
