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
    from .architecture import mobilenet_v1, mobilenet_v2
    from .heads import (
        deeplabv3_mobilenet_v1,
        deeplabv3_mobilenet_v2,
        ssd_mobilenet_v2,
        ssdlite_mobilenet_v1,
        ssdlite_mobilenet_v2,
    )
    from .predictor import Predictor, load
    from .results import Classification, Detections, Prediction, Segmentation
    from .views import Views

HOMES = {
    "Classification": "results",
    "Detections": "results",
    "Prediction": "results",
    "Predictor": "predictor",
    "Segmentation": "results",
    "Views": "views",
    "deeplabv3_mobilenet_v1": "heads",
    "deeplabv3_mobilenet_v2": "heads",
    "load": "predictor",
    "mobilenet_v1": "architecture",
    "mobilenet_v2": "architecture",
    "ssd_mobilenet_v2": "heads",
    "ssdlite_mobilenet_v1": "heads",
    "ssdlite_mobilenet_v2": "heads",
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
    from .collector import uncollected

    with uncollected():
        return getattr(importlib.import_module(f".{HOMES[name]}", __name__), name)
