"""What a word looks at, where text attends to the image as the image does to the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from daamkit.attribution.method import Again, UnsuitedError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word

RELATION = "text_to_image"


@dataclass(frozen=True)
class TextToImage:
    """The rows of joint attention in place of its columns: what a word pays to each cell, a mean
    over heads, layers and steps.

    DAAM asks which cells look at the word (arXiv 2210.04885); both directions stand in one joint
    softmax (arXiv 2508.07519 parts it into four).
    """

    relations: ClassVar[tuple[str, ...]] = (RELATION,)

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """Nothing is drawn again.

        Raises
        ------
        UnsuitedError
            If the run did not keep that relation, which only joint attention has.
        """
        if RELATION not in run.related:
            raise UnsuitedError(
                wanted="a run that kept what its words attend to",
                got=f"one of {', '.join(run.related) or 'no relations'}",
                mend=f"trace with `relations={{{RELATION!r}: 'all'}}`, which wants a model with "
                "joint attention: of others the text looks at nothing",
            )
        found = [run.related[RELATION].map(word) for word in words]
        return [
            replace(each, word=word, image=run.image)
            for each, word in zip(found, words, strict=True)
        ]
