"""Optimizers as values, and which parameters they shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from . import update_rules

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
    """TensorFlow's RMSProp, see `update_rules.TensorFlowRMSProp`; weight decay adds to the gradient, as an L2 loss does."""

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
    """Orthogonalized momentum for full convolutions, AdamW for all other parameters, see `update_rules.Muon`."""

    momentum: float = 0.95
    steps: int = 5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


Optimizer = SGD | RMSProp | AdamW | Muon


def build(kind: Optimizer, net: nn.Module, lr: float, weight_decay: float, decayed: Decayed) -> torch.optim.Optimizer:
    """The optimizer of every parameter of `net`."""
    groups = parameter_groups(net, weight_decay, decayed)
    if isinstance(kind, RMSProp):
        return update_rules.TensorFlowRMSProp(groups, lr, kind.decay, kind.momentum, kind.epsilon)
    if isinstance(kind, AdamW):
        return torch.optim.AdamW(groups, lr, kind.betas, kind.epsilon, fused=True)  # one pass over memory
    if isinstance(kind, Muon):
        return update_rules.Muon(matrices_apart(groups, net), lr, kind.momentum, kind.steps, kind.betas, kind.epsilon)
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
