"""The one torch building block: convolution, batch normalization, activation, in either padding style."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..network.layers import Conv, Linear, Network, Padding, Shape, padding_amounts, padding_around
from .depthwise import DepthwiseConv2d


class ReLU6(nn.ReLU6):
    """The same numbers in one pass: on a CPU, PyTorch clamps into new memory and copies that back."""

    def forward(self, x: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad and x.device.type == "cpu"):
            return super().forward(x)
        clamped: Tensor = _Clamped.apply(x)
        return clamped


class _Clamped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp(0, 6)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.hardtanh_backward.default(gradients[0], y, 0, 6)
        return result


class ConvNorm(nn.Module):
    """The layer that a `network.layers.Conv` describes, with parameters ``conv.weight``, ``norm.weight`` and so on.

    (N, in, H, W) float -> (N, out, ceil(H / stride), ceil(W / stride)); keeps channels-last.
    """

    def __init__(self, layer: Conv, padding: Padding, norm_momentum: float) -> None:
        super().__init__()
        self.layer = layer
        # TensorFlow's SAME padding depends on the image's size only if there is a stride; otherwise both styles pad alike.
        self.padding_style: Padding = padding if layer.stride > 1 else "pytorch"
        zeros = 0  # that the convolution adds itself; PyTorch's style has as many for every size
        if self.padding_style == "pytorch":
            zeros, _ = padding_amounts(1, layer.kernel, layer.stride, layer.dilation, "pytorch")
        self.conv = (DepthwiseConv2d if layer.depthwise else nn.Conv2d)(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            layer.stride,
            padding=zeros,
            dilation=layer.dilation,
            groups=layer.groups,
            bias=layer.epsilon is None,
        )
        self.norm: nn.Module = nn.Identity()
        if layer.epsilon is not None:
            self.norm = nn.BatchNorm2d(layer.out_channels, eps=layer.epsilon, momentum=norm_momentum)
        self.activation = {"relu6": ReLU6(inplace=True), "relu": nn.ReLU(inplace=True), "linear": nn.Identity()}[
            layer.activation
        ]

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, FixedNorm) and torch.is_grad_enabled():
            y = self.conv._conv_forward(self.padded(x), *self.norm.folded_into(self.conv.weight))
        else:
            y = self.norm(self.conv(self.padded(x)))
        activated: Tensor = self.activation(y)
        return activated

    def padded(self, x: Tensor) -> Tensor:
        """`x` with the zeros around it that the convolution does not add itself."""
        if self.padding_style == "tensorflow":
            rows, columns = padding_around(self.layer, Shape(*x.shape[1:]), "tensorflow")
            x = F.pad(x, (*columns, *rows))
        return x


class FixedNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics in training too; scale and shift still learn.

    During training `ConvNorm` computes it with the convolution: see `folded_into`.
    """

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> FixedNorm:
        """The same parameters and statistics."""
        fixed = cls(norm.num_features, norm.eps, norm.momentum)
        fixed._parameters, fixed._buffers = norm._parameters, norm._buffers
        return fixed

    def train(self, mode: bool = True) -> FixedNorm:
        return super().train(False)

    def folded_into(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution with `weight` and this norm after it; gradients pass to weight, scale and shift.

        A norm of its own costs two passes over the activations forward and three backward, a third of a step on a CPU.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return weight * scale[:, None, None, None], self.bias - self.running_mean * scale


def replace_norms(net: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module], names: Collection[str] | None = None) -> None:
    """Replaces every batch norm of `net`, or those with one of the `names`, by what `make` returns for it."""
    for path, part in list(net.named_modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.BatchNorm2d) and (names is None or f"{path}.{name}" in names):
                setattr(part, name, make(child))


class Block(nn.Module):
    """Holds a block's parts by name: ``expand``, ``depthwise``, ``project``."""


@torch.no_grad()
def initialize(module: nn.Module, source: str, deviation: float | None = None) -> None:
    """Draws fresh parameters in place. Batch norm starts at scale 1, shift 0.

    Args:
        source: whose distribution to draw from. "pytorch" is torchvision's: He normal over fan-out for convolutions, N(0, 0.01)
            for linear layers. "tensorflow" is TensorFlow-slim's: N(0, 0.09) cut at two standard deviations for both.
        deviation: the standard deviation of a head, instead of the source's.
    """
    if source not in ("pytorch", "tensorflow"):
        raise UsageError(f"initialization {source!r}: must be 'pytorch' or 'tensorflow'")
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            if source == "tensorflow":
                std = deviation or 0.09
                nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            elif deviation is not None:
                nn.init.normal_(part.weight, std=deviation)
            elif isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")
            else:
                nn.init.normal_(part.weight, std=0.01)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()


def head_deviation(layer: Conv | Linear, network: Network) -> float | None:
    """The standard deviation of a head layer's initial weights; None for the backbone, and for a head without one of its own.

    0.03 for SSD's extras and predictors (TensorFlow's configuration and torchvision agree), 0.01 for DeepLab's logits.
    """
    if network.task == "detection" and layer.name in network.heads.added:
        return 0.03
    return 0.01 if network.task == "segmentation" and layer.name in network.heads.classes else None
