"""Depthwise convolution with a backward pass that is quick on CPUs, where oneDNN's is not.

oneDNN (3.x, x86 with AVX-512) has quick kernels for plain depthwise layers, forwards and backwards, but none for two gradients:

- of the input of a strided layer in bfloat16. MobileNetV2 has four such layers; they took a third of a training step. The same
  gradient in float32 is ten times quicker with both conversions counted, and more exact.
- of a dilated layer, DeepLab's. The gradient of its input is a forward pass with the mirrored filters; that of its filters is
  the sum of those of plain layers on every d-th row and column, since pixels of different remainders never meet. Four times
  quicker in float32, ten in bfloat16. There oneDNN's own gradient of the filters is plainly wrong for large layers as well
  (PyTorch 2.15, 960 channels of 33 x 33 pixels at rate 2: wrong by more than its own size).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

Pair = tuple[int, int]


class DepthwiseConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with one filter to a channel: same parameters, same result; see this module for the difference."""

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        strided = max(self.stride) > 1 and dtype == torch.bfloat16
        padding = cast(Pair, self.padding)
        keeps_size = all(2 * p == d * (k - 1) for p, d, k in zip(padding, self.dilation, self.kernel_size, strict=True))
        dilated = max(self.stride) == 1 and max(self.dilation) > 1 and keeps_size and self.kernel_size[0] % 2 == 1
        if x.device.type != "cpu" or not torch.is_grad_enabled() or not (strided or dilated):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.to(dtype)
        form = _Dilated if dilated else _Strided
        y: Tensor = form.apply(x.to(dtype), self.weight.to(dtype), bias, self.stride, padding, self.dilation)
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
        return wanted_gradients(ctx, gradient, strided_input, strided_weight)


class _Dilated(_Strided):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return wanted_gradients(ctx, gradient, dilated_input, dilated_weight)


Part = Callable[[Tensor, Tensor, Tensor, Pair, Pair, Pair], Tensor]
"""A gradient from the output's, the input, the filters, stride, padding and dilation."""


def wanted_gradients(ctx: Any, gradient: Tensor, of_input: Part, of_weight: Part) -> tuple[Tensor | None, ...]:
    """Of input, filters and bias, None for those that nobody wants; then None for what is no tensor."""
    given = (gradient, *ctx.saved_tensors, *ctx.geometry)
    wanted = ctx.needs_input_grad
    with torch.autocast("cpu", enabled=False):
        return (
            of_input(*given) if wanted[0] else None,
            of_weight(*given) if wanted[1] else None,
            gradient.sum((0, 2, 3)) if wanted[2] else None,
            None,
            None,
            None,
        )


def plain_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    found: Tensor = gradients(gradient, x, weight, stride, padding, dilation, (False, True, False))[1]
    return found


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
    like = x.new_empty(1, dtype=torch.float32).expand(x.shape)  # only its shape is asked for
    found: Tensor = gradients(gradient.float(), like, weight.float(), stride, padding, dilation, (True, False, False))[0]
    return found.to(x.dtype)


def dilated_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    return torch.conv2d(gradient, weight.flip(2, 3), None, stride, padding, dilation, x.shape[1])


def dilated_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    plain, filters = (padding[0] // dilation[0], padding[1] // dilation[1]), weight.to(wide)
    total = torch.zeros_like(filters)
    for row, column in product(range(min(dilation[0], x.shape[2])), range(min(dilation[1], x.shape[3]))):
        mine = (slice(None), slice(None), slice(row, None, dilation[0]), slice(column, None, dilation[1]))
        g, z = (each[mine].to(wide, memory_format=torch.channels_last) for each in (gradient, x))
        total += plain_weight(g, z, filters, stride, plain, (1, 1))
    return total.to(weight.dtype)


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, wanted: tuple[bool, bool, bool]
) -> Any:
    """PyTorch's gradients of a depthwise convolution's input, weight and bias; None for those that are not `wanted`."""
    into = torch.ops.aten.convolution_backward.default
    return into(gradient, x, weight, None, stride, padding, dilation, False, (0, 0), x.shape[1], wanted)
