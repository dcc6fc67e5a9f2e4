"""Maps of words that the prompt need not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.maps.heatmaps import HeatMaps


def of_concepts(maps: HeatMaps, text: str) -> HeatMaps:
    """The maps of a trace's concepts, of which one is asked for.

    Where cells look at text alone, what they would pay to it beside the prompt (unit: attention
    probability). Where text and image share one softmax, how much more the cells' outputs are like
    the concept's than like the other concepts' (unit: share, 1 over all concepts).

    Raises
    ------
    DaamkitError
        If none was named when the pipeline was called.
    """
    if maps.concepts is None:
        raise DaamkitError(
            wanted=f"the concept {text!r}",
            got="a trace without concepts",
            mend=f"trace with `concepts=[{text!r}]`",
        )
    return maps.concepts
