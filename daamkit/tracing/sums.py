"""How large a relation's sums are: at which sites, from how many sources, to how many targets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from daamkit.attention import families
from daamkit.attention.sites import Grid, Kind, Site
from daamkit.attention.stores import Plan
from daamkit.errors import DaamkitError
from daamkit.maps.prompt import Prompt
from daamkit.maps.related import MEAN, Relation
from daamkit.tracing import sources
from daamkit.tracing.options import TraceOptions

KINDS: dict[Relation, tuple[Kind, ...]] = {
    "image_to_text": ("cross", "joint"),
    "text_to_image": ("joint",),
    "image_to_image": ("self", "joint"),
    "text_to_text": ("joint", "text"),
}


def planned(
    relation: Relation,
    chosen: Any,
    prompts: Sequence[Prompt],
    sites: Sequence[Site],
    keep: Collection[str],
    whole: Grid,
    samples: int,
    steps: int,
) -> Plan:
    """What a relation keeps of so many images and passes on a grid.

    Parameters
    ----------
    relation, chosen
        By name, and its sources, as `trace` is told them.
    prompts
        Of the images.
    sites
        Those that bear it.
    keep
        Which of "step", "site", "head" are kept apart.
    whole
        The finest grid.
    samples, steps
        Images and passes.

    Raises
    ------
    DaamkitError
        If a word is not there, or all cells of a video are asked for.
    """
    slots = Plan.slots_of(sites, whole, frozenset(keep), _left_out)
    if relation.startswith("text"):
        count = max(len(sources.words(prompt, chosen)) for prompt in prompts)
    else:
        count = 0 if chosen == "all" else len(sources.pixels(chosen))
    if relation.endswith("text"):
        if not count:  # all cells: there is no grid of targets to tell how many
            if len(whole) > 2:
                raise DaamkitError(
                    wanted=f"pixels for {relation}",
                    got="all cells of a video, whose frames could not be told apart",
                    mend="name some pixels, such as [(40, 12)]; they are of the first frame",
                )
            count = max((prod(slot.grid) for slot in slots), default=0)
            slots = tuple(slot for slot in slots if prod(slot.grid) == count)
        columns = max(prompt.columns for prompt in prompts)
        slots = tuple(replace(slot, grid=(1, columns)) for slot in slots)
    return Plan(frozenset(keep), slots, samples, steps, count)


def _left_out(site: Site) -> frozenset[str]:
    """Pooling rules are of words' maps; the mean of relations is of sites with an image."""
    return frozenset({MEAN} if site.kind == "text" else ())


def bearing(relation: Relation, pipe: Any, options: TraceOptions) -> list[Site]:
    """The sites of a pipeline, of those that a trace names, at which a relation is seen."""
    every = [site for own in families.sites(pipe).values() for site in own]
    return [
        site
        for site in every
        if options.names(site) and site.kind in KINDS[relation] and site.observable
    ]
