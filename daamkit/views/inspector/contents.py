"""What the inspector's script is given of its runs: words, arcs, pictures, and maps as bytes.

A map of all steps is sent at the image's size as the number of cuts 0, 1/200, ..., 1 of its
maximum that each pixel reaches (0 to 201). So the script has `WordMap.mask` exactly at each of
these cuts; between them a value is known to 1/400 of the maximum. Maps of single steps, layers and
heads go as one byte a cell on a grid of their own; what is measured on them is near, not equal.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap, over_tokens
from daamkit.maps.words import Word
from daamkit.views import palettes
from daamkit.views.labels import labels
from daamkit.views.png import data_uri

CUTS = 200  # thresholds a view can be set to: 0, 1/200, ..., 1
STEP_GRID, HEAD_GRID = 64, 32  # longest side of the maps of steps, and of layers and heads


def levels(word: WordMap) -> UInt8[np.ndarray, "height width"]:
    """How many of the cuts i/200 of its maximum each pixel reaches, as ``word.mask(i / 200)``."""
    word.mask()  # says if the map is not finite
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


@dataclass(frozen=True, eq=False)
class Contents:
    """What the script needs: `about` as plain data, and the maps behind it in `data`."""

    runs: Sequence[Run]
    names: Sequence[str]
    parser: Any = None

    @cached_property
    def words(self) -> list[Word]:
        """Those of the first run's prompt."""
        return self.runs[0].maps.prompt.words()

    @cached_property
    def _packed(self) -> tuple[dict[str, Any], bytes]:
        parts: list[bytes] = []
        first = self.runs[0]
        pairs, silent = self._arcs()
        about = {
            "prompt": first.prompt,
            "words": [
                {"label": label, "start": word.start, "end": word.end}
                for label, word in zip(labels(self.words), self.words, strict=True)
            ],
            "arcs": pairs,
            "silent": silent,
            "cuts": CUTS,
            "heat": _lut(palettes.HEAT, np.clip((np.arange(CUTS + 2) - 0.5) / CUTS, 0, 1)),
            "diverging": _lut(palettes.DIFFERENCE, np.linspace(0, 1, 255)),
            "hues": [list(hue) for hue in palettes.distinct(5)],
            "columns": [
                self._column(run, name, parts)
                for run, name in zip(self.runs, self.names, strict=True)
            ],
        }
        return about, gzip.compress(b"".join(parts), 6, mtime=0)

    @property
    def about(self) -> dict[str, Any]:
        """Words, arcs, colours, columns; arrays by their offset in the data."""
        return self._packed[0]

    @property
    def data(self) -> bytes:
        """All maps, one after the other, gzipped."""
        return self._packed[1]

    def _arcs(self) -> tuple[list[dict[str, Any]], str]:
        """Heads and dependents as places among the words, or why there are none."""
        try:
            edges = parsing.parse(self.runs[0].prompt, self.parser).edges()
        except DaamkitError as error:
            return [], str(error)

        def index(token: parsing.ParsedToken) -> int | None:
            inside = (i for i, w in enumerate(self.words) if w.start <= token.start < w.end)
            return next(inside, None)

        found = [(index(pair.head), index(pair.dependent), pair.relation) for pair in edges]
        return [
            {"head": head, "dependent": dependent, "relation": relation}
            for head, dependent, relation in found
            if head is not None and dependent is not None and head != dependent
        ], ""

    def _column(self, run: Run, name: str, parts: list[bytes]) -> dict[str, Any]:
        height, width = run.maps.size
        own = [matched(run.maps.prompt, word) for word in self.words]
        maps = [run.maps.of(word) if word is not None else None for word in own]
        known = [word for word in own if word is not None]
        whole = np.stack([levels(m) for m in maps if m is not None] or [np.zeros((0, 0), np.uint8)])
        return {
            "name": name,
            "prompt": run.prompt,
            "height": height,
            "width": width,
            "image": None if run.image is None else data_uri(run.image),
            "has": [word is not None for word in own],
            "peaks": [0.0 if m is None else float(m.expand(absolute=True).max()) for m in maps],
            "whole": _put(whole, parts),
            "steps": _steps(run.maps, known, parts),
            "layers": _layers(run.maps, known, parts),
        }


def _steps(maps: HeatMaps, words: list[Word], parts: list[bytes]) -> dict[str, Any] | None:
    """Each word's map at each step, (words, steps, y, x), and their maxima."""
    if "step" not in maps.keep or not words:
        return None
    stack = []
    for step in range(maps.steps):
        pooled = maps.select(steps=step).pool()
        stack.append(torch.stack([over_tokens(pooled, word) for word in words]))
    return _bytes(torch.stack(stack, 1), STEP_GRID, parts) | {"count": maps.steps}


def _layers(maps: HeatMaps, words: list[Word], parts: list[bytes]) -> list[dict[str, Any]]:
    """Each layer's maps, (words, heads, y, x), in running order; one head if they were not kept."""
    found: list[dict[str, Any]] = []
    if not words:
        return found
    for layer in sorted(maps.layers.values(), key=lambda layer: layer.order):
        values = layer.values.float()
        values = values.sum(0) if "step" in maps.keep else values
        values = values if "head" in maps.keep else values[None]
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
    height, width = maps.shape[-2:]
    if max(height, width) > side:
        grid = (
            max(1, round(side * height / max(height, width))),
            max(1, round(side * width / max(height, width))),
        )
        maps = F.interpolate(maps, size=grid, mode="area")
    values = maps.clamp(min=0).cpu().numpy()
    peaks = values.max((-1, -2), initial=0.0)
    scaled = values / np.where(peaks > 0, peaks, 1)[..., None, None]
    return {
        "grid": list(values.shape[-2:]),
        "peaks": [[float(f"{peak:.6g}") for peak in row] for row in peaks],
        "at": _put((scaled * 255).round().astype(np.uint8), parts),
    }


def _put(array: np.ndarray, parts: list[bytes]) -> int:
    """Append an array; where it begins."""
    start = sum(map(len, parts))
    parts.append(array.tobytes())
    return start


def _lut(palette: str, values: np.ndarray) -> list[list[int]]:
    return palettes.colours(values, palette).tolist()
