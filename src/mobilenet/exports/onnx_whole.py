"""Preprocessing and decoding as ONNX nodes around a network's graph: an image in, an answer out. Needs the `onnx` package.

The resize is ONNX's own with `antialias`. ONNX Runtime computes it on bytes as Pillow does but for the precision of its
weights: one or two of a thousand bytes differ by a level of 255.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..images.preprocessing import Preprocessing
from ..modelfile import ModelFile
from ..network.heads import detector_settings
from ..tasks.boxes import CODE_SCALES, MAX_LOG_SCALE
from ..tasks.detection import Decoding, default_boxes
from ..tasks.labels import Labels, classes_in_use
from .exporter import ExportError
from .onnx import Nodes

if TYPE_CHECKING:
    import onnx

    from ..network.layers import Network

FILTERS: dict[str, dict[str, object]] = {
    "bilinear": {"mode": "linear", "antialias": 1},
    "bicubic": {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5},
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
}
"""ONNX's resize for Pillow's filters."""
RESIZED = "prepare/resized"
"""The resized image, of uint8."""


def whole(core: onnx.ModelProto, model: ModelFile) -> onnx.ModelProto:
    """The graph from ``image`` (H, W, 3) uint8, RGB, of any size, to the answer.

    A classifier's is ``scores`` (K,); a detector's ``boxes`` (N, 4), x0, y0, x1, y1 in pixels, ``scores`` (N,) and ``classes``
    (N,), best first; a segmenter's ``mask`` (H, W) uint8.

    Args:
        core: from ``input`` (1, 3, H, W) to the network's outputs, float32.

    Raises:
        ExportError: ONNX has no such filter.
    """
    from onnx import TensorProto, checker, helper

    task = model.network.task
    before = Preparation(model.preprocessing)
    before.write()
    after = Answer(model, before.content)
    match task:
        case "detection":
            after.boxes()
            values = [("boxes", TensorProto.FLOAT, ("detections", 4)), ("scores", TensorProto.FLOAT, ("detections",))]
            values.append(("classes", TensorProto.INT64, ("detections",)))
        case "segmentation":
            after.mask()
            values = [("mask", TensorProto.UINT8, ("height", "width"))]
        case _:
            after.scores()
            values = [("scores", TensorProto.FLOAT, (len(model.labels),))]
    graph = helper.make_graph(
        [*before.nodes, *core.graph.node, *after.nodes],
        core.graph.name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ("height", "width", 3))],
        [helper.make_tensor_value_info(*value) for value in values],
        [*before.constants, *core.graph.initializer, *after.constants],
    )
    made = helper.make_model(graph, opset_imports=core.opset_import, producer_name=core.producer_name)
    made.ir_version = core.ir_version
    checker.check_model(made)
    return made


class Steps(Nodes):
    """Nodes whose tensors are called ``prefix/1``, ``prefix/2`` and on, unless they have a name of their own."""

    prefix = ""

    def do(self, operation: str, *inputs: object, name: str = "", **attributes: int | str | float | list[int]) -> str:
        """A node. An input that is no name is a constant; a list of ints is int64."""
        names = [each if isinstance(each, str) else self.value(each) for each in inputs]
        return self.node(operation, names, name or f"{self.prefix}/{len(self.nodes) + 1}", **attributes)

    def value(self, value: object) -> str:
        return self.constant(f"{self.prefix}/constant {len(self.constants) + 1}", np.asarray(value))

    def cast(self, source: str, kind: str) -> str:
        from onnx import TensorProto

        return self.do("Cast", source, to=getattr(TensorProto, kind))

    def slice(self, source: str, starts: object, ends: object, axes: list[int]) -> str:
        return self.do("Slice", source, starts, ends, axes)


class Preparation(Steps):
    """From ``image`` to ``input``. `sides` is (height, width) of the image, `content` of what it fills in the input, int64."""

    prefix = "prepare"

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        if preprocessing.interpolation not in FILTERS:
            raise ExportError(
                f"interpolation {preprocessing.interpolation}: ONNX resizes by {', '.join(FILTERS)} only; "
                "leave --whole out, and prepare the image outside"
            )

    def write(self) -> None:
        size, settings = self.preprocessing.size, self.preprocessing
        self.sides = self.do("Slice", self.do("Shape", "image"), [0], [2], name="sides")
        pixels = self.do("Unsqueeze", self.do("Transpose", "image", perm=[2, 0, 1]), [0])
        self.content = self.value(list(size))
        match settings.fit:
            case "center_crop":
                pixels = self.center_crop(pixels)
            case "pad":
                pixels = self.pad(pixels)
            case "squash":
                pixels = self.resize(pixels, self.content)
            case _:
                pixels = self.resize(self.part(pixels), self.content)
        channels = (1, 3, 1, 1)
        mean, std = (np.array(each, np.float32).reshape(channels) for each in (settings.mean, settings.std))
        scaled = self.do("Div", self.cast(pixels, "FLOAT"), np.float32(255))
        self.do("Div", self.do("Sub", scaled, mean), std, name="input")

    def resize(self, pixels: str, sides: str) -> str:
        sizes = self.do("Concat", [1, 3], sides, axis=0)
        return self.node("Resize", [pixels, "", "", sizes], RESIZED, **FILTERS[self.preprocessing.interpolation])

    def center_crop(self, pixels: str) -> str:
        """The shorter side resized, the rest cut down; then the center, black past the edges."""
        shorter = self.do("ReduceMin", self.sides, keepdims=1)
        resized = self.do("Div", self.do("Mul", self.sides, [self.preprocessing.resize or 1]), shorter)
        pixels = self.resize(pixels, resized)
        more, less = (self.do("Max", self.do("Sub", *pair), [0]) for pair in ((self.content, resized), (resized, self.content)))
        above = self.do("Div", more, [2])
        pads = self.do("Concat", [0, 0], above, [0, 0], self.do("Sub", more, above), axis=0)
        pixels = self.do("Pad", pixels, pads, np.uint8(0))
        half = self.do("Round", self.do("Mul", self.cast(less, "FLOAT"), np.float32(0.5)))  # halves to the even number
        start = self.cast(half, "INT64")
        return self.slice(pixels, start, self.do("Add", start, self.content), [2, 3])

    def pad(self, pixels: str) -> str:
        """The whole image as large as fits, in the upper left corner; in double precision, as `Preprocessing.content`."""
        size, sides = np.array(self.preprocessing.size, np.float64), self.cast(self.sides, "DOUBLE")
        scale = self.do("ReduceMin", self.do("Div", size, sides), keepdims=1)
        if self.preprocessing.enlarge is not None:
            scale = self.do("Min", scale, np.array([self.preprocessing.enlarge], np.float64))
        rounded = self.do("Max", self.do("Round", self.do("Mul", sides, scale)), np.array([1.0]))
        self.content = self.cast(self.do("Min", rounded, size), "INT64")
        rest = self.do("Sub", list(self.preprocessing.size), self.content)
        pads = self.do("Concat", [0, 0, 0, 0, 0, 0], rest, axis=0)
        return self.do("Pad", self.resize(pixels, self.content), pads, np.uint8(self.preprocessing.fill or 0))

    def part(self, pixels: str) -> str:
        """The central part of both sides, as `Preprocessing` cuts it."""
        fraction, sides = np.array([self.preprocessing.fraction], np.float64), self.cast(self.sides, "DOUBLE")
        inner = self.do("Mul", sides, fraction)
        if self.preprocessing.fit == "central_part":
            length = self.do("Max", self.cast(inner, "INT64"), [1])
            start = self.do("Div", self.do("Sub", self.sides, length), [2])
            return self.slice(pixels, start, self.do("Add", start, length), [2, 3])
        start = self.cast(self.do("Div", self.do("Sub", sides, inner), np.array([2.0])), "INT64")
        return self.slice(pixels, start, self.do("Sub", self.sides, start), [2, 3])


class Answer(Steps):
    """From the network's outputs to the answer. Reads ``sides`` of the preparation, and its `content`."""

    prefix = "answer"

    def __init__(self, model: ModelFile, content: str) -> None:
        super().__init__()
        self.model, self.content = model, content

    @property
    def network(self) -> Network:
        return self.model.network

    def scores(self) -> None:
        """Softmax of the only image."""
        self.do("Squeeze", self.do("Softmax", self.network.outputs[0], axis=1), [0], name="scores")

    def mask(self) -> None:
        """The logits without padding, enlarged to the image; then the class of the largest."""
        logits = self.slice(self.network.outputs[0], [0, 0], self.content, [2, 3])
        sizes = self.do("Concat", [1, len(self.model.labels)], "sides", axis=0)
        large = self.do("Resize", logits, "", "", sizes, mode="linear")
        winner = self.do("Squeeze", self.do("ArgMax", large, axis=1, keepdims=0), [0])
        from onnx import TensorProto

        self.do("Cast", winner, name="mask", to=TensorProto.UINT8)

    def boxes(self) -> None:
        """Scores, decoded boxes cut at the image's edges, non-maximum suppression by class; see `tasks.detection.detect`."""
        decoding = self.model.decoding
        assert decoding is not None
        corners, scores = self.corners(decoding), self.probabilities(decoding)
        edges = self.slice(corners, [2], [4], [1]), self.slice(corners, [0], [2], [1])
        sides = self.do("Max", self.do("Sub", *edges), np.float32(0))
        area = self.do("ReduceProd", sides, [1], keepdims=1)
        scores = self.do("Where", self.do("Greater", area, np.float32(0)), scores, np.float32(0))
        used = classes_in_use(Labels(self.model.labels, self.model.label_ids))
        if used is not None:
            scores = self.do("Gather", scores, list(used), axis=1)
        if decoding.max_candidates is not None:
            scores = self.best(scores, decoding.max_candidates)
        by_class = self.do("Transpose", scores, perm=[1, 0])
        limits = (np.array([decoding.max_detections]), np.float32(decoding.iou), np.float32(decoding.threshold))
        batch = (self.do("Unsqueeze", each, [0]) for each in (corners, by_class))
        selected = self.do("NonMaxSuppression", *batch, *limits)
        pairs = self.slice(selected, [1], [3], [1])
        found = self.do("GatherND", by_class, pairs)
        count = self.do("Min", self.do("Shape", found), [decoding.max_detections])
        self.nodes.append(self.sorted(found, count))
        order = f"{self.prefix}/order"
        classes, rows = (self.do("Squeeze", self.slice(pairs, [i], [i + 1], [1]), [1]) for i in (0, 1))
        self.do("Gather", classes, order, name="classes")
        self.do("Gather", corners, self.do("Gather", rows, order), name="boxes", axis=0)

    def sorted(self, found: str, count: str) -> onnx.NodeProto:
        """The best scores, and their places."""
        from onnx import helper

        return helper.make_node("TopK", [found, count], ["scores", f"{self.prefix}/order"], name="scores", axis=0)

    def best(self, scores: str, count: int) -> str:
        """The scores with all but the `count` best of each class put to zero."""
        from onnx import helper

        least = self.do("Min", self.slice(self.do("Shape", scores), [0], [1], [0]), [count])
        outputs = [f"{self.prefix}/best", f"{self.prefix}/best places"]
        self.nodes.append(helper.make_node("TopK", [scores, least], outputs, name=outputs[0], axis=0))
        limit = self.slice(outputs[0], [-1], [np.iinfo(np.int64).max], [0])
        return self.do("Where", self.do("GreaterOrEqual", scores, limit), scores, np.float32(0))

    def rows(self, names: tuple[str, ...], length: int) -> str:
        """Maps (1, anchors * length, H, W) as one tensor (A, length), in the order of the default boxes."""
        maps = [self.do("Reshape", self.do("Transpose", name, perm=[0, 2, 3, 1]), [-1, length]) for name in names]
        return self.do("Concat", *maps, axis=0)

    def probabilities(self, decoding: Decoding) -> str:
        """(A, K) without the background."""
        slots = detector_settings(self.network).classes + 1
        logits = self.rows(self.network.heads.classes, slots)
        if decoding.scores == "sigmoid":
            return self.do("Sigmoid", self.slice(logits, [1], [slots], [1]))
        return self.slice(self.do("Softmax", logits, axis=1), [1], [slots], [1])

    def corners(self, decoding: Decoding) -> str:
        """(A, 4) in pixels of the image, cut at its edges."""
        codes = self.rows(self.network.heads.boxes, 4)
        if decoding.codes == "yxhw":
            codes = self.do("Gather", codes, [1, 0, 3, 2], axis=1)
        codes = self.do("Div", codes, CODE_SCALES.astype(np.float32))
        defaults = default_boxes(self.network).astype(np.float32)
        places, logarithms = self.slice(codes, [0], [2], [1]), self.slice(codes, [2], [4], [1])
        centers = self.do("Add", self.do("Mul", places, defaults[:, 2:]), defaults[:, :2])
        sides = self.do("Exp", self.do("Min", logarithms, np.float32(MAX_LOG_SCALE)))
        half = self.do("Mul", sides, defaults[:, 2:] / np.float32(2))
        corners = self.do("Concat", self.do("Sub", centers, half), self.do("Add", centers, half), axis=1)
        across = self.do("Gather", self.cast("sides", "FLOAT"), [1, 0, 1, 0])  # width, height, width, height
        window = across
        if self.model.preprocessing.fit == "pad":
            content = self.do("Gather", self.cast(self.content, "FLOAT"), [1, 0, 1, 0])
            height, width = self.model.preprocessing.size
            window = self.do("Div", self.do("Mul", across, np.array([width, height] * 2, np.float32)), content)
        return self.do("Min", self.do("Max", self.do("Mul", corners, window), np.float32(0)), across)
