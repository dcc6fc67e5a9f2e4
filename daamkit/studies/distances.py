"""How far pictures of the toy world are apart, place by place: three ways to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from daamkit.measures import faithfulness
from daamkit.toybox import oracle

DISTANCES = ("colours", "latents", "perceptual")
WORLD = 1  # of the oracle that sees: the toy worlds have one look


@dataclass(frozen=True)
class Views:
    """Pictures, as each distance sees them.

    Attributes
    ----------
    colours
        From 0 to 1.
    latents
        What they were decoded from; None where that is not known, and no distance.
    features
        What the oracle of `WORLD` sees, layer by layer. It was taught no distance.
    """

    colours: Float[np.ndarray, "pictures height width 3"]
    latents: Float[np.ndarray, "pictures channels y x"] | None
    features: list[Float[np.ndarray, "pictures _ _ _"]]


@torch.inference_mode()
def views(
    pictures: Sequence[Image.Image], latents: Float[Tensor, "pictures channels y x"] | None = None
) -> Views:
    """Pictures of one size, whose sides are multiples of 16."""
    colours = np.stack([np.asarray(each.convert("RGB"), np.float32) / 255 for each in pictures])
    seen = oracle.trained(WORLD).encode(torch.from_numpy(colours).permute(0, 3, 1, 2) * 2 - 1)
    known = None if latents is None else latents.float().cpu().numpy()
    return Views(colours, known, [each.numpy() for each in seen])


def apart(one: Views, others: Views) -> dict[str, Float[np.ndarray, "pictures y x"]]:
    """How far pictures are from one, by the names in `DISTANCES`: mean absolute differences of
    colours and of latents, and `measures.faithfulness.perceptual`."""
    found = {"colours": np.abs(others.colours - one.colours).mean(3)}
    if one.latents is not None and others.latents is not None:
        found["latents"] = np.abs(others.latents - one.latents).mean(1)
    return found | {"perceptual": faithfulness.perceptual(one.features, others.features)}
