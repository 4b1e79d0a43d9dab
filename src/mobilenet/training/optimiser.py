"""Optimisers as values, the parameters that decay, and RMSProp with TensorFlow's arithmetic, which differs from PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from . import muon

Decayed = Literal["dense", "weights", "all_but_norms", "all"]
"""Which parameters weight decay shrinks. "dense": weights of full convolutions and of the classifier (TensorFlow-slim:
conv2d alone has a regulariser, depthwise convolutions, batch norm and biases have none). "weights": every convolution's and
the classifier's. "all_but_norms": biases too (torchvision's ``--norm-weight-decay 0``). "all": PyTorch's default."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, PyTorch's form: v = momentum v + g, w -= lr v; weight decay adds to g."""

    momentum: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True)
class RMSProp:
    """TensorFlow's RMSProp, see `TensorFlowRMSProp`; weight decay adds to the gradient, as an L2 loss does."""

    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1.0


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101), PyTorch's form."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Muon:
    """Momentum made orthogonal for full convolutions, AdamW for depthwise ones, classifier, batch norm; see `muon.Muon`."""

    momentum: float = 0.95
    steps: int = 5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


Optimiser = SGD | RMSProp | AdamW | Muon


class TensorFlowRMSProp(torch.optim.Optimizer):
    """tf.train.RMSPropOptimizer, not centred: the one MobileNet was trained with.

    ms = decay ms + (1 - decay) g^2; mom = momentum mom + lr g / sqrt(ms + epsilon); w -= mom. Three differences to
    ``torch.optim.RMSprop``: ms starts at 1, epsilon stands inside the root, and the momentum gathers steps already scaled by
    the learning rate of their own time. `weight_decay` adds weight_decay w to g, the gradient of an L2 loss.
    """

    def __init__(
        self, params: Any, lr: float, decay: float = 0.9, momentum: float = 0.9, epsilon: float = 1.0, weight_decay: float = 0.0
    ) -> None:
        if not (0 <= decay < 1 and 0 <= momentum < 1 and epsilon >= 0):
            raise ValueError(f"RMSProp: decay {decay}, momentum {momentum} must be 0 to below 1, epsilon {epsilon} at least 0")
        settings = {"lr": lr, "decay": decay, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            for p in weights:
                if not self.state[p]:
                    self.state[p] = {"mean_square": torch.ones_like(p), "momentum": torch.zeros_like(p)}
            gradients: Any = [p.grad for p in weights]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
            mean_squares = [self.state[p]["mean_square"] for p in weights]
            torch._foreach_mul_(mean_squares, group["decay"])
            torch._foreach_addcmul_(mean_squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_add(mean_squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            moments = [self.state[p]["momentum"] for p in weights]
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_addcdiv_(moments, gradients, roots, group["lr"])
            torch._foreach_sub_(weights, moments)
        return loss


def build(kind: Optimiser, net: nn.Module, lr: float, weight_decay: float, decayed: Decayed) -> torch.optim.Optimizer:
    """The optimiser of every parameter of `net`."""
    groups = parameter_groups(net, weight_decay, decayed)
    if isinstance(kind, RMSProp):
        return TensorFlowRMSProp(groups, lr, kind.decay, kind.momentum, kind.epsilon)
    if isinstance(kind, AdamW):
        return torch.optim.AdamW(groups, lr, kind.betas, kind.epsilon, fused=True)  # one pass over memory
    if isinstance(kind, Muon):
        return muon.Muon(matrices_apart(groups, net), lr, kind.momentum, kind.steps, kind.betas, kind.epsilon)
    return torch.optim.SGD(groups, lr, kind.momentum, nesterov=kind.nesterov, fused=True)


def parameter_groups(net: nn.Module, weight_decay: float, decayed: Decayed) -> list[dict[str, Any]]:
    """Two groups that together hold every parameter once: those that decay, and those that do not (either may be absent)."""
    if decayed not in get_args(Decayed):
        raise ValueError(f"decayed {decayed!r}: must be one of {', '.join(get_args(Decayed))}")
    shrinks: dict[int, bool] = {}
    parameters: list[Tensor] = []
    for part in net.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if id(parameter) not in shrinks:
                parameters.append(parameter)
                shrinks[id(parameter)] = decays(part, name, decayed)
    groups = [
        {"params": [p for p in parameters if shrinks[id(p)]], "weight_decay": weight_decay},
        {"params": [p for p in parameters if not shrinks[id(p)]], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def matrices_apart(groups: list[dict[str, Any]], net: nn.Module) -> list[dict[str, Any]]:
    """The same parameters, the weights of full convolutions in groups of their own that say so: ``matrices`` is true."""
    matrices = {id(part.weight) for part in net.modules() if isinstance(part, nn.Conv2d) and part.groups == 1}
    parted = [
        {**group, "params": [p for p in group["params"] if (id(p) in matrices) is apart], "matrices": apart}
        for group in groups
        for apart in (True, False)
    ]
    return [group for group in parted if group["params"]]


def decays(part: nn.Module, name: str, decayed: Decayed) -> bool:
    if decayed == "all":
        return True
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        return False
    if decayed == "all_but_norms":
        return True
    depthwise = isinstance(part, nn.Conv2d) and part.groups > 1
    return name == "weight" and not (decayed == "dense" and depthwise)
