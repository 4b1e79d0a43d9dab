"""Boxes: formats, overlap, default boxes, box codes, non-maximum suppression (NMS). Numpy arrays in and out.

A box is four numbers, the last axis of every array here, in one of two formats:

- corners: x0, y0, x1, y1. x runs right and y down, both measured to the edges of pixels: an image of W x H pixels is
  (0, 0, W, H), and its first pixel is (0, 0, 1, 1).
- centered: center x, center y, width, height, in the same units.

A box with x1 <= x0 or y1 <= y0 is degenerate: its area is 0, and it overlaps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..tensors import built

Array = NDArray[np.floating]
"""Floats of either precision; results have the precision of the arguments."""

Style = Literal["tensorflow", "torchvision"]

SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
"""Side of the square default box on each map, as a share of the image; the last one is only used in a mean."""

CODE_SCALES = np.array((10.0, 10.0, 5.0, 5.0))
"""The factors of a box code: of the center's two offsets, then of the logarithms of width and height."""

MAX_CORE_CLASS = 65535
"""The largest class index that the native core takes."""

MAX_LOG_SCALE = math.log(1000 / 16)
"""The limit for the logarithm of a decoded side over its default box's side, so that exp does not overflow (torchvision)."""


def to_corners(centered: Array) -> Array:
    """(..., 4) centered -> (..., 4) corners."""
    half = centered[..., 2:] / 2
    return np.concatenate([centered[..., :2] - half, centered[..., :2] + half], axis=-1)


def to_centered(corners: Array) -> Array:
    """(..., 4) corners -> (..., 4) centered."""
    return np.concatenate([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], axis=-1)


def area(boxes: Array) -> Array:
    """(..., 4) corners -> (...): 0 for a degenerate box."""
    width, height = (np.maximum(boxes[..., i + 2] - boxes[..., i], 0) for i in (0, 1))
    return np.asarray(width * height)


def iou(a: Array, b: Array) -> Array:
    """(N, 4) and (M, 4) corners -> (N, M): intersection over union, 0 if either has no area."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=-1, dtype=np.result_type(a, b, np.float32))
    overlap *= (area(a)[:, None] > 0) & (area(b)[None] > 0)  # two inverted boxes may have an overlap
    union = area(a)[:, None] + area(b)[None] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros(union.shape, union.dtype), where=union > 0))


def clip(boxes: Array, width: float, height: float) -> Array:
    """(..., 4) corners, cut to 0 to `width` and 0 to `height`; a box outside becomes degenerate."""
    return np.clip(boxes, 0, np.array((width, height, width, height), boxes.dtype))


def default_boxes(style: Style, maps: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """SSD's default boxes (arXiv 1512.02325, section 2.2) for six maps of (rows, columns).

    Returns (A, 4) centered, float64, as shares of the image's sides, map by map, row by row, column by column. Each cell of
    map k has boxes of area s_k squared at several aspect ratios (width over height), and a square one between the scales of
    this map and the next. "tensorflow": 1, 2, 1/2, 3, 1/3, then the square; the first map only has a square of 0.1 and
    ratios 2 and 1/2: 1917 boxes at 300 px, 2034 at 320. "torchvision": 1, the square, 2, 1/2, 3, 1/3 on all maps, with sides
    cut to the image's.

    Raises UsageError for another style or another number of maps.
    """
    if style not in get_args(Style):
        raise UsageError(f"default boxes {style!r}: must be one of {', '.join(get_args(Style))}")
    if len(maps) != len(SCALES) - 1:
        raise UsageError(f"{len(maps)} maps: SSD has {len(SCALES) - 1}; give rows and columns of each")
    boxes = []
    for k, (rows, columns) in enumerate(maps):
        sides = np.array(_sides(style, k))
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, np.arange(len(sides)), indexing="ij"
        )
        boxes.append(np.stack([x, y, sides[side, 0], sides[side, 1]], axis=-1).reshape(-1, 4))
    return np.concatenate(boxes)


def _sides(style: Style, k: int) -> list[tuple[float, float]]:
    """Width and height of the default boxes on a cell of map `k`."""
    scale, between = SCALES[k], math.sqrt(SCALES[k] * SCALES[k + 1])
    if style == "torchvision":
        shapes = [(scale, 1.0), (between, 1.0), *((scale, ratio) for ratio in (2, 1 / 2, 3, 1 / 3))]
        return [(min(s * math.sqrt(r), 1.0), min(s / math.sqrt(r), 1.0)) for s, r in shapes]
    # 0.3333 stands in the released configuration, with which the published weights were trained.
    shapes = [*((scale, ratio) for ratio in (1, 2, 0.5, 3, 0.3333)), (between, 1.0)]
    shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)] if k == 0 else shapes
    return [(s * math.sqrt(r), s / math.sqrt(r)) for s, r in shapes]


def encode(boxes: Array, defaults: Array) -> Array:
    """(..., 4) corners, none degenerate, against (..., 4) centered defaults -> codes (..., 4): dx, dy, dw, dh.

    dx and dy are the center's offsets over the default box's sides, times 10; dw and dh the logarithms of the sides over the
    default box's sides, times 5.
    """
    centered = to_centered(boxes)
    offsets = (centered[..., :2] - defaults[..., :2]) / defaults[..., 2:]
    return np.asarray(np.concatenate([offsets, np.log(centered[..., 2:] / defaults[..., 2:])], axis=-1) * CODE_SCALES)


def decode(codes: Array, defaults: Array) -> Array:
    """The reverse of `encode`: (..., 4) codes dx, dy, dw, dh -> (..., 4) corners. A side is at most 62.5 default sides."""
    codes = codes / CODE_SCALES
    sides = np.exp(np.minimum(codes[..., 2:], MAX_LOG_SCALE)) * defaults[..., 2:]
    return to_corners(np.concatenate([codes[..., :2] * defaults[..., 2:] + defaults[..., :2], sides], axis=-1))


def check_finite(boxes: Array, scores: Array) -> None:
    """UsageError for NaN and infinity, which have no place in an order and no overlap."""
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UsageError("boxes or scores hold NaN or infinity; non-maximum suppression needs finite numbers")


def nms(boxes: Array, scores: Array, threshold: float, max_boxes: int | None = None) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of boxes, best first, none of which overlaps a better one by an IoU above `threshold`.

    Args:
        boxes: (N, 4) corners.
        scores: (N,). Of equal scores, the one of lower index is better.
        max_boxes: the largest number of indices; None for no limit.
    """
    check_finite(boxes, scores)
    order = np.argsort(-scores, kind="stable")
    boxes, selected = boxes[order], list[int]()
    alive = np.ones(len(order), dtype=bool)
    first = 0
    while first < len(order) and (max_boxes is None or len(selected) < max_boxes):
        selected.append(first)
        alive[first] = False
        rest = first + 1 + np.flatnonzero(alive[first + 1 :])
        alive[rest[iou(boxes[first : first + 1], boxes[rest])[0] > threshold]] = False
        remaining = np.flatnonzero(alive[first + 1 :])
        first = first + 1 + int(remaining[0]) if len(remaining) else len(order)
    return order[selected]


def nms_by_class(
    boxes: Array, scores: Array, classes: NDArray[np.integer], threshold: float, max_boxes: int | None = None
) -> NDArray[np.intp]:
    """`nms` within each class; indices over all classes, best first, equal scores by class, then by index.

    Args:
        boxes: (N, 4) corners.
        scores: (N,).
        classes: (N,) ints.
        max_boxes: the largest number of indices, of each class and of all together; None for no limit.
    """
    check_finite(boxes, scores)
    order = np.lexsort((-scores, classes))  # stable: class by class, best first
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1 if not len(classes) else classes[order[0]] - 1))
    groups = np.split(order, starts[1:]) if len(order) else []
    sorted_boxes = [boxes[group] for group in groups]
    alive = [np.ones(len(group), bool) for group in groups]
    # The best box of each class waits in a heap, so that no more boxes are compared with the others than are returned.
    heap = [(-scores[group[0]], number, 0) for number, group in enumerate(groups)]
    heapify(heap)
    selected: list[int] = []
    while heap and (max_boxes is None or len(selected) < max_boxes):
        _, number, first = heappop(heap)
        selected.append(groups[number][first])
        following = alive[number][first + 1 :]
        rest = first + 1 + np.flatnonzero(following)
        own = sorted_boxes[number]
        alive[number][rest[iou(own[first : first + 1], own[rest])[0] > threshold]] = False
        remaining = np.flatnonzero(following)
        if len(remaining):
            first += 1 + int(remaining[0])
            heappush(heap, (-scores[groups[number][first]], number, first))
    return np.array(selected, np.intp)


def best_by_class(
    boxes: Array, scores: Array, classes: NDArray[np.integer], threshold: float, max_boxes: int | None = None
) -> NDArray[np.intp]:
    """As `nms_by_class`, in the native core if it is there and takes the arguments: float32, classes from 0 to 65535."""
    check_finite(boxes, scores)
    plain = (
        boxes.dtype == scores.dtype == np.float32 and classes.size and classes.min() >= 0 and classes.max() <= MAX_CORE_CLASS
    )
    if not built() or not plain:
        return nms_by_class(boxes, scores, classes, threshold, max_boxes)
    from .. import _core

    selected = np.empty(len(scores) if max_boxes is None else min(max_boxes, len(scores)), np.int64)
    arrays = (np.ascontiguousarray(boxes), np.ascontiguousarray(scores), np.ascontiguousarray(classes, np.int64))
    return selected[: _core.nms(*arrays, threshold, selected)].astype(np.intp)
