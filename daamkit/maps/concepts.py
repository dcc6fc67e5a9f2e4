"""Maps of words that the prompt need not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daamkit.errors import DaamkitError
from daamkit.maps.words import Word, WordError

if TYPE_CHECKING:
    from daamkit.maps.heatmaps import HeatMaps
    from daamkit.maps.prompt import Prompt


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
            got="maps without concepts",
            mend=f"trace with `concepts=[{text!r}]`; not all layers have them",
        )
    return maps.concepts


def named(prompt: Prompt, text: str) -> Word:
    """The concept of that whole text, in any case: not "cat" of "black cat".

    Raises
    ------
    WordError
        If there is none.
    """
    for concept in sorted(prompt.tokens, key=lambda each: each.text != text):
        if concept.text.casefold() == text.casefold():
            return prompt.span(concept.start, concept.end)
    raise WordError(
        wanted=f"the concept {text!r}",
        got=", ".join(repr(concept.text) for concept in prompt.tokens),
        mend=f"name one of these whole, or trace with `concepts=[{text!r}, ...]`",
    )
