"""Denoisers that cannot be guided as they are, and what is to be done about it."""

from __future__ import annotations

from typing import Any

from daamkit import compat
from daamkit.errors import DaamkitError


def caches(component: str, denoiser: Any) -> None:
    """Refuse a denoiser that remembers earlier passes: extra ones would read and spoil that."""
    for hook, known in compat.model_hooks(denoiser).items():
        if compat.remembers(known):
            raise DaamkitError(
                wanted="a denoiser whose passes are each computed whole",
                got=f"one with a cache of features ({hook})",
                mend=f"call `pipe.{component}.disable_cache()`",
            )


def forgetting(component: str, denoiser: Any, method: str) -> None:
    """Refuse a denoiser through whose pass no gradient goes back."""
    hooks = compat.model_hooks(denoiser)
    if getattr(denoiser, "is_gradient_checkpointing", False):
        got = "gradient checkpointing, which computes parts of it again"
        mend = f"call `pipe.{component}.disable_gradient_checkpointing()`"
    elif "layerwise_casting" in hooks:
        got = "layerwise casting, which takes a layer's weights back as soon as it has run"
        mend = "load the model without `enable_layerwise_casting`"
    elif "group_offloading" in hooks:
        got = "offloading in groups, which takes a layer's weights away as soon as it has run"
        mend = "load the model without it, or with `pipe.enable_model_cpu_offload()`"
    else:
        return
    raise DaamkitError(
        wanted=f"gradients as the denoiser's pass leaves them, for {method}", got=got, mend=mend
    )
