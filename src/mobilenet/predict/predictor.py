"""From a name or a file to results: load a model once, then call it with images."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from ..engine.backends import Backend, Executor, as_runtime, choose
from ..errors import UsageError
from ..images.open import open_image
from ..modelfile import ModelFile, ModelFileError
from ..tasks.classification import ClassificationDecoder
from ..tasks.results import Classification, Decoder, Detections, OutputError, Result, Segmentation, check_finite
from ..tasks.views import ONE_VIEW, Views
from ..zoo.load import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from typing_extensions import TypeVar as TypeVarWithDefault

    from ..images.open import Source

    MakeExecutor = Callable[[ModelFile], Executor]
    R_co = TypeVarWithDefault("R_co", bound=Result, covariant=True, default=Result)
else:
    R_co = TypeVar("R_co", covariant=True)


class Predictor(Generic[R_co]):
    """A loaded model. ``predict("cat.jpg")`` opens an image, prepares it, runs the network and returns the result.

    Attributes:
        model: the content of the model file.
        runtime: what runs the network (see `engine.backends.Runtime`).
        views: scales and mirror images that a segmenter averages.

    Args:
        executor: a runtime, or any function of a (N, 3, H, W) float32 array that returns each output by name.

    A type checker knows a predictor by its results: ``Predictor[Detections]``. ``Predictor`` alone returns any of them.

    Raises:
        ModelFileError: the model has no classes to predict.
        UsageError: `views` for a model that is no segmenter.
    """

    decode: Decoder[R_co]
    average: Callable[..., R_co] | None

    def __init__(self: Predictor[Result], model: ModelFile, executor: Executor, views: Views = ONE_VIEW) -> None:
        task = model.network.task
        if not model.labels:
            raise ModelFileError(f"{model.network.architecture} without a classifier cannot name images; it can be trained")
        if views != ONE_VIEW and task != "segmentation":
            raise UsageError(f"views {views}: only segmentation averages them, and this is {task}; leave them out")
        self.model, self.runtime, self.views = model, as_runtime(model.network, executor), views
        self.decode = ClassificationDecoder(model.labels)
        self.average = None
        if task == "detection":
            from ..tasks.detection import DetectionDecoder

            assert model.decoding is not None
            self.decode = DetectionDecoder(model.network, model.preprocessing, model.decoding, model.labels)
        elif task == "segmentation":
            from ..tasks.segmentation import SegmentationDecoder

            self.average = SegmentationDecoder(model.preprocessing, model.labels, model.background).average

    def __call__(self, image: Source) -> R_co:
        """The result for one image: a `Classification`, `Detections` or `Segmentation`, by the model's task.

        Args:
            image: a path, a Pillow image, or an (H, W, 3) uint8 array. Boxes and masks are in its own pixels.

        Raises:
            ImageError: the image cannot be opened.
            OutputError: the network's outputs for it hold NaN or infinity.
        """
        opened = open_image(image, copy=False)
        try:
            return self.predict(opened)
        except OutputError as error:
            if not isinstance(image, (str, os.PathLike)):
                raise
            raise OutputError(error.name, os.fspath(image)) from None

    def predict(self, image: Image.Image) -> R_co:
        """The result for an image that `open_image` has opened; saves opening it a second time."""
        if self.average is not None:
            return self.average(self.runtime, image, self.views)
        outputs = self.runtime(self.model.preprocessing.batch(image))
        check_finite(outputs)
        return self.decode(outputs, 0, image.size)

    def activation_bytes(self) -> int:
        """Bytes of activations for one image: the runtime's plan, or the sum layer by layer if it has none."""
        return self.runtime.planned_bytes(self.model.network.resolution)


@overload
def load(
    source: Literal["imagenet"] = ...,
    backend: Backend | MakeExecutor = ...,
    views: Views = ...,
    *,
    threads: int | None = ...,
    memory_budget: int | None = ...,
) -> Predictor[Classification]: ...
@overload
def load(
    source: Literal["coco"],
    backend: Backend | MakeExecutor = ...,
    views: Views = ...,
    *,
    threads: int | None = ...,
    memory_budget: int | None = ...,
) -> Predictor[Detections]: ...
@overload
def load(
    source: Literal["voc", "voc-small"],
    backend: Backend | MakeExecutor = ...,
    views: Views = ...,
    *,
    threads: int | None = ...,
    memory_budget: int | None = ...,
) -> Predictor[Segmentation]: ...
@overload
def load(
    source: str | Path | ModelFile,
    backend: Backend | MakeExecutor = ...,
    views: Views = ...,
    *,
    threads: int | None = ...,
    memory_budget: int | None = ...,
) -> Predictor[Result]: ...
def load(
    source: str | Path | ModelFile = "imagenet",
    backend: Backend | MakeExecutor = "native",
    views: Views = ONE_VIEW,
    *,
    threads: int | None = None,
    memory_budget: int | None = None,
) -> Predictor[Result]:
    """A predictor from a model's name (fetched on first use), the path of a model file, or its content.

    A type checker knows the results of "imagenet", "coco", "voc" and "voc-small"; every other source may return any result.

    Args:
        backend: "native" (the engine; a quantized model runs on its numpy reference), "reference" (numpy; in integers if
            the model is quantized), "dequantized" (the engine, in float32 even if the model is quantized), or a function
            that makes an executor from a model (such as `mobilenet.nn.executor`).
        views: scales and mirror images that a segmenter averages.
        threads: that work on one image; the native engine uses every core by default.
        memory_budget: bytes that the native engine's activations may take for one image.

    Raises:
        MobilenetError: an unknown name, a damaged file, a failed download; `threads` or `memory_budget` for a runtime that
            cannot honor it.
    """
    model = source if isinstance(source, ModelFile) else load_model(source)
    return Predictor(model, choose(model, backend, threads, memory_budget), views)
