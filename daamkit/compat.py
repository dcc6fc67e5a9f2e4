"""What daamkit uses of diffusers, torch and NLTK that they do not promise, each with its reason.

A new release may take any of it away. Nothing else in daamkit touches a name of theirs that begins
with an underscore, and ``tests/test_compat.py`` has a test for each entry, which says what broke.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# -- torch


def is_compiled(module: Any) -> bool:
    """Whether `torch.compile` or `Module.compile` wrapped a module, which then ignores later hooks.

    torch tells nobody: the wrapper keeps the module as ``_orig_mod``, `Module.compile` what it has
    compiled as ``_compiled_call_impl``.
    """
    return getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")


def uncompiled(module: Any) -> Any:
    """The module within `torch.compile`'s wrapper, or the module itself: to tell what kind it is
    before it is refused."""
    return getattr(module, "_orig_mod", module)


def lerp(tensors: Sequence[Any], others: Sequence[Any], weight: float) -> None:
    """Move each of many tensors towards another, in place: a moving average of weights.

    `torch.lerp` takes one pair at a time; this is how torch's own averaged models do all at once.
    """
    import torch

    torch._foreach_lerp_(list(tensors), list(others), weight)


def clear_hooks(module: Any) -> None:
    """Take off all hooks that run after a module, whoever has their handles.

    torch removes a hook by its handle alone, and the pipeline that is put together of trained parts
    is not where the handle is kept.
    """
    module._forward_hooks.clear()


def saved_tensors(module: Any) -> Iterator[tuple[str, Any]]:
    """A module's own parameters and the buffers that are saved with it, by name.

    ``state_dict`` tells these, but copies hooks' work and walks all modules below; only
    ``_non_persistent_buffers_set`` says which buffers it would leave out.
    """
    for name, value in (*module._parameters.items(), *module._buffers.items()):
        if value is not None and name not in module._non_persistent_buffers_set:
            yield name, value


def writes(tensor: Any) -> int | None:
    """How often a tensor was written to in place; None where torch does not count (inference)."""
    return None if tensor.is_inference() else int(tensor._version)


# Where torch keeps a module's hooks. A handle's `remove` comes too late where an interrupt falls
# between registering and keeping the handle; and a deep copy of a module copies its hooks.
# The dicts that tell a hook's number come last: an interrupted removal can be made again.
_BEFORE = ("_forward_pre_hooks_with_kwargs", "_forward_pre_hooks")
_AFTER = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_hooks")


def drop_hooks(module: Any, hooks: Sequence[Any]) -> None:
    """Take forward hooks off a module by what they call."""
    for number in _numbers(module, hooks):
        for name in (*_BEFORE, *_AFTER):
            getattr(module, name).pop(number, None)


def state_without(module: Any, hooks: Sequence[Any]) -> dict[str, Any]:
    """A module's attributes, as a copy of it has them, without some of its hooks."""
    dropped, state = _numbers(module, hooks), dict(vars(module))
    for name in (*_BEFORE, *_AFTER):
        kept = {number: each for number, each in state[name].items() if number not in dropped}
        state[name] = type(state[name])(kept)
    return state


def _numbers(module: Any, hooks: Sequence[Any]) -> list[int]:
    kept = [*module._forward_pre_hooks.items(), *module._forward_hooks.items()]
    return [number for number, each in kept if each in hooks]


def flash_with_statistic(
    query: Any, key: Any, value: Any, mask: Any = None, scale: float | None = None
) -> tuple[Any, Any] | None:
    """Flash attention on a CPU and, of each query, the log-sum-exp of its products.

    `scaled_dot_product_attention` drops the second. It runs this very operator where its choice,
    which it makes in private, is flash attention; elsewhere this is None, and so it is where
    gradients or autocast are on.
    """
    import torch
    from torch.nn.attention import SDPBackend

    learning = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    if query.device.type != "cpu" or learning or torch.is_autocast_enabled("cpu"):
        return None
    chosen = torch._fused_sdp_choice(query, key, value, mask, 0.0, False, scale=scale)
    if chosen != SDPBackend.FLASH_ATTENTION.value:
        return None
    if mask is not None and mask.dtype == torch.bool:
        if mask.shape[-2] > 1:  # a query that may see no key has no log-sum-exp
            return None
        hidden = torch.zeros_like(mask, dtype=query.dtype)
        mask = hidden.masked_fill_(~mask, -torch.inf)
    run = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, statistic = run(query, key, value, 0.0, False, attn_mask=mask, scale=scale)
    return output, statistic


# -- diffusers and accelerate


def planned_passes(pipe: Any) -> int | None:
    """How many time steps the pipeline's running call has, None before it knows.

    ``pipe.num_timesteps`` is a property of many pipelines, not of all; each of them sets
    ``_num_timesteps``.
    """
    known = getattr(pipe, "_num_timesteps", None)
    return int(known) if known else None


def source(config: Any) -> str:
    """Where a pipeline or a part of one was loaded from: a folder, a Hub id, or "".

    Only the private entry ``_name_or_path`` of a config says so.
    """
    return str(config.get("_name_or_path") or "") if isinstance(config, Mapping) else ""


def offloading(module: Any) -> Any:
    """accelerate's hook on a module whose weights wait elsewhere between passes, or None.

    accelerate has a function to add and one to remove it, none to see it: ``_hf_hook``.
    """
    return getattr(module, "_hf_hook", None)


def is_solver(scheduler: Any) -> bool:
    """Whether a scheduler has sigmas but denoises unscaled samples: DPM-Solver, DEIS, UniPC, ...

    No setting says so; those that do convert sigmas with ``_sigma_to_alpha_sigma_t``.
    """
    return hasattr(scheduler, "_sigma_to_alpha_sigma_t")


# -- NLTK


def base_forms(wordnet: Any, form: str, pos: str) -> list[str]:
    """All forms in WordNet that a word may be an inflection of, itself first if it is one.

    ``WordNetCorpusReader.morphy`` gives the first alone, and for "windows" that is an entry of its
    own (the system); ``_morphy`` gives all.
    """
    return list(wordnet._morphy(form, pos))


# -- ipywidgets


def let_go(widget: Any) -> None:
    """Let a widget end with its last name, and what it holds with it.

    ipywidgets keeps every widget in ``_instances`` until it is closed, and its comm a bound method
    of it: a cell that is run again and again keeps all that its widgets have held. Here both look
    at the widget without holding it. The page's side stays as it is when the widget ends.
    """
    from ipywidgets.widgets import widget as registry

    name, alive = widget.model_id, weakref.ref(widget)

    def hear(message: Any) -> None:
        own = alive()
        if own is not None:
            own._handle_msg(message)

    registry._instances[name] = weakref.proxy(widget)
    weakref.finalize(widget, registry._instances.pop, name, None)
    widget.comm.on_msg(hear)
