"""Which self-attention sites of a denoiser a method works on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from daamkit.attention import sites
from daamkit.attention.sites import Site
from daamkit.errors import DaamkitError

Layers = str | Sequence[str]


def find(denoiser: nn.Module, layers: Layers = "mid", setting: str = "layers") -> list[Site]:
    """The self-attention sites that are meant, in the order of the model's modules.

    Parameters
    ----------
    denoiser
        A model.
    layers
        "mid", "down" or "up", a stage of the model; or a part of sites' names, "up_blocks.1" or
        "mid_block.attentions.0"; or several of these, whose sites are taken together.
    setting
        What a method calls this.

    Raises
    ------
    DaamkitError
        If one of these is the name of no self-attention.
    """
    parts = [layers] if isinstance(layers, str) else list(layers)
    known = [site for site in sites.find(denoiser) if site.kind == "self"]
    found = {part: [site for site in known if _meant(site, part)] for part in parts}
    if not parts or not all(found.values()):
        missing = [part for part, own in found.items() if not own]
        names = ", ".join(site.name for site in known)
        raise DaamkitError(
            wanted=f"self-attention in {missing[0]!r}" if missing else "layers to work on",
            got=f"none there; {type(denoiser).__name__} has it in {names or 'no layer at all'}",
            mend=f"set `{setting}=` to 'down', 'mid' or 'up', or to a part of such a name"
            if known
            else "take a method that needs no self-attention",
        )
    return [site for site in known if any(_meant(site, part) for part in parts)]


def _meant(site: Site, part: str) -> bool:
    if part in ("down", "mid", "up"):
        return site.stage == part
    return bool(part) and part in site.name
