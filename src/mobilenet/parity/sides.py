"""One side of a comparison: what answers images, with what its network put out and how long that took."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING

import numpy as np

from ..network.grid import GridQuantization
from ..predict.predictor import Predictor
from ..values import replace

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from ..exports.exporter import WholeAnswer, WholeFile
    from ..modelfile import ModelFile
    from ..network.layers import Resolution
    from ..runtimes.backends import Runtime
    from ..tasks.results import Result
    from ..tensors import Floats, Plain


class Recorded:
    """A runtime that keeps its last outputs and all its times, in seconds."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.outputs, self.seconds = runtime, dict[str, "Floats"](), list[float]()
        self.name, self.precision, self.threads = runtime.name, runtime.precision, runtime.threads

    def __call__(self, images: Plain) -> dict[str, Floats]:
        x = np.asarray(images)
        if not self.seconds:
            self.runtime(x)  # the first call plans and warms up
        before = time.perf_counter()
        outputs = self.runtime(x)
        self.seconds.append(time.perf_counter() - before)
        self.outputs = {name: np.asarray(output, np.float32) for name, output in outputs.items()}
        return self.outputs

    def planned_bytes(self, resolution: Resolution) -> int:
        return self.runtime.planned_bytes(resolution)


class ModelSide:
    """A model on a runtime.

    Args:
        title: for reports.
        size: bytes of the file, or of the model's tensors.
    """

    def __init__(self, title: str, model: ModelFile, runtime: Runtime, size: int) -> None:
        self.title, self.model, self.size = title, model, size
        self.recorded = Recorded(runtime)
        self.predictor: Predictor[Result] = Predictor(model, self.recorded, fast_decoding=False)

    @property
    def outputs(self) -> dict[str, Floats]:
        """What the network put out for the last image."""
        return self.recorded.outputs

    @property
    def seconds(self) -> list[float]:
        return self.recorded.seconds

    @property
    def labels(self) -> tuple[str, ...]:
        return self.predictor.labels

    def answer(self, image: Image.Image) -> Result:
        return self.predictor.predict(image)


class WholeSide:
    """A file with preprocessing and decoding inside. Its times are those of the whole work on pixels."""

    def __init__(self, title: str, model: ModelFile, file: WholeFile, size: int, like: Predictor[Result]) -> None:
        self.title, self.model, self.file, self.size, self.like = title, model, file, size, like
        self.labels, self.outputs, self.seconds = like.labels, dict[str, "Floats"](), list[float]()

    def answer(self, image: Image.Image) -> Result:
        pixels = np.asarray(image)
        if not self.seconds:
            self.file(pixels)
        before = time.perf_counter()
        found = self.file(pixels)
        self.seconds.append(time.perf_counter() - before)
        return replace(result_of(found, self.model, self.labels), size=image.size, label_ids=self.like.label_ids)


Side = ModelSide | WholeSide


def result_of(found: WholeAnswer, model: ModelFile, labels: tuple[str, ...]) -> Result:
    """A whole file's answer as a result of the model's task."""
    from ..tasks.classification import Classification
    from ..tasks.detection import Detections
    from ..tasks.segmentation import Segmentation

    match model.network.task:
        case "detection":
            return Detections(found["boxes"], found["scores"], found["classes"], labels)
        case "segmentation":
            return Segmentation(found["mask"], np.zeros(len(labels), np.float32), labels, model.background)
        case _:
            return Classification(array("f", found["scores"].tolist()), labels)


def bytes_of(model: ModelFile) -> int:
    """Bytes of the model's weights, biases and factors."""
    factors: list[np.generic | np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = []
    if model.quantization is not None:
        factors += model.quantization.scales.values()
        if isinstance(model.quantization, GridQuantization):
            factors += model.quantization.multipliers.values()
    return sum(int(each.nbytes) for each in [*model.tensors.values(), *factors])


def file_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size
