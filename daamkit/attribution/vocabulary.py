"""OVAM: words that are a prompt of their own (arXiv 2403.14291)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Pass
from daamkit.attention.families.reworded import Vectors
from daamkit.attention.taps import Attention
from daamkit.attribution.method import Again, UnsuitedError
from daamkit.maps import pooling
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap, enlarge
from daamkit.maps.words import Word
from daamkit.prompts import vectors
from daamkit.tracing.concepts import Concepts


@dataclass(frozen=True)
class OpenVocabulary:
    """Draws the image again and asks what its cells would pay to each word, were it all that the
    prompt says: a softmax over the keys of that text alone, its start and end too.

    As the authors' code sums (Marcos-Manchón et al. 2024, arXiv 2403.14291, section 3.2): over
    steps, heads and layers without the middle block, enlarged bilinearly to the finest. The cells
    are those of the prompt's pass; theirs are of the unconditional one, unless told. A trace's
    `concepts` have the same keys, but in one softmax with the prompt's.
    """

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation.

        Raises
        ------
        UnsuitedError
            Of joint attention, and of several texts.
        """
        names = list(dict.fromkeys(word.text for word in words))
        tap = Alone(names)
        again(tap)
        layers = pooling.pooled(tap.images[-1].values(), "paper", False)
        finest = max((layer.grid for layer in layers), key=lambda grid: grid[0] * grid[1])
        total = torch.stack([enlarge(layer.values, finest, "bilinear") for layer in layers]).sum(0)
        return [
            WordMap(total.select(-3, names.index(word.text)), word, run.maps.size, run.image)
            for word in words
        ]


class Alone(Concepts):
    """Adds up, by site, what cells pay to concepts, each in a softmax of its own text."""

    def read(self, now: Pass) -> list[Vectors]:
        """Each concept's text, without padding; and where its words stand in that."""
        argument = next((name for name, each in now.inputs.items() if each is now.text[0]), None)
        if self.joint or len(now.text) > 1 or argument is None:
            raise UnsuitedError(
                wanted="cells that look at one text alone, in whose place another can stand",
                got=f"{type(now.call.pipe).__name__}, which has it otherwise",
                mend="take 'concepts' for this model",
            )
        self.places, found = list[list[int]](), list[Vectors]()
        for name in self.names:
            text, embeds = prompts.alone(now.call, name), vectors.embedded(now, name)
            said = {each.column for each in text.prompt.tokens if each.special != "padding"}
            words = {column for word in text.prompt.words() for column in word.columns}
            whole = vectors.standing(now, text, embeds, said)
            own = vectors.standing(now, text, embeds, words)
            self.places.append([whole.index(place) for place in own])
            found.append({argument: embeds[0, whole]})
        return found

    def _beside(self, attention: Attention) -> Float[Tensor, "samples heads cells concepts"]:
        rows = attention.branches["cond"]
        query = attention.query[rows, :, attention.layout.cells_of(rows)[0]].float()
        paid = []
        for (keys,), own in zip(self.keys[attention.site.name], self.places, strict=True):
            shares = (attention.scale * query @ keys.float().mT).softmax(-1)
            paid.append(shares[..., own].mean(-1))
        return torch.stack(paid, -1)
