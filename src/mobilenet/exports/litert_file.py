"""A model as the bytes of a ``.tflite`` file: the network alone or a whole model, with its labels and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import UsageError
from ..images.preprocessing import levels
from ..network.quantization import Quantization
from .litert import FloatWriter, sides
from .litert_graph import Scale
from .litert_integers import IntegerWriter
from .litert_metadata import OWN_METADATA, TFLITE_METADATA, own_metadata, tflite_metadata, with_labels
from .litert_whole import Ends

if TYPE_CHECKING:
    from ..modelfile import ModelFile

Precision = Literal["fp32", "fp16", "int8"]


def litert_file(model: ModelFile, precision: Precision = "fp32", whole: bool = False, batch: int | None = 1) -> bytes:
    """The bytes of a ``.tflite`` file.

    The network alone has an input ``input``, (batch, H, W, 3) float32, normalized, and the network's outputs by name, float32.
    A whole model has an input ``image``, (1, H, W, 3) uint8, and answers:

    - classification: ``probabilities`` (1, classes) float32.
    - detection: ``boxes`` (1, n, 4) as y0, x0, y1, x1 in shares of the sides, ``classes`` (1, n), ``scores`` (1, n), ``count``
      (1,), all float32, best first.
    - segmentation: ``mask`` (1, H, W) uint8.

    H and W are the model's own: those of its preprocessing.

    Args:
        precision: "fp32"; "fp16" stores the weights in 16 bits; "int8" is for quantized models, whose other precisions hold the
            real numbers that their integers stand for.
        whole: put normalization and answers inside.
        batch: images at once, or None for any number; a whole model has 1.

    Raises:
        UsageError: "int8" for a float model, a whole model with another batch, or of a network without a head.
    """
    if whole and batch != 1:
        raise UsageError(f"batch {'of any size' if batch is None else batch} for a whole LiteRT model: must be 1")
    writer = writer_of(model, precision, batch)
    if whole:
        ends, shape = Ends(model, writer.graph), sides(writer.shapes["input"], 1)
        image = writer.graph.tensor("image", shape, "uint8", byte_scale(model, precision))
        outputs = ends.answers(writer.run(ends.normalized(image) if image.scale is None else image))
    else:
        image = writer.image()
        outputs = list(writer.run(image).values())
    names = [writer.graph.names[each.index] for each in outputs]
    metadata = {TFLITE_METADATA: tflite_metadata(model, whole, names), OWN_METADATA: own_metadata(model)}
    content = writer.graph.file([image], outputs, f"mobilenet {model.network.architecture}", metadata)
    return with_labels(content, model.labels)


def writer_of(model: ModelFile, precision: Precision, batch: int | None) -> FloatWriter | IntegerWriter:
    size = model.preprocessing.size
    if precision == "int8":
        if model.quantization is None:
            raise UsageError("precision int8 for a float model: make integers of it first, with 'mobilenet quantize'")
        return IntegerWriter(model.network, model.tensors, model.quantization, size, batch)
    floats = model.dequantized()
    return FloatWriter(floats.network, floats.tensors, size, batch, precision)


def byte_scale(model: ModelFile, precision: Precision) -> Scale | None:
    """What the bytes of an image mean if an integer network reads them as they are; None if they are normalized first."""
    if precision != "int8":
        return None
    if not isinstance(model.quantization, Quantization):
        return Scale([1.0], 0)
    scale, zero_point = model.quantization.activations["input"]
    real = np.array(levels(model.preprocessing.mean, model.preprocessing.std), np.float32).reshape(3, 256)
    integers = np.floor(real / np.float32(scale) + 0.5) + zero_point + model.quantization.origin
    return Scale([scale], zero_point + model.quantization.origin) if (integers == np.arange(256)).all() else None
