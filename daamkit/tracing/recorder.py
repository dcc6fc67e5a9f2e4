"""The tap behind a trace: adds up each call's attention and turns it into runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from daamkit import record
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Grid, Site, denoisers, find
from daamkit.attention.stores import Plan, Store, check
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps, Layer, Pooling
from daamkit.maps.run import Run
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.words import Prompt
from daamkit.tracing import prompts

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
        self.prompts: dict[str, list[Prompt]] = {}
        self.passes: dict[str, list[int]] = {}  # of each branch: guidance may end early
        self.records: list[dict[str, Any]] = []
        self.latents = (0, 0)

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
        if not self.cross:
            self._open_stores(step)
        for branch in step.branches:
            self.passes.setdefault(branch, []).append(step.index)

    def wants(self, site: Site) -> bool:
        stores = self.self_ if site.kind == "self" else self.cross
        return any(site.name in store.sites for store in stores.values())

    def observe(self, attention: Attention) -> None:
        if attention.site.kind == "self":
            for branch in attention.branches.keys() & self.self_.keys():
                for block, probabilities in attention.blocks(branch):
                    self.self_[branch].add(attention, probabilities, block)
            return
        for branch in attention.branches.keys() & self.cross.keys():
            probabilities = attention.probabilities(branch)
            limit, keys = self.prompts[branch][0].limit, probabilities.shape[-1]
            if keys != limit:
                raise DaamkitError(
                    wanted=f"text of {limit} tokens, as the tokenizer has it",
                    got=f"{keys} keys at {attention.site.name}",
                    mend="trace with a prompt, or with embeddings of one prompt of that length",
                )
            text = self.cross[branch].plan.columns - 1  # all padding becomes the last column
            if text + 1 < keys:
                rest = probabilities[..., text:].sum(-1, keepdim=True)
                probabilities = torch.cat([probabilities[..., :text], rest], -1)
            self.cross[branch].add(attention, probabilities)

    def plans(
        self, pipe: Any, latents: Grid, samples: int, steps: int, columns: int
    ) -> tuple[Plan, Plan | None]:
        """What one branch keeps of its cross-attention and, if asked for, its self-attention.

        Raises
        ------
        DaamkitError
            If the sites asked for are not there.
        """
        sites = [site for denoiser in denoisers(pipe).values() for site in find(denoiser)]
        cross = [site for site in sites if site.kind == "cross" and self._named(site)]
        if not cross:
            raise DaamkitError(
                wanted=f"cross-attention sites named {' or '.join(self.wishes.sites or ())}",
                got="none",
                mend=f"name a part of {', '.join(s.name for s in sites if s.kind == 'cross')}",
            )
        slots = Plan.slots_of(cross, latents, self.wishes.keep)
        plan = Plan(self.wishes.keep, slots, samples, steps, columns)
        if not self.wishes.self_grid:
            return plan, None
        keep = self.wishes.keep - {"head"}
        near = [
            s for s in sites if s.kind == "self" and max(s.grid(latents)) <= self.wishes.self_grid
        ]
        if not near:
            raise DaamkitError(
                wanted=f"self-attention sites of at most {self.wishes.self_grid} cells a side",
                got=f"none for latents of {latents[0]} x {latents[1]}",
                mend="raise `self_grid=`",
            )
        return plan, Plan(keep, Plan.slots_of(near, latents, keep), samples, steps, 0)

    def _open_stores(self, step: Pass) -> None:
        """Before the first pass: which words, which sites, how many bytes."""
        call, wishes = step.call, self.wishes
        plans: dict[str, tuple[Plan, Plan | None]] = {}
        for asked in dict.fromkeys(wishes.branches):
            branch = _row_name(asked, step)
            texts = prompts.read(call, branch, wishes.prompt, wishes.negative_prompt)
            columns = max(text.columns for text in texts)
            steps = call.planned_passes()
            plans[branch] = self.plans(call.pipe, step.latents, call.samples, steps, columns)
            self.prompts[branch] = texts
        if wishes.spill is None:
            check([plan for both in plans.values() for plan in both if plan], wishes.budget)
        for branch, (cross, near) in plans.items():
            self.cross[branch] = Store(cross, wishes.spill)
            if near is not None:
                self.self_[branch] = Store(near, wishes.spill)
        self.latents = step.latents

    def _named(self, site: Site) -> bool:
        return self.wishes.sites is None or any(name in site.name for name in self.wishes.sites)

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        if not self.cross:
            raise DaamkitError(
                wanted="a pass of the traced denoiser",
                got="a generation without one",
                mend="exchange `pipe.unet` before the trace, and let the pipeline make a step",
            )
        pictures = _pictures(images, call)
        scale = getattr(call.pipe, "vae_scale_factor", 8)
        pixels = scale * side_of(next(iter(denoisers(call.pipe).values())))
        base = 64 if pixels in (512, 1024) else 96
        timesteps = call.timesteps
        for sample, picture in enumerate(pictures):
            size = (self.latents[0] * scale, self.latents[1] * scale)
            if picture is not None:
                size = (picture.height, picture.width)
            cross, selves = {}, {}
            for branch, store in self.cross.items():
                prompt, passes = self.prompts[branch][sample], self.passes[branch]
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
            made |= call.notes[sample]
            self.runs.append(Run(picture, cross, selves, made))
        self._forget()

    def fail(self, call: Call) -> None:
        self._forget()


def side_of(denoiser: Any) -> int:
    """Cells a side of the latents that a denoiser was made for."""
    side = denoiser.config.sample_size or 64
    return side if isinstance(side, int) else max(side)


def _row_name(asked: Branch, step: Pass) -> str:
    """What the pipeline's call names the rows asked for."""
    if asked in step.branches:
        return asked
    unguided = {"uncond", "negative"}
    if asked == "uncond" and (found := unguided & step.branches.keys()):
        return found.pop()
    raise DaamkitError(
        wanted=f"attention of the branch {asked!r}",
        got=f"a call with the branches {', '.join(step.branches)}",
        mend="call with a negative prompt for 'negative', with guidance_scale above 1 for 'uncond'",
    )


def _layers(
    store: Store, sample: int, passes: list[int], columns: int | None = None
) -> dict[str, Layer]:
    """One image's part of the sums, its own tokens apart and its padding together."""
    layers = {}
    for slot in store.plan.slots:
        if slot.name not in store.sums:  # the pipeline has skipped these sites
            continue
        values = store.sums[slot.name][sample]
        if "step" in store.plan.keep:
            values = values[passes]  # those that this branch had
        if columns is not None and columns < values.shape[-2]:  # a longer prompt in the batch
            rest = values[..., columns - 1 :, :].sum(-2, keepdim=True)
            values = torch.cat([values[..., : columns - 1, :], rest], -2)
        elif store.plan.samples > 1:
            values = values.clone()  # a run that is kept must not keep its whole batch
        heads = slot.heads * len(slot.sites)
        values = values.unflatten(-1, slot.grid).cpu()
        layers[slot.name] = Layer(slot.name, slot.sites, slot.stage, heads, values)
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
