"""A word's share of what a cell pays to all of the prompt's words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from daamkit.attribution.method import Again
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


@dataclass(frozen=True)
class Share:
    """In each layer and head: the word's attention, summed over steps, divided by that of all words
    together, pooled as DAAM pools.

    Of one step that is a softmax over the words' keys alone. Where text and image stand in one
    softmax, a thing's own cells look at one another and so less at every word; divided, that falls
    away, as does what start, end, padding and template receive.
    """

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """Nothing is drawn again."""
        shares = among_words(run.maps)
        return [shares.of(word) for word in words]


def among_words(maps: HeatMaps) -> HeatMaps:
    """Maps whose layers, and heads if they were kept apart, are divided by the sum over the
    prompt's words and all steps: the same whether steps were kept apart or not."""
    words = [word for encoder in maps.prompt.texts for word in maps.prompt.words(encoder)]
    columns = sorted({column for word in words for column in word.columns})
    layers = {
        name: replace(layer, values=layer.values / _sum(layer.values, columns, maps.keep))
        for name, layer in maps.layers.items()
    }
    return replace(maps, layers=layers)


def _sum(
    values: Float[Tensor, "*kept columns y x"], columns: Sequence[int], keep: Collection[str]
) -> Float[Tensor, "*all 1 y x"]:
    words = values[..., columns, :, :].sum(-3, keepdim=True)
    return (words.sum(0, keepdim=True) if "step" in keep else words).clamp(min=1e-30)
