"""Muon: momentum whose matrices are made orthogonal, for convolutions that are matrices, as nearly all of MobileNet's are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic x -> a x + b x^3 + c x^5 (K. Jordan). Five of them bring every x from 0.002 to 1 to within 0.68 and 1.21."""

ADAM_SIZE = 0.2
"""Root mean square of an AdamW step at a learning rate of 1, as measured in arXiv 2502.16982, section 2.2."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices, AdamW for everything else, under one learning rate and one decoupled weight decay.

    For a weight seen as a matrix of its outputs by all of its inputs: v = momentum v + (1 - momentum) g, then, u being
    (1 - momentum) g + momentum v (Nesterov), w -= lr (weight_decay w + 0.2 sqrt(longer side) orthogonal(u)): every direction
    of the gradient weighs alike, in steps as large as AdamW's (K. Jordan, "Muon", 2024; arXiv 2502.16982, section 2.2).

    A parameter group is of matrices where its ``matrices`` is true: then all must have 2 dimensions at least.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.95,
        steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not (0 <= momentum < 1 and steps >= 1 and all(0 <= beta < 1 for beta in betas) and epsilon > 0):
            raise ValueError(f"Muon: momentum {momentum} and betas {betas} must be 0 to below 1, steps {steps} at least 1, "
                             f"epsilon {epsilon} above 0")  # fmt: skip
        settings = {"lr": lr, "momentum": momentum, "steps": steps, "betas": betas, "epsilon": epsilon,
                    "weight_decay": weight_decay, "matrices": False}  # fmt: skip
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                (self.turn if group["matrices"] else self.adapt)(weights, group)
        return loss

    def turn(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        moments, gradients = self.states(weights, "momentum"), gradients_of(weights)
        torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, moments, group["momentum"])
        for weight, update in zip(weights, updates, strict=True):
            matrix = update.flatten(1)
            size = ADAM_SIZE * max(matrix.shape) ** 0.5
            weight.add_(orthogonal(matrix, group["steps"]).view(weight.shape), alpha=-group["lr"] * size)

    def adapt(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        means, squares, gradients = self.states(weights, "mean"), self.states(weights, "square"), gradients_of(weights)
        first, second = group["betas"]
        group["taken"] = group.get("taken", 0) + 1
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, (1 - second ** group["taken"]) ** 0.5)
        torch._foreach_add_(roots, group["epsilon"])
        torch._foreach_addcdiv_(weights, means, roots, -group["lr"] / (1 - first ** group["taken"]))

    def states(self, weights: list[Tensor], name: str) -> list[Tensor]:
        for p in weights:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in weights]


def gradients_of(weights: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in weights if p.grad is not None]


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """The matrix (A, B) with its singular values brought near 1, by `steps` of a Newton-Schulz iteration in bfloat16."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = (wide / wide.norm().clamp_min(1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide is matrix else x.T).to(matrix.dtype)
