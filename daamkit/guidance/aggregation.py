"""The cross-attention of one grid, averaged over sites and heads, with its gradients."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention import recomputed
from daamkit.attention.calls import Pass
from daamkit.attention.columns import large
from daamkit.attention.freezing import frozen
from daamkit.attention.sites import Grid, Site, dimensions
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import denoise


class Aggregate(Tap):
    """Watches an extra pass up to the last cross-attention site of a grid.

    Parameters
    ----------
    step
        The pass that the extra one stands beside.
    attn_res
        (height, width) of the grid, of a video (frames, height, width), in cells; None: see `grid`.
    eager
        Compute attention as diffusers' eager processor does, at every site.

    Raises
    ------
    DaamkitError
        If no site has that grid.
    """

    def __init__(self, now: Pass, attn_res: Grid | None = None, eager: bool = False) -> None:
        sites = [site for site in now.sites if site.reads_text]
        self.now, self.all_eager = now, eager
        self.grid = attn_res or grid(now, sites)
        self.sites = [site for site in sites if site.grid(now.grid) == self.grid]
        if not self.sites:
            raise DaamkitError(
                wanted=f"cross-attention on a grid of {dimensions(self.grid)} cells",
                got=f"grids of {_grids(sites, now.grid)}",
                mend=_mend(now.grid),
            )
        self.final = max(self.sites, key=lambda site: site.order).name
        self.names = [site.name for site in self.sites]
        self.maps: dict[str, Tensor] = {}
        self.sum: Tensor | float = 0.0  # over heads, of sites whose maps are too large to be kept

    def wants(self, site: Site) -> bool:
        return self.all_eager or site.name in self.names

    def eager(self, site: Site) -> bool:
        return self.all_eager

    def observe(self, attention: Attention) -> None:
        if attention.site.name not in self.names:
            return
        (branch,) = attention.branches
        if attention.site.kind == "joint" or (large(attention) and not self.all_eager):
            self.sum = self.sum + recomputed.text(attention, branch) * attention.site.heads
        else:
            self.maps[attention.site.name] = attention.text(branch, gradient=True)

    def last(self, site: Site) -> bool:
        return site.name == self.final

    def mean(self) -> Float[Tensor, "*frames y x tokens"]:
        """The flat mean over sites and heads, float32, of the only image."""
        ordered = self.now.family.summed(self.sites)
        kept = [self.maps[site.name] for site in ordered if site.name in self.maps]
        total = self.sum
        if kept:
            total = total + torch.cat([each.flatten(0, 1) for each in kept]).sum(0)
        assert isinstance(total, Tensor), "the pass has gone to the last of these sites"
        mean = total / sum(site.heads for site in self.sites)
        return mean.reshape(*self.grid, total.shape[-1]).float()


def attend(
    now: Pass, noisy: Float[Tensor, 1 * latent], sample: int, **options: Any
) -> Float[Tensor, "*frames y x tokens"]:
    """One image's mean map, from an extra pass that ends where the map is complete.

    Options are those of `Aggregate`. Where `noisy` wants gradients, the map carries them.
    """
    aggregate = Aggregate(now, **options)
    with frozen(now.denoiser):
        denoise(now, noisy, aggregate, samples=[sample])
    return aggregate.mean()


def grid(now: Pass, sites: list[Site]) -> Grid:
    """That of the sites with the most semantic information, as the model's family has them.

    For a UNet a quarter of the latents' grid (Hertz et al. 2022): 16 x 16 for Stable Diffusion 1 at
    512 pixels, 32 x 32 for XL.

    Raises
    ------
    DaamkitError
        If no cross-attention is there.
    """
    found = [site.grid(now.grid) for site in now.family.semantic(sites)]
    if not found:
        quarter = dimensions(tuple(-(-side // 4) for side in now.grid))
        raise DaamkitError(
            wanted=f"cross-attention on {quarter} cells, a quarter of the latents' grid",
            got=f"grids of {_grids(sites, now.grid)}" if sites else "a model without any",
            mend=_mend(now.grid)
            if sites
            else "take a method that needs no text, such as SelfAttentionGuidance",
        )
    return found[0]


def _grids(sites: list[Site], latents: Grid) -> str:
    found = sorted({site.grid(latents) for site in sites})
    return ", ".join(map(dimensions, found)) or "none"


def _mend(latents: Grid) -> str:
    frames = "frames, " if len(latents) > 2 else ""
    return f"set `attn_res=` to one of these, ({frames}height, width)"
