"""Head relevance vectors: which heads answer to which kind of word (arXiv 2412.02237)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.taps import Attention
from daamkit.attribution.method import UnsuitedError
from daamkit.tracing.concepts import Concepts


class HeadRelevance(Concepts):
    """Counts which concept each head answers to most, while images are made as ever.

    In each step and at each site one word of each concept is drawn; its keys stand in one softmax
    with those of the others, and a head answers to that concept whose tokens its cells pay most to,
    in the mean (section 3 of Park et al. 2025, arXiv 2412.02237). The start of text, where a model
    has one, stands there too, as in their code: what a cell pays to it, it does not pay to words,
    so that it counts for less.

    Parameters
    ----------
    words
        By concept, its words: {"colour": ["red", ...], "animal": ["cat", ...]}. No word twice.
    seed
        Of the choice of words.

    Attributes
    ----------
    counts
        By site: (heads, concepts), in how many steps and images each head answered to each.
    """

    def __init__(self, words: Mapping[str, Sequence[str]], seed: int = 0) -> None:
        self.words = {name: list(own) for name, own in words.items()}
        super().__init__([word for own in self.words.values() for word in own])
        self.counts: dict[str, Float[Tensor, "heads concepts"]] = {}
        self._random = random.Random(seed)

    def vector(self, concept: str) -> dict[str, list[float]]:
        """A concept's relevance of each head, by site; all together their mean is 1."""
        at = [*self.words].index(concept)
        total = sum(float(each[:, at].sum()) for each in self.counts.values())
        heads = sum(len(each) for each in self.counts.values())
        return {
            name: [round(heads * float(count) / max(total, 1), 4) for count in each[:, at]]
            for name, each in self.counts.items()
        }

    def before(self, now: Pass) -> None:
        if any(site.kind == "joint" for site in now.sites):
            raise UnsuitedError(
                wanted="cells that look at text alone, beside whose keys others can be scored",
                got=f"{type(now.call.pipe).__name__}, where text and image share one softmax",
                mend="take another method for this model",
            )
        super().before(now)

    def observe(self, attention: Attention) -> None:
        if "cond" not in attention.branches:
            return
        rows, keys = attention.branches["cond"], self.keys[attention.site.name]
        query = attention.query[rows, :, attention.layout.cells_of(rows)[0]].float()
        drawn = [torch.cat(keys[at], 1) for at in self._chosen()]  # (heads, tokens, channels)
        start = attention.key[rows][:1, :, self._start(attention)]
        words = torch.cat([start[0], *drawn], 1).float()
        paid = (attention.scale * query @ words.mT).softmax(-1).mean(2)  # (samples, heads, tokens)
        lengths = [start.shape[2], *(own.shape[1] for own in drawn)]
        _, *each = paid.split(lengths, -1)
        means = torch.stack([own.mean(-1) for own in each], -1)
        won = torch.nn.functional.one_hot(means.argmax(-1), len(each)).sum(0).cpu().float()
        self.counts[attention.site.name] = self.counts.get(attention.site.name, 0) + won

    def _start(self, attention: Attention) -> list[int]:
        """The keys of the start of text, which has heard nothing and is any text's."""
        read = prompts.texts(attention.now.call, "cond")[0]
        starts = {token.column for token in read.prompt.tokens if token.special == "SOS"}
        return read.keys(attention.layout.text[attention.branches["cond"].start], starts)

    def _chosen(self) -> list[int]:
        """A word of each concept, by its number among all."""
        found, start = [], 0
        for own in self.words.values():
            found.append(start + self._random.randrange(len(own)))
            start += len(own)
        return found

    def finish(self, call: Call, images: object) -> None:
        self._forget()
