"""Depthwise convolution with a backward pass that is quick on CPUs, where oneDNN's is not.

oneDNN (3.x, with AVX-512 bfloat16) has no quick kernel for one case: the gradient of the input of a strided depthwise
convolution in bfloat16. MobileNetV2 has four such layers; they took a third of a training step. The same gradient in float32
is some twenty times quicker with both conversions counted, and more exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with one filter to a channel: same parameters, same result; see this module for the difference."""

    def forward(self, x: Tensor) -> Tensor:
        low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if x.device.type != "cpu" or low != torch.bfloat16 or max(self.stride) == 1 or not torch.is_grad_enabled():
            return super().forward(x)
        bias = None if self.bias is None else self.bias.to(low)
        y: Tensor = _Strided.apply(x.to(low), self.weight.to(low), bias, self.stride, self.padding, self.dilation)
        return y


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: Any, dilation: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation)
        with torch.autocast("cpu", enabled=False):
            return torch.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        into = torch.ops.aten.convolution_backward.default
        rest = (*ctx.geometry, False, (0, 0), x.shape[1])
        sizes = None if not wanted[2] else [x.shape[1]]
        of_weight, of_bias = into(gradient, x, weight, sizes, *rest, (False, wanted[1], wanted[2]))[1:]
        of_input = None
        if wanted[0]:
            like = x.new_empty(1, dtype=torch.float32).expand(x.shape)  # only its shape is asked for
            exact = into(gradient.float(), like, weight.float(), None, *rest, (True, False, False))[0]
            of_input = exact.to(x.dtype)
        return of_input, of_weight, of_bias, None, None, None
