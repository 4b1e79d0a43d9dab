"""From a name or a file to answers: load once, then call with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import detection, modelfile, segmentation
from .images import Source, open_image
from .modelfile import ModelFile, ModelFileError
from .results import Classification, Detections, Result, Segmentation
from .runtime.reference import Reference
from .runtime.reference_int8 import Int8Reference
from .segmentation import ONE_VIEW, Views
from .weights import published
from .weights.carriers import Report, cache_folder, fetch
from .weights.convert import convert

Floats = NDArray[np.float32]
Executor = Callable[[Floats], Mapping[str, Floats]]
"""Runs a network: (N, 3, H, W) float32 -> each output by name."""


def reference(model: ModelFile) -> Executor:
    """The numpy specification: integer arithmetic for a quantised model, float32 for every other."""
    if model.quantization is not None:
        return Int8Reference(model.network, model.tensors, model.quantization)
    return Reference(model.network, model.tensors)


def dequantized(model: ModelFile) -> Executor:
    """The numpy specification in float32, of a quantised model with the numbers that its integers stand for."""
    return reference(model.dequantized())


BACKENDS: dict[str, Callable[[ModelFile], Executor]] = {"reference": reference, "dequantized": dequantized}


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
        answers: dict[str, Callable[[Image.Image], Result]]
        answers = {"classification": self.classify, "detection": self.detect, "segmentation": self.segment}
        self.answer = answers[task]
        if task == "detection":
            self.defaults = detection.default_boxes(model.network)

    def __call__(self, image: Source) -> Result:
        """`image`: path, PIL image, or (H, W, 3) uint8 array. Raises `images.ImageError` for what is no picture.

        The result is a `Classification`, `Detections` or `Segmentation`; boxes and masks are in the picture's own pixels.
        """
        return self.answer(open_image(image))

    def prepare(self, image: Source) -> Floats:
        """The network's input for one picture: (3, H, W) float32."""
        return self.model.preprocessing(open_image(image))

    def classify(self, picture: Image.Image) -> Classification:
        (logits,) = self.executor(self.model.preprocessing(picture)[None])["classifier"]
        return Classification(softmax(logits), self.model.labels)

    def detect(self, picture: Image.Image) -> Detections:
        network, preprocessing, decoding = self.model.network, self.model.preprocessing, self.model.decoding
        assert decoding is not None
        logits, codes = detection.raw_scores(self.executor(preprocessing(picture)[None]), network)
        window = preprocessing.window(picture.size)
        return detection.detect(logits, codes, self.defaults, decoding, picture.size, window, self.model.labels)

    def segment(self, picture: Image.Image) -> Segmentation:
        columns, rows = self.model.preprocessing.content(picture.size)
        mean = np.zeros((len(self.model.labels), rows, columns), np.float32)
        views = list(self.views)
        for scale, mirrored in views:
            preprocessing = segmentation.scaled(self.model.preprocessing, scale)
            content = preprocessing.content(picture.size)
            x = preprocessing(picture)
            if mirrored:  # the picture, not its padding, so that it stays at the upper left
                x[:, : content[1], : content[0]] = x[:, : content[1], content[0] - 1 :: -1].copy()
            (logits,) = self.executor(x[None])["upsample"]
            mean += segmentation.probabilities(logits, content, mirrored, (rows, columns)) / len(views)
        return segmentation.segment(mean, picture.size, self.model.labels, self.model.background)


def softmax(logits: Floats) -> Floats:
    """(K,) probabilities, made in float64 so that they sum to 1 within a float32 rounding."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float32)


def load(
    source: str | Path | ModelFile = "imagenet",
    backend: str | Callable[[ModelFile], Executor] = "reference",
    views: Views = ONE_VIEW,
) -> Predictor:
    """A predictor from a model's name (fetched on first use), the path of a model file, or its content.

    `backend`: "reference" (integer arithmetic where the model is quantised), "dequantized" (float32 always), or a function
    that makes an executor from a model (as `mobilenet.nn.executor`). `views`: of a segmenter, the scales and mirror images
    to average.
    Raises ValueError, or its subclass for damaged files and failed fetches.
    """
    if isinstance(backend, str):
        if backend not in BACKENDS:
            raise ValueError(f"no backend is called {backend!r}; there is {', '.join(BACKENDS)}")
        backend = BACKENDS[backend]
    model = source if isinstance(source, ModelFile) else load_model(source)
    return Predictor(model, backend(model), views)


def load_model(source: str | Path, report: Report = lambda line: None) -> ModelFile:
    """The content of a model file, or of a known model: fetched, verified and converted on first use, then cached."""
    path = Path(source)
    if path.suffix == ".safetensors" or path.exists():
        return modelfile.read(path)
    entry = published.find(str(source))
    # The name carries what the content depends on, so a newer format or file never meets an old cache.
    pinned = entry.files[0].sha256[:16] or "unpinned"
    converted = cache_folder() / "models" / f"{entry.name.replace('/', '--')}-{pinned}-{modelfile.FORMAT}.safetensors"
    if converted.exists():
        try:
            return modelfile.read(converted)
        except ModelFileError as error:
            report(f"{entry.name}: the cached model file is damaged ({error}); making it again")
    model = convert_published(entry, report)
    converted.parent.mkdir(parents=True, exist_ok=True)
    modelfile.write(model, converted)
    return model


def convert_published(entry: published.Published, report: Report) -> ModelFile:
    brought = fetch(entry, report)
    file = entry.files[0]
    provenance: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "licence": entry.licence,
        "official": file.url,
        "published": dict(entry.accuracy),
    }
    return convert(brought.folder / file.name, provenance=provenance, **entry.settings).model
