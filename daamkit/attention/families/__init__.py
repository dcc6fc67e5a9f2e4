"""The families of models that are read: see `family` for how one is added."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from daamkit import compat, registry
from daamkit.attention.families.family import Family
from daamkit.attention.sites import Site
from daamkit.errors import DaamkitError


def known() -> list[Family]:
    """All families: those registered last first, so that they may refine ours."""
    found = [registry.families.find(name) for name in reversed(registry.families.names())]
    return [each() if isinstance(each, type) else each for each in found]


def family_of(pipe: Any) -> Family:
    """The family that a pipeline is of.

    Raises
    ------
    DaamkitError
        If none is known.
    """
    for family in known():
        if family.matches(pipe):
            return family
    read = dict.fromkeys(model for family in reversed(known()) for model in family.models)
    parts = getattr(pipe, "components", {}).items()
    found = [f"{type(m).__name__} as {name}" for name, m in parts if isinstance(m, nn.Module)]
    raise DaamkitError(
        wanted=f"a pipeline of a family that daamkit reads, with one of {', '.join(read)}",
        got=f"{type(pipe).__name__} with {', '.join(found) or 'no model'}",
        mend="pass one of these, or describe it: a class, registered with "
        "`daamkit.extend.families.register` (docs/extending.md, a family of models)",
    )


def denoisers(pipe: Any) -> dict[str, nn.Module]:
    """The models of a pipeline that predict noise, by component name, not compiled.

    Raises
    ------
    DaamkitError
        If it has none whose attention daamkit knows.
    """
    found = family_of(pipe).denoisers(pipe)
    return {name: compat.uncompiled(denoiser) for name, denoiser in found.items()}


def sites(pipe: Any) -> dict[str, list[Site]]:
    """The attention sites of each denoiser of a pipeline, their names unique in the pipeline.

    Raises
    ------
    DaamkitError
        If there is none: an unknown model.
    """
    family, found = family_of(pipe), dict[str, list[Site]]()
    for component, denoiser in denoisers(pipe).items():
        own = _require_sites(family.sites(denoiser), denoiser)
        if found:  # a second denoiser has the same paths
            own = [
                replace(site, name=f"{component}.{site.name}", denoiser=component) for site in own
            ]
        found[component] = own
    return found


def share_a_softmax(pipe: Any) -> bool:
    """Whether text and image do, in some site of a model."""
    every = [site for own in sites(pipe).values() for site in own]
    return any(site.kind == "joint" and site.observable for site in every)


def find(denoiser: nn.Module) -> list[Site]:
    """All attention sites of a denoiser that comes without its pipeline.

    Raises
    ------
    DaamkitError
        If there is none, or no family knows it.
    """
    for family in known():
        if family.knows(denoiser):
            return _require_sites(family.sites(denoiser), denoiser)
    return _require_sites([], denoiser)


def _require_sites(found: list[Site], denoiser: nn.Module) -> list[Site]:
    if found:
        return found
    raise DaamkitError(
        wanted="attention modules in the denoiser",
        got=f"none in {type(denoiser).__name__}",
        mend="pass the model as diffusers loads it, neither wrapped nor compiled",
    )
