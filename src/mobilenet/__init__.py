"""MobileNets from the paper to the device.

    import mobilenet

    predict = mobilenet.load("imagenet")
    print(predict("cat.jpg"))

Everything is imported when it is first used, so that ``import mobilenet`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network.heads import (
        deeplabv3_mobilenet_v1,
        deeplabv3_mobilenet_v2,
        ssd_mobilenet_v2,
        ssdlite_mobilenet_v1,
        ssdlite_mobilenet_v2,
    )
    from .network.mobilenet import mobilenet_v1, mobilenet_v2
    from .predict.predictor import Predictor, load
    from .tasks.results import Classification, Detections, Prediction, Segmentation
    from .tasks.views import Views

HOMES = {
    "Classification": "tasks.results",
    "Detections": "tasks.results",
    "Prediction": "tasks.results",
    "Predictor": "predict.predictor",
    "Segmentation": "tasks.results",
    "Views": "tasks.views",
    "deeplabv3_mobilenet_v1": "network.heads",
    "deeplabv3_mobilenet_v2": "network.heads",
    "load": "predict.predictor",
    "mobilenet_v1": "network.mobilenet",
    "mobilenet_v2": "network.mobilenet",
    "ssd_mobilenet_v2": "network.heads",
    "ssdlite_mobilenet_v1": "network.heads",
    "ssdlite_mobilenet_v2": "network.heads",
}
__all__ = [
    "Classification",
    "Detections",
    "Prediction",
    "Predictor",
    "Segmentation",
    "Views",
    "deeplabv3_mobilenet_v1",
    "deeplabv3_mobilenet_v2",
    "load",
    "mobilenet_v1",
    "mobilenet_v2",
    "ssd_mobilenet_v2",
    "ssdlite_mobilenet_v1",
    "ssdlite_mobilenet_v2",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'mobilenet' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{HOMES[name]}", __name__), name)
