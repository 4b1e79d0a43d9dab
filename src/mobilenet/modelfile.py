"""The model file: safetensors, with everything needed to run a model as JSON in the metadata.

Tensors have the canonical names of `Network.tensors` and are float32. Metadata keys: ``mobilenet`` (the format's version),
``network``, ``labels``, ``label_ids``, ``background``, ``preprocessing``, ``provenance``, ``metrics``, and ``decoding`` of a
detector; `tensorfile` adds ``checksum``, which every reading compares, and ``sha256`` of the tensors. Training writes the file
that the engine reads: there is no export step between the two.

A quantized model also has the key ``quantization``: its weights are int8 or uint8, its biases int32. In a published TensorFlow
model (`Quantization.to_json`) each ``x.weight`` has a ``x.weight.scale``, float32, one number or one per output channel. In
one of our own (`GridQuantization.to_json`, with the scheme "grid") it has a ``x.weight.multiplier``, int32, one for each output
channel, or a ``x.weight.scale``, float32, if the layer's output is real.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import UsageError, short_repr
from .files import write_atomically
from .images.preprocessing import WHOLE_IMAGE_FITS, Preprocessing
from .limits import TooLarge, check_limit, parse_json
from .network import catalog
from .network.layers import Network
from .tasks.results import VOID
from .tensorfile import ModelFileError, read_safetensors, to_safetensors
from .tensors import Tensors, bounds, kind, plain
from .values import Value, field, replace

if TYPE_CHECKING:
    from pathlib import Path

    from .network.grid import GridQuantization
    from .network.quantization import Quantization
    from .tasks.detection import Decoding
    from .tensors import Array

__all__ = ["FORMAT", "ModelFile", "ModelFileError", "check_tensors", "read", "write"]

T = TypeVar("T")

FORMAT = "1"
"""The version of model files."""
SCALE = ".scale"
"""What follows a weight's name in the name of its scales."""
MULTIPLIER = ".multiplier"
"""What follows a weight's name in the name of its multipliers."""


class ModelFile(Value):
    """A model: a network, its tensors, and how images go in and results come out.

    Attributes:
        network: the network, at its own resolution.
        tensors: every parameter and running statistic by canonical name; float32, or the integers of a quantized model.
            Those of a file are its mapped memory and become arrays on access (see `tensors.Tensors`).
        labels: name of each class, in the order of the outputs (a detector's without its background); empty for a backbone
            without a head.
        label_ids: an identifier for each label (ImageNet's WordNet ids), or empty.
        background: index of the label that means "none of the others" (TensorFlow's 0 of 1001, VOC's 0), or None.
        preprocessing: how an image becomes the input.
        provenance: where the model comes from, as JSON types: source, licence, sha256, recipe.
        metrics: measured results by name, as JSON types; fractions.
        decoding: how a detector's outputs are read; None for every other network.
        quantization: scales and zero points of a quantized model, or None: those of a published TensorFlow model, or our own.

    Raises:
        ModelFileError: parts do not fit together.
    """

    network: Network
    tensors: Mapping[str, Array] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    preprocessing: Preprocessing
    label_ids: tuple[str, ...] = field(default=(), repr=False)
    background: int | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    decoding: Decoding | None = None
    quantization: Quantization | GridQuantization | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_tensors(self.network, self.tensors, "model", self.quantization)
        classes = self.network.settings.classes or 0
        task = self.network.task
        head = "classifier" if task == "classification" else f"{task} head"
        if len(self.labels) != classes:
            raise ModelFileError(f"{len(self.labels)} labels for a {head} of {classes} outputs; they must be as many")
        if self.label_ids and len(self.label_ids) != classes:
            raise ModelFileError(f"{len(self.label_ids)} label ids for {classes} outputs; give one for each, or none")
        if self.background is not None and not 0 <= self.background < classes:
            raise ModelFileError(f"background class {self.background}: must be an index below {classes}, or None")
        if (self.decoding is not None) != (task == "detection"):
            decoding = "no decoding" if self.decoding is None else "a decoding"
            raise ModelFileError(f"{decoding} for {task}: a detector needs one, and nothing else has one")
        if task in ("detection", "segmentation"):
            self._check_preprocessing(task)
        if self.quantization is not None:
            self._check_pixels()
        if task == "segmentation" and classes > VOID:
            raise ModelFileError(f"{classes} classes for a mask of 8 bits, where {VOID} means void; there can be {VOID}")

    def _check_preprocessing(self, task: str) -> None:
        fit, size, resolution = self.preprocessing.fit, self.preprocessing.size, self.network.resolution
        if fit not in WHOLE_IMAGE_FITS:
            raise ModelFileError(
                f"preprocessing fit {fit!r} for {task}: the network must see the whole image; "
                f"choose {' or '.join(WHOLE_IMAGE_FITS)}"
            )
        if task == "detection" and size != resolution:  # the default boxes are those of the resolution
            expected, shapes = self.network.shapes(), self.network.shapes(size)
            if any(shapes[name] != expected[name] for name in self.network.outputs):
                raise ModelFileError(f"preprocessing size {size} for a detector of resolution {resolution}: must be equal")

    def _check_pixels(self) -> None:
        from .network.grid import GridQuantization, Pixels

        if not isinstance(self.quantization, GridQuantization):
            return
        found, expected = self.quantization.pixels, Pixels.of(self.preprocessing.mean, self.preprocessing.std)
        if found != expected:
            raise ModelFileError(
                f"quantization: {found} do not undo the preprocessing, which needs {expected}; quantize it again"
            )

    def dequantized(self) -> ModelFile:
        """The same model with float32 weights: those of a quantized model are the numbers that its integers stand for."""
        if self.quantization is None:
            return self
        tensors = self.quantization.dequantized(self.network, self.tensors)
        return replace(self, tensors=tensors, quantization=None)


def check_tensors(
    network: Network,
    tensors: Mapping[str, Array],
    source: str,
    quantization: Quantization | GridQuantization | None = None,
) -> None:
    """Checks that `tensors` are those of `network`: all names and no other, each of the right shape and type, finite.

    Raises:
        ModelFileError: names the first wrong tensor; `source` is what the message calls the model.
    """
    shapes, views = network.tensors(), plain(tensors)
    if missing := [name for name in shapes if name not in views]:
        raise ModelFileError(f"{source}: no tensor {_listed(missing)}, which {network.architecture} needs")
    if extra := [name for name in views if name not in shapes]:
        raise ModelFileError(f"{source}: tensor {_listed(extra)} has no place in {network.architecture}")
    for name, shape in shapes.items():
        tensor = views[name]
        if tensor.shape != shape:
            raise ModelFileError(f"{source}: tensor {name!r} is {tensor.shape}, must be {shape}")
        dtype = "float32" if quantization is None else "int32" if name.endswith(".bias") else quantization.dtype
        if kind(tensor) != dtype:
            raise ModelFileError(f"{source}: tensor {name!r} is {kind(tensor)}, must be {dtype}")
        if dtype != "float32":
            continue
        low, high = bounds(tensor)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelFileError(f"{source}: tensor {name!r} holds NaN or infinity; the file is damaged or training diverged")
        if name.endswith("running_var") and low < 0:
            raise ModelFileError(f"{source}: tensor {name!r} holds a negative variance; the file is damaged")
    if quantization is not None:
        from .network.quantization import QuantizationError

        try:
            quantization.check(network, tensors)
        except QuantizationError as error:
            raise ModelFileError(f"{source}: {error}") from error


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(short_repr, names[:3])) + more


def write(model: ModelFile, path: str | Path) -> None:
    """Writes `model`, whole or not at all: after a kill or a full disk the old file is as it was.

    Raises:
        WriteError: the folder is missing, not writable or full.
        ModelFileError: a text of the model cannot be encoded.
    """
    metadata = metadata_of(model)
    tensors, names = dict(model.tensors), list(model.network.tensors())
    if model.quantization is not None:
        from .network.grid import GridQuantization

        kinds: list[tuple[str, Mapping[str, Array]]] = [(SCALE, model.quantization.scales)]
        if isinstance(model.quantization, GridQuantization):
            kinds.append((MULTIPLIER, model.quantization.multipliers))
        factors = {name + suffix: arrays[name] for suffix, arrays in kinds for name in names if name in arrays}
        tensors = {**tensors, **factors}
        names = sorted([*names, *factors], key=lambda name: tensors[name].itemsize, reverse=True)  # so that all are aligned
    try:
        content = to_safetensors(tensors, metadata, names)
    except UnicodeEncodeError as error:
        raise ModelFileError(
            f"{path}: a label or another text holds {error.object[error.start]!r}, which UTF-8 cannot encode; take it out"
        ) from error
    write_atomically(path, content)


def metadata_of(model: ModelFile) -> dict[str, str]:
    """All of `model` but its arrays, as texts by key."""
    metadata = {
        "mobilenet": FORMAT,
        "network": json.dumps(model.network.description),
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "label_ids": json.dumps(model.label_ids),
        "background": json.dumps(model.background),
        "preprocessing": json.dumps(model.preprocessing.to_json()),
        "provenance": json.dumps(model.provenance, ensure_ascii=False),
        "metrics": json.dumps(model.metrics),
    }
    if model.decoding is not None:
        metadata["decoding"] = json.dumps(model.decoding.to_json())
    if model.quantization is not None:
        metadata["quantization"] = json.dumps(model.quantization.to_json())
    return metadata


def read(path: str | Path) -> ModelFile:
    """The model in `path`. Raises ModelFileError for anything but a complete and valid model file."""
    tensors, metadata = read_safetensors(path)
    return model_of(path, tensors, metadata)


def model_of(path: str | Path, tensors: Tensors, metadata: Mapping[str, str]) -> ModelFile:
    """The model of these tensors and of `metadata_of`; messages call it `path`. Raises ModelFileError as `read` does."""
    if metadata.get("mobilenet") != FORMAT:
        version = metadata.get("mobilenet")
        problem = (
            "has no mobilenet metadata" if version is None else f"is of format {version!r:.40}; this version reads {FORMAT!r}"
        )
        raise ModelFileError(f"{path}: {problem}; make a model file from weights with 'mobilenet convert {path} --out FILE'")

    def entry(key: str, parse: Callable[[Any], T]) -> T:
        try:
            return parse(parse_json(metadata[key]))
        except TooLarge as error:
            raise ModelFileError(f"{path}: metadata {key!r}, {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
            problem = "is missing" if isinstance(error, KeyError) else f"does not parse: {error}"
            raise ModelFileError(f"{path}: metadata {key!r} {problem}; the file is damaged, make it again") from error

    network = entry("network", catalog.from_description)
    order = {name: i for i, name in enumerate(network.tensors())}  # a file may sort them otherwise
    views = {name: tensors.views[name] for name in sorted(tensors, key=lambda name: order.get(name, -1))}
    quantization: Quantization | GridQuantization | None = None
    decoding: Decoding | None = None
    if "quantization" in metadata:
        from .network.grid import quantization_from_json

        scales = {name.removesuffix(SCALE): tensors[name] for name in tensors if name.endswith(SCALE)}
        multipliers = {name.removesuffix(MULTIPLIER): tensors[name] for name in tensors if name.endswith(MULTIPLIER)}
        views = {name: view for name, view in views.items() if not name.endswith((SCALE, MULTIPLIER))}
        quantization = entry("quantization", lambda data: quantization_from_json(data, scales, multipliers))
    if network.task == "detection" or "decoding" in metadata:
        from .tasks.detection import Decoding

        decoding = entry("decoding", Decoding.from_json)
    preprocessing = entry("preprocessing", Preprocessing.from_json)
    _check_limits(path, network, preprocessing, decoding)
    try:
        return ModelFile(
            network=network,
            tensors=Tensors(views),
            labels=entry("labels", parse_texts),
            label_ids=entry("label_ids", parse_texts),
            background=entry("background", lambda data: None if data is None else int(data)),
            preprocessing=preprocessing,
            provenance=entry("provenance", dict[str, object]),
            metrics=entry("metrics", dict[str, object]),
            decoding=decoding,
            quantization=quantization,
        )
    except ModelFileError as error:
        message = str(error)
        raise ModelFileError(message if message.startswith(str(path)) else f"{path}: {message}") from error


def _check_limits(path: str | Path, network: Network, preprocessing: Preprocessing, decoding: Decoding | None) -> None:
    """ModelFileError if a file asks for more than the limits: a small one may ask for any size of image."""

    def check(name: str, value: int, subject: str) -> None:
        check_limit(name, value, f"{path}, {subject}", ModelFileError)

    for size in {network.resolution, preprocessing.size}:
        check("max_side", max(*size, preprocessing.resize or 1), "side of its images in pixels")
        shapes = network.shapes(size)
        check("max_activation_bytes", 4 * max(shape.elements for shape in shapes.values()), "bytes of its largest activation")
        madds = sum(layer.madds([shapes[name] for name in layer.inputs]) for layer in network.layers)
        check("max_madds", madds, "multiply-adds for one image")
        if decoding is not None:
            check("max_detections", decoding.max_detections, "detections on one image")
            scores = sum(shapes[name].elements for name in network.heads.classes)
            check("max_candidates", scores, "scores on one image")


def parse_texts(data: object) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        raise UsageError(f"{short_repr(data)} must be a list of texts")
    return tuple(data)
