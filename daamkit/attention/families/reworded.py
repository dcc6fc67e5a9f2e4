"""A pass's inputs with other vectors in the place of its text."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from daamkit.errors import DaamkitError


def reworded(
    inputs: dict[str, Any], row: int, vectors: Float[Tensor, "places channels"]
) -> dict[str, Any]:
    """Inputs whose text in one row begins with other vectors; its pooled text is zeros.

    Parameters
    ----------
    inputs
        Of a pass; they are not changed.
    row
        Which row of the batch.
    vectors
        As the text encoders make them.

    Raises
    ------
    DaamkitError
        If the text is not one tensor, or shorter.
    """
    given = inputs.get("encoder_hidden_states")
    if not isinstance(given, Tensor) or given.ndim != 3 or given.shape[1] < len(vectors):
        raise DaamkitError(
            wanted=f"a text of {len(vectors)} places or more, to put concepts in their places",
            got="one that is kept otherwise or is shorter",
            mend="name fewer concepts, or leave them out for this model",
        )
    made = inputs | {"encoder_hidden_states": given.clone()}
    made["encoder_hidden_states"][row, : len(vectors)] = vectors.to(given)
    if isinstance(inputs.get("pooled_projections"), Tensor):
        made["pooled_projections"] = inputs["pooled_projections"].clone()
        made["pooled_projections"][row] = 0
    return made
