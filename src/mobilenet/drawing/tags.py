"""Where the tags of boxes stand: near their box, over nothing small, never over one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""
Rectangles = NDArray[np.float64]
"""(N, 4) of these."""

MAX_COST = 0.6
OWN_SHARE, OTHER_SHARE = 3.0, 2.0
"""The cost of hiding the whole of a tag's own box, or of another one. With `MAX_COST`, at most a fifth of the own box is
hidden."""
GAP_COST = 0.08
"""The cost of a gap between a tag and its box, for each height of the tag."""
RING = np.array([(np.cos(angle), np.sin(angle)) for angle in np.arange(12) * np.pi / 6])


class Place(NamedTuple):
    """Where a tag stands, and the ends of the line to its box, or None if it touches the box."""

    tag: Rectangle
    leader: tuple[tuple[float, float], tuple[float, float]] | None


class Room:
    """The room for tags on an image: what objects and other tags leave of it.

    Args:
        size: (width, height) of the image.
        boxes: (N, 4), each with an area.
    """

    def __init__(self, size: tuple[int, int], boxes: Rectangles) -> None:
        self.size, self.boxes = size, boxes
        self.areas = area(boxes)
        self.taken = np.empty((0, 4))

    def place(self, index: int, width: int, height: int) -> Place | None:
        """Takes the best place for a tag of the box `index`, or None if every place hides too much or is too far."""
        if width > self.size[0] or height > self.size[1]:
            return None
        box = self.boxes[index]
        tags = self.candidates(box, width, height)
        gaps = gap(tags, box)
        shares = overlap(tags[:, None], self.boxes[None]) / self.areas
        own = shares[:, index].copy()
        shares[:, index] = 0
        cost = OWN_SHARE * own + OTHER_SHARE * shares.sum(axis=1) + GAP_COST * gaps / height + 0.01 * np.arange(len(tags))
        if len(self.taken):
            cost[overlap(tags[:, None], self.taken[None]).any(axis=1)] = np.inf
        best = int(cost.argmin())
        if cost[best] > MAX_COST:
            return None
        self.taken = np.vstack([self.taken, tags[best]])
        left, top, right, bottom = tags[best].astype(int).tolist()
        return Place((left, top, right, bottom), leader(tags[best], box) if gaps[best] > height / 4 else None)

    def candidates(self, box: NDArray[np.float64], width: int, height: int) -> Rectangles:
        """(M, 4) inside the image: around the box's edges, in its corners, then on two rings around it."""
        left, top, right, bottom = box
        corners = [
            (left, top - height), (right - width, top - height), (left, bottom), (right - width, bottom),
            (left, top), (right - width, top), (left, bottom - height), (right - width, bottom - height),
            (right, top), (left - width, top), (right, bottom - height), (left - width, bottom - height),
        ]  # fmt: skip
        half = np.array([(right - left + width) / 2, (bottom - top + height) / 2])
        center = np.array([(left + right) / 2, (top + bottom) / 2])
        rings = [center + RING * (half + distance * height) - (width / 2, height / 2) for distance in (0.8, 2.0)]
        places = np.floor(np.concatenate([corners, *rings]))
        places = np.clip(places, 0, (self.size[0] - width, self.size[1] - height))
        return np.concatenate([places, places + np.array([width, height])], axis=1)


def area(boxes: Rectangles) -> NDArray[np.float64]:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def overlap(a: Rectangles, b: Rectangles) -> NDArray[np.float64]:
    """The area that each pair of rectangles shares."""
    widths, heights = (
        np.maximum(np.minimum(a[..., side + 2], b[..., side + 2]) - np.maximum(a[..., side], b[..., side]), 0)
        for side in (0, 1)
    )
    return np.asarray(widths * heights)


def gap(tags: Rectangles, box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) how far each tag is from the box, in pixels."""
    between = np.maximum(np.maximum(tags[:, :2] - box[2:], box[:2] - tags[:, 2:]), 0)
    return np.asarray(np.hypot(between[:, 0], between[:, 1]))


def leader(tag: NDArray[np.float64], box: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The shortest line from a tag to the box; where they stand side by side, from the middle of what they share."""
    low, high = np.maximum(tag[:2], box[:2]), np.minimum(tag[2:], box[2:])
    shared = (low + high) / 2
    start = np.where(low <= high, shared, np.where(tag[:2] > box[2:], tag[:2], tag[2:]))
    end = np.where(low <= high, shared, np.where(tag[:2] > box[2:], box[2:], box[:2]))
    return (float(start[0]), float(start[1])), (float(end[0]), float(end[1]))
