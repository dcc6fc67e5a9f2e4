"""A pass's inputs with other vectors in the place of its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.errors import DaamkitError

# As text encoders make them, by the denoiser's argument that they stand in.
Vectors = Mapping[str, Float[Tensor, "_ channels"]]


def reworded(
    now: Pass, inputs: dict[str, Any], vectors: Sequence[Vectors | None]
) -> dict[str, Any]:
    """Inputs whose texts in some rows begin with other vectors. There pooled text is zeros, and no
    more is read of texts that have a mask.

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
        If a text is shorter.
    """
    made = dict(inputs)
    for name in {name for each in vectors for name in each or ()}:
        given = inputs[name]
        own = [None if each is None else each.get(name) for each in vectors]
        _require(given, [each for each in own if each is not None])
        rows = [
            row if each is None else torch.cat([each.to(row), row[len(each) :]])
            for row, each in zip(given, own, strict=True)
        ]
        made[name] = torch.stack(rows) if isinstance(given, Tensor) else rows
    for text in now.family.concepts.texts:
        if text.mask:
            made[text.mask] = mask = inputs[text.mask].clone()
            for row, each in enumerate(vectors):
                if each is not None:
                    mask[row] = 0
                    mask[row, : len(each.get(text.argument, ()))] = 1
    for name in ("pooled_projections", "pooled_embeds"):
        if isinstance(inputs.get(name), Tensor):
            made[name] = inputs[name].clone()
            made[name][[each is not None for each in vectors]] = 0
    return made


def _require(given: Sequence[Tensor] | Tensor, vectors: Sequence[Tensor]) -> None:
    """Refuse a text that has not as many places."""
    longest = max(map(len, vectors))
    if min(map(len, given)) < longest:
        raise DaamkitError(
            wanted=f"a text of {longest} places or more, to put concepts in their places",
            got=f"one of {min(map(len, given))}",
            mend="name fewer concepts, or leave them out for this model",
        )


def pools(denoiser: Any) -> bool:
    """Whether a model is given pooled text."""
    config = denoiser.config
    beside = str(config.get("addition_embed_type"))
    return bool(config.get("pooled_projection_dim")) or beside.startswith("text")


def pooled_width(inputs: Mapping[str, Any]) -> int:
    """Channels of the pooled text in a pass's inputs.

    Raises
    ------
    DaamkitError
        If there is none.
    """
    place = _pooled(inputs)
    if place is None:
        raise DaamkitError(
            wanted="a model that is given pooled text",
            got="one that is given none",
            mend="leave 'pooled' out for this model",
        )
    return int(place[0][place[1]].shape[1])


def repooled(
    inputs: dict[str, Any], vectors: Mapping[int, Float[Tensor, " width"] | None]
) -> dict[str, Any]:
    """Inputs with another pooled text in some rows.

    Parameters
    ----------
    inputs
        Of a pass; they are not changed.
    vectors
        By row; None: as it is.
    """
    given = {row: each for row, each in vectors.items() if each is not None}
    place = _pooled(inputs)
    if not given or place is None:
        return inputs
    held, name = place
    changed = held[name].clone()
    for row, vector in given.items():
        changed[row] = vector.to(changed)
    held = {**held, name: changed}
    return held if name == "pooled_projections" else inputs | {"added_cond_kwargs": held}


def _pooled(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """What holds a pass's pooled text, and by which name: SD3 and Flux, and SDXL."""
    beside = inputs.get("added_cond_kwargs") or {}
    for held, name in ((inputs, "pooled_projections"), (beside, "text_embeds")):
        if isinstance(held.get(name), Tensor):
            return dict(held), name
    return None
