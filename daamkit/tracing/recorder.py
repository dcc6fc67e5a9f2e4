"""The tap behind a trace: adds up each call's attention and turns it into runs."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts, record
from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import large, of_keys
from daamkit.attention.sites import Grid, Site, Span, dimensions, of_rows
from daamkit.attention.stores import Plan, Store, check
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.selfmaps import SelfMaps
from daamkit.prompts import Read
from daamkit.tracing import results
from daamkit.tracing.columns import KeyRuns, gathered, key_runs
from daamkit.tracing.options import Branch, TraceOptions, plans_for


class Recorder(Tap):
    """Adds up the attention of each call and turns it into runs."""

    def __init__(self, runs: list[Run], options: TraceOptions) -> None:
        self.runs, self.options = runs, options
        self._forget()

    def _forget(self) -> None:
        """Nothing of one call stays for the next."""
        self.call: Call | None = None
        self.cross_stores: dict[str, Store] = {}
        self.self_stores: dict[str, Store] = {}
        self.texts: dict[str, list[Read]] = {}
        self.keys: dict[tuple[str, int, tuple[Span, ...]], KeyRuns] = {}  # where columns come from
        self.passes: dict[str, list[int]] = {}  # of each branch: guidance may end early
        self.ran: dict[str, dict[str, list[int]]] = {}  # the same, by branch and site
        self.records: list[dict[str, Any]] = []
        self.grid: Grid = ()

    # -- while the pipeline runs

    def start(self, call: Call) -> None:
        self._forget()
        if call.arguments.get("padding_mask_crop") is not None:
            raise DaamkitError(
                wanted="an image that is generated whole",
                got="`padding_mask_crop`, which generates a part and enlarges it",
                mend="crop the image before the call",
            )
        self.call = call
        self.records = record.of_call(call.pipe, call.arguments, call.samples)
        if call.family is not None:
            scale = call.family.guidance(call.pipe).told(call.pipe, call.arguments)
            self.records = [each | {"scale": scale} for each in self.records]

    def begin(self, now: Pass) -> None:
        if not self.grid:
            results.require_uncropped(now.call, now.grid)
            self.grid = now.grid
        self._open_stores(now)
        if now.grid != self.grid:
            raise DaamkitError(
                wanted=f"passes on one grid, {dimensions(self.grid)} as the first",
                got=f"{dimensions(now.grid)} in pass {now.index}",
                mend="generate at one size; what is enlarged in between has other cells",
            )
        for branch in now.branches:
            self.passes.setdefault(branch, []).append(now.index)
            for site in now.sites:
                self.ran.setdefault(branch, {}).setdefault(site.name, []).append(now.index)

    def wants(self, site: Site) -> bool:
        stores = [*self.self_stores.values(), *self.cross_stores.values()]
        return any(site.name in store.sites for store in stores)

    def observe(self, attention: Attention) -> None:
        for branch in attention.branches.keys() & self.self_stores.keys():
            store = self.self_stores[branch]
            if attention.site.name in store.sites:
                cells = attention.layout.cells_of(attention.branches[branch])
                for block, shares in attention.blocks(branch):
                    store.add(attention, of_rows(shares, cells, 3), block)  # its keys are cells
        if attention.site.kind == "self":
            return
        for branch in attention.branches.keys() & self.cross_stores.keys():
            width = self.cross_stores[branch].plan.columns
            if attention.site.kind == "cross" and not large(attention):
                shares = attention.cells(branch)
                self.cross_stores[branch].add(
                    attention, self._columns(attention, branch, shares, width)
                )
                continue
            keys = attention.layout.keys(attention.branches[branch])
            for block, shares in of_keys(attention, branch, keys):
                own = self._columns(attention, branch, shares, width, keys.start)
                self.cross_stores[branch].add(attention, own, block)

    def _columns(
        self,
        attention: Attention,
        branch: str,
        shares: Float[Tensor, "samples heads cells keys"],
        width: int,
        start: int = 0,
    ) -> Float[Tensor, "samples heads cells columns"]:
        """What the text's keys get, as columns of each image's prompt."""
        rows = attention.branches[branch]
        runs = []
        for sample, spans in enumerate(attention.layout.text[rows]):
            key = (branch, sample, spans)
            if key not in self.keys:
                read = self.texts[branch][sample]
                self.keys[key] = key_runs(spans, read, attention.site.name)
            runs.append(self.keys[key])
        if all(own == runs[0] for own in runs):
            return gathered(shares, runs[0], width, start)
        each = zip(shares.split(1), runs, strict=True)
        return torch.cat([gathered(one, own, width, start) for one, own in each])

    def _open_stores(self, now: Pass) -> None:
        """Before a branch's first pass: which words, which sites, how many bytes."""
        call, options = now.call, self.options
        named = [_branch_name(asked, now.branches) for asked in options.branches]
        new = [name for name in dict.fromkeys(named) if name and name not in self.cross_stores]
        if not new:
            return
        plans: dict[str, tuple[Plan, Plan | None]] = {}
        for branch in new:
            read = prompts.texts(call, branch, options.prompt, options.negative_prompt)
            first = now.branches[branch].start
            texts = [
                prompts.reached(each, now.family.reach(now, first + sample))
                for sample, each in enumerate(read)
            ]
            columns = max(text.prompt.columns for text in texts)
            steps = call.planned_passes()
            plans[branch] = plans_for(options, call.pipe, now.grid, call.samples, steps, columns)
            self.texts[branch] = texts
        if options.spill is None:
            held = [
                store.plan
                for own in (self.cross_stores, self.self_stores)
                for store in own.values()
            ]
            check([p for both in plans.values() for p in both if p] + held, options.budget)
        for branch, (cross, near) in plans.items():
            self.cross_stores[branch] = Store(cross, options.spill)
            if near is not None:
                self.self_stores[branch] = Store(near, options.spill)

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        if not self.passes:
            raise DaamkitError(
                wanted="a pass of the traced denoiser",
                got="a generation without one",
                mend="exchange the pipeline's denoiser before the trace, and let the pipeline make "
                "a step",
            )
        for asked in self.options.branches:
            if _branch_name(asked, self.passes) is None:
                raise DaamkitError(
                    wanted=f"attention of the branch {asked!r}",
                    got=f"a call with the branches {', '.join(self.passes)}",
                    mend="call with a negative prompt for 'negative', with guidance_scale above 1 "
                    "for 'uncond'",
                )
        prompts.unchanged(call)
        for branch, store in [*self.cross_stores.items(), *self.self_stores.items()]:
            results.require_whole(store, self.ran[branch])
            if branch != "perturbed":  # some layers are left out there
                _require_every(store, self.ran[branch])
        family = families.family_of(call.pipe)
        pixels, base = family.pixels(call.pipe, self.grid), family.base(call.pipe)
        timesteps = call.timesteps
        for sample, pictures in enumerate(results.pictures(images, call)):
            picture = pictures[0] if pictures else None
            size = pixels if picture is None else (picture.height, picture.width)
            results.require_whole_image(self.grid, size)
            cross, selves = {}, {}
            for branch, store in self.cross_stores.items():
                prompt, passes = self.texts[branch][sample].prompt, self.passes[branch]
                ran = self.ran[branch]
                layers = results.layers_of(store, sample, passes, ran, prompt.columns)
                cross[branch] = HeatMaps(
                    prompt,
                    layers,
                    self.options.keep,
                    len(passes),
                    size,
                    base,
                    self.options.rule,
                    self.options.sites is not None,
                )
            for branch, store in self.self_stores.items():
                passes = self.passes[branch]
                layers = results.layers_of(store, sample, passes, self.ran[branch])
                selves[branch] = SelfMaps(layers, store.plan.keep, len(passes), size)
            made = self.records[sample] | {"timesteps": timesteps, "size": list(size)}
            made |= results.plain(call.notes[sample])
            video = tuple(pictures) if len(self.grid) > 2 else ()
            self.runs.append(Run(picture, cross, selves, made, video=video))
        self._forget()

    def fail(self, call: Call) -> None:
        self._forget()

    def so_far(self) -> list[Run]:
        """Runs of the passes made up to now, without pictures, while a call goes on."""
        if self.call is None or not self.passes:
            return []
        part = copy.copy(self)  # it forgets for itself, when it has finished
        part.runs = []
        part.finish(self.call, None)
        return [replace(run, branches=_still(run.branches)) for run in part.runs]


def _require_every(store: Store, ran: Mapping[str, Sequence[int]]) -> None:
    """Refuse sites that nobody has seen though their denoiser has run."""
    unseen = sorted(site for site in store.sites if ran.get(site) and site not in store.passes)
    if unseen:
        raise DaamkitError(
            wanted=f"attention of {unseen[0]}" + f" and {len(unseen) - 1} more" * (len(unseen) > 1),
            got="none, though the denoiser has run",
            mend="something runs in the place of these layers (a compiled `forward`, a feature "
            "cache, skipped layers): take it off, or name other `sites=`",
        )


def _still(branches: Mapping[str, HeatMaps]) -> dict[str, HeatMaps]:
    """Maps that no later pass adds to."""
    return {
        name: replace(
            maps,
            layers={
                own: replace(layer, values=layer.values.clone())
                for own, layer in maps.layers.items()
            },
        )
        for name, maps in branches.items()
    }


def _branch_name(asked: Branch, branches: Collection[str]) -> str | None:
    """What the pipeline's call names the rows asked for."""
    names = (asked, "negative") if asked == "uncond" else (asked,)
    return next((name for name in names if name in branches), None)
