"""What a model hands to `scaled_dot_product_attention`, seen by other means than daamkit's."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Calls(TorchFunctionMode):
    """Keeps an explicit float64 softmax of each call of the kernel within a denoiser's pass.

    Attributes
    ----------
    passes
        For each pass: the probabilities, (rows, heads, queries, keys), in the order of the calls.
    """

    def __init__(self, denoiser: torch.nn.Module) -> None:
        super().__init__()
        self.passes: list[list[Tensor]] = []
        self.inside = False
        self.handles = [
            denoiser.register_forward_pre_hook(self._enter),
            denoiser.register_forward_hook(self._leave),
        ]

    def _enter(self, *_):
        self.inside = True
        self.passes.append([])

    def _leave(self, *_):
        self.inside = False

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()
        return super().__exit__(*error)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and self.inside:
            names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
            given = dict(zip(names, args, strict=False)) | kwargs
            query, key, mask = given["query"], given["key"], given.get("attn_mask")
            scale = given.get("scale") or 1 / math.sqrt(query.shape[-1])
            scores = query.double() @ key.double().transpose(-1, -2) * scale
            if mask is not None and mask.dtype == torch.bool:
                scores = scores.masked_fill(~mask, -math.inf)
            elif mask is not None:
                scores = scores + mask.double()
            self.passes[-1].append(scores.softmax(-1))
        return func(*args, **kwargs)
