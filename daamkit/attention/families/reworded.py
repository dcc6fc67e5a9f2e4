"""A pass's inputs with other vectors in the place of its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.errors import DaamkitError

Vectors = Float[Tensor, "_ channels"]  # as text encoders make them


def reworded(
    now: Pass, inputs: dict[str, Any], vectors: Sequence[Vectors | None]
) -> dict[str, Any]:
    """Inputs whose text in some rows begins with other vectors; there its pooled text is zeros.

    Parameters
    ----------
    now
        The pass whose inputs they are, or those of some of its rows.
    inputs
        They are not changed.
    vectors
        For each row of the inputs; None: as it is.

    Raises
    ------
    DaamkitError
        If the text is not one input, or shorter.
    """
    name = next((name for name, each in now.inputs.items() if each is now.text[0]), None)
    given = inputs[name] if name is not None else ()
    longest = max(len(each) for each in vectors if each is not None)
    if name is None or min(map(len, given)) < longest:
        raise DaamkitError(
            wanted=f"a text of {longest} places or more, to put concepts in their places",
            got="one that is kept otherwise or is shorter",
            mend="name fewer concepts, or leave them out for this model",
        )
    rows = [
        row if own is None else torch.cat([own.to(row), row[len(own) :]])
        for row, own in zip(given, vectors, strict=True)
    ]
    made = inputs | {name: torch.stack(rows) if isinstance(given, Tensor) else rows}
    if isinstance(inputs.get("pooled_projections"), Tensor):
        pooled = inputs["pooled_projections"].clone()
        pooled[[own is not None for own in vectors]] = 0
        made["pooled_projections"] = pooled
    return made
