"""DAAM: cross-attention, pooled (arXiv 2210.04885)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daamkit.attribution.method import Again
from daamkit.maps.pooling import Pooling
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


@dataclass(frozen=True)
class Pooled:
    """The mean, or the sum, of a word's cross-attention; see `HeatMaps` for the rules."""

    rule: Pooling

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """Nothing is drawn again."""
        return [run.maps.of(word, rule=self.rule) for word in words]


def daam() -> Pooled:
    """As the daam package pools."""
    return Pooled("daam")


def paper() -> Pooled:
    """As the DAAM paper pools."""
    return Pooled("paper")
