"""Whole Core ML models: an image in; a label, objects or a mask out, as Apple's frameworks expect them.

The image has the network's own size: Vision and `MLFeatureValue` bring images to it. A classifier says ``classLabel`` and
``classLabel_probs``. A detector is a pipeline with Core ML's own NMS, whose ``confidence`` and ``coordinates`` Vision reads as
recognized objects. A segmenter says ``mask``, the class of every pixel.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..images.palette import class_color
from ..network.heads import detector_settings
from ..tasks.boxes import CODE_SCALES, MAX_LOG_SCALE
from ..tasks.detection import default_boxes
from ..tasks.labels import Labels, classes_in_use, without_unused
from .coreml import Var

if TYPE_CHECKING:
    from ..images.preprocessing import Preprocessing
    from ..modelfile import ModelFile
    from ..tasks.detection import Codes
    from ..tensors import Floats

DECODING = "decode_"
"""How the names of operations begin that stay float32 in a program of 16 bits: shares of an image need more digits."""
COORDINATES, CONFIDENCE = "raw_coordinates", "raw_confidence"


def normalized(image: Var, preprocessing: Preprocessing) -> Var:
    """Pixels (1, 3, H, W) from 0 to 255 -> (pixel / 255 - mean) / std: a factor and a sum for each color."""
    from coremltools.converters.mil import Builder as mb

    mean, std = (np.array(part, np.float32).reshape(1, 3, 1, 1) for part in (preprocessing.mean, preprocessing.std))
    scaled = mb.mul(x=image, y=1 / (255 * std), name="image_scaled")
    made: Var = mb.add(x=scaled, y=-mean / std, name="image_normalized")
    return made


def answers(model: ModelFile, outputs: Mapping[str, Var]) -> tuple[Var, ...]:
    """The task's answers from the network's outputs, in the open program."""
    from coremltools.converters.mil import Builder as mb

    match model.network.task:
        case "detection":
            return objects(model, outputs)
        case "segmentation":
            (logits,) = outputs.values()
            best = mb.reduce_argmax(x=logits, axis=1, keep_dims=False, name="mask_of_batch")
            return (mb.squeeze(x=best, axes=[0], name="mask"),)
        case _:
            (logits,) = outputs.values()
            return (mb.softmax(x=logits, axis=-1, name="probabilities"),)


def objects(model: ModelFile, outputs: Mapping[str, Var]) -> tuple[Var, Var]:
    """Boxes (A, 4) as center x, center y, width, height in shares of the image, cut at its edges; scores (A, classes)."""
    from coremltools.converters.mil import Builder as mb

    network, decoding = model.network, model.decoding
    assert decoding is not None
    named = {network[name].name: value for name, value in outputs.items()}
    heads, slots = network.heads, detector_settings(network).classes + 1
    codes, logits = (
        rows([named[network[name].name] for name in names], length, kind)
        for names, length, kind in ((heads.boxes, 4, "codes"), (heads.classes, slots, "logits"))
    )
    boxes = decoded(codes, default_boxes(network, model.preprocessing.size).astype(np.float32), decoding.codes)
    scores = (
        mb.sigmoid(x=logits, name="scores") if decoding.scores == "sigmoid" else mb.softmax(x=logits, axis=1, name="scores")
    )
    used = classes_in_use(Labels(model.labels, model.label_ids))
    columns = np.arange(1, slots) if used is None else np.array(used) + 1  # without background and what has no name
    scores = mb.gather(x=scores, indices=columns.astype(np.int32), axis=1, name="class_scores")
    sides = mb.slice_by_index(x=boxes, begin=[0, 2], end=[0, 4], end_mask=[True, False], name=f"{DECODING}sides")
    smallest = mb.reduce_min(x=sides, axes=[1], keep_dims=True, name=f"{DECODING}smallest")
    visible = mb.cast(x=mb.greater(x=smallest, y=np.float32(0)), dtype="fp32", name=f"{DECODING}visible")
    confidence: Var = mb.mul(x=scores, y=visible, name=f"{DECODING}confidence")
    return mb.identity(x=boxes, name=COORDINATES), mb.identity(x=confidence, name=CONFIDENCE)


def decoded(codes: Var, defaults: Floats, order: Codes) -> Var:
    """Codes (A, 4) -> boxes (A, 4): center x, center y, width, height in shares of the image, cut at its edges."""
    from coremltools.converters.mil import Builder as mb

    if order == "yxhw":
        codes = mb.gather(x=codes, indices=np.array([1, 0, 3, 2], np.int32), axis=1, name=f"{DECODING}xywh")
    middles, sizes = defaults[:, :2], defaults[:, 2:]
    offsets, logarithms = (
        mb.slice_by_index(x=codes, begin=[0, first], end=[0, first + 2], end_mask=[True, False], name=f"{DECODING}{name}")
        for first, name in ((0, "offsets"), (2, "logarithms"))
    )
    moved = mb.mul(x=offsets, y=sizes / CODE_SCALES[:2].astype(np.float32), name=f"{DECODING}moved")
    centers = mb.add(x=moved, y=middles, name=f"{DECODING}centers")
    scaled = mb.mul(x=logarithms, y=(1 / CODE_SCALES[2:]).astype(np.float32), name=f"{DECODING}scaled")
    bounded = mb.minimum(x=scaled, y=np.float32(MAX_LOG_SCALE), name=f"{DECODING}bounded")
    halves = mb.mul(x=mb.exp(x=bounded, name=f"{DECODING}factors"), y=sizes / 2, name=f"{DECODING}halves")
    low = mb.clip(x=mb.sub(x=centers, y=halves, name=f"{DECODING}low"), alpha=0.0, beta=1.0, name=f"{DECODING}cut_low")
    high = mb.clip(x=mb.add(x=centers, y=halves, name=f"{DECODING}high"), alpha=0.0, beta=1.0, name=f"{DECODING}cut_high")
    middle = mb.mul(x=mb.add(x=low, y=high, name=f"{DECODING}sum"), y=np.float32(0.5), name=f"{DECODING}middle")
    extent = mb.sub(x=high, y=low, name=f"{DECODING}extent")
    made: Var = mb.concat(values=[middle, extent], axis=1, name=f"{DECODING}boxes")
    return made


def rows(maps: Sequence[Var], length: int, name: str) -> Var:
    """Maps (1, boxes * length, H, W) as one value (all boxes, length), in the order of the default boxes."""
    from coremltools.converters.mil import Builder as mb

    parts = []
    for number, each in enumerate(maps):
        last = mb.transpose(x=each, perm=[0, 2, 3, 1], name=f"{name}_last_{number}")
        parts.append(mb.reshape(x=last, shape=[-1, length], name=f"{name}_{number}"))
    made: Var = mb.concat(values=parts, axis=0, name=name)
    return made


def unique_labels(model: ModelFile) -> list[str]:
    """A label for each class that is answered. They are keys, so of two equal ones (ImageNet's cranes) each gets its id."""
    names, ids = without_unused(Labels(model.labels, model.label_ids))
    times = Counter(names)
    marks = ids or tuple(map(str, range(len(names))))
    return [f"{name} ({mark})" if times[name] > 1 else name for name, mark in zip(names, marks, strict=True)]


def preview(model: ModelFile) -> dict[str, str]:
    """What Xcode needs to show a segmenter's masks."""
    if model.network.task != "segmentation":
        return {}
    colors = ["#{:02x}{:02x}{:02x}".format(*class_color(index)) for index in range(len(model.labels))]
    params = json.dumps({"labels": list(model.labels), "colors": colors})
    return {"com.apple.coreml.model.preview.type": "imageSegmenter", "com.apple.coreml.model.preview.params": params}
