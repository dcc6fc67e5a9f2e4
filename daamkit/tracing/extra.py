"""One pass more, in which concepts stand where the prompt's words do."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention.calls import Pass
from daamkit.attention.families.reworded import Vectors, reworded
from daamkit.attention.families.rows import selected
from daamkit.attention.hooks import Ended, extra_passes
from daamkit.attention.schedulers import scaled
from daamkit.attention.sites import Site, Span, places
from daamkit.attention.taps import Attention, Output, Tap
from daamkit.prompts.vectors import registers


class Keys(Tap):
    """The keys of rows each of which is a concept's.

    Attributes
    ----------
    keys, values
        By site, for each concept and each of its texts: (heads, tokens, channels).
    """

    def __init__(self, sites: Sequence[str], concepts: Sequence[Vectors]) -> None:
        self.sites, self.concepts = sites, concepts
        self.keys: dict[str, list[list[Tensor]]] = {}
        self.values: dict[str, list[list[Tensor]]] = {}

    def wants(self, site: Site) -> bool:
        return site.name in self.sites

    def observe(self, attention: Attention) -> None:
        name = attention.site.name
        self.keys[name] = self._own(attention, attention.key)
        self.values[name] = self._own(attention, attention.every_value())

    def _own(self, attention: Attention, every: Tensor) -> list[list[Tensor]]:
        rows = zip(every, attention.layout.text, self.concepts, strict=True)
        return [
            [each[:, own].detach() for own in first(attention.now, spans, concept)]
            for each, spans, concept in rows
        ]

    def last(self, site: Site) -> bool:
        return len(self.keys) == len(self.sites)


class Stream(Tap):
    """The first row is a prompt's. Concepts in the others look at each other and at the first's
    image; before they meet the image each looks at itself alone, as if it were the only one.

    Parameters
    ----------
    sites
        Those that are kept.
    rows
        What each row after the first has: several concepts, one after the other, or one.

    Attributes
    ----------
    scores
        By site: (concepts, cells), the concepts' shares of each cell: a softmax over concepts of
        the product of a concept's output with the cell's, all heads together.
    seen
        By site, its attention.
    """

    def __init__(self, sites: Sequence[str], rows: Sequence[Vectors]) -> None:
        self.sites, self.rows = sites, rows
        self.scores: dict[str, Tensor] = {}
        self.seen: dict[str, Attention] = {}

    def wants(self, site: Site) -> bool:
        return site.kind in ("joint", "text")

    def edit(self, attention: Attention, output: Output) -> Output:
        own, output = self.where(attention), output.clone()
        if attention.site.kind == "text":
            output[own] = attention.every_value()[own]
            return output
        cells = attention.layout.cells_of(slice(0, 1))[0]
        key, value = (
            torch.cat([each[own].transpose(0, 1), each[0, :, cells]], 1)[None]
            for each in (attention.every_key(), attention.every_value())
        )
        query, scale = attention.query[own].transpose(0, 1)[None], attention.scale
        said = F.scaled_dot_product_attention(query, key, value, scale=scale)[0]
        output[own] = said.transpose(0, 1)
        if attention.site.name in self.sites:
            concept = said.float().transpose(0, 1).flatten(1)
            image = output[0, :, cells].float().transpose(0, 1).flatten(1)
            self.scores[attention.site.name] = (concept @ image.mT).softmax(0)
            self.seen[attention.site.name] = attention
        return output

    def where(self, attention: Attention) -> tuple[list[int], slice, list[int]]:
        """The row and the place of each concept, as an index that gives (concepts, heads, ...)."""
        found = [
            (row, place)
            for row, concepts in enumerate(self.rows, 1)
            for place in first(attention.now, attention.layout.text[row], concepts)[0]
        ]
        rows, at = zip(*found, strict=True)
        return [*rows], slice(None), [*at]

    def last(self, site: Site) -> bool:
        return site.name == self.sites[-1]


def first(now: Pass, spans: Sequence[Span], vectors: Vectors) -> list[list[int]]:
    """The keys of a row's texts that begin with these vectors, as far as they do."""
    encoders = {text.argument: text.encoder for text in now.family.concepts.texts}
    found, skipped = [], registers(now.call)
    for argument, own in vectors.items():
        mine = [span for span in spans if encoders.get(argument, span.encoder) == span.encoder]
        found.append(places(mine)[skipped:][: len(own)])
    return found


def draw(now: Pass, tap: Tap, samples: Sequence[int], vectors: Sequence[Vectors | None]) -> None:
    """One more pass, a row for each sample named, whose texts begin with other vectors."""
    own = now.holding("cond")
    start = own.branches["cond"].start
    inputs = selected(own, [start + sample for sample in samples])
    inputs = reworded(own, inputs, vectors)
    inputs = now.family.write(inputs, scaled(now, now.noisy[list(samples)]))
    args, kwargs = own.arguments(inputs)
    with extra_passes(now.call.pipe, tap), torch.no_grad(), contextlib.suppress(Ended):
        own.denoiser(*args, **kwargs)
