"""Perturbed-Attention Guidance: away from what the model makes of blind self-attention
(Ahn et al. 2024, arXiv 2403.17377)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from daamkit.attention.calls import Call, Pass
from daamkit.attention.taps import Image
from daamkit.edits.edit import Edit
from daamkit.edits.identity import Identity
from daamkit.edits.layers import Layers, middle
from daamkit.guidance.denoising import Method, denoise


@dataclass(eq=False)
class Perturbation(Method):
    """A method that guides away from a prediction whose self-attention is perturbed.

    The prediction becomes e + scale (e_c - e_p): e_c is the conditional one, e_p is that of an
    extra pass whose attention `perturbation` edits in the chosen layers, and e is what the
    scheduler would be given: e_c, or what classifier-free guidance made of it. A learned variance,
    in channels of its own, stays.

    Parameters
    ----------
    scale
        With 0 the image is the unguided one, and the distances are still noted.
    layers
        A group of sites ("mid"), a part of their names ("up_blocks.1"), or several: see
        `edits.layers.meant`. None: those in the middle of the model, as its family has it.
    """

    scale: float = 3.0
    layers: Layers | None = None

    def perturbation(self) -> Edit:
        """What is done to the chosen layers in the extra pass."""
        raise NotImplementedError

    def start(self, call: Call) -> None:
        self.layers = middle(call.pipe) if self.layers is None else self.layers
        self._edit = self.perturbation()
        self._edit.choose(call.pipe)

    def after(self, now: Pass, prediction: Image) -> Image:
        perturbed = denoise(now, now.noisy, self._edit)
        assert perturbed is not None  # no tap ends this pass
        channels = now.noisy.shape[1]
        away = (now.prediction_of("cond") - perturbed)[:, :channels]
        for sample, each in enumerate(away):
            self.note(now, sample, distance=each.float().norm().item())
        guided = prediction[:, :channels] + self.scale * away
        return torch.cat([guided, prediction[:, channels:]], 1) if self.scale else prediction


@dataclass(eq=False)
class PerturbedAttentionGuidance(Perturbation):
    """Guide away from what the model predicts if every cell attends to itself alone.

    In the chosen layers the extra pass's self-attention is the identity: its output is the values
    (section 4). It takes one more conditional pass per step, and needs no gradients and no text.

    Parameters
    ----------
    scale
        How far; 3.0 is the paper's. With 0 the image is the unguided one, and the distances are
        still noted.
    layers
        A group of sites ("mid", the default for Stable Diffusion and the paper's choice), a part of
        their names ("up_blocks.1"), or several: see `edits.layers.meant`.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if there is no self-attention in these layers.

    Notes
    -----
    Each step notes distance, the norm of e_c - e_p, the conditional prediction less that of the
    extra pass. diffusers' own pipelines rescale (``guidance_rescale``) after this guidance; here
    the pipeline has done so before.
    """

    def perturbation(self) -> Edit:
        """Every cell attends to itself alone."""
        return Identity(layers=self.layers)
