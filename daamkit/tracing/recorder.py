"""The tap behind a trace: adds up each call's attention and turns it into runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from daamkit import prompts, record
from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import of_keys
from daamkit.attention.sites import Grid, Site, Span
from daamkit.attention.stores import Plan, Store, check
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.pooling import Pooling
from daamkit.maps.run import Run
from daamkit.maps.selfmaps import SelfMaps
from daamkit.prompts import Read

Branch = Literal["cond", "uncond", "negative", "image", "perturbed"]
Texts = str | Sequence[str] | None


@dataclass(frozen=True)
class Wishes:
    """What a trace is asked to keep; see `trace`."""

    keep: frozenset[str]
    branches: tuple[Branch, ...]
    self_grid: int  # 0: no self-attention
    sites: tuple[str, ...] | None
    prompt: Texts
    negative_prompt: Texts
    budget: int | None
    spill: Path | None
    rule: Pooling


class Recorder(Tap):
    """Adds up the attention of each call and turns it into runs."""

    def __init__(self, runs: list[Run], wishes: Wishes) -> None:
        self.runs, self.wishes = runs, wishes
        self._forget()

    def _forget(self) -> None:
        """Nothing of one call stays for the next."""
        self.cross: dict[str, Store] = {}
        self.self_: dict[str, Store] = {}
        self.texts: dict[str, list[Read]] = {}
        self.keys: dict[tuple[str, int, tuple[Span, ...]], Runs] = {}  # where columns come from
        self.passes: dict[str, list[int]] = {}  # of each branch: guidance may end early
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
        self.records = record.of_call(call.pipe, call.arguments, call.samples)

    def begin(self, step: Pass) -> None:
        self.grid = self.grid or step.grid
        self._open_stores(step)
        if step.grid != self.grid:
            raise DaamkitError(
                wanted=f"passes on one grid, {_by(self.grid)} as the first",
                got=f"{_by(step.grid)} in pass {step.index}",
                mend="generate at one size; what is enlarged in between has other cells",
            )
        for branch in step.branches:
            self.passes.setdefault(branch, []).append(step.index)

    def wants(self, site: Site) -> bool:
        stores = self.self_ if site.kind == "self" else self.cross
        return any(site.name in store.sites for store in stores.values())

    def observe(self, attention: Attention) -> None:
        if attention.site.kind == "self":
            for branch in attention.branches.keys() & self.self_.keys():
                cells = attention.layout.cells_of(attention.branches[branch])[0]
                for block, probabilities in attention.blocks(branch):
                    self.self_[branch].add(attention, probabilities[..., cells], block)
            return
        for branch in attention.branches.keys() & self.cross.keys():
            width = self.cross[branch].plan.columns
            if attention.site.kind == "cross":
                shares = attention.cells(branch)
                self.cross[branch].add(attention, self._columns(attention, branch, shares, width))
                continue
            keys = attention.layout.keys(attention.branches[branch])
            for block, shares in of_keys(attention, branch, keys):
                own = self._columns(attention, branch, shares, width, keys.start)
                self.cross[branch].add(attention, own, block)

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
                self.keys[key] = _runs(spans, read, attention.site.name)
            runs.append(self.keys[key])
        if all(own == runs[0] for own in runs):
            return _gather(shares, runs[0], width, start)
        each = zip(shares.split(1), runs, strict=True)
        return torch.cat([_gather(one, own, width, start) for one, own in each])

    def plans(
        self, pipe: Any, whole: Grid, samples: int, steps: int, columns: int
    ) -> tuple[Plan, Plan | None]:
        """What one branch keeps of its cross-attention and, if asked for, its self-attention.

        Raises
        ------
        DaamkitError
            If the sites asked for are not there.
        """
        family = families.of(pipe)
        base = family.base(pipe)
        out = lambda site: family.left_out(site, whole, base)  # noqa: E731
        sites = [site for own in families.sites(pipe).values() for site in own]
        cross = [site for site in sites if site.reads_text and self._named(site)]
        if not cross:
            self._refuse_unseen([site for site in sites if self._named(site)])
            raise DaamkitError(
                wanted=f"cross-attention sites named {' or '.join(self.wishes.sites or ())}",
                got="none",
                mend=f"name a part of {', '.join(s.name for s in sites if s.reads_text)}",
            )
        slots = Plan.slots_of(cross, whole, self.wishes.keep, out)
        plan = Plan(self.wishes.keep, slots, samples, steps, columns)
        if not self.wishes.self_grid:
            return plan, None
        keep = self.wishes.keep - {"head"}
        near = [s for s in sites if s.reads_image and max(s.grid(whole)) <= self.wishes.self_grid]
        if not near:
            self._refuse_unseen([site for site in sites if site.kind == "self"])
            raise DaamkitError(
                wanted=f"self-attention sites of at most {self.wishes.self_grid} cells a side",
                got=f"none for a grid of {_by(whole)}",
                mend="raise `self_grid=`",
            )
        return plan, Plan(keep, Plan.slots_of(near, whole, keep, out), samples, steps, 0)

    def _refuse_unseen(self, sites: Sequence[Site]) -> None:
        """Refuse maps of sites none of which has probabilities."""
        if sites and not any(site.observable for site in sites):
            raise DaamkitError(
                wanted=f"attention maps of {sites[0].name} and the like",
                got="linear attention, which has no softmax and so no probabilities",
                mend="trace without `self_attention=True`, and no such site by `sites=`; the "
                "attention to text has maps",
            )

    def _open_stores(self, step: Pass) -> None:
        """Before a branch's first pass: which words, which sites, how many bytes."""
        call, wishes = step.call, self.wishes
        named = [_row_name(asked, step.branches) for asked in wishes.branches]
        new = [name for name in dict.fromkeys(named) if name and name not in self.cross]
        if not new:
            return
        plans: dict[str, tuple[Plan, Plan | None]] = {}
        for branch in new:
            read = prompts.texts(call, branch, wishes.prompt, wishes.negative_prompt)
            first = step.branches[branch].start
            texts = [
                prompts.reached(each, step.family.reach(step, first + sample))
                for sample, each in enumerate(read)
            ]
            columns = max(text.prompt.columns for text in texts)
            steps = call.planned_passes()
            plans[branch] = self.plans(call.pipe, step.grid, call.samples, steps, columns)
            self.texts[branch] = texts
        if wishes.spill is None:
            held = [store.plan for own in (self.cross, self.self_) for store in own.values()]
            check([p for both in plans.values() for p in both if p] + held, wishes.budget)
        for branch, (cross, near) in plans.items():
            self.cross[branch] = Store(cross, wishes.spill)
            if near is not None:
                self.self_[branch] = Store(near, wishes.spill)

    def _named(self, site: Site) -> bool:
        return self.wishes.sites is None or any(name in site.name for name in self.wishes.sites)

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        if not self.passes:
            raise DaamkitError(
                wanted="a pass of the traced denoiser",
                got="a generation without one",
                mend="exchange the pipeline's denoiser before the trace, and let the pipeline make "
                "a step",
            )
        for asked in self.wishes.branches:
            if _row_name(asked, self.passes) is None:
                raise DaamkitError(
                    wanted=f"attention of the branch {asked!r}",
                    got=f"a call with the branches {', '.join(self.passes)}",
                    mend="call with a negative prompt for 'negative', with guidance_scale above 1 "
                    "for 'uncond'",
                )
        prompts.unchanged(call)
        for branch, store in [*self.cross.items(), *self.self_.items()]:
            _whole(store, self.passes[branch])
        family = families.of(call.pipe)
        pixels, base = family.pixels(call.pipe, self.grid), family.base(call.pipe)
        timesteps = call.timesteps
        for sample, picture in enumerate(_pictures(images, call)):
            size = pixels if picture is None else (picture.height, picture.width)
            _same_shape(self.grid, size)
            cross, selves = {}, {}
            for branch, store in self.cross.items():
                prompt, passes = self.texts[branch][sample].prompt, self.passes[branch]
                layers = _layers(store, sample, passes, prompt.columns)
                cross[branch] = HeatMaps(
                    prompt,
                    layers,
                    self.wishes.keep,
                    len(passes),
                    size,
                    base,
                    self.wishes.rule,
                    self.wishes.sites is not None,
                )
            for branch, store in self.self_.items():
                passes = self.passes[branch]
                layers = _layers(store, sample, passes)
                selves[branch] = SelfMaps(layers, store.plan.keep, len(passes), size)
            made = self.records[sample] | {"timesteps": timesteps, "size": list(size)}
            made |= _plain(call.notes[sample])
            self.runs.append(Run(picture, cross, selves, made))
        self._forget()

    def fail(self, call: Call) -> None:
        self._forget()


def _plain(notes: dict[str, list[Any]]) -> dict[str, Any]:
    """What taps noted of an image, as plain data."""
    return {
        name: [own.plain() if hasattr(own, "plain") else own for own in kept]
        for name, kept in notes.items()
    }


def _by(grid: Grid) -> str:
    return " x ".join(map(str, grid))


def _row_name(asked: Branch, branches: Collection[str]) -> str | None:
    """What the pipeline's call names the rows asked for."""
    names = (asked, "negative") if asked == "uncond" else (asked,)
    return next((name for name in names if name in branches), None)


def _whole(store: Store, passes: list[int]) -> None:
    """Refuse sites that have run in some passes only; those that never ran are left out."""
    for site, ran in store.passes.items():
        if ran != set(passes):
            raise DaamkitError(
                wanted=f"attention of {site} in all {len(passes)} passes",
                got=f"in {len(ran)}",
                mend="something skips layers (a feature cache?): take it off while tracing",
            )


def _same_shape(grid: Grid, size: tuple[int, int]) -> None:
    """Refuse an image of which the passes have seen a part."""
    (rows, columns), (height, width) = grid[-2:], size
    side = (height * width / (rows * columns)) ** 0.5
    if max(abs(height - rows * side), abs(width - columns * side)) > side:
        raise DaamkitError(
            wanted=f"passes that see the whole image of {height} x {width} pixels",
            got=f"a grid of {rows} x {columns}",
            mend="pipelines that put an image together of crops are not read yet",
        )


Runs = tuple[tuple[slice, int, bool], ...]  # keys, their first column, whether all go into it


def _runs(spans: Sequence[Span], read: Read, site: str) -> Runs:
    """Which keys go to which columns of a prompt.

    Raises
    ------
    DaamkitError
        If the site has not as many keys as the encoders have read tokens.
    """
    runs: list[tuple[slice, int, bool]] = []
    missing = {
        token.column
        for token in read.prompt.tokens
        if token.special not in ("padding", "template")
        and not (token.special and token.encoder in read.prompt.cuts)
        and token.start < read.prompt.cuts.get(token.encoder, token.start + 1)
    }
    for span in spans:
        columns = read.columns[span.encoder]
        missing.difference_update(columns[span.first : span.first + span.length])
    done = 0
    for span in spans:
        columns = read.columns[span.encoder]
        own = columns[span.first : span.first + span.length]
        if len(own) < span.length or missing & set(columns):
            raise DaamkitError(
                wanted=f"text of {len(columns)} tokens, as the tokenizer has it",
                got=f"{span.length} keys at {site}",
                mend="trace with a prompt, or with embeddings of one prompt of that length",
            )
        if span.start < done:  # encoders that share their places
            continue
        done = span.start + span.length
        at = 0
        while at < len(own):
            to, merged = at + 1, own[at : at + 2] == [own[at]] * 2
            while to < len(own) and own[to] == own[at] + (0 if merged else to - at):
                to += 1
            if not merged and to < len(own) and own[to] == own[to - 1]:
                to -= 1  # the last of these is the first of a merged run
            runs.append((slice(span.start + at, span.start + to), own[at], merged))
            at = to
    return tuple(runs)


def _gather(
    shares: Float[Tensor, "samples heads cells keys"], runs: Runs, width: int, start: int
) -> Float[Tensor, "samples heads cells columns"]:
    """What the keys get, of which the first one here is `start`, summed into columns."""
    columns = shares.new_zeros((*shares.shape[:-1], width))
    for own, first, merged in runs:
        keys = slice(own.start - start, own.stop - start)
        if merged:
            columns[..., first] += shares[..., keys].sum(-1)
        else:
            columns[..., first : first + keys.stop - keys.start] += shares[..., keys]
    return columns


def _layers(
    store: Store, sample: int, passes: list[int], columns: int | None = None
) -> dict[str, Layer]:
    """One image's part of the sums, of its own tokens."""
    layers = {}
    for slot in store.plan.slots:
        if slot.name not in store.sums:  # the pipeline has skipped these sites
            continue
        values = store.sums[slot.name][sample]
        if "step" in store.plan.keep:
            values = values[passes]  # those that this branch had
        if columns is not None:
            values = values[..., :columns, :]  # a longer prompt in the batch has more
        if store.plan.samples > 1:
            values = values.clone()  # a run that is kept must not keep its whole batch
        heads = slot.heads * len(slot.sites)
        values = values.unflatten(-1, slot.grid).cpu()
        layers[slot.name] = Layer(
            slot.name,
            slot.sites,
            slot.group,
            heads,
            values,
            slot.order,
            tuple(sorted(slot.left_out)),
        )
    return layers


def _pictures(images: Any, call: Call) -> Sequence[Image.Image | None]:
    """The images a pipeline returned, one per sample; None for latents."""
    if call.arguments.get("output_type") == "latent":
        return [None] * call.samples
    if isinstance(images, Tensor):
        images = images.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    if isinstance(images, np.ndarray):
        images = [Image.fromarray((image * 255).round().astype(np.uint8)) for image in images]
    return list(images)
