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
from daamkit.attention.sites import Grid, Site
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
from daamkit.tracing.relating import Relating


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

    guides = looks = True  # what is denoised is known, after guidance, in `before`
    outputs = False  # whether outputs are compared where cells look at text alone, too

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
        self.values: dict[str, list[list[Tensor]]] = {}
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
            self.values |= taken.values

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
        sites = self._sites(call.pipe)
        self.joint = any(site.kind == "joint" for site in sites)
        self.names_of_sites = [site.name for site in sites]
        plan = self.plan(call.pipe, now.grid, call.samples, call.planned_passes())
        check([plan, *self.held()], self.budget)
        self.store = Store(plan)
        self.vectors = self.read(now)

    def read(self, now: Pass) -> list[Vectors]:
        """What the text encoders make of each concept."""
        return [vectors.encoded(now, name, first=self.joint) for name in self.names]

    def plan(self, pipe: Any, whole: Grid, samples: int, steps: int) -> Plan:
        """What is kept of so many images and passes on a grid."""
        family, sites = families.family_of(pipe), self._sites(pipe)
        base = family.base(pipe)
        slots = Plan.slots_of(
            sites, whole, self.keep, lambda site: family.left_out(site, whole, base)
        )
        if self.outputs or any(site.kind == "joint" for site in sites):
            # scores are of all heads together
            slots = tuple(replace(slot, heads=1) for slot in slots)
        return Plan(self.keep, slots, samples, steps, len(self.names))

    def held(self) -> list[Plan]:
        """What others hold within the same budget."""
        return []

    def _sites(self, pipe: Any) -> list[Site]:
        """Those named, or all; of all, those whose text has weights of its own, if some have."""
        every = [site for own in families.sites(pipe).values() for site in own if site.reads_text]
        if self.sites is None:
            double = [site for site in every if site.group == "double"]  # the paper's layers
            return double or every
        named = [site for site in every if any(name in site.name for name in self.sites)]
        if not named:
            raise DaamkitError(
                wanted=f"sites that read text, named {' or '.join(self.sites)}",
                got="none",
                mend=f"name a part of {', '.join(site.name for site in every)}",
            )
        return named

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
    relating
        The trace's tap of relations, if it has any; told of everything before this one too.
    """

    def __init__(
        self, recorder: Recorder, concepts: str | Sequence[str], relating: Relating | None = None
    ) -> None:
        options = recorder.options
        super().__init__(concepts, options.keep, options.sites, options.budget)
        self.recorder, self.relating = recorder, relating

    def held(self) -> list[Plan]:
        """The maps of the prompt's words and the relations, unless they lie in files."""
        if self.recorder.options.spill is not None:
            return []
        own = [self.recorder.cross_stores, self.recorder.self_stores]
        stores = [store for branches in own for store in branches.values()]
        related = [] if self.relating is None else list(self.relating.stores.values())
        return [store.plan for store in [*stores, *related]]

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
