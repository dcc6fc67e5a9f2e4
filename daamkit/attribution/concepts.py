"""ConceptAttention: outputs of attention that are like a concept's (arXiv 2502.04320)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daamkit.attribution.method import Again
from daamkit.maps.concepts import named
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.tracing import concepts


@dataclass(frozen=True)
class ConceptAttention:
    """Draws the image again, each word a text of its own that looks at the image.

    A map is the share of a word among all words asked for, and `others`, at each place (a softmax
    over concepts of the products of outputs; section 3.2), a mean over layers and steps.

    Of models whose cells look at text alone, what a cell would pay to the word were it not in the
    prompt; nothing competes there.

    Parameters
    ----------
    others
        Further concepts that compete, words of the prompt or not: "background", "floor".
    """

    others: tuple[str, ...] = ("background",)

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation, with another pass in each of its steps."""
        names = dict.fromkeys([*(word.text for word in words), *self.others])
        tap = concepts.Concepts([*names])
        maps = tap.maps(again(tap).maps, -1)
        found = [maps.of(named(maps.prompt, word.text)) for word in words]
        return [
            replace(each, word=word, image=run.image)
            for each, word in zip(found, words, strict=True)
        ]
