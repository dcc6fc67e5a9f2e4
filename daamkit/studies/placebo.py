"""A control of guidance: latents moved as far as a method moves them, but anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from daamkit.attention.calls import Pass
from daamkit.attention.taps import Image
from daamkit.guidance.denoising import Method, is_first_pass


class Placebo(Method):
    """Moves latents as far as told, in directions drawn at random.

    Parameters
    ----------
    far
        For each image, the distance at each step.
    seeds
        Of the directions, for each image.
    """

    def __init__(self, far: Sequence[Mapping[int, float]], seeds: Sequence[int]) -> None:
        self.far, self.seeds = far, seeds

    def before(self, now: Pass) -> Image | None:
        if not is_first_pass(now):
            return None
        moved = now.noisy.clone()
        for i, (far, seed) in enumerate(zip(self.far, self.seeds, strict=True)):
            generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + now.step)
            direction = torch.randn(
                moved[i].shape, generator=generator, dtype=torch.float32, device="cpu"
            ).to(moved)
            moved[i] += far.get(now.step, 0.0) * direction / direction.norm()
        return moved
