"""Boxes: formats, overlap, default boxes, box coder, suppression of duplicates. Numpy only, arrays in and out.

A box is four numbers in one of two formats, the last axis of every array here:

- corners: x0, y0, x1, y1. x runs right, y down, both measured to the edges, so that the whole of a picture of W x H pixels
  is (0, 0, W, H) and its first pixel (0, 0, 1, 1).
- centred: centre x, centre y, width, height, in the same units.

A box whose x1 <= x0 or y1 <= y0 is degenerate: its area is 0, and it overlaps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Style = Literal["tensorflow", "torchvision"]

SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
"""Side of the square default box on each map, as a share of the picture; the last only enters a mean."""

CODE_SCALES = np.array((10.0, 10.0, 5.0, 5.0))
"""What the box coder multiplies offsets of the centre and logarithms of the size with."""

LARGEST_CODE = math.log(1000 / 16)
"""Most by which the logarithm of a default box's side may grow: past it no exp overflows (Faster R-CNN, torchvision)."""


def to_corners(centred: Array) -> Array:
    """(..., 4) centred -> (..., 4) corners."""
    half = centred[..., 2:] / 2
    return np.concatenate([centred[..., :2] - half, centred[..., :2] + half], axis=-1)


def to_centred(corners: Array) -> Array:
    """(..., 4) corners -> (..., 4) centred."""
    return np.concatenate([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], axis=-1)


def area(boxes: Array) -> Array:
    """(..., 4) corners -> (...): 0 for a degenerate box."""
    width, height = (np.maximum(boxes[..., i + 2] - boxes[..., i], 0) for i in (0, 1))
    return np.asarray(width * height)


def iou(a: Array, b: Array) -> Array:
    """(N, 4) and (M, 4) corners -> (N, M): area of the overlap over area of the union, 0 where both have no area."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=-1, dtype=np.result_type(a, b, np.float32))
    overlap *= (area(a)[:, None] > 0) & (area(b)[None] > 0)  # an inverted box may still have a low and a high
    union = area(a)[:, None] + area(b)[None] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros(union.shape, union.dtype), where=union > 0))


def clip(boxes: Array, width: float, height: float) -> Array:
    """(..., 4) corners, moved to within 0 to `width` and `height`; what lies outside becomes degenerate."""
    return np.clip(boxes, 0, np.array((width, height, width, height), boxes.dtype))


def default_boxes(style: Style, maps: Sequence[tuple[int, int]]) -> Array:
    """SSD's default boxes for six maps of (rows, columns), (A, 4) centred, float64, as shares of the picture's sides.

    Map by map, row by row, column by column; on each cell of map k the boxes of area s_k squared at several aspect ratios
    (width over height) and a square one between the scales of this map and the next. "tensorflow": 1, 2, 1/2, 3, 1/3, then
    the square; the first map only has a square of 0.1 and ratios 2 and 1/2: 1917 boxes at 300 px, 2034 at 320.
    "torchvision": 1, the square, 2, 1/2, 3, 1/3 on all maps, sides cut to the picture's.
    """
    if style not in get_args(Style):
        raise ValueError(f"default boxes {style!r}: must be one of {', '.join(get_args(Style))}")
    if len(maps) != len(SCALES) - 1:
        raise ValueError(f"{len(maps)} maps: SSD has {len(SCALES) - 1}; give rows and columns of each")
    boxes = []
    for k, (rows, columns) in enumerate(maps):
        sides = np.array(_sides(style, k))
        y, x, side = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns,
                                 np.arange(len(sides)), indexing="ij")  # fmt: skip
        boxes.append(np.stack([x, y, sides[side, 0], sides[side, 1]], axis=-1).reshape(-1, 4))
    return np.concatenate(boxes)


def _sides(style: Style, k: int) -> list[tuple[float, float]]:
    """Width and height of the default boxes on a cell of map `k`."""
    scale, between = SCALES[k], math.sqrt(SCALES[k] * SCALES[k + 1])
    if style == "torchvision":
        shapes = [(scale, 1.0), (between, 1.0), *((scale, ratio) for ratio in (2, 1 / 2, 3, 1 / 3))]
        return [(min(s * math.sqrt(r), 1.0), min(s / math.sqrt(r), 1.0)) for s, r in shapes]
    # 0.3333 is what the released configuration says, and what the published weights were trained with.
    shapes = [*((scale, ratio) for ratio in (1, 2, 0.5, 3, 0.3333)), (between, 1.0)]
    shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)] if k == 0 else shapes
    return [(s * math.sqrt(r), s / math.sqrt(r)) for s, r in shapes]


def encode(boxes: Array, defaults: Array) -> Array:
    """(..., 4) corners of some area against (..., 4) centred defaults -> codes (..., 4): dx, dy, dw, dh.

    Offsets of the centre in sides of the default box times 10, logarithms of the sides' ratios times 5.
    """
    centred = to_centred(boxes)
    offsets = (centred[..., :2] - defaults[..., :2]) / defaults[..., 2:]
    return np.asarray(np.concatenate([offsets, np.log(centred[..., 2:] / defaults[..., 2:])], axis=-1) * CODE_SCALES)


def decode(codes: Array, defaults: Array) -> Array:
    """The reverse of `encode`: (..., 4) codes dx, dy, dw, dh -> (..., 4) corners; sizes grow by at most 62.5 times."""
    codes = codes / CODE_SCALES
    sides = np.exp(np.minimum(codes[..., 2:], LARGEST_CODE)) * defaults[..., 2:]
    return to_corners(np.concatenate([codes[..., :2] * defaults[..., 2:] + defaults[..., :2], sides], axis=-1))


def nms(boxes: Array, scores: Array, threshold: float, most: int | None = None) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best first: none overlaps a better one by an IoU above `threshold`.

    boxes (N, 4) corners, scores (N,). Equal scores go to the lower index. `most` stops after so many.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, kept = boxes[order], list[int]()
    alive = np.ones(len(order), dtype=bool)
    first = 0
    while first < len(order) and (most is None or len(kept) < most):
        kept.append(first)
        alive[first] = False
        rest = first + 1 + np.flatnonzero(alive[first + 1 :])
        alive[rest[iou(boxes[first : first + 1], boxes[rest])[0] > threshold]] = False
        remaining = np.flatnonzero(alive[first + 1 :])
        first = first + 1 + int(remaining[0]) if len(remaining) else len(order)
    return order[kept]


def nms_by_class(boxes: Array, scores: Array, classes: Array, threshold: float, most: int | None = None) -> NDArray[np.intp]:
    """`nms` within each class apart; the survivors of all classes best first, equal scores by class, then by index.

    boxes (N, 4) corners, scores (N,), classes (N,) ints -> indices, at most `most`.
    """
    kept = [where[nms(boxes[where], scores[where], threshold, most)]
            for where in (np.flatnonzero(classes == number) for number in np.unique(classes))]  # fmt: skip
    together = np.concatenate([*kept, np.empty(0, np.intp)])
    return together[np.argsort(-scores[together], kind="stable")][:most]
