"""Maps that know nothing of a word, beside those of `localisation.controls`."""

from __future__ import annotations

from dataclasses import replace

import torch

from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap

NAMES = ("centre prior", "smooth noise", "other word", "permuted", "self-attention")


def of_values(run: Run, own: WordMap, seed: int) -> dict[str, WordMap]:
    """A word's own map with its cells in another order, "permuted", and where cells look that look
    at cells, "self-attention": `SelfMaps.received`.

    Parameters
    ----------
    run
        With self-attention.
    own
        The word's map.
    seed
        Of the order; give each image another.
    """
    rng = torch.Generator().manual_seed(seed)
    flat = own.values.flatten()
    order = torch.randperm(len(flat), generator=rng, device="cpu").to(flat.device)
    looked = run.self_attention["cond"].received().float()
    return {
        "permuted": replace(own, values=flat[order].reshape(own.values.shape)),
        "self-attention": replace(own, values=looked),
    }
