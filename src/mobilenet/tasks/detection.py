"""A detector's result, and how it is made of outputs: scores, decoded boxes, non-maximum suppression (NMS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, printable
from ..network.heads import detector_settings
from ..network.layers import Network
from ..settings import Rules, Settings
from ..tensors import built
from ..values import field, replace
from . import boxes as box_math
from .results import MIN_SHOWN, Answer, Prediction, check_finite, is_place
from .views import outputs_of

if TYPE_CHECKING:
    from PIL import Image

    from ..images.preprocessing import Decoded, Preprocessing
    from ..tensors import Floats, Plain
    from .views import Run, Views

    Planes = tuple[list[Floats], list[Floats]]

Scores = Literal["sigmoid", "softmax"]
Codes = Literal["xywh", "yxhw"]

MAX_DETECTIONS = 10_000
"""The limit of `Decoding.max_detections` and `Decoding.max_candidates`."""
STEP = 64
"""Views' sides differ from the network's by multiples of this. A layer of stride 2 pads two edges or four, as the side is even
or odd; six such layers pad sides of the same remainder alike, and the offsets that the network learned stay true. (SSDLite on
COCO, one view: mAP 0.31 at 364 px, 0.25 at 375 px.)"""


class Decoding(Settings):
    """How the outputs of a detector are read. A model file stores it.

    Attributes:
        scores: "sigmoid" of each class (TensorFlow), or "softmax" over background and classes (torchvision).
        codes: order of the four numbers of a box code: "yxhw" (dy, dx, dh, dw: TensorFlow) or "xywh" (torchvision).
        threshold: a box is a detection of a class only if its score is above this, 0 to 1.
        iou: of two boxes of a class that overlap by more than this, 0 to 1, only the better one is kept.
        max_detections: how many are kept per image.
        max_candidates: how many boxes per class enter NMS, those of highest score; None for no limit.

    Raises UsageError for a field that is out of range.
    """

    scores: Scores
    codes: Codes
    threshold: float = 0.01
    iou: float = 0.6
    max_detections: int = 100
    max_candidates: int | None = None

    former_names = (("most", "max_detections"), ("candidates", "max_candidates"))

    def rules(self) -> Rules:
        limit, candidates = f"from 1 to {MAX_DETECTIONS}", self.max_candidates
        yield "threshold", 0 <= self.threshold <= 1, "from 0 to 1"
        yield "iou", 0 <= self.iou <= 1, "from 0 to 1"
        yield "max_detections", 1 <= self.max_detections <= MAX_DETECTIONS, limit
        yield "max_candidates", candidates is None or 1 <= candidates <= MAX_DETECTIONS, f"{limit}, or absent"


TENSORFLOW = Decoding("sigmoid", "yxhw")
TORCHVISION = Decoding("softmax", "xywh", threshold=0.001, iou=0.55, max_detections=300, max_candidates=300)
"""What the released weights need: TensorFlow's configuration, except for its score threshold, and torchvision's
``ssdlite320_mobilenet_v3_large``."""


class Detection(Prediction):
    """One object.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the image, measured to the edges.
    """

    box: tuple[float, float, float, float]


class Detections(Answer):
    """The objects found in one image, best first.

    As a sequence it is all of them, while `str`, `repr` and `plot` show those with a score of at least `threshold`: 0.5,
    unless the call of the predictor gave another. ``result[0]`` is the best `Detection`. Slices, masks, indices and labels
    select `Detections`: ``result[:3]``, ``result[result.scores > 0.5]``, ``result["person"]``.

    Attributes:
        boxes: (N, 4) float32: x0, y0, x1, y1 in pixels of the image. x runs right from 0 at the left edge to the image's
            width, y runs down from 0 at the upper edge to its height. Every box has an area.
        scores: (N,) float32, 0 to 1, descending.
        classes: (N,) int64, indices into `labels`; the background is none of them.
        labels: (K,) names of the classes.
    """

    boxes: NDArray[np.float32] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    classes: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    threshold: float = field(default=MIN_SHOWN["detection"], kw_only=True)

    task = "detection"

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.top())

    @overload
    def __getitem__(self, key: int) -> Detection: ...
    @overload
    def __getitem__(self, key: slice | str | Sequence[int] | NDArray[np.generic]) -> Detections: ...
    def __getitem__(self, key: Any) -> Detection | Detections:
        if is_place(key) and not isinstance(key, slice):
            place = range(len(self))[key]  # IndexError past the end
            return self[place : place + 1].top()[0]
        if isinstance(key, str):
            key = self.classes == self.index_of(key)
        elif not isinstance(key, slice):
            key = np.asarray(key) if len(key) else np.empty(0, np.intp)
        return replace(self, boxes=self.boxes[key], scores=self.scores[key], classes=self.classes[key])

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Detection]:
        """The `n` best detections (None for all) with a score of at least `threshold`."""
        return [
            Detection(self.labels[index], index, score, (x0, y0, x1, y1), id=self.id_of(index))
            for (x0, y0, x1, y1), score, index in zip(
                self.boxes[:n].tolist(), self.scores[:n].tolist(), self.classes[:n].tolist(), strict=True
            )
            if score >= threshold
        ]

    def renumbered(self, classes: Sequence[int]) -> Detections:
        """The detections of these classes, which become the classes 0, 1, 2 and on."""
        numbers = np.full(len(self.labels), -1)
        numbers[list(classes)] = np.arange(len(classes))
        kept = numbers[self.classes] >= 0
        return replace(self, classes=numbers[self.classes])[kept]

    def to_coco(self, image_id: int = 0) -> list[dict[str, object]]:
        """All detections as COCO's results: image_id, category_id, bbox (x, y, width, height in pixels) and score of each.

        The category id is the label's id if that is a number, as COCO's are; else the index of the class plus 1.
        """
        from .formats import detections_to_coco

        return detections_to_coco(self, image_id)

    def to_yolo(self, with_scores: bool = False) -> str:
        """All detections as the lines of a YOLO label file: index of the class, then center x, center y, width and height as
        shares of the image's sides, then the score if it is asked for.

        Raises UsageError if the image's size is not known.
        """
        from .formats import to_yolo

        return to_yolo(self, with_scores)

    def drawn_on(self, image: Image.Image, predictions: Sequence[Detection]) -> Image.Image:
        """A copy of an RGB image with the boxes of the predictions."""
        from ..drawing.boxes import draw_detections

        return draw_detections(image, predictions)

    def __str__(self) -> str:
        """For example ``person 91 %, dog 77 %``: the detections that are shown."""
        return printable(", ".join(f"{p.label} {p.score * 100:.0f} %" for p in self.shown)) or self.nothing


class DetectionDecoder:
    """Turns the outputs of a detector into results.

    Attributes:
        default_boxes: (A, 4) centered, shares of the image, in the order of the outputs' rows.
        classes: the only ones that are found, indices into `labels`; None for all.
        agnostic: whether a box is dropped for a better one of another class too.
    """

    classes: Sequence[int] | None = None
    agnostic: bool = False

    def __init__(self, network: Network, preprocessing: Preprocessing, decoding: Decoding, labels: tuple[str, ...]) -> None:
        self.network, self.preprocessing, self.decoding, self.labels = network, preprocessing, decoding, labels
        self.default_boxes = default_boxes(network)

    def limited(self, max_detections: int) -> DetectionDecoder:
        """The same, but for at most `max_detections`: the best of those that it would find otherwise."""
        decoder = copy(self)
        fewer = min(max_detections, self.decoding.max_detections)
        decoder.decoding = replace(self.decoding, max_detections=fewer)
        return decoder

    def adjusted(
        self, classes: Sequence[int] | None, iou: float | None, max_detections: int | None, agnostic: bool
    ) -> DetectionDecoder:
        """The same with other rules; None keeps the model's, and `classes` None finds all."""
        given = {"iou": iou, "max_detections": max_detections}
        decoder = copy(self)
        decoder.decoding = replace(self.decoding, **{name: value for name, value in given.items() if value is not None})
        decoder.classes, decoder.agnostic = classes, agnostic
        return decoder

    def __call__(
        self, outputs: Mapping[str, Plain], index: int, size: tuple[int, int], threshold: float | None = None
    ) -> Detections:
        """The result for image `index` of a batch.

        Args:
            size: (width, height) of the original image.
            threshold: the lowest score of a detection, 0 to 1, in place of the model's own. The higher it is, the less there is
                to compare; the detections above it are the same.
        """
        return self.found(self.planes(outputs, index), self.default_boxes, size, threshold)

    def average(self, run: Run, image: Decoded, views: Views, threshold: float | None = None) -> Detections:
        """The result from several views: the boxes that the network finds at any scale, each the mean of its mirror images,
        compete in one NMS.

        Raises:
            OutputError: an output holds NaN or infinity.
        """
        planes: Planes = ([], [])
        defaults, window = list[NDArray[np.float64]](), self.preprocessing.window(image.size)
        for view, mirrored, outputs in outputs_of(run, self.preprocessing, image, views, STEP):
            check_finite(outputs)
            found = self.planes(outputs, 0)
            if mirrored:
                for kind, maps in zip(planes, self.mirrored(found), strict=True):
                    kind[-len(maps) :] = [
                        (one + other) * np.float32(0.5) for one, other in zip(kind[-len(maps) :], maps, strict=True)
                    ]
                continue
            boxes = self.default_boxes if view is self.preprocessing else default_boxes(self.network, view.size)
            width, height = view.window(image.size)[2:]  # with padding it may be a pixel more or less than the network's own
            defaults.append(boxes * (width / window[2], height / window[3], width / window[2], height / window[3]))
            for kind, maps in zip(planes, found, strict=True):
                kind.extend(maps)
        return self.found(planes, np.concatenate(defaults), image.size, threshold)

    def planes(self, outputs: Mapping[str, Plain], index: int) -> Planes:
        """The outputs for image `index` of a batch, map by map: logits (anchors * (K + 1), H, W), codes (anchors * 4, H, W)."""
        heads = self.network.heads
        logits, codes = (
            [np.ascontiguousarray(np.asarray(outputs[name])[index], np.float32) for name in names]
            for names in (heads.classes, heads.boxes)
        )
        return logits, codes

    def mirrored(self, planes: Planes) -> Planes:
        """The outputs for the mirror image of the image: default boxes are symmetric, only dx changes its sign."""
        logits, codes = ([np.ascontiguousarray(plane[:, :, ::-1]) for plane in maps] for maps in planes)
        for plane in codes:
            plane[self.decoding.codes.index("x") :: 4] *= -1
        return logits, codes

    def found(
        self, planes: Planes, default_boxes: NDArray[np.float64], size: tuple[int, int], threshold: float | None
    ) -> Detections:
        """The result for an image of `size` from its outputs. `default_boxes` are (A, 4), in the order of the planes."""
        decoding = self.decoding if threshold is None else replace(self.decoding, threshold=just_below(threshold))
        if self.classes is None and not self.agnostic:
            return self._found(planes, default_boxes, size, decoding)
        # Classes do not suppress each other, so the others may as well be left out afterwards. An IoU is never above 1.
        every = replace(decoding, max_detections=MAX_DETECTIONS, iou=1.0 if self.agnostic else decoding.iou)
        found = self._found(planes, default_boxes, size, every)
        if self.classes is not None:
            found = found[np.isin(found.classes, self.classes)]
        if self.agnostic:
            one_class = np.zeros(len(found), np.int64)
            found = found[box_math.best_by_class(found.boxes, found.scores, one_class, decoding.iou, decoding.max_detections)]
        return found[: decoding.max_detections]

    def _found(
        self, planes: Planes, default_boxes: NDArray[np.float64], size: tuple[int, int], decoding: Decoding
    ) -> Detections:
        window, slots = self.preprocessing.window(size), detector_settings(self.network).classes + 1
        if not built():
            logits, codes = rows_of(planes[0], slots), rows_of(planes[1], 4)
            return detect(logits, codes, default_boxes, decoding, size, window, self.labels)
        from .. import _core  # as `detect`, which specifies it

        boxes, scores = np.empty((decoding.max_detections, 4), np.float32), np.empty(decoding.max_detections, np.float32)
        classes = np.empty(decoding.max_detections, np.int64)
        count = _core.detections(
            *planes,
            default_boxes,
            slots,
            decoding.scores == "softmax",
            decoding.codes == "yxhw",
            decoding.threshold,
            decoding.iou,
            decoding.max_candidates or 0,
            size,
            window,
            boxes,
            scores,
            classes,
        )
        return Detections(boxes[:count].copy(), scores[:count].copy(), classes[:count].copy(), self.labels)


def just_below(threshold: float) -> float:
    """The largest float32 below `threshold`, at least 0: scores above it are those of at least `threshold`."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold!r}: must be from 0 to 1")
    return max(float(np.nextafter(np.float32(threshold), np.float32(-1))), 0.0)


def default_boxes(network: Network, resolution: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """A detector's default boxes in the order of its outputs' rows: (A, 4) centered, shares of the image.

    At another `resolution` (height, width) than the network's there are more or fewer of them, of the same sides in pixels:
    the network sees pixels, and its codes are relative to the sides.
    """
    height, width = network.resolution
    rows, columns = resolution or (height, width)
    shapes = network.shapes((rows, columns))
    maps = [shapes[name] for name in network.heads.boxes]
    boxes = box_math.default_boxes(detector_settings(network).anchors, [(shape.height, shape.width) for shape in maps])
    return boxes * (1, 1, width / columns, height / rows)


def rows_of(planes: Iterable[Floats], length: int) -> Floats:
    """Maps (anchors * length, H, W) as one array (A, length), in the order of the default boxes."""
    return np.concatenate([plane.transpose(1, 2, 0).reshape(-1, length) for plane in planes])


def logits_and_codes(outputs: Mapping[str, Plain], network: Network, index: int = 0) -> tuple[Floats, Floats]:
    """Logits (A, K + 1), background first, and box codes (A, 4) of image `index` of a batch, in default-box order."""

    def rows(names: tuple[str, ...], length: int) -> Floats:
        return rows_of((np.asarray(outputs[name])[index] for name in names), length)

    return rows(network.heads.classes, detector_settings(network).classes + 1), rows(network.heads.boxes, 4)


def detect(
    logits: Floats,
    codes: Floats,
    default_boxes: NDArray[np.float64],
    decoding: Decoding,
    size: tuple[float, float],
    window: tuple[float, float, float, float],
    labels: tuple[str, ...],
) -> Detections:
    """The detections in one image, in numpy: the specification of the core's.

    Boxes are cut at the image's edges before NMS, and those without area are dropped.

    Args:
        logits: (A, K + 1), background first.
        codes: (A, 4).
        default_boxes: (A, 4) centered, shares of the network's input.
        size: (width, height) of the image, in pixels.
        window: the part of the image that the network saw: x0, y0, x1, y1 in pixels; with padding, past the image's edges.
        labels: K names.
    """
    if decoding.codes == "yxhw":
        codes = codes[:, (1, 0, 3, 2)]
    x0, y0, x1, y1 = window
    corners = box_math.decode(codes, default_boxes) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0) + (x0, y0, x0, y0)
    boxes: Floats = box_math.clip(corners, *size).astype(np.float32)
    scores = probabilities(logits, decoding.scores)
    scores[~(box_math.area(boxes) > 0)] = 0  # also of boxes that are not a number
    if decoding.max_candidates is not None and decoding.max_candidates < len(scores):
        losers = np.argsort(-scores, axis=0, kind="stable")[decoding.max_candidates :]
        np.put_along_axis(scores, losers, 0, axis=0)
    rows, classes = np.nonzero(scores > decoding.threshold)
    boxes, scores = boxes[rows], scores[rows, classes]
    best = box_math.best_by_class(boxes, scores, classes, decoding.iou, decoding.max_detections)
    return Detections(boxes[best], scores[best], classes[best].astype(np.int64), labels)


def probabilities(logits: Floats, kind: Scores) -> Floats:
    """(A, K + 1) logits, background first -> (A, K) float32 scores without it, computed in float64."""
    x = logits.astype(np.float64)
    if kind == "sigmoid":
        x = x[:, 1:]
        small = np.exp(-np.abs(x))  # no overflow for either sign
        return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers[:, 1:] / powers.sum(axis=1, keepdims=True), np.float32)
