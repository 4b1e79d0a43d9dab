"""A whole model in one LiteRT file: an image of bytes in; probabilities, boxes or a mask out.

The image has the network's own size, because LiteRT has no resize that averages over the pixels it skips, as the preprocessing
does. Inside stand the normalization, with the very roundings of `images.preprocessing`, then the network, then a softmax, the
custom operator ``TFLite_Detection_PostProcess`` (scores, decoded boxes and NMS, with the default boxes as its constant), or the
class of the largest score of every pixel.

That operator differs from `tasks.detection` in three ways: it does not cut boxes at the image's edges before NMS, a score equal
to the threshold counts, and all boxes of a class enter NMS (``max_candidates`` is not used).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError, assert_never
from ..tasks.boxes import CODE_SCALES, MAX_LOG_SCALE
from ..tasks.detection import Decoding, default_boxes
from ..tasks.labels import Labels, classes_in_use
from .litert_graph import (
    Code,
    Graph,
    Tensor,
    arg_max_options,
    cast_options,
    concatenation_options,
    gather_options,
    softmax_options,
)

if TYPE_CHECKING:
    from ..modelfile import ModelFile

POST_PROCESS = "TFLite_Detection_PostProcess"
DETECTIONS = ("boxes", "classes", "scores", "count")
"""The outputs of a detector, in the operator's order."""


class Ends:
    """What stands before and after a network in a whole model."""

    def __init__(self, model: ModelFile, graph: Graph) -> None:
        self.model, self.graph = model, graph

    def normalized(self, image: Tensor) -> Tensor:
        """uint8 -> (pixel / 255 - mean) / std, with the roundings of the preprocessing."""
        graph = self.graph
        x = graph.then("CAST", [image], graph.tensor("image/float", image.shape), cast_options("uint8", "float32"))
        steps: tuple[tuple[Code, str, object], ...] = (
            ("DIV", "scale", 255.0),
            ("SUB", "mean", self.model.preprocessing.mean),
            ("DIV", "std", self.model.preprocessing.std),
        )
        for code, name, value in steps:
            constant = graph.constant(f"image/{name}", np.atleast_1d(np.array(value, np.float32)))
            x = graph.then(code, [x, constant], graph.tensor(f"image/after_{name}", x.shape))
        return x

    def answers(self, outputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The task's answers from the network's outputs."""
        match self.model.network.task:
            case "classification":
                return [self.probabilities(*outputs.values())]
            case "detection":
                return self.detections(outputs)
            case "segmentation":
                return [self.mask(*outputs.values())]
            case "features":
                raise UsageError(f"{self.model.network.architecture} without a head has no answers; export it without --whole")
            case _:
                assert_never(self.model.network.task)

    def probabilities(self, logits: Tensor) -> Tensor:
        return self.graph.then("SOFTMAX", [logits], self.graph.tensor("probabilities", logits.shape), softmax_options())

    def mask(self, logits: Tensor) -> Tensor:
        """(1, H, W) uint8: the class of every pixel."""
        graph, (batch, height, width, _) = self.graph, logits.shape
        axis = graph.constant("mask/axis", np.array(3, np.int32))
        indices = graph.tensor("mask/indices", (batch, height, width), "int32")
        graph.operator("ARG_MAX", [logits, axis], [indices], arg_max_options("int32"))
        return graph.then("CAST", [indices], graph.tensor("mask", indices.shape, "uint8"), cast_options("int32", "uint8"))

    def detections(self, outputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Boxes (1, n, 4) as y0, x0, y1, x1 in shares of the image; classes, scores (1, n); their number (1,); all float32.

        Classes that have no name (COCO's gaps) are left out, and the others counted on.
        """
        network, decoding, graph = self.model.network, self.model.decoding, self.graph
        assert decoding is not None
        named = {network[name].name: tensor for name, tensor in outputs.items()}
        scores = self.scores([named[network[name].name] for name in network.heads.classes], decoding)
        codes = self.rows("codes", [named[network[name].name] for name in network.heads.boxes], 4)
        if decoding.codes == "xywh":
            order = graph.constant("codes/order", np.array([1, 0, 3, 2], np.int32))
            codes = graph.then("GATHER", [codes, order], graph.tensor("codes/yxhw", codes.shape), gather_options(2))
        largest = np.finfo(np.float32).max
        limits = np.array([largest, largest, *(CODE_SCALES[2:] * MAX_LOG_SCALE)], np.float32)
        bounded = graph.tensor("codes/bounded", codes.shape)
        codes = graph.then("MINIMUM", [codes, graph.constant("codes/limits", limits)], bounded)
        defaults = default_boxes(network, self.model.preprocessing.size)[:, [1, 0, 3, 2]]
        anchors = graph.constant("anchors", defaults.astype(np.float32))
        count = decoding.max_detections
        shapes = ((1, count, 4), (1, count), (1, count), (1,))
        found = [graph.tensor(name, shape) for name, shape in zip(DETECTIONS, shapes, strict=True)]
        options = post_process_options(decoding, (scores.shape[2] or 1) - 1)
        graph.operator("CUSTOM", [codes, scores, anchors], found, custom=POST_PROCESS, custom_options=options)
        return found

    def scores(self, maps: list[Tensor], decoding: Decoding) -> Tensor:
        """(1, all boxes, classes + 1): the scores of the background and of the classes that have a name."""
        graph, labels = self.graph, Labels(self.model.labels, self.model.label_ids)
        logits = self.rows("logits", maps, len(labels.names) + 1)
        scores = graph.tensor("class_scores", logits.shape)
        if decoding.scores == "sigmoid":
            graph.then("LOGISTIC", [logits], scores)
        else:
            graph.then("SOFTMAX", [logits], scores, softmax_options())
        if (used := classes_in_use(labels)) is None:
            return scores
        columns = graph.constant("class_scores/used", np.array([0, *(index + 1 for index in used)], np.int32))
        named = graph.tensor("class_scores/named", (*logits.shape[:2], len(used) + 1))
        return graph.then("GATHER", [scores, columns], named, gather_options(2))

    def rows(self, name: str, maps: list[Tensor], length: int) -> Tensor:
        """Maps (1, H, W, boxes * length) as one tensor (1, all boxes, length)."""
        graph, parts = self.graph, list[Tensor]()
        for each in maps:
            _, height, width, channels = (int(side or 1) for side in each.shape)
            shape = (1, height * width * channels // length, length)
            size = graph.constant(f"{name}/shape", np.array(shape, np.int32))
            parts.append(graph.then("RESHAPE", [each, size], graph.tensor(f"{name}/{len(parts)}", shape)))
        total = sum(int(part.shape[1] or 0) for part in parts)
        return graph.then("CONCATENATION", parts, graph.tensor(name, (1, total, length)), concatenation_options(1))


def post_process_options(decoding: Decoding, classes: int) -> bytes:
    """The options of the custom operator, as a flexbuffer."""
    from flatbuffers import flexbuffers

    y, x, height, width = (float(scale) for scale in CODE_SCALES)
    options = {
        "detections_per_class": decoding.max_detections,
        "h_scale": height,
        "max_classes_per_detection": 1,
        "max_detections": decoding.max_detections,
        "nms_iou_threshold": decoding.iou,
        "nms_score_threshold": decoding.threshold,
        "num_classes": classes,
        "use_regular_nms": True,  # every class by itself; the fast form keeps only the best class of a box
        "w_scale": width,
        "x_scale": x,
        "y_scale": y,
    }
    return bytes(flexbuffers.Dumps(options))
