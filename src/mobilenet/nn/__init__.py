"""The family in torch. Needs the extra ``[train]``."""

from .integers import IntegerNetwork
from .network import (
    TorchNetwork,
    deeplabv3_mobilenet_v1,
    deeplabv3_mobilenet_v2,
    load,
    mobilenet_v1,
    mobilenet_v2,
    module,
    ssd_mobilenet_v2,
    ssdlite_mobilenet_v1,
    ssdlite_mobilenet_v2,
)
from .runtime import executor

__all__ = [
    "IntegerNetwork",
    "TorchNetwork",
    "deeplabv3_mobilenet_v1",
    "deeplabv3_mobilenet_v2",
    "executor",
    "load",
    "mobilenet_v1",
    "mobilenet_v2",
    "module",
    "ssd_mobilenet_v2",
    "ssdlite_mobilenet_v1",
    "ssdlite_mobilenet_v2",
]
