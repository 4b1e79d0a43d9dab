"""LiteRT models (``.tflite`` files), run by LiteRT's interpreter. Needs the extra ``[litert]``.

A file holds a network or a whole model, with its labels and metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..errors import UsageError
from ..images.preprocessing import levels
from ..network.quantization import Quantization
from .exporter import Content, Exporter, ExportError, Opened, PlainFile, WholeFile
from .litert import FloatWriter, sides
from .litert_graph import Scale
from .litert_integers import IntegerWriter
from .litert_metadata import OWN_METADATA, TFLITE_METADATA, labels_of, own_metadata, tflite_metadata, with_labels
from .litert_whole import Ends

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..modelfile import ModelFile
    from ..tensors import Array, Floats
    from .exporter import WholeAnswer
    from .formats import Precision


class LiteRTExporter(Exporter):
    """Any number of images at once for a network alone, one for a whole model; see `litert_file` for inputs and outputs."""

    def write(self, content: Content, path: Path) -> None:
        batch = 1 if content.whole else None
        path.write_bytes(litert_file(content.model, content.precision, content.whole, batch))

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"{path}: LiteRT refuses it ({error})") from error
        (image,) = interpreter.get_input_details()
        outputs = {each["name"]: each["index"] for each in interpreter.get_output_details()}
        precision = precision_of({each["dtype"] for each in interpreter.get_tensor_details()})
        name = f"litert {getattr(ai_edge_litert, '__version__', '')}".strip()

        def run(x: Array) -> dict[str, Array]:
            interpreter.set_tensor(image["index"], x)
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in outputs.items()}

        def network(x: Floats) -> dict[str, Floats]:
            found = run(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
            return {name: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for name, value in found.items()}

        if image["dtype"] != np.uint8:
            return PlainFile(name, precision, model.network, network, threads)
        return WholeFile(name, precision, lambda pixels: answer(run, pixels, model), model.preprocessing)


def precision_of(dtypes: set[type[np.generic]]) -> Precision:
    """What a file computes in, by the types of its tensors. A whole model has bytes at its ends."""
    return "int8" if np.int8 in dtypes else "fp16" if np.float16 in dtypes else "fp32"


def answer(run: Callable[[Array], dict[str, Array]], pixels: NDArray[np.uint8], model: ModelFile) -> WholeAnswer:
    """What a whole file answers for an image of any size, which its caller brings to the file's size as the model wants it.

    An image of the file's own size is taken as it is.
    """
    preprocessing, (rows, columns) = model.preprocessing, pixels.shape[:2]
    image, as_it_is = Image.fromarray(pixels), (rows, columns) == preprocessing.size
    found = run(np.asarray(image if as_it_is else preprocessing.resize_and_crop(image))[None])
    match model.network.task:
        case "detection":
            x0, y0, x1, y1 = (0, 0, columns, rows) if as_it_is else preprocessing.window((columns, rows))
            boxes = found["boxes"][0][:, [1, 0, 3, 2]] * np.array([x1 - x0, y1 - y0] * 2, np.float32)
            boxes = boxes.clip(0, np.array([columns, rows] * 2, np.float32))
            kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (np.arange(len(boxes)) < found["count"][0])
            return {
                "boxes": boxes[kept],
                "scores": found["scores"][0][kept],
                "classes": found["classes"][0][kept].astype(np.int64),
            }
        case "segmentation":
            width, height = (columns, rows) if as_it_is else preprocessing.content((columns, rows))
            mask = Image.fromarray(np.ascontiguousarray(found["mask"][0][:height, :width]))
            return {"mask": np.asarray(mask.resize((columns, rows), Image.Resampling.NEAREST))}
        case _:
            return {"scores": found["probabilities"][0]}


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
    return with_labels(content, labels_of(model, whole))


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
