"""Architectures by name, and a network from the description that a model file stores."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ..errors import UsageError, unknown_name
from ..settings import parse_fields
from .layers import Architecture, Network

ARCHITECTURES = {
    "mobilenet_v1": ("mobilenet", "MobileNetV1"),
    "mobilenet_v2": ("mobilenet", "MobileNetV2"),
    "ssdlite_mobilenet_v1": ("heads", "SSDLiteMobileNetV1"),
    "ssdlite_mobilenet_v2": ("heads", "SSDLiteMobileNetV2"),
    "ssd_mobilenet_v2": ("heads", "SSDMobileNetV2"),
    "deeplabv3_mobilenet_v1": ("heads", "DeepLabV3MobileNetV1"),
    "deeplabv3_mobilenet_v2": ("heads", "DeepLabV3MobileNetV2"),
}
"""The module and the class of every architecture; a classifier does not pay for importing the heads."""


def build(name: object, /, **settings: Any) -> Network:
    """The network called `name`; `settings` are the fields of its class. UsageError gives the nearest for unknown names."""
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise UsageError(unknown_name("architecture", name, ARCHITECTURES))
    module, cls = ARCHITECTURES[name]
    architecture: Architecture = parse_fields(getattr(import_module(f".{module}", __package__), cls), settings, name)
    return architecture.build()


def from_description(description: Mapping[str, object]) -> Network:
    """The network of `Network.description`, as read from JSON. UsageError for anything that does not build."""
    settings = {str(key): value for key, value in description.items()}
    return build(settings.pop("architecture", None), **settings)
