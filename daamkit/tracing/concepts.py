"""The tap behind a trace's `concepts`: where words are that the prompt need not have.

Where cells look at text alone, a concept's keys are scored beside the prompt's. Where text and
image share one softmax, each concept is a text of its own that looks at the image and at the other
concepts, and at which nothing looks: where its output is like a cell's, it is there
(ConceptAttention, Helbling et al. 2025, arXiv 2502.04320). In both, the picture is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import AT_ONCE, cut
from daamkit.attention.families.reworded import Vectors
from daamkit.attention.sites import Site
from daamkit.attention.stores import Plan, Store, check
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.prompt import Prompt
from daamkit.maps.tokens import Token
from daamkit.prompts import vectors
from daamkit.tracing import extra, results
from daamkit.tracing.recorder import Recorder


class Concepts(Tap):
    """Adds up where concepts are in each image.

    Parameters
    ----------
    concepts
        Words or phrases.
    keep, sites, budget
        What is kept, at which sites, within which memory, as in `daamkit.trace`.

    Attributes
    ----------
    images
        The layers of each image made: a column a concept.
    steps
        Passes of the latest.
    """

    guides = True  # what is denoised is known, after guidance, in `before`

    def __init__(
        self,
        concepts: Sequence[str],
        keep: frozenset[str] = frozenset({"site"}),
        sites: Sequence[str] | None = None,
        budget: int | None = None,
    ) -> None:
        self.names = [concepts] if isinstance(concepts, str) else list(concepts)
        if not self.names or len(set(self.names)) < len(self.names):
            raise DaamkitError(
                wanted="concepts, each once",
                got=repr(concepts),
                mend="write `concepts=['sky', 'grass']`",
            )
        self.keep, self.sites, self.budget = keep, sites, budget
        self.images: list[dict[str, Layer]] = []
        self.steps = 0
        self._forget()

    def _forget(self) -> None:
        self.store: Store | None = None
        self.joint = False
        self.names_of_sites: list[str] = []
        self.vectors: list[Vectors] = []  # by concept
        self.keys: dict[str, list[list[Tensor]]] = {}  # by site: as `extra.Keys` has them
        self.passes: list[int] = []
        self.ran: dict[str, list[int]] = {}  # by site: the passes of its denoiser

    def maps(self, like: HeatMaps, image: int) -> HeatMaps:
        """The maps of an image's concepts, pooled as others."""
        layers, prompt = self.images[image], _prompt(self.names)
        return replace(
            like, prompt=prompt, layers=layers, keep=self.keep, steps=self.steps, concepts=None
        )

    # -- while the pipeline runs

    def start(self, call: Call) -> None:
        self._forget()

    def before(self, now: Pass) -> None:
        """Where cells look at text alone, once a denoiser: the concepts' keys. Elsewhere, in each
        step: one more pass, in which the concepts look at the image."""
        if self.store is None:
            self.open(now)
        if self.joint:
            self._stream(now)
            return
        known = [site.name for site in now.sites if site.name in self.names_of_sites]
        if any(name not in self.keys for name in known):  # a pipeline may have two denoisers
            taken = extra.Keys(known, self.vectors)
            extra.draw(now, taken, [0] * len(self.vectors), self.vectors)
            self.keys |= taken.keys

    def begin(self, now: Pass) -> None:
        if "cond" in now.branches:
            self.passes.append(now.index)
            for site in now.sites:
                self.ran.setdefault(site.name, []).append(now.index)

    def wants(self, site: Site) -> bool:
        return bool(self.keys) and site.name in self.names_of_sites

    def observe(self, attention: Attention) -> None:
        if "cond" in attention.branches:
            assert self.store is not None
            self.store.add(attention, self._beside(attention))

    def open(self, now: Pass) -> None:
        """At which sites, and what the text encoders make of the concepts."""
        call = now.call
        every = [site for own in families.sites(call.pipe).values() for site in own]
        sites = [site for site in every if site.reads_text]
        self.joint = any(site.kind == "joint" for site in sites)
        double = [site for site in sites if site.group == "double"]  # the paper's layers
        sites = double if self.joint and double else sites
        sites = [
            site
            for site in sites
            if self.sites is None or any(name in site.name for name in self.sites)
        ]
        self.names_of_sites = [site.name for site in sites]
        base = now.family.base(call.pipe)
        slots = Plan.slots_of(
            sites, now.grid, self.keep, lambda site: now.family.left_out(site, now.grid, base)
        )
        if self.joint:  # scores are of all heads together
            slots = tuple(replace(slot, heads=1) for slot in slots)
        steps, count = call.planned_passes(), len(self.names)
        plan = Plan(self.keep, slots, call.samples, steps, count)
        check([plan], self.budget)
        self.store = Store(plan)
        self.vectors = [vectors.encoded(now, name, first=self.joint) for name in self.names]

    def _beside(self, attention: Attention) -> Float[Tensor, "samples heads cells concepts"]:
        """What each cell would pay to a concept, were its keys there besides the prompt's: a mean
        over its tokens, and over its texts where there are several."""
        rows = attention.branches["cond"]
        query = attention.query[rows, :, attention.layout.cells_of(rows)[0]].float()
        query, key = query * attention.scale, attention.key[rows].float().mT
        mask = None if attention.mask is None else attention.every_mask()[rows]
        own = self.keys[attention.site.name]
        more = max(sum(text.shape[1] for text in texts) for texts in own)
        width = query.shape[0] * query.shape[1] * (key.shape[-1] + more) * 4
        parts, size = [], max(1, AT_ONCE // width)
        for at in range(0, query.shape[2], size):
            block = query[:, :, at : at + size]
            scores = block @ key
            if mask is not None:
                scores = _masked(scores, cut(mask, slice(at, at + size)))
            rest = scores.logsumexp(-1, keepdim=True)
            each = []
            for texts in own:
                mine = [block @ text.mT.to(block) for text in texts]
                besides = torch.cat(mine, -1).logsumexp(-1, keepdim=True)
                whole = torch.logaddexp(rest, besides)
                paid = [(scores - whole).exp().mean(-1) for scores in mine]
                each.append(torch.stack(paid).mean(0))
            parts.append(torch.stack(each, -1))
        return torch.cat(parts, 2)

    def _stream(self, now: Pass) -> None:
        """One pass more of each image: with its prompt, and beside it with the concepts, in one row
        or each in its own."""
        assert self.store is not None
        found: dict[str, list[Tensor]] = {}
        rows: list[Vectors] = self.vectors
        if not now.family.concepts.apart:
            rows = [{name: torch.cat([own[name] for own in rows]) for name in rows[0]}]
        stream = extra.Stream(self.names_of_sites, rows)
        for sample in range(now.call.samples):
            extra.draw(now, stream, [sample] * (1 + len(rows)), [None, *rows])
            for name, scores in stream.scores.items():
                found.setdefault(name, []).append(scores)
        for name, each in found.items():
            self.store.add(stream.seen[name], torch.stack(each)[:, None].transpose(-1, -2))

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        assert self.store is not None
        for sample in range(call.samples):
            self.images.append(results.layers_of(self.store, sample, self.passes, self.ran))
        self.steps = len(self.passes)
        self._forget()

    def fail(self, call: Call) -> None:
        self._forget()


class TracedConcepts(Concepts):
    """Puts them beside the maps of the prompt's words, in a trace's runs.

    Parameters
    ----------
    recorder
        The trace's own tap, which is told of everything before this one.
    concepts
        Words or phrases.
    """

    def __init__(self, recorder: Recorder, concepts: Sequence[str]) -> None:
        options = recorder.options
        super().__init__(concepts, options.keep, options.sites, options.budget)
        self.recorder = recorder

    def finish(self, call: Call, images: Any) -> None:
        super().finish(call, images)
        for image in range(-call.samples, 0):
            run = self.recorder.runs[image]
            maps = replace(run.maps, concepts=self.maps(run.maps, image))
            branches = dict(run.branches) | {"cond": maps}
            self.recorder.runs[image] = replace(run, branches=branches)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -torch.inf)
    return scores + mask.float()


def _prompt(concepts: Sequence[str]) -> Prompt:
    """The concepts as if they were the words of a text, a token each."""
    tokens, start = [], 0
    for column, name in enumerate(concepts):
        tokens.append(Token(column, "concepts", name, start, start + len(name)))
        start += len(name) + 2
    return Prompt({"concepts": ", ".join(concepts)}, tuple(tokens), {}, len(concepts))
