"""From a name or a file to answers: load once, then call with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..engine import backends as runtimes
from ..images.open import open_image
from ..modelfile import ModelFile, ModelFileError
from ..tasks.classification import ClassificationDecoder
from ..tasks.results import Classification, Detections, Result, Segmentation
from ..tasks.views import ONE_VIEW, Views
from ..tensors import built
from ..zoo.load import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from ..images.open import Source
    from ..tensors import Floats

Executor = Callable[[Any], Mapping[str, Any]]
"""Runs a network: (N, 3, H, W) float32 -> each output by name, arrays both. The engine takes memoryviews as well."""


def native(model: ModelFile, threads: int | None = None, memory_budget: int | None = None) -> Executor:
    """The native engine on `threads` threads, by default on every core. A quantised model runs on the reference, which is
    where its integers are known so far; so does every model, with a warning, where the engine was not built."""
    if not engine_runs(model):
        if model.quantization is None:
            runtimes.warn_of_the_reference()
        return reference(model, threads, memory_budget)
    return runtimes.native(model.network, model.tensors, threads or runtimes.cores(), memory_budget)


def engine_runs(model: ModelFile) -> bool:
    """Whether the backend "native" is the engine for this model here."""
    return model.quantization is None and built()


def reference(model: ModelFile, threads: int | None = None, memory_budget: int | None = None) -> Executor:
    """The numpy specification: integer arithmetic for a quantised model, float32 for every other."""
    refuse("the numpy reference", threads, memory_budget)
    if model.quantization is not None:
        from ..engine.reference_int8 import Int8Reference

        return Int8Reference(model.network, model.tensors, model.quantization)
    from ..engine.reference import Reference

    return Reference(model.network, model.tensors)


def dequantized(model: ModelFile, threads: int | None = None, memory_budget: int | None = None) -> Executor:
    """The numpy specification in float32, of a quantised model with the numbers that its integers stand for."""
    return reference(model.dequantized(), threads, memory_budget)


def refuse(what: str, threads: int | None, memory_budget: int | None) -> None:
    """ValueError for settings that only the engine knows."""
    if memory_budget is not None:
        raise ValueError(f"memory_budget {memory_budget}: {what} plans no memory; leave it out, or run a float model natively")
    if threads is not None:
        raise ValueError(f"threads {threads}: {what} has as many as OMP_NUM_THREADS says when numpy is loaded; leave it out")


BACKENDS: dict[str, Callable[[ModelFile, int | None, int | None], Executor]] = {
    "native": native,
    "reference": reference,
    "dequantized": dequantized,
}


RUNTIMES = {"Native": "native", "Reference": "reference", "Int8Reference": "int8 reference"}


class Predictor:
    """A loaded model. ``predict("cat.jpg")`` opens and prepares a picture and says what is on it, whatever the task.

    Attributes:
        model: the model file's content.
        executor: what runs the network; evaluation of a torch module passes its own here.
        views: of a segmenter, the scales and mirror images of a picture that are averaged.
    """

    def __init__(self, model: ModelFile, executor: Executor, views: Views = ONE_VIEW) -> None:
        task = model.network.task
        if not model.labels:
            raise ModelFileError(f"{model.network.architecture} without a classifier cannot name pictures; it can be trained")
        if views != ONE_VIEW and task != "segmentation":
            raise ValueError(f"views {views}: only segmentation averages them, and this is {task}; leave them out")
        self.model, self.executor, self.views = model, executor, views
        self.answer: Callable[[Image.Image], Result] = self.classify
        if task == "detection":
            from ..tasks.detection import DetectionDecoder

            assert model.decoding is not None
            self.decode_boxes = DetectionDecoder(model.network, model.preprocessing, model.decoding, model.labels)
            self.answer = self.detect
        elif task == "segmentation":
            from ..tasks.segmentation import SegmentationDecoder

            self.decode_masks = SegmentationDecoder(model.preprocessing, model.labels, model.background)
            self.answer = self.segment

    def __call__(self, image: Source) -> Result:
        """`image`: path, PIL image, or (H, W, 3) uint8 array. Raises `images.ImageError` for what is no picture.

        The result is a `Classification`, `Detections` or `Segmentation`; boxes and masks are in the picture's own pixels.
        """
        return self.answer(open_image(image))

    @property
    def runtime(self) -> str:
        """What runs the network: "native", "reference", "int8 reference", or "given" for a caller's own."""
        return RUNTIMES.get(type(self.executor).__name__, "given")

    def activation_bytes(self) -> int:
        """Activations of one picture: the engine's plan, or what it takes layer by layer where another runtime runs."""
        network = self.model.network
        if self.runtime == "native":
            planned: int = self.executor.planned_bytes(network.resolution)  # type: ignore[attr-defined]
            return planned
        from ..network.cost import cost

        return cost(network).layerwise_bytes

    def prepare(self, image: Source) -> Floats:
        """The network's input for one picture: (3, H, W) float32."""
        return self.model.preprocessing(open_image(image))

    def classify(self, picture: Image.Image) -> Classification:
        batch: Any = self.model.preprocessing.batch(picture)
        if self.runtime != "native":
            import numpy as np

            batch = np.asarray(batch)
        return ClassificationDecoder(self.model.labels)(self.executor(batch), 0, picture.size)

    def detect(self, picture: Image.Image) -> Detections:
        return self.decode_boxes(self.executor(self.model.preprocessing(picture)[None]), 0, picture.size)

    def segment(self, picture: Image.Image) -> Segmentation:
        return self.decode_masks.average(self.executor, picture, self.views)


def load(
    source: str | Path | ModelFile = "imagenet",
    backend: str | Callable[[ModelFile], Executor] = "native",
    views: Views = ONE_VIEW,
    *,
    threads: int | None = None,
    memory_budget: int | None = None,
) -> Predictor:
    """A predictor from a model's name (fetched on first use), the path of a model file, or its content.

    Args:
        backend: "native" (the engine; a quantised model runs on the reference), "reference" (numpy, integer arithmetic where
            the model is quantised), "dequantized" (numpy, float32 always), or a function that makes an executor from a
            model (as `mobilenet.nn.executor`).
        views: of a segmenter, the scales and mirror images to average.
        threads: that work on one picture; by default the native engine uses every core.
        memory_budget: bytes that the native engine's activations may take for one picture.

    Raises ValueError, or its subclass for damaged files and failed fetches; also where `threads` or `memory_budget` is given
    to what cannot honour it.
    """
    if isinstance(backend, str) and backend not in BACKENDS:
        raise ValueError(f"no backend is called {backend!r}; there is {', '.join(BACKENDS)}")
    if not isinstance(backend, str):
        refuse("a given backend", threads, memory_budget)
    model = source if isinstance(source, ModelFile) else load_model(source)
    executor = BACKENDS[backend](model, threads, memory_budget) if isinstance(backend, str) else backend(model)
    return Predictor(model, executor, views)
