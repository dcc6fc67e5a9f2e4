"""Occlusion: what changes in the image where a word is taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.attribution.method import Again, UnsuitedPromptError
from daamkit.edits.edit import Edit
from daamkit.edits.exchange import Exchange
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


@dataclass(frozen=True)
class Occlusion:
    """Draws the image again without each word, and maps what has changed.

    Causal by construction, and slow. After Zeiler and Fergus 2014 (arXiv 1311.2901), with a word in
    the place of a patch.

    Parameters
    ----------
    window
        Side of the square, in shares of the image's shorter one, over which the change is averaged:
        things keep pixels that are alike by chance.
    by
        "exchange": the word's vectors are exchanged for those that stand there where the prompt
        says another of its words once more ("a a and a car" for the cat of "a cat and a car";
        `instead`), so that the model is asked what text encoders say. "silence": no cell attends to
        the word, which is out of distribution: no prompt leaves a hole in the softmax.
    """

    window: float = 0.06
    by: Literal["exchange", "silence"] = "exchange"

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation a word.

        Raises
        ------
        UnsuitedPromptError
            If no other word of the prompt fills the place.
        DaamkitError
            If the run has no image.
        """
        edits = [self._edit(run.maps.prompt, word) for word in words]
        return [
            WordMap(self._change(run, again(edit)), word, run.maps.size, run.image)
            for word, edit in zip(words, edits, strict=True)
        ]

    def _edit(self, prompt: Prompt, word: Word) -> Edit:
        return Silence(word) if self.by == "silence" else Exchange(word, instead(prompt, word))

    def _change(self, run: Run, without: Run) -> Float[Tensor, "height width"]:
        """Mean absolute difference of the colours, from 0 to 1, within the window."""
        image, other = pixels(run), pixels(without)
        change = (image - other).abs().mean(-1)
        side = max(1, round(self.window * min(change.shape)))
        side += 1 - side % 2
        near = F.avg_pool2d(change[None], side, 1, side // 2, count_include_pad=False)
        return near[0]


def pixels(run: Run) -> Float[Tensor, "height width colours"]:
    """An image's colours, from 0 to 1.

    Raises
    ------
    DaamkitError
        If the run has none.
    """
    if run.image is None:
        raise DaamkitError(
            wanted="a run with an image",
            got="one of latents",
            mend="let the pipeline return pictures, `output_type='pil'`",
        )
    return torch.from_numpy(np.asarray(run.image.convert("RGB"), np.float32) / 255)


def instead(prompt: Prompt, word: Word) -> str:
    """A prompt that says nothing new in a word's place: its nearest other word, the one before
    rather than the one after, as often as that has as many tokens in each text encoder.

    Raises
    ------
    UnsuitedPromptError
        If there is none.
    """
    words, text = prompt.words(), prompt.text
    meant = [at for at, own in enumerate(words) if {*own.columns} & {*word.columns}]
    for at in reversed(meant):
        own = words[at]
        near = sorted((abs(i - at), i) for i in range(len(words)) if i not in meant)
        others = [words[i] for _, i in near if words[i].text.casefold() != own.text.casefold()]
        filling = (" ".join([o.text] * _often(prompt, o, own)) for o in others)
        other = next(filter(None, filling), None)
        if other is None:
            raise UnsuitedPromptError(
                wanted=f"another word with as many tokens as {own.text!r}, to stand in its place",
                got=f"none in {text!r}",
                mend="take `Occlusion(by='silence')`, or say more in the prompt",
            )
        text = text[: own.start] + other + text[own.end :]
    if not meant:
        raise UnsuitedPromptError(
            wanted="a word of the prompt",
            got=repr(word.text),
            mend="take `Occlusion(by='silence')` for special tokens",
        )
    return text


def _often(prompt: Prompt, other: Word, word: Word) -> int:
    """How often a word has as many tokens as another, in each text encoder; 0: never."""
    one, wanted = (
        Counter(token.encoder for token in prompt.tokens if token.column in each.columns)
        for each in (other, word)
    )
    times = {wanted[encoder] / one[encoder] for encoder in one}
    number = times.pop()
    return int(number) if one.keys() == wanted.keys() and not times and number % 1 == 0 else 0
