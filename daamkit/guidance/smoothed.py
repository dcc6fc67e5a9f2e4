"""Smoothed Energy Guidance: away from what the model makes of blurred self-attention
(Hong 2024, arXiv 2408.00760)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from daamkit.edits.blur import Blur, check
from daamkit.edits.edit import Edit
from daamkit.guidance.perturbed import Perturbation


@dataclass(eq=False)
class SmoothedEnergyGuidance(Perturbation):
    """Guide away from what the model predicts if neighbouring cells attend alike.

    In the chosen layers the extra pass's queries are blurred over the grid, which blurs the
    attention's logits and lowers the curvature of its energy (section 4). It takes one more
    conditional pass per step, and needs no gradients and no text.

    Parameters
    ----------
    scale
        How far; the paper fixes 3.0 and varies sigma. With 0 the image is the unguided one, and
        the distances are still noted.
    layers
        A group of sites ("mid", the default for Stable Diffusion and the paper's choice), a part of
        their names ("up_blocks.1"), or several: see `edits.layers.meant`.
    sigma
        Standard deviation of the blur, in cells of the layer's own grid. The default, infinity, is
        the paper's limit: all cells share the mean query, on a grid of any size.

    Raises
    ------
    DaamkitError
        If sigma is not above 0. When the pipeline is called: if there is no self-attention in these
        layers.

    Notes
    -----
    Each step notes distance, the norm of e_c - e_p, the conditional prediction less that of the
    extra pass. For the kernel see `edits.blur.blur`.
    """

    sigma: float = math.inf

    def __post_init__(self) -> None:
        check(self.sigma)

    def settings(self) -> dict[str, Any]:
        infinite = {"sigma": "infinity"} if math.isinf(self.sigma) else {}  # JSON has no infinity
        return super().settings() | infinite

    def perturbation(self) -> Edit:
        """Blurred queries."""
        return Blur(self.sigma, layers=self.layers)
