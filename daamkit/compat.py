"""What daamkit uses of diffusers, torch and NLTK that they do not promise, each with its reason.

A new release may take any of it away. Nothing else in daamkit touches a name of theirs that begins
with an underscore, and ``tests/test_compat.py`` has a test for each entry, which says what broke.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# -- torch


def is_compiled(module: Any) -> bool:
    """Whether `torch.compile` or `Module.compile` wrapped a module, which then ignores later hooks.

    torch tells nobody: the wrapper keeps the module as ``_orig_mod``, `Module.compile` what it has
    compiled as ``_compiled_call_impl``.
    """
    return getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")


def uncompiled(module: Any) -> Any:
    """The module within `torch.compile`'s wrapper, or the module itself."""
    return getattr(module, "_orig_mod", module)


def compiler(wrapper: Any) -> str:
    """Which backend `torch.compile` was given for a module that it has wrapped; "" if unknown.

    Nothing public tells it: the wrapper keeps what it calls, each of which keeps what it wraps in
    turn (under another name before torch 2.7), down to the one that has the backend's name.
    """
    inner = getattr(getattr(wrapper, "dynamo_ctx", None), "callback", None)
    while inner is not None and not hasattr(inner, "compiler_name"):
        before = getattr(inner, "_torchdynamo_orig_callable", None)
        inner = getattr(inner, "_torchdynamo_orig_backend", before)
    return str(getattr(inner, "compiler_name", ""))


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


def with_statistic(
    query: Any, key: Any, value: Any, mask: Any = None, scale: float | None = None
) -> tuple[Any, Any] | None:
    """Fused attention and, of each query, the log-sum-exp of its products in float32.

    `scaled_dot_product_attention` drops the second. It runs these very operators, according to a
    choice that it makes in private: flash attention on a CPU or a GPU, memory-efficient attention,
    cuDNN's. Of a query that may see no key the second is 0. None where it chooses another (plain
    mathematics), where it would pad what it is given, and where autocast is on.
    """
    import torch
    from torch.nn.attention import SDPBackend

    device = query.device.type
    if device not in ("cpu", "cuda") or torch.is_autocast_enabled(device):
        return None
    chosen = torch._fused_sdp_choice(query, key, value, mask, 0.0, False, scale=scale)
    blind = None  # queries that may see no key
    if mask is not None and mask.dtype == torch.bool:
        blind = ~mask.any(-1)
        zeros = torch.zeros_like(mask, dtype=query.dtype)
        mask = zeros.masked_fill_(~mask, -torch.inf)
    aten, given = torch.ops.aten, (query, key, value)
    whole = query.shape[-1] % 8 == 0  # else it is filled up to that before flash attention
    if device == "cpu" and chosen == SDPBackend.FLASH_ATTENTION.value:
        run = aten._scaled_dot_product_flash_attention_for_cpu
        output, statistic = run(*given, 0.0, False, attn_mask=mask, scale=scale)
    elif device == "cpu":
        return None
    elif chosen == SDPBackend.FLASH_ATTENTION.value and whole:
        run = aten._scaled_dot_product_flash_attention
        output, statistic, *_ = run(*given, 0.0, False, False, scale=scale)
    elif chosen == SDPBackend.EFFICIENT_ATTENTION.value:
        if mask is not None:
            mask = _aligned(mask, query, key)
        run = aten._scaled_dot_product_efficient_attention
        output, statistic, *_ = run(*given, mask, True, 0.0, False, scale=scale)
    elif chosen == SDPBackend.CUDNN_ATTENTION.value:
        run = aten._scaled_dot_product_cudnn_attention
        output, statistic, *_ = run(*given, mask, True, 0.0, False, False, scale=scale)
        statistic = statistic.squeeze(-1) if statistic.ndim > query.ndim - 1 else statistic
    else:
        return None
    statistic = statistic[..., : query.shape[-2]].detach()
    return output, statistic if blind is None else statistic.masked_fill(blind, 0.0)


def _aligned(mask: Any, query: Any, key: Any) -> Any:
    """A mask as memory-efficient attention takes it: a row for each query, of a multiple of 16 in
    memory."""
    from torch.nn import functional as F

    more = -key.shape[-2] % 16
    if more:
        mask = F.pad(mask, (0, more))[..., : key.shape[-2]]
    return mask.expand(*query.shape[:3], key.shape[-2])


# -- diffusers and accelerate


def attention_backend(processor: Any) -> tuple[str, bool] | None:
    """The backend that an attention processor computes with, and whether that is the process's.

    Processors that can choose keep it as ``_attention_backend``; where that is None, a choice for
    the whole process counts, which is private too, and which `set_attention_backend` leaves behind.
    None for processors that have no choice.
    """
    if not hasattr(processor, "_attention_backend"):
        return None
    own, shared = processor._attention_backend, False
    dispatch: Any = sys.modules.get("diffusers.models.attention_dispatch")  # its processor's own
    if own is None and dispatch is not None:
        (own, _), shared = dispatch._AttentionBackendRegistry.get_active_backend(), True
    return str(getattr(own, "value", own or "native")), shared


@contextmanager
def in_one_precision(model: Any) -> Iterator[None]:
    """While it lasts, a class of models keeps no parts in float32 beside others.

    diffusers opens none that names such parts, in ``_keep_in_fp32_modules``, without accelerate;
    the name says nothing where all parts are float32.
    """
    kept = model._keep_in_fp32_modules
    try:
        model._keep_in_fp32_modules = None
        yield
    finally:
        model._keep_in_fp32_modules = kept


def interrupt(pipe: Any) -> None:
    """Let a pipeline end after this step, as diffusers' documentation does it: by ``_interrupt``,
    which pipelines with a property ``interrupt`` look at and reset when they are called."""
    pipe._interrupt = True


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


def model_hooks(model: Any) -> dict[str, Any]:
    """diffusers' own hooks on the modules of a model, one of each kind, by its name: layerwise
    casting, offloading in groups, caches of features.

    Each function of diffusers that adds one has its own way to take it off, none tells what is
    there: ``_diffusers_hook`` of each module.
    """
    found: dict[str, Any] = {}
    for module in model.modules():
        found |= getattr(vars(module).get("_diffusers_hook"), "hooks", {})
    return found


def remembers(hook: Any) -> bool:
    """Whether such a hook keeps something of one pass for the next: ``_is_stateful``."""
    return bool(hook._is_stateful)


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
