"""Occlusion: what changes in the image where a word is silenced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.attribution.method import Again
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


@dataclass(frozen=True)
class Occlusion:
    """Draws the image again without each word, and maps what has changed.

    Causal by construction, slow, and out of distribution: no prompt leaves a hole in the softmax.
    After Zeiler and Fergus 2014 (arXiv 1311.2901), with a word in the place of a patch.

    Parameters
    ----------
    window
        Side of the square, in shares of the image's shorter one, over which the change is averaged:
        things keep pixels that are alike by chance.
    """

    window: float = 0.06

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation a word.

        Raises
        ------
        DaamkitError
            If the run has no image.
        """
        return [
            WordMap(self._change(run, again(Silence(word))), word, run.maps.size, run.image)
            for word in words
        ]

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
