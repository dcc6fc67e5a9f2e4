"""What a trace is asked to keep, and the plan of sums that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daamkit.attention import families
from daamkit.attention.sites import Grid, Site, dimensions
from daamkit.attention.stores import Plan
from daamkit.errors import DaamkitError
from daamkit.maps.pooling import Pooling
from daamkit.prompts import Texts

Branch = Literal["cond", "uncond", "negative", "image", "perturbed"]


@dataclass(frozen=True)
class TraceOptions:
    """What a trace is asked to keep; its arguments, which `trace` describes."""

    keep: frozenset[str]
    branches: tuple[Branch, ...]
    self_grid: int  # 0: no self-attention
    sites: tuple[str, ...] | None
    prompt: Texts
    negative_prompt: Texts
    budget: int | None
    spill: Path | None
    rule: Pooling

    def names(self, site: Site) -> bool:
        """Whether a site is among those asked for."""
        return self.sites is None or any(name in site.name for name in self.sites)


def plans_for(
    options: TraceOptions, pipe: Any, whole: Grid, samples: int, steps: int, columns: int
) -> tuple[Plan, Plan | None]:
    """What one branch keeps of its cross-attention and, if asked for, its self-attention.

    Raises
    ------
    DaamkitError
        If the sites asked for are not there.
    """
    family = families.family_of(pipe)
    base = family.base(pipe)

    def out(site: Site) -> frozenset[str]:
        return family.left_out(site, whole, base)

    sites = [site for own in families.sites(pipe).values() for site in own]
    cross = [site for site in sites if site.reads_text and options.names(site)]
    if not cross:
        _refuse_unseen([site for site in sites if options.names(site)])
        raise DaamkitError(
            wanted=f"cross-attention sites named {' or '.join(options.sites or ())}",
            got="none",
            mend=f"name a part of {', '.join(s.name for s in sites if s.reads_text)}",
        )
    slots = Plan.slots_of(cross, whole, options.keep, out)
    plan = Plan(options.keep, slots, samples, steps, columns)
    if not options.self_grid:
        return plan, None
    if len(whole) > 2:
        raise DaamkitError(
            wanted="self-attention maps of an image",
            got="a video, whose cells look at the cells of all frames",
            mend="trace it without `self_attention=True`",
        )
    keep = options.keep - {"head"}
    near = [
        site for site in sites if site.reads_image and max(site.grid(whole)) <= options.self_grid
    ]
    if not near:
        _refuse_unseen([site for site in sites if site.kind in ("self", "joint")])
        raise DaamkitError(
            wanted=f"self-attention sites of at most {options.self_grid} cells a side",
            got=f"none for a grid of {dimensions(whole)}",
            mend="raise `self_grid=`",
        )
    return plan, Plan(keep, Plan.slots_of(near, whole, keep, out), samples, steps, 0)


def _refuse_unseen(sites: Sequence[Site]) -> None:
    """Refuse maps of sites none of which has probabilities."""
    if sites and not any(site.observable for site in sites):
        raise DaamkitError(
            wanted=f"attention maps of {sites[0].name} and the like",
            got="linear attention, which has no softmax and so no probabilities",
            mend="trace without `self_attention=True`, and no such site by `sites=`; the "
            "attention to text has maps",
        )
