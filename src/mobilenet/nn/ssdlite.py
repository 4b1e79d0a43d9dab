"""Detectors in torch by name.

Outputs: {"box_0.predict": (N, boxes x 4, H, W), "class_0.predict": (N, boxes x (classes + 1), H, W), ...}, map by map.
"""

from __future__ import annotations

from typing import Any

from ..network import heads
from .network import TorchNetwork, module


def ssdlite_mobilenet_v1(*, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: Any) -> TorchNetwork:
    """SSDLite on MobileNetV1; `settings` are those of `heads.ssdlite_mobilenet_v1` (width, resolution, classes, ...)."""
    return module(heads.ssdlite_mobilenet_v1(**settings), 0.0, norm_momentum, initialization)


def ssdlite_mobilenet_v2(*, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: Any) -> TorchNetwork:
    """SSDLite on MobileNetV2; `settings` are those of `heads.ssdlite_mobilenet_v2` (width, resolution, classes, ...)."""
    return module(heads.ssdlite_mobilenet_v2(**settings), 0.0, norm_momentum, initialization)


def ssd_mobilenet_v2(*, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: Any) -> TorchNetwork:
    """SSD on MobileNetV2; `settings` are those of `heads.ssd_mobilenet_v2` (width, resolution, classes, extras, ...)."""
    return module(heads.ssd_mobilenet_v2(**settings), 0.0, norm_momentum, initialization)
