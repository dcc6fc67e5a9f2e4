"""Attention between cells carries a word's map over its thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch.nn import functional as F

from daamkit.attribution.method import Again, UnsuitedError
from daamkit.errors import DaamkitError
from daamkit.maps.pooling import Pooling
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word


@dataclass(frozen=True)
class Propagation:
    """DAAM's map, multiplied by a power of self-attention.

    With S the self-attention of the finest grid that was kept, a mean over heads, layers and steps
    whose rows sum to 1, and m a word's map on that grid, the map is S^power m (Nguyen et al. 2023,
    "Dataset Diffusion", arXiv 2309.14303, equation 5).

    Parameters
    ----------
    power
        How often the map is carried on; 4 is the paper's.
    rule
        How cross-attention is pooled.

    Raises
    ------
    DaamkitError
        If the power is not above 0; `UnsuitedError` if the run kept no self-attention.
    """

    self_attention: ClassVar[bool] = True
    power: int = 4
    rule: Pooling = "daam"

    def __post_init__(self) -> None:
        if self.power < 1:
            raise DaamkitError(
                wanted="a `power` from 1", got=f"{self.power}", mend="take the paper's, 4"
            )

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """Nothing is drawn again."""
        if "cond" not in run.self_attention:
            raise UnsuitedError(
                wanted="a run with self-attention",
                got="one without",
                mend="trace with `self_attention=True`",
            )
        looks = run.self_attention["cond"].features()  # (cells looked at, y, x)
        step = looks.flatten(1).T.double()
        step = step / step.sum(-1, keepdim=True)  # text has a share in a joint softmax
        carry = torch.linalg.matrix_power(step, self.power).float()
        grid, found = (looks.shape[1], looks.shape[2]), []
        for own in (run.maps.of(word, rule=self.rule) for word in words):
            small = F.adaptive_avg_pool2d(own.values[None], grid)
            found.append(replace(own, values=(carry @ small.flatten()).reshape(grid)))
        return found
