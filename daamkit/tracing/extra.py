"""One pass more, in which concepts stand where the prompt's words do."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention.calls import Pass
from daamkit.attention.families.reworded import reworded
from daamkit.attention.families.rows import selected
from daamkit.attention.hooks import Ended, extra_passes
from daamkit.attention.schedulers import scaled
from daamkit.attention.sites import Site, places
from daamkit.attention.taps import Attention, Output, Tap
from daamkit.prompts import vectors


class Keys(Tap):
    """The keys of each row's first places of text."""

    def __init__(self, sites: Sequence[str], lengths: Sequence[int]) -> None:
        self.sites, self.longest, self.keys = sites, max(lengths), dict[str, Tensor]()

    def wants(self, site: Site) -> bool:
        return site.name in self.sites

    def observe(self, attention: Attention) -> None:
        own = places(attention.layout.text[0])[: self.longest]
        self.keys[attention.site.name] = attention.key[:, :, own].detach()

    def last(self, site: Site) -> bool:
        return len(self.keys) == len(self.sites)


class Stream(Tap):
    """Of two rows, the second's text looks at itself and at the first's image; before it meets the
    image each of its places looks at itself alone, as if it were the only one.

    Attributes
    ----------
    scores
        By site: (concepts, cells), the concepts' shares of each cell: a softmax over concepts of
        the product of a concept's output with the cell's, all heads together.
    seen
        By site, its attention.
    """

    def __init__(self, sites: Sequence[str], count: int) -> None:
        self.sites, self.count = sites, count
        self.scores: dict[str, Tensor] = {}
        self.seen: dict[str, Attention] = {}

    def wants(self, site: Site) -> bool:
        return site.kind in ("joint", "text")

    def edit(self, attention: Attention, output: Output) -> Output:
        registers = vectors.registers(attention.now.call)
        own = places(attention.layout.text[1])[registers:][: self.count]
        if attention.site.kind == "text":
            output = output.clone()
            output[1][:, own] = attention.every_value()[1][:, own]
            return output
        cells = attention.layout.cells_of(slice(0, 1))[0]
        key, value = (
            torch.cat([both[1:, :, own], both[:1, :, cells]], 2)
            for both in (attention.every_key(), attention.every_value())
        )
        query, scale = attention.query[1:, :, own], attention.scale
        said = F.scaled_dot_product_attention(query, key, value, scale=scale)[0]
        output = output.clone()
        output[1][:, own] = said
        if attention.site.name in self.sites:
            concept = said.float().transpose(0, 1).flatten(1)
            image = output[0, :, cells].float().transpose(0, 1).flatten(1)
            self.scores[attention.site.name] = (concept @ image.mT).softmax(0)
            self.seen[attention.site.name] = attention
        return output

    def last(self, site: Site) -> bool:
        return site.name == self.sites[-1]


def draw(now: Pass, tap: Tap, samples: Sequence[int], vectors: Sequence[Tensor | None]) -> None:
    """One more pass, a row for each sample named, whose text begins with other vectors."""
    own = now.holding("cond")
    first = own.branches["cond"].start
    inputs = selected(own, [first + sample for sample in samples])
    inputs = reworded(own, inputs, vectors)
    inputs = now.family.write(inputs, scaled(now, now.noisy[list(samples)]))
    args, kwargs = own.arguments(inputs)
    with extra_passes(now.call.pipe, tap), torch.no_grad(), contextlib.suppress(Ended):
        own.denoiser(*args, **kwargs)
