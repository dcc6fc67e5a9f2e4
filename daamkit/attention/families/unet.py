"""UNets: Stable Diffusion 1, 2, XL and their kin; DDPM in pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import nn

from daamkit import compat
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.asked import Scale
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Family, Reading
from daamkit.attention.families.rows import pick
from daamkit.attention.sites import Grid, Kind, Layout, Site, Span

_BLOCK = re.compile(r"(down_blocks|up_blocks|mid_block)(?:\.(\d+))?")
_STAGES = {"down_blocks": "down", "mid_block": "mid", "up_blocks": "up"}  # as they run
_RUNS = list(_STAGES.values())


class UNet(Family):
    """A UNet of diffusers: cells and text in attention of their own, in blocks that halve the grid.

    Groups are "down", "mid" and "up".
    """

    name: ClassVar[str] = "unet"
    middle = "mid"
    observe_hint = (
        "call `unet.set_attn_processor(AttnProcessor2_0())` "
        "(from diffusers.models.attention_processor), which also undoes attention slicing "
        "(`disable_attention_slicing()` alone does that) and xformers, and takes an IP-Adapter off"
    )

    def matches(self, pipe: Any) -> bool:
        """Whether the pipeline has a UNet that diffusers wrote."""
        return self.knows(getattr(pipe, "unet", None))

    def knows(self, denoiser: Any) -> bool:
        """Whether it is a UNet, be it compiled."""
        plain = compat.uncompiled(denoiser)
        return isinstance(plain, UNet2DConditionModel | UNet2DModel)

    @property
    def models(self) -> tuple[str, ...]:
        """Of text to image, and of images alone."""
        return UNet2DConditionModel.__name__, UNet2DModel.__name__

    def denoisers(self, pipe: Any) -> dict[str, nn.Module]:
        """The only one."""
        return {"unet": pipe.unet}

    def guidance(self, pipe: Any) -> Scale:
        """A UNet of latent consistency is told the scale (arXiv 2310.04378)."""
        told = getattr(pipe.unet.config, "time_cond_proj_dim", None) is not None
        return Scale(above=math.inf) if told else super().guidance(pipe)

    def sites(self, denoiser: nn.Module) -> list[Site]:
        """All attention but that of grounding (GLIGEN), whose keys are neither text nor cells."""
        blocks: Sequence[Any] = getattr(denoiser, "down_blocks", ())
        levels, found = len(blocks), []
        for name, module in denoiser.named_modules():
            place = _BLOCK.match(name)
            if not isinstance(module, Attention) or place is None or ".fuser." in name:
                continue
            stage, index = _STAGES[place[1]], int(place[2] or 0)
            level = {"down": index, "mid": levels - 1, "up": levels - 1 - index}[stage]
            kind: Kind = "cross" if module.is_cross_attention else "self"
            found.append((stage, kind, name, module, level))
        ran = sorted(range(len(found)), key=lambda i: _RUNS.index(found[i][0]))
        order = {at: rank for rank, at in enumerate(ran)}
        middle = frozenset({"daam", "paper"})
        return [
            Site(
                name,
                kind,
                stage,
                order[i],
                module.heads,
                module,
                level,
                left_out=middle if stage == "mid" else frozenset(),
            )
            for i, (stage, kind, name, module, level) in enumerate(found)
        ]

    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """All branches in one pass; the grid is the latents' own."""
        noisy = inputs["sample"]
        height, width = noisy.shape[-2:]
        text = inputs.get("encoder_hidden_states")
        return Reading(
            noisy,
            inputs["timestep"],
            call.branches(len(noisy)),
            (height, width),
            () if text is None else (text,),
        )

    def select(self, now: Pass, rows: Sequence[int]) -> dict[str, Any]:
        """Rows of all but masks of IP-Adapters, of which there is one an image prompt."""
        total = len(now.inputs["sample"])
        more = dict(now.inputs.get("cross_attention_kwargs") or {})
        masks = {name: more.pop(name) for name in ("ip_adapter_masks",) if name in more}
        chosen = {name: pick(value, rows, total) for name, value in now.inputs.items()}
        if now.inputs.get("cross_attention_kwargs") is not None:
            chosen["cross_attention_kwargs"] = pick(more, rows, total) | masks
        return chosen

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """Text first, an IP-Adapter's image keys after it, in a call of their own."""
        if nth:
            return None
        text: tuple[Span, ...] = ()
        if site.kind == "cross":
            text = tuple(Span(name, 0, keys) for name in _tokenizers(now.call.pipe))
        rows = max((rows.stop for rows in now.branches.values()), default=0)
        return Layout(site.grid(now.grid), slice(0, queries), (text,) * rows)

    def encoders(self, pipe: Any) -> list[Encoder]:
        """CLIP's, one or two, which share their places."""
        found = _tokenizers(pipe)
        arguments = {"text_encoder": "prompt", "text_encoder_2": "prompt_2"}
        first = next(iter(found), "")
        return [
            Encoder(
                name,
                tokenizer,
                getattr(pipe, name, None),
                arguments[name] if len(found) > 1 else "prompt",
                shares=first if name != first else "",
            )
            for name, tokenizer in found.items()
        ]

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """The latents' grid."""
        scale = pipe.vae_scale_factor
        side = scale * _side(pipe.unet)
        return (height or side) // scale, (width or side) // scale

    def semantic(self, sites: Sequence[Site]) -> list[Site]:
        """Those on a quarter of the latents' grid (Hertz et al. 2022)."""
        return [site for site in sites if site.level == 2]

    def summed(self, sites: Sequence[Site]) -> list[Site]:
        """As Attend-and-Excite in diffusers adds them up."""
        return sorted(sites, key=lambda site: ("up", "down", "mid").index(site.group))

    def base(self, pipe: Any) -> int:
        """daam has 64 for models made for 512 or 1024 pixels, 96 for others."""
        return 64 if getattr(pipe, "vae_scale_factor", 8) * _side(pipe.unet) in (512, 1024) else 96

    def left_out(self, site: Site, whole: Grid, base: int) -> frozenset[str]:
        """The middle block; and, in daam, grids of an eighth of `base`."""
        coarse = math.isqrt(base**2 // math.prod(site.grid(whole))) == 8
        return site.left_out | {"daam"} if coarse else site.left_out


def _tokenizers(pipe: Any) -> dict[str, Any]:
    return {
        f"text_encoder{suffix}": tokenizer
        for suffix in ("", "_2")
        if (tokenizer := getattr(pipe, f"tokenizer{suffix}", None)) is not None
    }


def _side(denoiser: Any) -> int:
    """Cells a side of the latents that a UNet was made for."""
    side = denoiser.config.sample_size or 64
    return side if isinstance(side, int) else max(side)
