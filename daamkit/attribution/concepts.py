"""ConceptAttention: outputs of attention that are like a concept's (arXiv 2502.04320)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from daamkit.attention.taps import Attention, Output
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

    Of models whose cells look at text alone, the paper has no recipe. There text looks at nothing,
    so that a word's output is its value: a mean over its tokens.

    Parameters
    ----------
    others
        Further concepts that compete, words of the prompt or not: "background", "floor".
    """

    others: tuple[str, ...] = ("background",)

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation, with another pass in each of its steps."""
        names = dict.fromkeys([*(word.text for word in words), *self.others])
        tap = Outputs([*names])
        maps = tap.maps(again(tap).maps, -1)
        found = [maps.of(named(maps.prompt, word.text)) for word in words]
        return [
            replace(each, word=word, image=run.image)
            for each, word in zip(found, words, strict=True)
        ]


class Outputs(concepts.Concepts):
    """Compares outputs where cells look at text alone, too."""

    outputs = True

    def observe(self, attention: Attention) -> None:
        """Outputs are seen in `edit`."""

    def edit(self, attention: Attention, output: Output) -> Output:
        if "cond" in attention.branches:
            assert self.store is not None
            rows = attention.branches["cond"]
            cells = output[rows, :, attention.layout.cells_of(rows)[0]].float()
            every = self.values[attention.site.name]
            said = torch.stack([torch.cat(texts, 1).float().mean(1) for texts in every])
            products = torch.einsum("nhxd,chd->nxc", cells, said.to(cells.device))
            self.store.add(attention, products.softmax(-1)[:, None])
        return output
