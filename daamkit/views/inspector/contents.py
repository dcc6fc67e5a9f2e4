"""What the inspector's script is given of its runs: words, arcs, pictures, and maps as bytes.

A map of all steps is sent at the image's size as the number of cuts 0, 1/200, ..., 1 of its
maximum that each pixel reaches (0 to 201). So the script has `WordMap.mask` exactly at each of
these cuts; between them a value is known to 1/400 of the maximum. Maps of single steps, layers and
heads go as one byte a cell on a grid of their own; what is measured on them is near, not equal.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap, over_tokens
from daamkit.maps.words import Word
from daamkit.views import palettes
from daamkit.views.doubts import doubts
from daamkit.views.inspector.arcs import from_right, grammar
from daamkit.views.labels import labels, made, unread
from daamkit.views.png import data_uri

CUTS = 200  # thresholds a view can be set to: 0, 1/200, ..., 1
STEP_GRID, HEAD_GRID = 64, 32  # longest side of the maps of steps, and of layers and heads
HUES = 5  # words that have one at a time
_PNG = re.compile(
    r"data:image/png;base64,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[A-Za-z0-9+/=]=)?"
)


def levels(word: WordMap) -> UInt8[np.ndarray, "height width"]:
    """How many of the cuts i/200 of its maximum each pixel reaches, as ``word.mask(i / 200)``."""
    values = word.expand(absolute=True).cpu().numpy()
    if not values.max() > 0:
        return np.zeros(values.shape, np.uint8)
    cuts = np.array([i / CUTS * values.max() for i in range(CUTS + 1)], values.dtype)
    return np.searchsorted(cuts, values, side="right").astype(np.uint8)


def matched(prompt: Prompt, word: Word) -> Word | None:
    """The same word in another prompt: the same text, as often said before."""
    for own in prompt.words():
        if (own.text.casefold(), own.occurrence) == (word.text.casefold(), word.occurrence):
            return own
    return None


def previews(run: Run) -> list[str]:
    """What the model meant the image to be at each step, as PNG in itself: a stranger's run may
    name any address, which no page may ask. Empty for what is none."""
    found = run.record.get("previews")
    each = found if isinstance(found, list | tuple) else ()
    return [uri if isinstance(uri, str) and _PNG.fullmatch(uri) else "" for uri in each]


def about(first: Run, words: Sequence[Word], parser: Any = None) -> dict[str, Any]:
    """What all columns share: words and arcs of the first prompt, colours."""
    read = grammar(first.prompt, words, parser)
    minor = set(read.minor)
    return {
        "prompt": first.prompt,
        "rtl": from_right(first.prompt),
        "words": [
            {"label": label, "start": word.start, "end": word.end, "minor": i in minor}
            for i, (label, word) in enumerate(zip(labels(words), words, strict=True))
        ],
        "opening": opening(first, words, read.nouns, minor),
        "arcs": list(read.arcs),
        "silent": read.silent,
        "cuts": CUTS,
        "heat": palettes.colours(np.arange(256) / 255, palettes.HEAT).tolist(),
        "diverging": palettes.colours(np.linspace(0, 1, 255), palettes.DIFFERENCE).tolist(),
        "hues": [list(hue) for hue in palettes.distinct(HUES)],
    }


def opening(run: Run, words: Sequence[Word], nouns: Sequence[int], minor: set[int]) -> list[int]:
    """The words that are coloured before any is chosen: the nouns, else what there is.

    There are as many as there are hues; of more, those whose maps are highest.
    """
    chosen = list(nouns) or [i for i in range(len(words)) if i not in minor] or [*range(len(words))]
    if len(chosen) <= HUES:
        return chosen
    peaks = {i: float(run.maps.of(words[i]).values.max()) for i in chosen}
    return sorted(sorted(chosen, key=lambda i: -peaks[i])[:HUES])


def column(
    run: Run,
    name: str,
    words: Sequence[Word],
    tick: Callable[[], Any] = lambda: None,
    parser: Any = None,
    frame: tuple[str, int] | None = None,
    first: Run | None = None,
) -> dict[str, Any]:
    """What is sent of one run: plain data, with offsets into ``data``, its maps, gzipped.

    Parameters
    ----------
    run, name
        Which, and what it is called.
    words
        Those of the first prompt.
    tick
        Called when a part is done: once for each word, and twice.
    parser
        A spaCy pipeline, by name or open, which finds the nouns that are doubted.
    frame
        What the video is called of which it is a frame, and which one, from 0.
    first
        The run whose prompt stands above; default this one.
    """
    parts: list[bytes] = []
    own = [matched(run.maps.prompt, word) for word in words]
    known = [word for word in own if word is not None]
    whole, peaks = [], []
    for word in own:
        found = None if word is None else run.maps.of(word)
        peaks.append(0.0 if found is None else float(found.expand(absolute=True).max()))
        if found is not None:
            whole.append(levels(found))
        tick()
    height, width = run.maps.size
    video, place = frame or (None, None)
    sent: dict[str, Any] = {
        "name": name,
        "video": video,
        "frame": place,
        "prompt": run.prompt,
        "made": made(run, name, first),
        "unread": unread(run.maps.prompt),
        "passes": run.maps.steps,
        "rule": run.maps.rule,
        "height": height,
        "width": width,
        "image": None if run.image is None else data_uri(run.image),
        "previews": previews(run),
        "has": [word is not None for word in own],
        "peaks": peaks,
        "doubts": _doubts(run, own, parser),
        "whole": _put(np.stack(whole or [np.zeros((0, 0), np.uint8)]), parts),
        "steps": _steps(run.maps, known, parts),
    }
    tick()
    sent["layers"] = _layers(run.maps, known, parts)
    sent["data"] = gzip.compress(b"".join(parts), 4, mtime=0)
    tick()
    return sent


def _doubts(run: Run, words: Sequence[Word | None], parser: Any) -> list[tuple[int, str]]:
    """Words whose maps are not to be believed, and what to say of them."""
    found = doubts(run, parser)
    return [
        (i, said)
        for i, word in enumerate(words)
        if word is not None
        for start, said in found.items()
        if word.start <= start < word.end
    ]


def _steps(maps: HeatMaps, words: list[Word], parts: list[bytes]) -> dict[str, Any] | None:
    """Each word's map at each step, (words, steps, y, x), and their maxima.

    Heads are summed before they are enlarged, which takes an eighth of the time: near.
    """
    if "step" not in maps.keep or not words:
        return None
    layers = {}
    for name, layer in maps.layers.items():
        values = layer.values.float()
        values = values.sum(1) if "head" in maps.keep else values
        each = torch.stack([over_tokens(values, word) for word in words])
        layers[name] = replace(layer, values=each.flatten(0, 1))  # a map a column: word, step
    whole = replace(maps, layers=layers, keep=frozenset({"site"}), size=_grid(maps.size, STEP_GRID))
    pooled = whole.pool().unflatten(0, (len(words), maps.steps))
    return _bytes(pooled, STEP_GRID, parts) | {"count": maps.steps}


def _layers(maps: HeatMaps, words: list[Word], parts: list[bytes]) -> list[dict[str, Any]]:
    """Each layer's maps, (words, heads, y, x), as the model runs; one head if none were kept."""
    found: list[dict[str, Any]] = []
    if not words:
        return found
    for layer in sorted(maps.layers.values(), key=lambda layer: layer.order):
        values = layer.values.sum(0) if "step" in maps.keep else layer.values
        values = values.float() if "head" in maps.keep else values.float()[None]
        stack = torch.stack([over_tokens(values, word) for word in words])
        # The sum of one cell's or all cells' maps is divided by this, as `HeatMaps.pool` does.
        every = layer.heads if maps.rule == "daam" else 1
        single = every // values.shape[0] if maps.rule == "daam" else 1
        head = {
            "name": layer.name,
            "stage": layer.group,
            "heads": values.shape[0],
            "divisors": [single, every],
        }
        found.append(head | _bytes(stack, HEAD_GRID, parts))
    return found


def _bytes(maps: Float[Tensor, "words n y x"], side: int, parts: list[bytes]) -> dict[str, Any]:
    """Maps as bytes of their own maximum, on a grid of at most `side` cells a side."""
    grid = _grid((maps.shape[-2], maps.shape[-1]), side)
    if grid != tuple(maps.shape[-2:]):
        maps = F.interpolate(maps, size=grid, mode="area")
    values = maps.clamp(min=0).cpu().numpy()
    peaks = values.max((-1, -2), initial=0.0)
    scaled = values / np.where(peaks > 0, peaks, 1)[..., None, None]
    return {
        "grid": list(values.shape[-2:]),
        "peaks": [[float(f"{peak:.6g}") for peak in row] for row in peaks],
        "at": _put((scaled * 255).round().astype(np.uint8), parts),
    }


def _grid(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width), made smaller until neither is above `side`."""
    most = max(*size, side)
    return max(1, round(side * size[0] / most)), max(1, round(side * size[1] / most))


def _put(array: np.ndarray, parts: list[bytes]) -> int:
    """Append an array; where it begins."""
    start = sum(map(len, parts))
    parts.append(array.tobytes())
    return start
