"""Optimizers that PyTorch lacks or implements differently: TensorFlow's RMSProp, and Muon combined with AdamW."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

Group = dict[str, Any]  # as torch keeps it: "params", and settings of any type

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic x -> a x + b x^3 + c x^5 (K. Jordan). Applied five times, it maps every x from 0.002 to 1 to 0.68 to 1.21."""

ADAM_SIZE = 0.2
"""Root mean square of an AdamW step at a learning rate of 1, measured in arXiv 2502.16982, section 2.2."""


class OptimizerBase(torch.optim.Optimizer, ABC):
    """Shared `step`: calls `update` with the parameters of each group that have a gradient."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self.update(weights, [p.grad for p in weights], group)
        return loss

    @abstractmethod
    def update(self, weights: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        """Updates `weights` in place from their `gradients` and the settings of their `group`."""

    def state_of(self, weights: list[Tensor], name: str, initial: float = 0.0) -> list[Tensor]:
        """The tensor that is stored for each weight as `name` from step to step; at first filled with `initial`."""
        for p in weights:
            if name not in self.state[p]:
                self.state[p][name] = torch.full_like(p, initial)
        return [self.state[p][name] for p in weights]


class TensorFlowRMSProp(OptimizerBase):
    """tf.train.RMSPropOptimizer, not centered: the optimizer that MobileNet was trained with.

    ms = decay ms + (1 - decay) g^2; mom = momentum mom + lr g / sqrt(ms + epsilon); w -= mom. It differs from
    ``torch.optim.RMSprop`` in three ways: ms starts at 1, epsilon is inside the root, and the momentum accumulates steps that
    are already scaled by the learning rate of their time. `weight_decay` adds weight_decay w to g, the gradient of an L2 loss.
    """

    def __init__(
        self, params: ParamsT, lr: float, decay: float, momentum: float, epsilon: float, weight_decay: float = 0.0
    ) -> None:
        settings = {"lr": lr, "decay": decay, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(params, settings)

    def update(self, weights: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        mean_squares = self.state_of(weights, "mean_square", 1.0)
        torch._foreach_mul_(mean_squares, group["decay"])
        torch._foreach_addcmul_(mean_squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(mean_squares, group["epsilon"])
        torch._foreach_sqrt_(roots)
        moments = self.state_of(weights, "momentum")
        torch._foreach_mul_(moments, group["momentum"])
        torch._foreach_addcdiv_(moments, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, moments)


class Muon(OptimizerBase):
    """Muon for matrices, AdamW for everything else, under one learning rate and one decoupled weight decay.

    A weight is a matrix of its outputs by all of its inputs. v = momentum v + (1 - momentum) g, and with
    u = (1 - momentum) g + momentum v (Nesterov), w -= lr (weight_decay w + 0.2 sqrt(longer side) orthogonal(u)). All directions
    of the gradient get the same weight, in steps as large as AdamW's (K. Jordan, "Muon", 2024; arXiv 2502.16982, section 2.2).

    The parameters of a group are matrices if its ``matrices`` is true: then all must have at least 2 dimensions.
    """

    def __init__(
        self, params: ParamsT, lr: float, momentum: float, steps: int, betas: tuple[float, float], epsilon: float
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "steps": steps,
            "betas": betas,
            "epsilon": epsilon,
            "weight_decay": 0.0,
            "matrices": False,
            "steps_done": 0,
        }
        super().__init__(params, settings)

    def update(self, weights: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        (self.update_matrices if group["matrices"] else self.update_others)(weights, gradients, group)

    def update_matrices(self, weights: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        moments = self.state_of(weights, "momentum")
        torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, moments, group["momentum"])
        for weight, update in zip(weights, updates, strict=True):
            matrix = update.flatten(1)
            size = ADAM_SIZE * max(matrix.shape) ** 0.5
            weight.add_(orthogonal(matrix, group["steps"]).view(weight.shape), alpha=-group["lr"] * size)

    def update_others(self, weights: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        means, squares = self.state_of(weights, "mean"), self.state_of(weights, "square")
        first, second = group["betas"]
        group["steps_done"] += 1
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, (1 - second ** group["steps_done"]) ** 0.5)
        torch._foreach_add_(roots, group["epsilon"])
        torch._foreach_addcdiv_(weights, means, roots, -group["lr"] / (1 - first ** group["steps_done"]))


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """The matrix (A, B) with its singular values moved near 1 by `steps` of a Newton-Schulz iteration in bfloat16."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = (wide / wide.norm().clamp_min(1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide is matrix else x.T).to(matrix.dtype)
