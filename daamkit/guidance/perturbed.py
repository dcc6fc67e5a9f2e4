"""Perturbed-Attention Guidance: away from what the model makes of blind self-attention
(Ahn et al. 2024, arXiv 2403.17377)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.guidance.denoising import Method, denoise, part
from daamkit.guidance.layers import Layers, meant


@dataclass(eq=False)
class Perturbation(Method):
    """A method that guides away from a prediction whose self-attention is perturbed.

    The prediction becomes e + scale (e_c - e_p): e_c is the conditional one, e_p is that of an
    extra pass in which `perturb` replaces what the chosen layers say, and e is what the scheduler
    would be given: e_c, or what classifier-free guidance made of it. A learned variance, in
    channels of its own, stays.

    Parameters
    ----------
    scale
        With 0 the image is the unguided one, and the distances are still noted.
    layers
        A stage ("mid"), a part of the layers' names ("up_blocks.1"), or several: see `layers.find`.
    """

    scale: float = 3.0
    layers: Layers = "mid"

    def perturb(self, attention: Attention, output: Tensor) -> Tensor:
        """What a chosen layer says instead, (samples, heads, queries, channels)."""
        raise NotImplementedError

    def start(self, call: Call) -> None:
        known = [site for own in families.sites(call.pipe).values() for site in own]
        self._names = {site.name for site in meant(known, self.layers)}

    def after(self, step: Pass, prediction: Tensor) -> Tensor:
        perturbed = denoise(step, step.noisy, _Perturbed(self, self._names))
        assert perturbed is not None  # no tap ends this pass
        channels = step.noisy.shape[1]
        away = (part(step, "cond") - perturbed)[:, :channels]
        for sample, each in enumerate(away):
            self.note(step, sample, distance=each.float().norm().item())
        guided = prediction[:, :channels] + self.scale * away
        return torch.cat([guided, prediction[:, channels:]], 1) if self.scale else prediction


@dataclass(eq=False)
class PerturbedAttentionGuidance(Perturbation):
    """Guide away from what the model predicts where every cell attends to itself alone.

    In the chosen layers the extra pass's self-attention is the identity: its output is the values
    (section 4). One more conditional pass a step; no gradients, no text needed.

    Parameters
    ----------
    scale
        How far; 3.0 is the paper's. With 0 the image is the unguided one, and the distances are
        still noted.
    layers
        A stage ("mid", the paper's choice for Stable Diffusion), a part of the layers' names
        ("up_blocks.1"), or several: see `layers.find`.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if there is no self-attention in these layers.

    Notes
    -----
    Noted of each step: distance, the norm of e_c - e_p. diffusers' own pipelines rescale
    (``guidance_rescale``) after this guidance; here the pipeline has done so before.
    """

    def perturb(self, attention: Attention, output: Tensor) -> Tensor:
        return attention.value


class _Perturbed(Tap):
    """Lets a method perturb some sites of an extra pass."""

    def __init__(self, method: Perturbation, names: Collection[str]) -> None:
        self.method, self.names = method, names

    def wants(self, site: Site) -> bool:
        return site.name in self.names

    def edit(self, attention: Attention, output: Tensor) -> Tensor:
        return self.method.perturb(attention, output)
