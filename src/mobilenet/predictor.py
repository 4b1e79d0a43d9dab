"""From a name or a file to answers: load once, then call with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import modelfile
from .images import Source, open_image
from .modelfile import ModelFile, ModelFileError
from .results import Classification
from .runtime.reference import Reference
from .weights import published
from .weights.carriers import Report, cache_folder, fetch
from .weights.convert import convert

Floats = NDArray[np.float32]
Executor = Callable[[Floats], Mapping[str, Floats]]
"""Runs a network: (N, 3, H, W) float32 -> each output by name."""

BACKENDS: dict[str, Callable[[ModelFile], Executor]] = {"reference": lambda model: Reference(model.network, model.tensors)}


class Predictor:
    """A loaded model. ``predict("cat.jpg")`` opens, prepares and classifies a picture.

    Attributes:
        model: the model file's content.
        executor: what runs the network; evaluation of a torch module passes its own here.
    """

    def __init__(self, model: ModelFile, executor: Executor) -> None:
        if not model.labels:
            raise ModelFileError(f"{model.network.architecture} without a classifier cannot name pictures; it can be trained")
        self.model, self.executor = model, executor

    def __call__(self, image: Source) -> Classification:
        """`image`: path, PIL image, or (H, W, 3) uint8 array. Raises `images.ImageError` for what is no picture."""
        return self.classify(self.prepare(image))

    def prepare(self, image: Source) -> Floats:
        """The network's input for one picture: (3, H, W) float32."""
        return self.model.preprocessing(open_image(image))

    def classify(self, prepared: Floats) -> Classification:
        """The answer for one prepared picture, (3, H, W) float32."""
        (logits,) = self.executor(prepared[None])["classifier"]
        return Classification(softmax(logits), self.model.labels)


def softmax(logits: Floats) -> Floats:
    """(K,) probabilities, made in float64 so that they sum to 1 within a float32 rounding."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float32)


def load(
    source: str | Path | ModelFile = "imagenet", backend: str | Callable[[ModelFile], Executor] = "reference"
) -> Predictor:
    """A predictor from a model's name (fetched on first use), the path of a model file, or its content.

    `backend`: "reference", or a function that makes an executor from a model (as `mobilenet.nn.executor`).
    Raises ValueError, or its subclass for damaged files and failed fetches.
    """
    if isinstance(backend, str):
        if backend not in BACKENDS:
            raise ValueError(f"no backend is called {backend!r}; there is {', '.join(BACKENDS)}")
        backend = BACKENDS[backend]
    model = source if isinstance(source, ModelFile) else load_model(source)
    return Predictor(model, backend(model))


def load_model(source: str | Path, report: Report = lambda line: None) -> ModelFile:
    """The content of a model file, or of a known model: fetched, verified and converted on first use, then cached."""
    path = Path(source)
    if path.suffix == ".safetensors" or path.exists():
        return modelfile.read(path)
    entry = published.find(str(source))
    if entry.task != "classification":
        raise ValueError(f"{entry.name} is a {entry.task} model; this version runs classifiers, for example 'imagenet'")
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
