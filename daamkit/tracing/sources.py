"""Who attends, of a trace's `relations`: words and cells as queries of a site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.columns import AT_ONCE
from daamkit.attention.sites import Grid, Span
from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError
from daamkit.maps.prompt import Prompt
from daamkit.maps.related import Pixel
from daamkit.maps.tokens import Special
from daamkit.maps.words import Word
from daamkit.prompts import Read


@dataclass(frozen=True)
class Group:
    """Queries whose mean is a source: tokens of a word, encoder by encoder, or one cell."""

    parts: tuple[tuple[int, ...], ...]


def pixels(chosen: Any) -> list[Pixel]:
    """One pixel or several."""
    listed = [chosen] if isinstance(chosen, tuple) else list(chosen)
    return [(float(y), float(x)) for y, x in listed]


def cell(pixel: Pixel, grid: Grid, size: tuple[int, int]) -> int:
    """The number of the cell that a pixel lies in; of frames, the first."""
    (y, x), (height, width) = pixel, size
    if not (0 <= y < height and 0 <= x < width):
        raise DaamkitError(
            wanted=f"a pixel within {height} x {width} (height x width)",
            got=f"({y:g}, {x:g})",
            mend="give y first, then x",
        )
    return int(y * grid[-2] / height) * grid[-1] + int(x * grid[-1] / width)


def words(prompt: Prompt, chosen: Any) -> tuple[Word, ...]:
    """The words that attend; all: the special tokens too."""
    present = [token.special for token in prompt.tokens if token.special]
    kinds: list[Special] = list(dict.fromkeys(present))
    if isinstance(chosen, str) and chosen == "all":
        return (*prompt.words(), *(special(prompt, name) for name in kinds))
    found: list[Word] = []
    for each in [chosen] if isinstance(chosen, str | Word) else chosen:
        own = [special(prompt, kind) for kind in kinds if kind == each]
        found += own or prompt.each([each])
    return tuple(found)


def special(prompt: Prompt, name: Special) -> Word:
    """Special tokens of all encoders that have them."""
    columns = [token.column for token in prompt.tokens if token.special == name]
    return Word(name, 0, 0, tuple(dict.fromkeys(columns)))


def keys(
    read: Read, spans: Sequence[Span], parts: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    """The places of a word at a site, encoder by encoder, as far as the site has them."""
    found = (tuple(read.keys(spans, columns)) for columns in parts)
    return tuple(own for own in found if own)


def blocks(groups: Sequence[Group], attention: Attention) -> Iterator[Sequence[Group]]:
    """Sources together whose whole softmax is not too large."""
    widest = max((sum(map(len, group.parts)) for group in groups), default=1)
    row = 4 * attention.query.shape[1] * attention.key.shape[2] * max(1, widest)
    size = max(1, AT_ONCE // row)
    for at in range(0, len(groups), size):
        yield groups[at : at + size]


def weights(groups: Sequence[Group], queries: Sequence[int]) -> Float[Tensor, "sources queries"]:
    """Each source's mean over its queries, and over encoders the mean of these."""
    place = {query: at for at, query in enumerate(queries)}
    weights = torch.zeros(len(groups), len(queries), dtype=torch.float32, device="cpu")
    for at, group in enumerate(groups):
        for own in group.parts:
            for query in own:
                weights[at, place[query]] += 1 / (len(own) * len(group.parts))
    return weights


def require_places(
    pixels: Sequence[Pixel], grid: Grid, expected: tuple[int, int], found: tuple[int, int]
) -> None:
    """Refuse a picture of another size than was expected, where a pixel is another cell's.

    Raises
    ------
    DaamkitError
        If one is.
    """
    for pixel in pixels:
        if cell(pixel, grid, expected) != cell(pixel, grid, found):
            raise DaamkitError(
                wanted=f"a picture of {expected[0]} x {expected[1]} (height x width), in which the "
                f"pixel ({pixel[0]:g}, {pixel[1]:g}) was looked for",
                got=f"one of {found[0]} x {found[1]}",
                mend="generate at the model's own size, or ask for all cells",
            )
