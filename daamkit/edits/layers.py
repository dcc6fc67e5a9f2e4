"""Which sites of a model an edit or a method works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from daamkit.attention import families
from daamkit.attention.sites import Site
from daamkit.errors import DaamkitError

Layers = str | Sequence[str]


def middle(pipe: Any, setting: str = "layers") -> str:
    """The group of sites in the middle of a model, which guidance changes unless told.

    Raises
    ------
    DaamkitError
        If the model has none.
    """
    found = families.family_of(pipe).middle
    if not found:
        sites = [site for own in families.sites(pipe).values() for site in own]
        groups = sorted({site.group for site in sites if site.reads_image})
        raise DaamkitError(
            wanted=f"`{setting}=`, for a model without layers that are its middle",
            got=f"none for {type(pipe).__name__}",
            mend=f"set it to {', '.join(map(repr, groups))}, or to a part of layers' names",
        )
    return found


def meant(
    sites: Sequence[Site],
    layers: Layers | None,
    setting: str = "layers",
    reads: Literal["image", "text"] = "image",
) -> list[Site]:
    """The sites that are meant, in the order of the model's modules.

    Parameters
    ----------
    sites
        All of a model.
    layers
        A group of sites as the model's family has it ("mid", "down" or "up" of a UNet); or a part
        of sites' names, "up_blocks.1" or "mid_block.attentions.0"; or several of these, whose sites
        are taken together. None: all.
    setting
        What a method calls this.
    reads
        "image": wherever the image's cells attend to each other, alone or among text; "text":
        wherever they attend to text.

    Raises
    ------
    DaamkitError
        If one of these is the name of no such site.
    """
    between = "attention between cells" if _joint(sites) else "self-attention"
    what = {"image": between, "text": "attention to text"}[reads]
    groups = list(dict.fromkeys(site.group for site in sites))
    known = [site for site in sites if (site.reads_image if reads == "image" else site.reads_text)]
    parts = [""] if layers is None else [layers] if isinstance(layers, str) else list(layers)
    if layers is None and known:
        return known
    found = {part: [site for site in known if _is(site, part, groups)] for part in parts}
    if not parts or not all(found.values()):
        missing = [part for part, own in found.items() if not own]
        names = ", ".join(site.name for site in known)
        none = "no layer at all"
        if any(not site.observable for site in sites if site.kind == "self"):
            none = "linear form alone, without a softmax that could be changed"
        raise DaamkitError(
            wanted=f"{what} in {missing[0]!r}" if missing else "layers to work on",
            got=f"none there; the model has it in {names or none}",
            mend=f"set `{setting}=` to {', '.join(map(repr, sorted(groups)))}, or to a part of "
            "such a name"
            if known
            else f"take a method that needs no {what}",
        )
    return [site for site in known if any(_is(site, part, groups) for part in parts)]


def _joint(sites: Sequence[Site]) -> bool:
    return any(site.kind == "joint" for site in sites)


def _is(site: Site, part: str, groups: Sequence[str]) -> bool:
    if part in groups:
        return site.group == part
    return bool(part) and part in site.name
