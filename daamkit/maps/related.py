"""What chosen words or cells of one image pay to its cells or to its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps.layers import Choice, Index, Layer, select
from daamkit.maps.prompt import Prompt
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked, Occurrence, Word

if TYPE_CHECKING:
    import pandas as pd

Relation = Literal["image_to_text", "text_to_image", "image_to_image", "text_to_text"]
Pixel = tuple[float, float]  # (y, x)
Source = Asked | Pixel
MEAN = "mean"  # as a layer's `left_out` has it: what relations are pooled by


@dataclass(frozen=True, eq=False)
class Related:
    """What chosen words, or chosen places of the image, attend to.

    All are shares of one softmax over all that is attended to there: what words of a model with
    joint attention pay to the image and to the text sums to 1, less what goes to places that are
    neither (those that fill an image up, a picture beside it).

    Attributes
    ----------
    relation
        "image_to_text", "text_to_image", "image_to_image" or "text_to_text": who attends, to whom.
    prompt
        The text, its words and tokens.
    words
        Which words attend, special tokens among them; empty where places of the image do.
    pixels
        Which places of the image attend; empty where words do, and where all cells do.
    layers
        (step?, head?, frame?, source, y, x) float32. Of text that is attended to, y is 1 and x its
        column.
    keep
        Which of "step", "site", "head" were kept apart.
    steps
        Passes of the denoisers; a layer that has run in some of them counts for as much.
    size
        (height, width) of the image.

    Notes
    -----
    What is asked for is the mean over heads, steps, and layers of the finest grid, as far as the
    source has a place there; `select` takes some of these. Layers that refine a text before it
    meets the image count only where they are chosen by name: no cell is attended to there.
    """

    relation: Relation
    prompt: Prompt
    words: tuple[Word, ...]
    pixels: tuple[Pixel, ...]
    layers: Mapping[str, Layer]
    keep: frozenset[str]
    steps: int
    size: tuple[int, int]

    def of(
        self, source: Source, occurrence: Occurrence | None = None
    ) -> Float[Tensor, "*frames y x"] | Float[Tensor, " columns"]:
        """What a word, or the place at a pixel (y, x), pays to each cell, or to each token.

        Of a video, the place is one of the first frame.

        Parameters
        ----------
        source
            One of those that were chosen; a word as in `Prompt.word` (or a phrase of such words,
            the mean over their tokens), or "SOS", "EOS", "padding", "template" or "register".
        occurrence
            Which of several alike.

        Raises
        ------
        DaamkitError
            If it was not chosen when the pipeline was called, or has no place at these layers.
        """
        paid = self._paid(source, occurrence)
        if not paid:
            raise DaamkitError(
                wanted=f"what {self._word(source, occurrence).text!r} attends to",
                got=f"layers at which it has no place: {', '.join(self.layers)}",
                mend="choose others with `select(sites=...)`; hidden text has no place at any",
            )
        heads = sum(layer.heads * layer.share(self.steps) for layer, _ in paid) * self.steps
        mean = torch.stack([values for _, values in paid]).sum(0) / heads
        return mean if self.relation.endswith("image") else mean[0]

    def map(self, source: Source, occurrence: Occurrence | None = None) -> WordMap:
        """`of`, as a map of the image.

        Raises
        ------
        DaamkitError
            If it was not chosen, has no place at these layers, or the text is attended to.
        """
        if not self.relation.endswith("image"):
            raise DaamkitError(
                wanted="a map of the image",
                got=f"{self.relation}, whose shares are the text's",
                mend="take `of(...)` or `table()`",
            )
        word = self._word(source, occurrence) if self.words else Word(str(source), 0, 0, ())
        return WordMap(self.of(source, occurrence), word, self.size)

    def table(self) -> pd.DataFrame:
        """What each source pays to whom.

        Columns: source; where text is attended to, encoder, text, special and column of each token
        and the column's share, which encoders that share places have together; where the image is,
        the share of all of it, and peak_y, peak_x (pixels). Sources without a place at these layers
        have no rows.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        sources: list[Any] = list(self.words or self.pixels)
        if not sources:
            raise DaamkitError(
                wanted="a table of chosen sources",
                got="all cells",
                mend="ask for one, `of((y, x))`, or choose some pixels",
            )
        for source in filter(self._paid, sources):
            name = source.text if isinstance(source, Word) else source
            values = self.of(source)
            if self.relation.endswith("image"):
                peak_y, peak_x = self.map(source).peak()
                share = float(values.sum())
                rows.append({"source": name, "share": share, "peak_y": peak_y, "peak_x": peak_x})
                continue
            rows += [
                {"source": name}
                | {key: getattr(token, key) for key in ("encoder", "text", "special", "column")}
                | {"share": float(values[token.column])}
                for token in self.prompt.tokens
            ]
        return pd.DataFrame(rows)

    def select(
        self,
        *,
        steps: Index | None = None,
        sites: Choice | None = None,
        heads: Index | None = None,
    ) -> Related:
        """Those of some steps, layers or heads, where they were kept: see `HeatMaps.select`."""
        layers, count = select(self.layers, self.keep, self.steps, steps, sites, heads)
        if sites is not None:
            layers = {name: replace(layer, left_out=()) for name, layer in layers.items()}
        return replace(self, layers=layers, steps=count)

    def _paid(
        self, source: Source, occurrence: Occurrence | None = None
    ) -> list[tuple[Layer, Float[Tensor, "*frames y x"]]]:
        """What a source pays at each layer of the mean, a sum over its heads and steps; words that
        have no query at a layer pay nothing there, and it is not one of these."""
        layers = [layer for layer in self._merged() if MEAN not in layer.left_out]
        layers = layers or self._merged()
        cells = [layer.values[..., 0, :, :].numel() for layer in layers]
        finest = [layer for layer, own in zip(layers, cells, strict=True) if own == max(cells)]
        each = [
            (layer, self._mean(layer, self._index(source, occurrence, layer))) for layer in finest
        ]
        return [(layer, values) for layer, values in each if not self.words or values.any()]

    def _mean(self, layer: Layer, at: Sequence[int]) -> Float[Tensor, "*frames y x"]:
        """What several of the chosen sources pay, a mean over their tokens."""
        first, *more = at
        if not more:
            return layer.values[..., first, :, :]
        tokens = [len(self.words[i].columns) for i in at]
        paid = [layer.values[..., i, :, :] * n for i, n in zip(at, tokens, strict=True)]
        return torch.stack(paid).sum(0) / sum(tokens)

    def _merged(self) -> list[Layer]:
        """Layers without the axes of steps and heads: sums."""
        axes = tuple(range(len(self.keep & {"step", "head"})))
        if not axes:
            return list(self.layers.values())
        return [replace(each, values=each.values.sum(axes)) for each in self.layers.values()]

    def _index(
        self, source: Source, occurrence: Occurrence | None, layer: Layer
    ) -> tuple[int, ...]:
        if self.words or self.pixels:
            return self._find(source, occurrence)
        y, x = self._pixel(source)
        height, width = layer.grid
        if self.relation.endswith("text"):  # the grid that attends has the image's proportions
            cells = layer.values.shape[0]
            height = round((cells * self.size[0] / self.size[1]) ** 0.5)
            width = cells // height
        return (int(y * height / self.size[0]) * width + int(x * width / self.size[1]),)

    def _pixel(self, source: Any) -> Pixel:
        try:
            y, x = (float(number) for number in source)
            inside = 0 <= y < self.size[0] and 0 <= x < self.size[1]
        except (TypeError, ValueError):
            inside = False
        if not inside:
            raise DaamkitError(
                wanted=f"a pixel (y, x) within {self.size[0]} x {self.size[1]} (height x width)",
                got=repr(source),
                mend="give y first, then x",
            )
        return y, x

    def _word(self, source: Any, occurrence: Occurrence | None) -> Word:
        """The chosen word that is meant, or the phrase."""
        at = self._find(source, occurrence)
        return self.words[at[0]] if len(at) == 1 else self.prompt.word(source, occurrence)

    def _find(self, source: Any, occurrence: Occurrence | None) -> tuple[int, ...]:
        """Which of the chosen sources is meant: of a phrase, all its words, where one encoder has
        read them."""
        if not self.words:
            pixel = self._pixel(source)
            if pixel in self.pixels:
                return (self.pixels.index(pixel),)
            raise _not_chosen(source, ", ".join(map(str, self.pixels)))
        for at, word in enumerate(self.words):
            if word is source or (word.text == source and word.start == word.end):
                return (at,)  # the same, or a special token
        asked = self.prompt.word(source, occurrence)
        for at, word in enumerate(self.words):
            if (word.start, word.end, word.columns) == (asked.start, asked.end, asked.columns):
                return (at,)
        inside = {
            at: word.columns
            for at, word in enumerate(self.words)
            if asked.start <= word.start < word.end <= asked.end and not word.parts
        }
        if sorted(sum(inside.values(), ())) == sorted(asked.columns):
            return tuple(inside)
        raise _not_chosen(repr(asked.text), ", ".join(word.text for word in self.words))


def _not_chosen(wanted: Any, got: str) -> DaamkitError:
    return DaamkitError(
        wanted=f"what {wanted} attends to",
        got=f"a trace of {got}",
        mend="name it in `relations=` of the trace",
    )


def opened(
    name: str,
    entry: Mapping[str, Any],
    prompt: Prompt,
    layers: Mapping[str, Layer],
    size: tuple[int, int],
) -> Related:
    """What a saved run says that chosen sources attend to.

    Raises
    ------
    ValueError, LookupError, TypeError
        If these are no places of the prompt or of the image.
    """
    known: dict[str, Relation] = {each: each for each in get_args(Relation)}
    words = tuple(prompt.check(_word(each)) for each in entry["words"])
    pixels = tuple((float(y), float(x)) for y, x in entry["pixels"])
    inside = all(0 <= y < size[0] and 0 <= x < size[1] for y, x in pixels)
    grids = {layer.grid for layer in layers.values()}
    fits = not known[name].endswith("text") or grids == {(1, prompt.columns)}
    if not (inside and fits) or (words and pixels):
        raise ValueError("not sources and targets of the image and its prompt")
    keep, steps = frozenset(entry["keep"]), entry["steps"]
    return Related(known[name], prompt, words, pixels, layers, keep, steps, size)


def _word(data: Mapping[str, Any]) -> Word:
    text, start, end, occurrence = (data[key] for key in ("text", "start", "end", "occurrence"))
    columns, parts = tuple(data["columns"]), tuple(map(tuple, data["parts"]))
    numbers = [start, end, occurrence, *columns, *(column for own in parts for column in own)]
    if not isinstance(text, str) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("not a word of a prompt")
    return Word(text, start, end, columns, occurrence, parts)
