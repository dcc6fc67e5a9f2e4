"""The tap behind a trace: adds up each call's attention and turns it into runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from daamkit import record
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Grid, Site, denoisers, find
from daamkit.attention.stores import Plan, Store
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.maps import words
from daamkit.maps.heatmaps import HeatMaps, Layer, Pooling
from daamkit.maps.run import Run
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.words import Prompt

Branch = Literal["cond", "uncond", "negative", "image"]


class Recorder(Tap):
    """Adds up the attention of each call and turns it into runs."""

    def __init__(
        self,
        runs: list[Run],
        keep: frozenset[str],
        branches: tuple[Branch, ...],
        self_grid: int,
        names: Sequence[str] | None,
        prompt: str | Sequence[str] | None,
        limits: tuple[int | None, Path | None],
        rule: Pooling,
    ) -> None:
        self.runs, self.keep, self.branches = runs, keep, branches
        self.self_grid, self.names, self.prompt = self_grid, names, prompt
        self.limits, self.rule = limits, rule
        self.cross: dict[str, Store] = {}
        self.self_: dict[str, Store] = {}
        self.prompts: dict[str, list[Prompt]] = {}
        self.records: list[dict[str, Any]] = []
        self.latents = (0, 0)

    # -- while the pipeline runs

    def start(self, call: Call) -> None:
        self.fail(call)
        self.records = [record.of_call(call.pipe, call.arguments, i) for i in range(call.samples)]

    def begin(self, step: Pass) -> None:
        if not self.cross:
            self._open_stores(step)

    def wants(self, site: Site) -> bool:
        if site.kind == "self":
            return any(site.name in store.sites for store in self.self_.values())
        return any(site.name in store.sites for store in self.cross.values())

    def observe(self, attention: Attention) -> None:
        if attention.site.kind == "self":
            for branch in attention.step.branches.keys() & self.self_.keys():
                for block, probabilities in attention.blocks(branch):
                    self.self_[branch].add(attention, probabilities, block)
            return
        for branch in attention.step.branches.keys() & self.cross.keys():
            probabilities = attention.probabilities(branch)
            text = self.cross[branch].plan.columns - 1  # all padding becomes the last column
            if text + 1 < probabilities.shape[-1]:
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
                wanted=f"cross-attention sites named {' or '.join(self.names or ())}",
                got="none",
                mend=f"name a part of {', '.join(s.name for s in sites if s.kind == 'cross')}",
            )
        slots = Plan.slots_of(cross, latents, self.keep)
        plan = Plan(self.keep, slots, samples, steps, columns)
        if not self.self_grid:
            return plan, None
        keep = self.keep - {"head"}
        near = [s for s in sites if s.kind == "self" and max(s.grid(latents)) <= self.self_grid]
        if not near:
            raise DaamkitError(
                wanted=f"self-attention sites of at most {self.self_grid} cells a side",
                got=f"none for latents of {latents[0]} x {latents[1]}",
                mend="raise `self_grid=`",
            )
        return plan, Plan(keep, Plan.slots_of(near, latents, keep), samples, steps, 0)

    def _open_stores(self, step: Pass) -> None:
        """Before the first pass: which words, which sites, how many bytes."""
        call, self.latents = step.call, step.latents
        budget, spill = self.limits
        for asked in dict.fromkeys(self.branches):
            branch = _row_name(asked, step)
            self.prompts[branch] = self._read_prompts(call, branch)
            columns = max(prompt.columns for prompt in self.prompts[branch])
            cross, near = self.plans(
                call.pipe, step.latents, call.samples, call.planned_passes(), columns
            )
            self.cross[branch] = Store(cross, budget=budget, spill=spill)
            if near is not None:
                self.self_[branch] = Store(near, budget=budget, spill=spill)

    def _named(self, site: Site) -> bool:
        return self.names is None or any(name in site.name for name in self.names)

    def _read_prompts(self, call: Call, branch: str) -> list[Prompt]:
        """What each image's text encoders have read in a branch."""
        tokenizers = tokenizers_of(call.pipe)
        prefix = "negative_prompt" if branch in ("uncond", "negative") else "prompt"
        first = call.negative_prompts if prefix == "negative_prompt" else call.texts()
        if None in first and prefix == "prompt" and self.prompt is not None:
            first = Call(
                call.pipe, {**call.arguments, "prompt": self.prompt, "prompt_embeds": None}
            ).texts()
        if None in first or len(first) != call.samples:
            raise DaamkitError(
                wanted="the text that the prompt embeddings stand for"
                if None in first
                else f"{call.samples} prompts",
                got="none" if None in first else f"{len(first)}",
                mend="give it to the trace: `daamkit.trace(pipe, prompt='...')`",
            )
        texts = {"text_encoder": first}
        for encoder in tokenizers:
            second = call.texts(encoder.replace("text_encoder", prefix))
            texts[encoder] = [b or a for a, b in zip(first, second, strict=True)]
        return [
            words.read({encoder: texts[encoder][i] or "" for encoder in tokenizers}, tokenizers)
            for i in range(call.samples)
        ]

    # -- when the call ends

    def finish(self, call: Call, images: Any) -> None:
        pictures = _pictures(images, call)
        scale = getattr(call.pipe, "vae_scale_factor", 8)
        pixels = scale * side_of(next(iter(denoisers(call.pipe).values())))
        base = 64 if pixels in (512, 1024) else 96
        for sample, picture in enumerate(pictures):
            size = (self.latents[0] * scale, self.latents[1] * scale)
            if picture is not None:
                size = (picture.height, picture.width)
            steps = len(call.timesteps)
            branches = {
                branch: HeatMaps(
                    self.prompts[branch][sample],
                    _layers(store, sample, steps, self.prompts[branch][sample].columns),
                    self.keep,
                    steps,
                    size,
                    base,
                    self.rule,
                )
                for branch, store in self.cross.items()
            }
            selves = {
                branch: SelfMaps(_layers(store, sample, steps), store.plan.keep, steps, size)
                for branch, store in self.self_.items()
            }
            made = self.records[sample] | {"timesteps": list(call.timesteps), "size": list(size)}
            self.runs.append(Run(picture, branches, selves, made))
        self.fail(call)

    def fail(self, call: Call) -> None:
        self.cross, self.self_, self.prompts, self.records = {}, {}, {}, []


def tokenizers_of(pipe: Any) -> dict[str, Any]:
    """A pipeline's tokenizers by the component names of their text encoders."""
    return {
        f"text_encoder{suffix}": tokenizer
        for suffix in ("", "_2")
        if (tokenizer := getattr(pipe, f"tokenizer{suffix}", None)) is not None
    }


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


def _layers(store: Store, sample: int, steps: int, columns: int | None = None) -> dict[str, Layer]:
    """One image's part of the sums, its own tokens apart and its padding together."""
    layers = {}
    for slot in store.plan.slots:
        if slot.name not in store.sums:  # the pipeline has skipped these sites
            continue
        values = store.sums[slot.name][sample]
        if "step" in store.plan.keep:
            values = values[:steps]
        if columns is not None and columns < values.shape[-2]:  # a longer prompt in the batch
            rest = values[..., columns - 1 :, :].sum(-2, keepdim=True)
            values = torch.cat([values[..., : columns - 1, :], rest], -2)
        values = values.unflatten(-1, slot.grid).cpu()
        heads = slot.heads * len(slot.sites)
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
