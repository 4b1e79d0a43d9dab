"""Depthwise convolution whose backward pass is fast on CPUs in two cases where that of oneDNN is slow.

oneDNN (3.x, x86 with AVX-512) has fast kernels for plain depthwise layers, forward and backward, but not for two gradients:

- The input of a strided layer in bfloat16. MobileNetV2 has four such layers; they took a third of a training step. The same
  gradient in float32 is ten times faster with both conversions included, and more exact.
- A dilated layer (DeepLab). The gradient of its input is a forward pass with the mirrored filters. The gradient of its filters
  is the sum over plain layers on every d-th row and column, since pixels with different remainders modulo d never meet. This
  is four times faster in float32, ten times in bfloat16. oneDNN's own gradient of the filters is also wrong for large layers
  (PyTorch 2.15, 960 channels of 33 x 33 pixels at rate 2: by more than its own size).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

Pair = tuple[int, int]


class DepthwiseConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with one filter per channel: same parameters, same result, a faster backward pass."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        strided = max(self.stride) > 1 and dtype == torch.bfloat16
        padding = cast(Pair, self.padding)
        keeps_size = all(2 * p == d * (k - 1) for p, d, k in zip(padding, self.dilation, self.kernel_size, strict=True))
        dilated = max(self.stride) == 1 and max(self.dilation) > 1 and keeps_size and self.kernel_size[0] % 2 == 1
        if x.device.type != "cpu" or not torch.is_grad_enabled() or not (strided or dilated):
            plain: Tensor = super()._conv_forward(x, weight, bias)
            return plain
        bias = None if bias is None else bias.to(dtype)
        form = _Dilated if dilated else _Strided
        y: Tensor = form.apply(x.to(dtype), weight.to(dtype), bias, self.stride, padding, self.dilation)
        return y


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation)
        with torch.autocast("cpu", enabled=False):
            return torch.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return needed_gradients(ctx, gradient, strided_input, strided_weight)


class _Dilated(_Strided):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return needed_gradients(ctx, gradient, dilated_input, dilated_weight)


Gradient = Callable[[Tensor, Tensor, Tensor, Pair, Pair, Pair], Tensor]
"""(gradient of the output, input, filters, stride, padding, dilation) -> gradient of the input or of the filters."""


def needed_gradients(ctx: Any, gradient: Tensor, of_input: Gradient, of_weight: Gradient) -> tuple[Tensor | None, ...]:
    """The gradients of input, filters and bias, None for those that are not needed; then None for each other argument."""
    inputs = (gradient, *ctx.saved_tensors, *ctx.geometry)
    needs_input, needs_weight, needs_bias = ctx.needs_input_grad[:3]
    with torch.autocast("cpu", enabled=False):
        return (
            of_input(*inputs) if needs_input else None,
            of_weight(*inputs) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias else None,
            None,
            None,
            None,
        )


def plain_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    result: Tensor = gradients(gradient, x, weight, stride, padding, dilation, (False, True, False))[1]
    return result


def strided_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    if not rounds_sums():
        return plain_weight(gradient, x, weight, stride, padding, dilation)
    return plain_weight(gradient.float(), x.float(), weight.float(), stride, padding, dilation).to(weight.dtype)


@cache
def rounds_sums() -> bool:
    """Whether this CPU's kernel for the filters' gradient rounds sums on the way to bfloat16.

    PyTorch's own kernel does, which runs where oneDNN has none. Two images contribute 257 and -256 here: 257 has nine binary
    digits, so it survives only in a wider sum.
    """
    gradient = torch.zeros(2, 8, 17, 17)
    gradient[0].flatten(1)[:, :257], gradient[1].flatten(1)[:, :256] = 1, -1
    images, filters = torch.ones(2, 8, 35, 35).bfloat16(), torch.ones(8, 1, 3, 3).bfloat16()
    return bool((plain_weight(gradient.bfloat16(), images, filters, (2, 2), (0, 0), (1, 1)) != 1).any())


def strided_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    like = x.new_empty(1, dtype=torch.float32).expand(x.shape)  # only its shape is used
    result: Tensor = gradients(gradient.float(), like, weight.float(), stride, padding, dilation, (True, False, False))[0]
    return result.to(x.dtype)


def dilated_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    return torch.conv2d(gradient, weight.flip(2, 3), None, stride, padding, dilation, x.shape[1])


def dilated_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    plain, filters = (padding[0] // dilation[0], padding[1] // dilation[1]), weight.to(wide)
    total = torch.zeros_like(filters)
    for row, column in product(range(min(dilation[0], x.shape[2])), range(min(dilation[1], x.shape[3]))):
        places = (slice(None), slice(None), slice(row, None, dilation[0]), slice(column, None, dilation[1]))
        g, z = (each[places].to(wide, memory_format=torch.channels_last) for each in (gradient, x))
        total += plain_weight(g, z, filters, stride, plain, (1, 1))
    return total.to(weight.dtype)


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, needed: tuple[bool, bool, bool]
) -> Sequence[Tensor]:
    """PyTorch's gradients of a depthwise convolution's input, weight and bias; only those that are `needed` hold numbers."""
    backward = torch.ops.aten.convolution_backward.default
    result: Sequence[Tensor] = backward(gradient, x, weight, None, stride, padding, dilation, False, (0, 0), x.shape[1], needed)
    return result
