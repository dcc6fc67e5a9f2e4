"""The tap behind a trace's `relations`: what chosen words and cells attend to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import between
from daamkit.attention.sites import Grid, Site
from daamkit.attention.stores import Plan, Store, check
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps.related import Related, Relation
from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.prompts import Read
from daamkit.tracing import results, sources, sums
from daamkit.tracing.recorder import Recorder


class Relating(Tap):
    """Adds up what chosen sources of each image attend to, in the passes of the prompt.

    Parameters
    ----------
    recorder
        The trace's own tap, which is told of everything before this one.
    relations
        By name, the sources: see `trace`.
    """

    def __init__(self, recorder: Recorder, relations: Mapping[str, Any]) -> None:
        self.recorder = recorder
        self.relations: dict[Relation, Any] = {
            _known(name, chosen): chosen for name, chosen in relations.items()
        }
        self._forget()

    def _forget(self) -> None:
        self.stores: dict[Relation, Store] = {}
        self.texts: list[Read] = []
        self.words: dict[Relation, list[tuple[Word, ...]]] = {}
        self.passes: list[int] = []
        self.ran: dict[str, list[int]] = {}  # of them, those of each site's denoiser
        self.size: tuple[int, int] = (0, 0)  # of the picture that is expected
        self.grid: Grid = ()

    # -- while the pipeline runs

    def start(self, call: Call) -> None:
        self._forget()

    def begin(self, now: Pass) -> None:
        if "cond" not in now.branches:
            return
        if not self.passes:
            self._open(now)
        self.passes.append(now.index)
        for site in now.sites:
            self.ran.setdefault(site.name, []).append(now.index)

    def wants(self, site: Site) -> bool:
        return any(site.name in store.sites for store in self.stores.values())

    def observe(self, attention: Attention) -> None:
        if "cond" not in attention.branches:
            return
        for relation, store in self.stores.items():
            if attention.site.name in store.sites:
                store.add(attention, self._shares(relation, attention))

    def _open(self, now: Pass) -> None:
        """Before the first pass: whose attention, at which sites, how many bytes."""
        call, options = now.call, self.recorder.options
        self.texts = prompts.texts(call, "cond", options.prompt, options.negative_prompt)
        self.size, self.grid = now.family.shown(call, now.grid), now.grid
        prompts_ = [text.prompt for text in self.texts]
        size = now.grid, call.samples, call.planned_passes()
        plans: dict[Relation, Plan] = {}
        for relation, chosen in self.relations.items():
            sites = sums.bearing(relation, call.pipe, options)
            if not sites:
                raise _no_site(relation, call)
            if relation.startswith("text"):
                self.words[relation] = [sources.words(prompt, chosen) for prompt in prompts_]
            plans[relation] = sums.planned(relation, chosen, prompts_, sites, options.keep, *size)
        held = [
            s.plan
            for own in (self.recorder.cross_stores, self.recorder.self_stores)
            for s in own.values()
        ]
        if options.spill is None:
            check([*plans.values(), *held], options.budget)
        self.stores = {relation: Store(plan, options.spill) for relation, plan in plans.items()}

    def _shares(
        self, relation: Relation, attention: Attention
    ) -> Float[Tensor, "samples heads targets sources"]:
        """What each source pays to each target, sources of a shorter list filled up with zeros."""
        rows = attention.branches["cond"]
        heads = "head" in self.recorder.options.keep
        each = []
        for sample, row in enumerate(range(rows.start, rows.stop)):
            groups = self._groups(relation, attention, sample, row)
            parts = []
            for block in sources.blocks(groups, attention):
                queries = sorted({query for group in block for own in group.parts for query in own})
                every = between(attention, slice(row, row + 1), queries, slice(None))
                every = every if heads else every.sum(1, keepdim=True)
                targets = self._targets(relation, attention, every, sample, row)
                parts.append(sources.weights(block, queries).to(targets) @ targets)
            each.append(torch.cat(parts, 2))
        most = max(own.shape[2] for own in each)
        filled = [torch.nn.functional.pad(own, (0, 0, 0, most - own.shape[2])) for own in each]
        return torch.cat(filled).transpose(-1, -2)

    def _groups(
        self, relation: Relation, attention: Attention, sample: int, row: int
    ) -> list[sources.Group]:
        """The queries of each source."""
        layout = attention.layout
        if relation.startswith("text"):
            _same_places(attention)
            read, spans = self.texts[sample], layout.text[row]
            words = self.words[relation][sample]
            parts = [word.parts or (word.columns,) for word in words]
            return [sources.Group(sources.keys(read, spans, own)) for own in parts]
        first, *_ = range(attention.query.shape[2])[layout.cells_of(slice(row, row + 1))[0]]
        chosen = self.relations[relation]
        if chosen == "all":
            return [sources.Group(((first + cell,),)) for cell in range(prod(layout.grid))]
        cells = [sources.cell(pixel, layout.grid, self.size) for pixel in sources.pixels(chosen)]
        return [sources.Group(((first + cell,),)) for cell in cells]

    def _targets(
        self, relation: Relation, attention: Attention, every: Tensor, sample: int, row: int
    ) -> Float[Tensor, "1 heads queries targets"]:
        """Of what queries pay to all keys, the cells' part, or the text's as columns."""
        if relation.endswith("image"):
            return every[..., attention.layout.cells_of(slice(row, row + 1))[0]]
        width = self.stores[relation].plan.slots[0].grid[1]
        found, done = every.new_zeros((*every.shape[:-1], width)), set[int]()
        for span in attention.layout.text[row]:
            own = self.texts[sample].columns[span.encoder][span.first : span.first + span.length]
            keys = [key for key in range(span.start, span.start + len(own)) if key not in done]
            done.update(keys)
            columns = torch.tensor([own[key - span.start] for key in keys], device=every.device)
            if keys:
                found.index_add_(-1, columns, every[..., keys])
        return found

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        runs = self.recorder.runs
        for store in self.stores.values():
            results.require_whole(store, self.ran)
        for sample in range(call.samples):
            at = len(runs) - call.samples + sample
            related: dict[str, Related] = {
                name: self._related(name, sample, runs[at]) for name in self.stores
            }
            runs[at] = replace(runs[at], related=related)
        self._forget()

    def fail(self, call: Call) -> None:
        self._forget()

    def _related(self, relation: Relation, sample: int, run: Run) -> Related:
        store, chosen = self.stores[relation], self.relations[relation]
        words = self.words[relation][sample] if relation in self.words else ()
        text = self.texts[sample].prompt
        found = results.layers_of(store, sample, self.passes, self.ran, len(words) or None)
        many = text.columns if relation.endswith("text") else None
        named = self.recorder.options.sites is not None
        layers = {
            name: replace(
                layer,
                values=layer.values[..., :many].clone(),
                left_out=() if named else layer.left_out,
            )
            for name, layer in found.items()
        }
        pixels = () if words or chosen == "all" else tuple(sources.pixels(chosen))
        sources.require_places(pixels, self.grid, self.size, run.maps.size)
        steps = len(self.passes)
        return Related(relation, text, words, pixels, layers, store.plan.keep, steps, run.maps.size)


def _known(name: str, chosen: Any) -> Relation:
    """A relation by its name, which has sources.

    Raises
    ------
    DaamkitError
        If it has none, or nothing has the name.
    """
    relation: Relation | None = next((each for each in sums.KINDS if each == name), None)
    if relation is None:
        raise DaamkitError(
            wanted=f"a relation of {', '.join(sums.KINDS)}",
            got=repr(name),
            mend="name one of these",
        )
    if chosen == "all" or (chosen and relation.startswith("text")):
        return relation
    try:
        found = sources.pixels(chosen)
    except (TypeError, ValueError):
        found = []
    if not found:
        what = "words" if relation.startswith("text") else "pixels (y, x)"
        raise DaamkitError(
            wanted=f"{what} for {relation}, or 'all'",
            got=repr(chosen),
            mend="write {'text_to_image': ['cat'], 'image_to_image': [(40, 12)]}",
        )
    return relation


def _same_places(attention: Attention) -> None:
    queries, keys = attention.query.shape[2], attention.key.shape[2]
    if queries != keys:
        raise DaamkitError(
            wanted=f"text among the queries of {attention.site.name} as among its keys",
            got=f"{queries} queries and {keys} keys",
            mend="leave relations of the text out for this model",
        )


def _no_site(relation: Relation, call: Call) -> DaamkitError:
    sites = [site for own in families.sites(call.pipe).values() for site in own]
    kinds = ", ".join(sorted({site.kind for site in sites if site.observable}))
    why = f"{type(call.pipe).__name__}, whose attention is {kinds}"
    if relation.startswith("text") and "joint" not in kinds:
        why += ": its text attends to nothing"
    elif relation == "image_to_image" and any(not site.observable for site in sites):
        why += " and linear, which has no softmax and so no probabilities"
    return DaamkitError(
        wanted=f"a site for {relation}",
        got=why,
        mend="ask for image_to_text, which is `run.maps`, or for other `sites`",
    )
