"""An optimizer that learns from fewer samples: Muon for matrices, AdamW for all else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM, ROUNDS = 0.95, 5
COEFFICIENTS = (3.4445, -4.775, 2.0315)  # of the quintic of Jordan's Muon
SCALE = 0.2  # a matrix's steps are then as long as AdamW's, and share its rate and decay


class Muon(torch.optim.AdamW):
    """AdamW whose steps of `matrices` are made orthogonal (K. Jordan 2024, scaled as in arXiv
    2502.16982).

    A matrix's gradient, with Nesterov momentum, is replaced by the nearest matrix with orthonormal
    rows or columns, by five rounds of a Newton-Schulz iteration, in float32: `torch.optim.Muon`
    works in bfloat16, in which a CPU without AVX-512 takes tens of times as long.
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
        for matrix in group["params"]:
            if matrix.grad is not None:
                alike[tuple(sorted(matrix.shape))].append(matrix)
        for (_, longer), matrices in alike.items():
            wide = [matrix.shape[0] <= matrix.shape[1] for matrix in matrices]
            ahead = [self._ahead(matrix) for matrix in matrices]
            steps = orthogonal(
                torch.stack([g if is_wide else g.T for g, is_wide in zip(ahead, wide, strict=True)])
            )
            for matrix, step, is_wide in zip(matrices, steps, wide, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                way = step if is_wide else step.T
                matrix.add_(way, alpha=-group["lr"] * SCALE * longer**0.5)
                matrix.grad = None

    def _ahead(self, matrix: Tensor) -> Tensor:
        """The gradient with Nesterov momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(matrix)
            state["step"] = torch.zeros((), device=matrix.device)  # AdamW reads it when it resumes
        state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
        ahead: Tensor = matrix.grad.lerp(state["momentum"], MOMENTUM)
        return ahead


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, short, long) matrices with all singular values about 1 (0.7 to 1.2) and the same singular
    vectors; values below a thousandth of the matrix's norm stay smaller."""
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
