"""One attention module of a model: what kind, on which grid, how many heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

Grid = tuple[int, ...]  # (height, width) or (frames, height, width), in cells
Kind = Literal["cross", "self", "joint", "text"]


def dimensions(grid: Grid) -> str:
    """A grid as errors tell it: "64 x 64"."""
    return " x ".join(map(str, grid))


@dataclass(frozen=True)
class Site:
    """One attention module of a denoiser.

    Attributes
    ----------
    name
        Its path in the denoiser, as in ``named_modules()``; of a pipeline with several denoisers
        all but the first have their component's name before it ("transformer_2.blocks.0.attn1").
    kind
        "cross" looks from the image's cells to the text, "self" from cells to cells, "joint" from
        both to both, "text" from text to text.
    group
        What it belongs with, as the family has it ("down", "mid", "up"; "double", "single"): sites
        of one group, grid and number of heads are summed together where sites are not kept apart.
    order
        When it runs, among the sites of its denoiser.
    heads
        Number of heads.
    module
        The module itself.
    level
        How often the denoiser's grid has been halved there.
    observable
        Whether it has a softmax that can be seen; linear attention has none.
    left_out
        Pooling rules ("daam", "paper") that leave it out on any grid.
    denoiser
        Its denoiser's component name, of all but a pipeline's first.
    """

    name: str
    kind: Kind
    group: str
    order: int
    heads: int
    module: nn.Module = field(repr=False, compare=False)
    level: int = 0
    observable: bool = True
    left_out: frozenset[str] = frozenset()
    denoiser: str = ""

    @property
    def reads_text(self) -> bool:
        """Whether the image's cells attend to text here."""
        return self.kind in ("cross", "joint") and self.observable

    @property
    def reads_image(self) -> bool:
        """Whether the image's cells attend to each other here, be it in one softmax with text."""
        return self.kind in ("self", "joint") and self.observable

    def grid(self, whole: Grid) -> Grid:
        """The site's grid, given the denoiser's; each halving of a side rounds up."""
        *frames, height, width = whole
        for _ in range(self.level):
            height, width = -(-height // 2), -(-width // 2)
        return (*frames, height, width)


@dataclass(frozen=True)
class Span:
    """Consecutive places of an encoder's text on a site's key axis.

    Attributes
    ----------
    encoder
        Component name of the text encoder.
    start
        Key of the first place.
    length
        How many of its places are keys.
    first
        Which token of the encoder's input the first place stands for: above 0 where a pipeline
        drops the first tokens (a template's) after encoding.
    """

    encoder: str
    start: int
    length: int
    first: int = 0


@dataclass(frozen=True)
class Layout:
    """What a site's queries and keys are.

    Attributes
    ----------
    grid
        Of the image's cells.
    cells
        The queries that are the image's cells, row by row, frames outermost; one slice for each
        batch row where each has texts of its own length before its cells.
    text
        For each batch row of the pass: where which encoder's text is. Encoders that share places
        (CLIP's two) have spans that overlap; empty where there is no text.
    """

    grid: Grid
    cells: slice | tuple[slice, ...]
    text: tuple[tuple[Span, ...], ...] = ()

    def for_rows(self, rows: slice) -> Layout:
        """That of some batch rows alone."""
        cells = self.cells if isinstance(self.cells, slice) else self.cells[rows]
        return Layout(self.grid, cells, self.text[rows])

    def cells_of(self, rows: slice) -> list[slice]:
        """The cells of some batch rows, for each."""
        if isinstance(self.cells, slice):
            return [self.cells] * (rows.stop - rows.start)
        return list(self.cells[rows])

    def together(self, rows: slice, queries: int) -> list[tuple[slice, range]]:
        """Batch rows with their cells out of so many queries: at once where all have the same, else
        one by one."""
        own = [range(queries)[cells] for cells in self.cells_of(rows)]
        if all(cells == own[0] for cells in own):
            return [(rows, own[0])]
        return [(slice(at, at + 1), cells) for at, cells in enumerate(own, rows.start)]

    @property
    def text_end(self) -> int | None:
        """The key after the last of the longest row's text; None where there is no text."""
        ends = [span.start + span.length for row in self.text for span in row]
        return max(ends, default=None)

    def keys(self, rows: slice) -> slice:
        """All text's keys of some batch rows, and what lies between."""
        spans = [span for row in self.text[rows] for span in row]
        start = min(span.start for span in spans)
        return slice(start, max(span.start + span.length for span in spans))


def within(cells: range, block: slice) -> slice:
    """The queries of a block of cells, counted from the first cell."""
    own = cells[block]
    return slice(own.start, own.stop)


def of_rows(values: Tensor, own: Sequence[slice | list[int]], dimension: int) -> Tensor:
    """Of each batch row its own part of a dimension, as long as every other row's."""
    before = (slice(None),) * dimension
    if all(part == own[0] for part in own):
        return values[(*before, own[0])]
    rows = zip(values.split(1), own, strict=True)
    return torch.cat([row[(*before, part)] for row, part in rows])


def places(spans: Sequence[Span]) -> list[int]:
    """The keys of an image's text, each once, in the order of the spans."""
    return list(dict.fromkeys(key for s in spans for key in range(s.start, s.start + s.length)))
