"""Optimizers as values, and which parameters weight decay applies to."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ...errors import assert_never
from ...settings import Rules, Settings
from . import update_rules

Decayed = Literal["dense", "weights", "all_but_norms", "all"]
"""Which parameters weight decay applies to. "dense": the weights of full convolutions and of the classifier (TensorFlow-slim:
only conv2d has a regularizer; depthwise convolutions, batch norm and biases have none). "weights": those of all convolutions
and the classifier. "all_but_norms": biases too (torchvision's ``--norm-weight-decay 0``). "all": PyTorch's default."""


class SGD(Settings):
    """Stochastic gradient descent with momentum, PyTorch's form: v = momentum v + g, w -= lr v; weight decay adds to g."""

    momentum: float = 0.9
    nesterov: bool = False


class RMSProp(Settings):
    """TensorFlow's RMSProp, see `update_rules.TensorFlowRMSProp`; weight decay adds to the gradient, as an L2 loss does."""

    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1.0

    def rules(self) -> Rules:
        yield "decay", 0 <= self.decay < 1, "0 to below 1"
        yield "momentum", 0 <= self.momentum < 1, "0 to below 1"
        yield "epsilon", self.epsilon >= 0, "at least 0"


class AdamW(Settings):
    """Adam with decoupled weight decay (arXiv 1711.05101), PyTorch's form."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


class Muon(Settings):
    """Orthogonalized momentum for full convolutions, AdamW for all other parameters, see `update_rules.Muon`."""

    momentum: float = 0.95
    steps: int = 5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def rules(self) -> Rules:
        yield "momentum", 0 <= self.momentum < 1, "0 to below 1"
        yield "steps", self.steps >= 1, "at least 1"
        yield "betas", all(0 <= beta < 1 for beta in self.betas), "0 to below 1"
        yield "epsilon", self.epsilon > 0, "above 0"


Optimizer = SGD | RMSProp | AdamW | Muon


def build(kind: Optimizer, net: nn.Module, lr: float, weight_decay: float, decayed: Decayed) -> torch.optim.Optimizer:
    """The optimizer of all parameters of `net`."""
    groups = parameter_groups(net, weight_decay, decayed)
    match kind:
        case SGD():  # fused: one pass over memory
            return torch.optim.SGD(groups, lr, kind.momentum, nesterov=kind.nesterov, fused=True)
        case RMSProp():
            return update_rules.TensorFlowRMSProp(groups, lr, kind.decay, kind.momentum, kind.epsilon)
        case AdamW():
            return torch.optim.AdamW(groups, lr, kind.betas, kind.epsilon, fused=True)
        case Muon():
            return update_rules.Muon(split_matrices(groups, net), lr, kind.momentum, kind.steps, kind.betas, kind.epsilon)
        case _:
            assert_never(kind)


def parameter_groups(net: nn.Module, weight_decay: float, decayed: Decayed) -> list[update_rules.Group]:
    """Two groups with every parameter in one of them: those with weight decay and those without. Empty groups are left out."""
    has_decay: dict[int, bool] = {}
    parameters: list[Tensor] = []
    for layer in net.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if id(parameter) not in has_decay:
                parameters.append(parameter)
                has_decay[id(parameter)] = decays(layer, name, decayed)
    groups = [
        {"params": [p for p in parameters if has_decay[id(p)]], "weight_decay": weight_decay},
        {"params": [p for p in parameters if not has_decay[id(p)]], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def split_matrices(groups: list[update_rules.Group], net: nn.Module) -> list[update_rules.Group]:
    """The same parameters, with the weights of full convolutions in groups of their own, whose ``matrices`` is true."""
    matrices = {id(layer.weight) for layer in net.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1}
    split = [
        {**group, "params": [p for p in group["params"] if (id(p) in matrices) is is_matrix], "matrices": is_matrix}
        for group in groups
        for is_matrix in (True, False)
    ]
    return [group for group in split if group["params"]]


def decays(layer: nn.Module, name: str, decayed: Decayed) -> bool:
    if decayed == "all":
        return True
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return False
    if decayed == "all_but_norms":
        return True
    depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
    return name == "weight" and not (decayed == "dense" and depthwise)
