"""Self-Attention Guidance: away from what is blurred where the model looks (Hong et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention import columns, families, gaussian
from daamkit.attention.calls import Call, Pass
from daamkit.attention.noise import noise_level, prediction_type, process, renoise
from daamkit.attention.sites import Grid, Site
from daamkit.attention.taps import Attention, Image, Tap
from daamkit.edits import layers
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Latents, Method, denoise

STRATEGIES = ("self-attention", "global", "high-frequency", "random", "square")
AUTOENCODERS = ("vae", "vqvae", "movq")  # a pipeline with none of them denoises pixels


@dataclass(eq=False)
class SelfAttentionGuidance(Method):
    """After the prediction, add its difference from one for a blurred image (arXiv 2210.00939).

    The image that the prediction stands for, x0, is blurred where a self-attention map is above
    its mean, made as noisy as before with the predicted noise, and denoised again; with u the
    prediction and d that for the degraded image, scale * (u - d) is added (equation 16). With
    classifier-free guidance u and d are the unconditional ones (equation 25).

    Parameters
    ----------
    scale
        s in the paper, whose code calls 1 + s the scale. With 0 the method does nothing at all.
    layer
        The layer whose attention between cells is used. None: the first site in the middle of the
        model. A group ("down"; "double" of FLUX) or a part of a site's name: the last such site
        to run.
    threshold
        Mask cells that receive more attention than this, summed over all cells and averaged over
        heads; 1 is the mean (where cells attend to text in the same softmax, the mean of what they
        leave to cells).
    sigma, kernel_size
        Standard deviation and width of the Gaussian blur, in latent cells or pixels.
    strategy
        Which cells are masked: "self-attention", or a control. "global" masks all; the others mask
        as many as "self-attention" would: "high-frequency" those that the blur changes most,
        "random" random ones, "square" a square in the middle (as close in number as it can be).
    clamp
        Whether x0 is clamped to [-1, 1] before it is blurred, as the paper's code does for pixels.
        None: if the pipeline has no autoencoder.
    seed
        Seed of the random masks; the pipeline's own generator is not touched.
    exact
        Compute the layer's attention and the noise as diffusers' own pipeline did, to the last bit.

    Raises
    ------
    DaamkitError
        If a setting makes no sense. When the pipeline is called: if the model has no such layer,
        the scheduler's noise level is not known, or the blur is wider than the image.

    Notes
    -----
    The mask is computed in float32 beside the fused attention, of which only sums over queries are
    kept; with `exact`, from the model's own probabilities, in its own precision. u is the
    denoiser's own output, so that methods before this one are not amplified by it.

    Each step notes ``masked``, the share of cells that are masked.
    """

    scale: float = 0.75
    layer: str | None = None
    threshold: float = 1.0
    sigma: float = 1.0
    kernel_size: int = 9
    strategy: str = "self-attention"
    clamp: bool | None = None
    seed: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise DaamkitError(
                wanted=f"a masking strategy out of {', '.join(STRATEGIES)}",
                got=repr(self.strategy),
                mend="choose one of these",
            )
        if self.kernel_size % 2 != 1 or not self.sigma > 0:
            raise DaamkitError(
                wanted="a blur of odd kernel size and positive sigma",
                got=f"{self.kernel_size} and {self.sigma}",
                mend="the paper has 9 and 1 for latents, 31 and 3 for pixels",
            )

    def start(self, call: Call) -> None:
        if self.scale:
            process(call.pipe.scheduler)  # is it known?
            self._site = choose(call.pipe, self.layer)
            if self.exact and self._site.kind == "joint":
                raise DaamkitError(
                    wanted="a layer of self-attention alone, for `exact`",
                    got=f"{self._site.name}, where text is attended to in the same softmax",
                    mend="leave `exact` off",
                )

    def wants(self, site: Site) -> bool:
        return bool(self.scale) and site.name == self._site.name

    def eager(self, site: Site) -> bool:
        return self.exact

    def observe(self, attention: Attention) -> None:
        """How much each cell is attended to: (samples, cells)."""
        branch = _branch(attention.now)
        if branch not in attention.branches:  # it has a pass of its own
            return
        if self.exact:
            maps = attention.probabilities(branch, gradient=True).detach()
            self._received = maps.mean(1).sum(1)
            return
        received = columns.received(attention, branch)
        if attention.site.kind == "joint":  # what cells leave to the text is no cell's
            received = received / received.mean(1, keepdim=True)
        self._received = received

    def after(self, now: Pass, prediction: Image) -> Image:
        """The guided prediction; a learned variance in its last channels stays as it is."""
        if not self.scale:
            return prediction
        pipe, branch, channels = now.call.pipe, _branch(now), now.noisy.shape[1]
        said = now.prediction_of(branch)[:, :channels]
        x0, eps = noise_level(now).split(said, now.noisy, prediction_type(pipe.scheduler))
        if _pixels(pipe) if self.clamp is None else self.clamp:
            x0 = x0.clamp(-1, 1)
        degraded = renoise(now, self._degrade(now, x0), eps, exact=self.exact)
        taps = [_Eager(self._site)] if self.exact else []
        other = denoise(now, degraded, *taps, branch=branch)
        assert other is not None, "no tap ends the pass early"
        guided = prediction[:, :channels] + self.scale * (said - other[:, :channels])
        return torch.cat([guided, prediction[:, channels:]], 1)

    def _degrade(self, now: Pass, x0: Latents) -> Latents:
        """x0, blurred where the mask is."""
        image = now.family.unpack(now, x0)
        if image.ndim != 4:
            raise DaamkitError(
                wanted="one image to blur",
                got=f"frames, {tuple(image.shape[1:])}",
                mend="take PerturbedAttentionGuidance, which blurs nothing",
            )
        blurred = blur(image, self.kernel_size, self.sigma)
        mask = self._mask(now, (image - blurred).abs().float().mean(1))
        for sample, share in enumerate(mask.float().mean((1, 2)).tolist()):
            self.note(now, sample, masked=share)
        cells = F.interpolate(mask[:, None].to(image), image.shape[-2:])
        return now.family.pack(now, blurred * cells + image * (1 - cells))

    def _mask(
        self, now: Pass, detail: Float[Tensor, "samples height width"]
    ) -> Bool[Tensor, "samples rows columns"]:
        """Which cells of the layer's grid are masked."""
        grid = self._site.grid(now.grid)
        chosen = self._received > self.threshold  # (samples, cells)
        counts = chosen.sum(1)
        match self.strategy:
            case "global":
                chosen = torch.ones_like(chosen)
            case "square":
                squares = [_square(grid, count) for count in counts.tolist()]
                chosen = torch.stack(squares).flatten(1).to(chosen.device)
            case "high-frequency":
                scores = F.adaptive_avg_pool2d(detail[:, None], (grid[-2], grid[-1])).flatten(1)
                chosen = _first(scores, counts)
            case "random":
                draws = np.random.default_rng([self.seed, now.index]).random(chosen.shape[1])
                chosen = _first(
                    torch.as_tensor(draws, device="cpu").to(detail).expand(chosen.shape), counts
                )
        return chosen.unflatten(1, grid)


class _Eager(Tap):
    """Has one site compute its attention by way of its probabilities."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def wants(self, site: Site) -> bool:
        return site.name == self.site.name

    def eager(self, site: Site) -> bool:
        return True


def choose(pipe: Any, layer: str | None) -> Site:
    """The self-attention site that `layer` means: see `SelfAttentionGuidance`."""
    denoisers = families.sites(pipe)
    if len(denoisers) > 1:
        raise DaamkitError(
            wanted="a pipeline with one denoiser, whose self-attention says where to blur",
            got=f"{len(denoisers)}, {', '.join(denoisers)}",
            mend="guide it by PerturbedAttentionGuidance",
        )
    (sites,) = denoisers.values()
    named = layers.middle(pipe, "layer") if layer is None else layer
    fit = sorted(layers.meant(sites, named, "layer"), key=lambda site: site.order)
    return fit[0] if named == families.family_of(pipe).middle else fit[-1]


def blur(
    image: Float[Tensor, "samples channels height width"], kernel_size: int, sigma: float
) -> Float[Tensor, "samples channels height width"]:
    """A Gaussian blur that mirrors the image at its edges.

    Raises
    ------
    DaamkitError
        If the image is too small to be mirrored.
    """
    line = gaussian.line(kernel_size, sigma).to(image)
    mend = "lower `kernel_size` or make a larger image"
    return gaussian.blurred(image, line[:, None] * line, mend)


def _branch(now: Pass) -> str:
    """Whose prediction is guided away from: the unconditional one where there is one."""
    return next((name for name in ("uncond", "negative") if name in now.names()), "cond")


def _pixels(pipe: Any) -> bool:
    return not any(name in pipe.components for name in AUTOENCODERS)


def _first(scores: Float[Tensor, "samples cells"], counts: Tensor) -> Bool[Tensor, "samples cells"]:
    """Of each sample the cells with the highest scores, so many as its count says."""
    ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return ranks < counts[:, None]


def _square(grid: Grid, count: int) -> Bool[Tensor, "rows columns"]:
    """A square in the middle, of about so many cells; where the grid is too narrow, a rectangle."""
    side, mask = round(count**0.5), torch.zeros(grid, dtype=torch.bool, device="cpu")
    height, width = min(side, grid[0]), min(side, grid[1])
    if height < side:
        width = min(round(count / height), grid[1])
    elif width < side:
        height = min(round(count / width), grid[0])
    top, left = (grid[0] - height) // 2, (grid[1] - width) // 2
    mask[top : top + height, left : left + width] = True
    return mask
