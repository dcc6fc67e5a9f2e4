"""Drawn scenes, noised to a level and denoised in one step: images whose masks are exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from daamkit import zoo
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.maps.run import Run
from daamkit.toybox import claims
from daamkit.toybox.oracle import SMALLEST
from daamkit.toybox.scenes import SIDE, SPLITS, Scene, sample
from daamkit.tracing.trace import trace

Mask = Bool[np.ndarray, "height width"]


class OneStep(DDIMScheduler):  # type: ignore[misc]
    """DDIM with a single step, from `level` (0 to 999) to the end."""

    level = 500

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """One step, whatever is asked."""
        self.num_inference_steps = 1
        self.timesteps = torch.tensor([self.level], device=device)


class Denoised:
    """A pipeline that denoises drawn scenes in one step, under their own captions.

    Parameters
    ----------
    pipe
        A Stable Diffusion or a Flux of the toy world; it stays as it is, and its parts are shared.
    """

    def __init__(self, pipe: Any) -> None:
        parts, more = dict(pipe.components), {"requires_safety_checker": False}
        self.flows = isinstance(pipe.scheduler, FlowMatchEulerDiscreteScheduler)
        if self.flows:
            plain = {"shift": 1.0, "use_dynamic_shifting": False}
            self.scheduler: Any = type(pipe.scheduler).from_config(pipe.scheduler.config, **plain)
            more = {}
        else:
            self.scheduler = OneStep.from_config(pipe.scheduler.config)
        self.pipe = type(pipe)(**parts | {"scheduler": self.scheduler}, **more)
        self.pipe.set_progress_bar_config(disable=True)

    def runs(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        level: int,
        taps: Sequence[Tap] = (),
        **options: Any,
    ) -> list[Run]:
        """One traced step of each scene.

        Parameters
        ----------
        scenes
            The scenes.
        seeds
            Of the noise that each is mixed with.
        level
            Time step of the schedule, from 0 (hardly any noise) to 999; of a Flux, whose paths are
            straight, the share of noise in thousandths.
        taps
            What watches or changes attention besides.
        options
            Of `trace`.
        """
        with trace(self.pipe, **options) as tracer:
            self.pictures(scenes, seeds, level, taps)
        return tracer.runs

    def pictures(
        self, scenes: Sequence[Scene], seeds: Sequence[int], level: int, taps: Sequence[Tap] = ()
    ) -> list[Image.Image]:
        """The same, untraced: what each scene is taken for."""
        return self.drawn(scenes, seeds, level, taps)[0]

    def drawn(
        self, scenes: Sequence[Scene], seeds: Sequence[int], level: int, taps: Sequence[Tap] = ()
    ) -> tuple[list[Image.Image], Float[Tensor, "scenes channels y x"]]:
        """The pictures, and the latents that they were decoded from."""
        from daamkit.toybox.training.denoiser import packed

        clean = self._latents(scenes)
        noise = torch.stack(
            [
                torch.randn(
                    each.shape,
                    generator=torch.Generator().manual_seed(seed),
                    dtype=torch.float32,
                    device="cpu",
                )
                for each, seed in zip(clean, seeds, strict=True)
            ]
        ).to(clean)
        call = zoo.arguments(self.pipe, [scene.caption for scene in scenes], guidance=1.0)
        if self.flows:
            sigma = max(level, 1) / 1000
            noisy = (1 - sigma) * clean + sigma * noise
            call["latents"] = packed(noisy)
            call |= {"sigmas": [sigma], "height": SIDE, "width": SIDE}
        else:
            self.scheduler.level = level
            time = torch.tensor([level], device=clean.device)
            call["latents"] = self.scheduler.add_noise(clean, noise, time)
        left: list[Tensor] = []

        def keep(pipe: Any, step: int, time: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
            left.append(given["latents"])
            return {}

        with attach(self.pipe, *taps):
            made: list[Image.Image] = self.pipe(
                **call, num_inference_steps=1, callback_on_step_end=keep
            ).images
        return made, unpacked(left[-1], noise.shape[-2:]) if self.flows else left[-1]

    def _latents(self, scenes: Sequence[Scene]) -> Float[Tensor, "scenes channels y x"]:
        from daamkit.toybox.training import autoencoder

        pipe, once = self.pipe, list({id(scene): scene for scene in scenes}.values())
        images = autoencoder.as_tensor(np.stack([scene.image for scene in once]))
        with torch.no_grad():
            clean = pipe.vae.encode(images.to(pipe.device, pipe.dtype)).latent_dist.mean
        place = {id(scene): at for at, scene in enumerate(once)}
        return clean[[place[id(scene)] for scene in scenes]] * pipe.vae.config.scaling_factor


def unpacked(
    cells: Float[Tensor, "n cells channels"], size: Sequence[int]
) -> Float[Tensor, "n colours y x"]:
    """Latents of (height, width) as they were before `FluxPipeline` packed them, 2 x 2 a cell."""
    height, width = (side // 2 for side in size)
    each = cells.unflatten(2, (-1, 2, 2)).unflatten(1, (height, width))
    return each.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def exact(scene: Scene) -> dict[int, Mask]:
    """Where the things of a drawn scene are, by their numbers in its caption; without things that
    are named twice in different phrases, or hardly show."""
    asked = claims.parse(scene.caption).things
    words = {word.start: word for word in scene.words}
    names = [claim.name for claim in asked]
    masks = {
        i: scene.mask(words[claim.start])
        for i, claim in enumerate(asked)
        if names.count(claim.name) == 1
    }
    return {i: mask for i, mask in masks.items() if mask.sum() >= SMALLEST}


def both(many: int, seed: int, world: int = 1) -> list[Scene]:
    """Scenes in turn: of compositions that the models of world 2 have seen in training, and of
    others."""
    each = [sample((many + 1) // 2, seed, world=world, split=split) for split in SPLITS[1:]]
    return [scene for pair in zip(*each, strict=True) for scene in pair][:many]
