"""An optimizer that learns from fewer samples: Muon for matrices, AdamW for all else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daamkit.toybox.training import loop

MOMENTUM, ROUNDS = 0.95, 5
COEFFICIENTS = (3.4445, -4.775, 2.0315)  # of the quintic of Jordan's Muon
SCALE = 0.2  # a matrix's steps are then as long as AdamW's, and share its rate and decay


class Muon(torch.optim.AdamW):
    """AdamW whose steps of `matrices` are made orthogonal (K. Jordan 2024, scaled as in arXiv
    2502.16982). A convolution's weight counts as the matrix (out, in x height x width).

    A matrix's gradient, with Nesterov momentum, is replaced by the nearest matrix with orthonormal
    rows or columns, by five rounds of a Newton-Schulz iteration, in bfloat16 only where the machine
    is fast at it: `torch.optim.Muon` always works in it.
    """

    def __init__(
        self, matrices: Iterable[Tensor], others: Iterable[Tensor], lr: float, **options: Any
    ) -> None:
        groups = [
            {"params": list(matrices), "orthogonal": True},
            {"params": list(others), "orthogonal": False},
        ]
        super().__init__(groups, lr, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; the gradients of the matrices are used up."""
        for group in self.param_groups:
            if group["orthogonal"]:
                self._orthogonal_step(group)
        super().step()  # passes over what has no gradient left

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                alike[tuple(sorted(weight.flatten(1).shape))].append(weight)
        for (_, longer), weights in alike.items():
            wide = [weight.shape[0] < longer for weight in weights]
            ahead = [self._ahead(weight).flatten(1) for weight in weights]
            stacked = torch.stack(
                [g if is_wide else g.T for g, is_wide in zip(ahead, wide, strict=True)]
            )
            with loop.half(stacked.device):
                steps = orthogonal(stacked)
            for weight, step, is_wide in zip(weights, steps, wide, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                way = (step if is_wide else step.T).reshape(weight.shape)
                weight.add_(way, alpha=-group["lr"] * SCALE * longer**0.5)
                weight.grad = None

    def _ahead(self, weight: Tensor) -> Tensor:
        """The gradient with Nesterov momentum."""
        assert weight.grad is not None
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
            state["step"] = torch.zeros((), device=weight.device)  # AdamW reads it when it resumes
        state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        ahead: Tensor = weight.grad.lerp(state["momentum"], MOMENTUM)
        return ahead


def parted(
    model: nn.Module, blocks: Sequence[str], but: str | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """A model's parameters: weights within the blocks, but those named `but`, and all else
    (embeddings, biases, norms, what goes in and out)."""
    within: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        inside = any(block in name for block in blocks) and (but is None or but not in name)
        (within if inside and parameter.ndim > 1 else others).append(parameter)
    return within, others


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, short, long) matrices with all singular values about 1 (0.7 to 1.2) and the same singular
    vectors; values below a thousandth of the matrix's norm stay smaller."""
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
