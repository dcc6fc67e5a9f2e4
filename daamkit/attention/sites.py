"""The attention modules of a model: what kind, on which grid, how many heads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import nn

from daamkit import compat
from daamkit.errors import DaamkitError

_BLOCK = re.compile(r"(down_blocks|up_blocks|mid_block)(?:\.(\d+))?")

Grid = tuple[int, int]  # (height, width), in cells
Stage = Literal["down", "mid", "up"]
RUNS: dict[str, int] = {"down": 0, "mid": 1, "up": 2}  # the order in which a UNet runs
_STAGES: dict[str, Stage] = {"down_blocks": "down", "up_blocks": "up", "mid_block": "mid"}


@dataclass(frozen=True)
class Site:
    """One attention module of a denoiser.

    Attributes
    ----------
    name
        Its path in the denoiser, as in ``named_modules()``.
    kind
        "cross" looks from the image's cells to the text's tokens, "self" from cells to cells.
    stage, level
        Where it is: down, middle or up, and how often the latents have been halved there.
    heads
        Number of heads.
    module
        The module itself.
    """

    name: str
    kind: Literal["cross", "self"]
    stage: Stage
    level: int
    heads: int
    module: nn.Module = field(repr=False, compare=False)

    def grid(self, latents: Grid) -> Grid:
        """The site's grid for latents of this (height, width); each halving rounds up."""
        height, width = latents
        for _ in range(self.level):
            height, width = -(-height // 2), -(-width // 2)
        return height, width


def denoisers(pipe: Any) -> dict[str, nn.Module]:
    """The models of a pipeline that predict noise, by component name.

    Raises
    ------
    DaamkitError
        If it has none whose attention daamkit knows.
    """
    unet = getattr(pipe, "unet", None)
    plain = compat.uncompiled(unet)  # compiled models are refused with their own message
    if not isinstance(plain, UNet2DConditionModel | UNet2DModel):
        raise DaamkitError(
            wanted="a pipeline with a UNet (Stable Diffusion 1, 2, XL, their kin; DDPM in pixels)",
            got=f"{type(pipe).__name__} with {type(unet).__name__}"
            if unet
            else type(pipe).__name__,
            mend="other families are not read yet; pass one of these pipelines",
        )
    assert isinstance(unet, nn.Module)
    return {"unet": unet}


def find(denoiser: nn.Module) -> list[Site]:
    """All attention sites of a denoiser in the order of its modules, cross and self alike.

    Raises
    ------
    DaamkitError
        If there is none: a compiled wrapper or an unknown family.
    """
    sites = list(_unet_sites(denoiser))
    if not sites:
        raise DaamkitError(
            wanted="attention modules in the denoiser",
            got=f"none in {type(denoiser).__name__}",
            mend="pass the model as diffusers loads it, neither wrapped nor compiled",
        )
    return sites


def _unet_sites(unet: nn.Module) -> Iterator[Site]:
    levels = len(getattr(unet, "down_blocks", ()))
    for name, module in unet.named_modules():
        place = _BLOCK.match(name)
        if not isinstance(module, Attention) or place is None:
            continue
        stage, index = _STAGES[place[1]], int(place[2] or 0)
        level = {"down": index, "mid": levels - 1, "up": levels - 1 - index}[stage]
        kind: Literal["cross", "self"] = "cross" if module.is_cross_attention else "self"
        yield Site(name, kind, stage, level, module.heads, module)
