"""Which object each detection found, by COCO's rules at one overlap.

Letters: N detections, B objects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import Objects
from ..tasks.boxes import iou
from ..tasks.detection import Detections

MATCH_IOU = 0.5
FALSE, IGNORED = -1, -2
"""In place of an object: nothing was found, or a crowd, in which no detection counts."""


def matched(found: Detections, truth: Objects) -> NDArray[np.int64]:
    """(N,) the index of the object that each detection found, `FALSE` or `IGNORED`.

    The detections choose in the order of their scores. Each takes the object of its class with the largest overlap among those
    that none has taken; an overlap of `MATCH_IOU` suffices. A crowd is taken only if no object is left, and as often as one
    likes; there the overlap is the share of the detection that lies in it.
    """
    answer = np.full(len(found), FALSE)
    if not len(found) or not len(truth.labels):
        return answer
    overlaps = shares_and_overlaps(found.boxes.astype(np.float64), truth)
    overlaps[found.classes[:, None] != truth.labels] = 0
    free = ~truth.crowd
    for number, row in enumerate(overlaps):
        objects = np.where(free, row, 0)
        best = last_of_largest(objects)
        if objects[best] >= MATCH_IOU:
            answer[number], free[best] = best, False
        elif np.any(row[truth.crowd] >= MATCH_IOU):
            answer[number] = IGNORED
    return answer


def shares_and_overlaps(boxes: NDArray[np.float64], truth: Objects) -> NDArray[np.float64]:
    """(N, B) the IoU of each pair; with a crowd the share of the detection that lies in it."""
    overlaps = np.asarray(iou(boxes, truth.boxes), np.float64)
    if truth.crowd.any():
        crowds = truth.boxes[truth.crowd]
        sides = np.minimum(boxes[:, None, 2:], crowds[None, :, 2:]) - np.maximum(boxes[:, None, :2], crowds[None, :, :2])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        overlaps[:, truth.crowd] = np.maximum(sides, 0).prod(axis=2) / np.maximum(areas, np.finfo(np.float64).tiny)[:, None]
    return overlaps


def mistaken(found: Detections, truth: Objects, false: NDArray[np.intp], missed: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Pairs (detection, object): the false detections that lie on a missed object of another class, the best overlap first."""
    if not len(false) or not len(missed):
        return []
    overlaps = iou(found.boxes[false].astype(np.float64), truth.boxes[missed])
    pairs = list[tuple[int, int]]()
    for place in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(missed))
        if overlaps[row, column] < MATCH_IOU:
            break
        pair = int(false[row]), int(missed[column])
        if all(pair[0] != one and pair[1] != other for one, other in pairs):
            pairs.append(pair)
    return pairs


def last_of_largest(values: NDArray[np.float64]) -> int:
    """The index of the largest value, the last of equal ones, as COCO's own loop takes it."""
    return len(values) - 1 - int(values[::-1].argmax())
