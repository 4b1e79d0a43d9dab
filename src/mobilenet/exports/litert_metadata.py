"""What a LiteRT file says about itself: TFLite's own metadata, the labels as an associated file, and the model file's texts.

The metadata are a flatbuffer of the published ``metadata_schema.fbs``, which Android's tools read: what the input is, how it is
normalized, what the outputs mean, and which of them have labels. The labels stand in ``labels.txt``, in a zip archive behind
the model's bytes, as that schema wants it. A buffer ``MOBILENET`` holds the texts of a model file as JSON: description of
the network, labels, preprocessing, decoding, provenance.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..modelfile import metadata_of
from ..tasks.labels import Labels, without_unused
from .flatbuffer import Table, int8, int32, serialize, uint8, uint32

if TYPE_CHECKING:
    from ..modelfile import ModelFile

MARK = b"M001"
TFLITE_METADATA, OWN_METADATA = "TFLITE_METADATA", "MOBILENET"
LABELS = "labels.txt"
PARSER_VERSION = "1.0.0"
AXIS_LABELS, VALUE_LABELS = 2, 3  # a label for each index along the last axis, or for each value
IMAGE, FEATURE, BOXES = 2, 1, 3  # contents
RGB = 1
NORMALIZATION = 1
BOUNDARIES, RATIO = 1, 0
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of the archive's entries, so that equal models give equal bytes


def tflite_metadata(model: ModelFile, whole: bool, outputs: Sequence[str]) -> bytes:
    """The metadata of a file from an image to `outputs`, its tensors by name."""
    names = list(outputs)
    if whole and model.network.task == "detection":
        order = "boxes as y0, x0, y1, x1 in shares of the sides, classes, scores, and how many there are"
        tables = [boxes_table(names[0]), value_table(names[1]), plain_table(names[2]), plain_table(names[3])]
        group: list[Table] | None = [{0: "detection_result", 1: names}]
    elif whole and model.network.task == "segmentation":
        order, group = f"the class of every pixel, an index into {LABELS}", None
        tables = [value_table(name) for name in names]
    else:
        order, group = "probabilities" if whole else "the network's outputs", None
        labeled = {name for name in names if model.network.task in ("classification", "segmentation")}
        tables = [axis_table(name) if name in labeled and model.labels else plain_table(name) for name in names]
    subgraph: Table = {2: [input_table(model, whole)], 3: tables, 8: group}
    root: Table = {
        0: f"mobilenet {model.network.architecture}",
        1: f"{model.network.task}; output: {order}",
        3: [subgraph],
        5: str(model.provenance.get("licence", "")) or None,
        7: PARSER_VERSION,
    }
    return serialize(root, MARK)


def input_table(model: ModelFile, whole: bool) -> Table:
    """The image: its size, and the mean and standard deviation that a caller subtracts and divides by, in pixels."""
    preprocessing = model.preprocessing
    height, width = preprocessing.size
    center, spread = np.zeros(1, np.float32), np.ones(1, np.float32)
    if not whole:
        center, spread = (np.array(part, np.float32) * 255 for part in (preprocessing.mean, preprocessing.std))
    normalization: Table = {0: center, 1: spread}
    units: list[Table] = [{0: uint8(NORMALIZATION), 1: normalization}]
    size: Table = {0: uint32(width), 1: uint32(height)}
    return {
        0: "image",
        1: f"RGB; {fit_in_words(model)}",
        3: {0: uint8(IMAGE), 1: {0: int8(RGB), 1: size}},
        4: units,
        5: {0: (255 - center) / spread, 1: -center / spread},  # largest and least
    }


def fit_in_words(model: ModelFile) -> str:
    """How the model's preprocessing brings an image to the input's size, for people."""
    given = {name: value for name, value in model.preprocessing.to_json().items() if name not in ("size", "mean", "std")}
    return "brought to this size by " + ", ".join(f"{name} {value}" for name, value in given.items())


def labels_table(kind: int) -> list[Table]:
    return [{0: LABELS, 1: "a label in each line", 2: int8(kind)}]


def plain_table(name: str) -> Table:
    return {0: name, 3: {0: uint8(FEATURE), 1: {}}}


def axis_table(name: str) -> Table:
    """An output with a label for each index of its last axis."""
    return {**plain_table(name), 6: labels_table(AXIS_LABELS)}


def value_table(name: str) -> Table:
    """An output whose numbers are indices of labels."""
    return {**plain_table(name), 6: labels_table(VALUE_LABELS)}


def boxes_table(name: str) -> Table:
    """Boxes: the schema counts left, top, right, bottom as 0 to 3, and y0, x0, y1, x1 are 1, 0, 3, 2."""
    order: Table = {0: np.array([1, 0, 3, 2], np.uint32), 1: int8(BOUNDARIES), 2: int8(RATIO)}
    return {0: name, 3: {0: uint8(BOXES), 1: order, 2: {0: int32(2), 1: int32(2)}}}


def own_metadata(model: ModelFile) -> bytes:
    """The model file's texts as one JSON object."""
    return json.dumps(metadata_of(model), ensure_ascii=False, sort_keys=True).encode()


def labels_of(model: ModelFile, whole: bool) -> tuple[str, ...]:
    """A label for each class that the outputs count: of a whole detector only those that have a name."""
    labels = Labels(model.labels, model.label_ids)
    return without_unused(labels).names if whole else labels.names


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """The file with `labels.txt` behind it; a label takes one line, whatever it holds."""
    if not labels:
        return content
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        lines = "".join(" ".join(label.split()) + "\n" for label in labels)
        archive.writestr(zipfile.ZipInfo(LABELS, FIRST_DATE), lines.encode("utf-8", "replace"))
    return out.getvalue()
