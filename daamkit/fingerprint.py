"""Which model it was: a digest of all parts that decide a picture, cheap enough for every call.

Of each part the class, its settings, the plain attributes of its modules (FreeU's factors, scales
of adapters, processors), and the weights: tensors of up to `WHOLE` bytes to the last byte, larger
ones by `BLOCKS` blocks and their end. What the weights gave is kept until one of them is exchanged,
changed in place, or differs in the few elements that are looked at each time: a change of part of
a large tensor behind PyTorch's back (``weight.data[...] = ...``) can pass unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from daamkit import compat

WHOLE = 2**20  # bytes
BLOCKS, LENGTH, END = 16, 512, 4096  # of a larger tensor: evenly spread, elements each, of the end
GLANCE = 8  # elements of each tensor that are compared at every call
LEFT_OUT = ("safety_checker", "feature_extractor", "image_processor")  # they draw nothing
# Of settings: where somebody's files lie and which version saved them decides no picture.
INCIDENTAL = {"transformers_version", "dtype", "torch_dtype", "architectures"}
INCIDENTAL_ATTRIBUTES = {"gradient_checkpointing", "name_or_path", "warnings_issued"}

_WEIGHTS: WeakKeyDictionary[nn.Module, tuple[Any, str]] = WeakKeyDictionary()
_VOCABULARIES: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()


def model_facts(pipe: Any) -> dict[str, Any]:
    """The digest of a pipeline, those of its parts, and what is set on them.

    Parameters
    ----------
    pipe
        A diffusers pipeline; weights that are offloaded are read where they lie.

    Returns
    -------
    told
        fingerprint, 16 characters; parts, the same by component, None where weights lie nowhere
        that can be read ("meta"), and then the fingerprint is None too; adapters, by component,
        their scales by name; freeu, its factors by component.
    """
    modules: dict[str, nn.Module] = {}
    parts: dict[str, str | None] = {}
    for name, part in sorted(pipe.components.items()):
        if name in LEFT_OUT:
            continue
        if isinstance(part, nn.Module):
            part = compat.uncompiled(part)
            modules[name] = part
            weights = _weights(part)
            parts[name] = weights and _digest(_settings(part), _attributes(part), weights)
        elif hasattr(part, "get_vocab"):
            parts[name] = _digest(type(part).__name__, _vocabulary(part))
    adapters = {name: found for name, part in modules.items() if (found := _adapters(part))}
    freeu = {name: found for name, part in modules.items() if (found := _freeu(part))}
    whole = _digest(json.dumps(parts)) if all(parts.values()) else None
    return {"fingerprint": whole, "parts": parts, "adapters": adapters, "freeu": freeu}


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


# -- settings


def _settings(part: nn.Module) -> str:
    config = getattr(part, "config", {})
    config = config.to_dict() if hasattr(config, "to_dict") else config
    named = dict(config) if isinstance(config, Mapping) else {}
    kept = {k: v for k, v in named.items() if k[:1] != "_" and k not in INCIDENTAL}
    return type(part).__name__ + json.dumps(kept, sort_keys=True, default=str)


def _attributes(part: nn.Module) -> str:
    """What is set on the modules, and on their attention processors, that is plain data."""
    rows = []
    for name, module in part.named_modules():
        rows.append((name, type(module).__name__, _plain(module)))
        processor = vars(module).get("processor")
        if processor is not None:
            rows.append((name, type(processor).__name__, _plain(processor)))
    return repr(rows)


def _plain(thing: Any) -> list[tuple[str, str]]:
    """Numbers and texts, also in lists and mappings, by name; no caches, nothing private."""
    found = [
        (name, repr(value))
        for name, value in getattr(thing, "__dict__", {}).items()
        if name[0] != "_"
        and _is_plain(value)
        and "cache" not in name
        and name not in INCIDENTAL_ATTRIBUTES
    ]
    return sorted(found)


def _is_plain(value: Any) -> bool:
    if isinstance(value, bool | int | float | str):
        return True
    if isinstance(value, Mapping):
        return all(_is_plain(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return False


def _vocabulary(tokenizer: Any) -> str:
    """A digest of the tokens and of what is read around a text."""
    many, known = len(tokenizer), _VOCABULARIES.get(tokenizer)
    if known is None or known[0] != many:
        tokens = json.dumps(sorted(tokenizer.get_vocab().items()))
        known = _VOCABULARIES[tokenizer] = (many, _digest(tokens))
    ends = [getattr(tokenizer, f"{end}_token", None) for end in ("bos", "eos", "pad", "unk")]
    return repr((known[1], ends, getattr(tokenizer, "model_max_length", None)))


# -- what a reader asks for


def _adapters(part: nn.Module) -> dict[str, Any]:
    """Adapters that are active, with their scales: LoRA layers, processors of IP-Adapter."""
    found: dict[str, set[float]] = {}
    for module in part.modules():
        own = vars(module)  # a module's `getattr` is slow where there is nothing
        scales = own.get("scaling")
        if isinstance(scales, Mapping) and not getattr(module, "disable_adapters", False):
            active = getattr(module, "active_adapters", None) or scales
            for name in active:
                found.setdefault(str(name), set()).add(float(scales.get(name, 0.0)))
        processor = own.get("processor", own["_modules"].get("processor"))
        scale = getattr(processor, "scale", None)
        if scale is not None and "Adapter" in type(processor).__name__:
            each = scale if isinstance(scale, list | tuple) else [scale]
            numbers = {float(s) for s in each if isinstance(s, int | float)}
            found.setdefault("ip_adapter", set()).update(numbers)
    return {name: sorted(scales) for name, scales in found.items()}


def _freeu(part: nn.Module) -> dict[str, float]:
    """FreeU's factors, where it is on."""
    for module in part.modules():
        factors = {name: vars(module).get(name) for name in ("s1", "s2", "b1", "b2")}
        if all(isinstance(value, int | float) for value in factors.values()):
            return {name: float(value) for name, value in factors.items() if value is not None}
    return {}


# -- weights


def _tensors(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights and saved buffers by name; of offloaded ones, the copy that waits."""
    for prefix, module in part.named_modules():
        for name, value in compat.saved_tensors(module):
            yield f"{prefix}.{name}", _waiting(module, name) if value.is_meta else value


def _waiting(module: nn.Module, name: str) -> Tensor:
    """Where accelerate keeps a weight that is on "meta" between passes; else as it is."""
    hook = compat.offloading(module)
    for each in getattr(hook, "hooks", [hook]):
        try:
            return each.weights_map[name]
        except (AttributeError, LookupError, TypeError):
            continue
    return getattr(module, name)


def _weights(part: nn.Module) -> str | None:
    """A digest of all weights, taken again only if they are not the ones that were seen."""
    tensors = list(_tensors(part))
    if any(value.is_meta for _, value in tensors):
        return None
    seen = _seen(tensors)
    known = _WEIGHTS.get(part)
    if known is None or known[0] != seen:
        digest = hashlib.sha256()
        for name, value in tensors:
            _add(digest, name, value)
        known = _WEIGHTS[part] = (seen, digest.hexdigest())
    return known[1]


def _seen(tensors: list[tuple[str, Tensor]]) -> Any:
    """What changes if a weight is exchanged or written to: it, its version, some elements."""
    places = [(name, id(value), compat.writes(value)) for name, value in tensors]
    glances: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    with torch.no_grad():
        for _, value in tensors:
            if type(value.data) is Tensor and value.is_contiguous():
                size = min(value.numel(), GLANCE)
                last = value.storage_offset() + value.numel() - size
                part = value.as_strided((size,), (1,), last)
                glances.setdefault((value.device, value.dtype), []).append(part)
        parts = [torch.cat(each).view(torch.uint8).cpu() for each in glances.values()]
    return places, [part.numpy().tobytes() for part in parts]


def _add(digest: Any, name: str, value: Tensor) -> None:
    digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
    if hasattr(value, "__tensor_flatten__") and type(value.data) is not Tensor:  # quantized
        for inner in value.__tensor_flatten__()[0]:
            _add(digest, inner, getattr(value, inner))
        return
    flat = value.detach().reshape(-1)
    if flat.numel() * flat.element_size() > WHOLE:
        far = flat.numel() - END
        starts = [i * far // BLOCKS for i in range(BLOCKS)]
        flat = torch.cat([*(flat[i : i + LENGTH] for i in starts), flat[far:]])
    digest.update(flat.contiguous().view(torch.uint8).cpu().numpy())
