"""MobileNets: networks, their weights, and the engine that runs them.

    import mobilenet

    predict = mobilenet.load("imagenet")
    print(predict("cat.jpg"))

The names in `__all__`, `mobilenet.nn` and the recipes are public. Every other name is private and may change in any release.
A name is imported when it is first used, so that ``import mobilenet`` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; typing itself takes 5 ms, in which Ctrl-C would print a traceback
if TYPE_CHECKING:  # for type checkers, the names of HOMES; a test compares them
    from .cluster.batch import Batch as Batch, batch as batch
    from .convert.convert import convert_weights as convert_weights
    from .drawing.draw import draw as draw
    from .errors import MobilenetError as MobilenetError
    from .limits import Limits as Limits, set_limits as set_limits
    from .network.cost import cost as cost
    from .network.heads import (
        deeplabv3_mobilenet_v1 as deeplabv3_mobilenet_v1,
        deeplabv3_mobilenet_v2 as deeplabv3_mobilenet_v2,
        ssd_mobilenet_v2 as ssd_mobilenet_v2,
        ssdlite_mobilenet_v1 as ssdlite_mobilenet_v1,
        ssdlite_mobilenet_v2 as ssdlite_mobilenet_v2,
    )
    from .network.mobilenet import mobilenet_v1 as mobilenet_v1, mobilenet_v2 as mobilenet_v2
    from .parity.compare import Comparison as Comparison
    from .parity.export import Export as Export, export as export
    from .parity.pair import compare as compare
    from .predict.evaluate import evaluate as evaluate
    from .predict.info import Info as Info, info as info
    from .predict.load import load as load
    from .predict.predictor import Predictor as Predictor
    from .quantizing.quantize import Quantized as Quantized, quantize as quantize
    from .tasks.classification import Classification as Classification
    from .tasks.detection import Detection as Detection, Detections as Detections
    from .tasks.results import Prediction as Prediction
    from .tasks.segmentation import Region as Region, Segmentation as Segmentation
    from .tasks.views import Views as Views
    from .video.read import Video as Video
    from .zoo.load import fetch as fetch
    from .zoo.published import models as models

    __version__: str

HOMES = {
    "Batch": "cluster.batch",
    "Classification": "tasks.classification",
    "Comparison": "parity.compare",
    "Detection": "tasks.detection",
    "Detections": "tasks.detection",
    "Export": "parity.export",
    "Info": "predict.info",
    "Limits": "limits",
    "MobilenetError": "errors",
    "Prediction": "tasks.results",
    "Predictor": "predict.predictor",
    "Quantized": "quantizing.quantize",
    "Region": "tasks.segmentation",
    "Segmentation": "tasks.segmentation",
    "Video": "video.read",
    "Views": "tasks.views",
    "batch": "cluster.batch",
    "compare": "parity.pair",
    "convert_weights": "convert.convert",
    "cost": "network.cost",
    "deeplabv3_mobilenet_v1": "network.heads",
    "deeplabv3_mobilenet_v2": "network.heads",
    "draw": "drawing.draw",
    "evaluate": "predict.evaluate",
    "export": "parity.export",
    "fetch": "zoo.load",
    "info": "predict.info",
    "load": "predict.load",
    "mobilenet_v1": "network.mobilenet",
    "mobilenet_v2": "network.mobilenet",
    "models": "zoo.published",
    "quantize": "quantizing.quantize",
    "set_limits": "limits",
    "ssd_mobilenet_v2": "network.heads",
    "ssdlite_mobilenet_v1": "network.heads",
    "ssdlite_mobilenet_v2": "network.heads",
}
"""Every public name and the module that defines it."""
__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name == "nn":
        try:
            return import_module(".nn", __name__)
        except ImportError as error:
            raise ImportError(f"mobilenet.nn needs torch ({error}); pip install 'mobilenet[train]'") from error
    if name not in HOMES:
        raise AttributeError(f"module 'mobilenet' has no attribute {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "nn", "__all__", "__doc__", "__name__", "__path__", "__version__"])
