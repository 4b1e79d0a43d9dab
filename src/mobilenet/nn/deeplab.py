"""Segmenters in torch by name. Output: logits (N, classes, H, W) at the image's own size."""

from __future__ import annotations

from typing import Any

from ..network import heads
from .network import TorchNetwork, module


def deeplabv3_mobilenet_v1(
    *, dropout: float = 0.1, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: Any
) -> TorchNetwork:
    """DeepLabv3 on MobileNetV1; `settings` are those of `heads.deeplabv3_mobilenet_v1` (output_stride, aspp, ...)."""
    return module(heads.deeplabv3_mobilenet_v1(**settings), dropout, norm_momentum, initialization)


def deeplabv3_mobilenet_v2(
    *, dropout: float = 0.1, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: Any
) -> TorchNetwork:
    """DeepLabv3 on MobileNetV2; `settings` are those of `heads.deeplabv3_mobilenet_v2` (output_stride, aspp, ...)."""
    return module(heads.deeplabv3_mobilenet_v2(**settings), dropout, norm_momentum, initialization)
