"""Outlines of objects as pixels: polygons, and COCO's run lengths.

Letters: P corners, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layout import DataError

MAX_CROSSINGS = 1 << 20
"""Of edges and rows, that are held at once."""


@dataclass(frozen=True)
class Polygon:
    """Corners (P, 2): x and y in pixels from the upper left corner of the image, or in shares of its sides."""

    corners: NDArray[np.float32]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Polygon:
        """From x0, y0, x1, y1, ..."""
        return cls(np.array(numbers, np.float32).reshape(-1, 2))

    def fill(self, mask: NDArray[np.uint8], value: int, scale: tuple[float, float]) -> None:
        """Sets the pixels of `mask`, (H, W), whose center lies inside, by the even-odd rule. `scale` multiplies x and y."""
        rows, columns = mask.shape
        corners = self.corners.astype(np.float64) * scale
        start, end = corners, np.roll(corners, -1, axis=0)
        downward = (start[:, 1] <= end[:, 1])[:, None]
        upper, lower = np.where(downward, start, end), np.where(downward, end, start)
        first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, rows).astype(np.int64)  # of the rows whose center an edge crosses
        past = np.clip(np.ceil(lower[:, 1] - 0.5), 0, rows).astype(np.int64)
        counts = past - first
        if not counts.any():
            return
        top, bottom = int(first[counts > 0].min()), int(past[counts > 0].max())
        toggles = np.zeros((bottom - top, columns + 1), np.int64)
        ends = np.cumsum(counts)
        starts = ends - counts
        for start_edge, end_edge in _runs(ends, MAX_CROSSINGS):  # a file may have many edges that all cross every row
            some = slice(start_edge, end_edge)
            edge = np.repeat(np.arange(len(counts))[some], counts[some])
            row = np.arange(len(edge)) + np.repeat(first[some] - starts[some] + starts[start_edge], counts[some])
            slope = (lower[edge] - upper[edge])[:, 0] / (lower[edge] - upper[edge])[:, 1]
            crossing = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope
            column = np.clip(np.ceil(crossing - 0.5), 0, columns).astype(np.int64)
            toggles += np.bincount((row - top) * (columns + 1) + column, minlength=toggles.size).reshape(toggles.shape)
        left, right = (int(place) for place in np.flatnonzero(toggles.any(axis=0))[[0, -1]])
        inside = (np.cumsum(toggles[:, left : right + 1], axis=1) & 1).astype(bool)[:, : columns - left]
        mask[top:bottom, left : left + inside.shape[1]][inside] = value


def _runs(ends: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of runs of items that together come to about `size`; `ends` are the sums of the items so far."""
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + size)), start + 1)
        yield start, end
        start = end


MAX_SIDE = 1 << 20  # pixels: sums of run lengths then stay far below 2^63
MAX_COUNT_BITS = 60


@dataclass(frozen=True)
class RunLengths:
    """Run lengths: pixels outside and inside in turns, of a mask with `size` (height, width), whose upper left corner lies at
    `place` (x, y) of the image; column by column as COCO's, or row by row as CVAT's."""

    counts: NDArray[np.int64]
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)
    by_rows: bool = False

    def fill(self, mask: NDArray[np.uint8], value: int, scale: tuple[float, float]) -> None:
        """Sets the pixels inside. Raises DataError if it reaches past the image, or is of an image of another size."""
        (height, width), (x, y) = self.size, self.place
        if scale != (1, 1) or x < 0 or y < 0 or x + width > mask.shape[1] or y + height > mask.shape[0]:
            raise DataError(f"run lengths of {width}x{height} for an image of {mask.shape[1]}x{mask.shape[0]}: get them again")
        flat = np.repeat((np.arange(len(self.counts)) & 1).astype(bool), self.counts)
        inside = flat.reshape(height, width) if self.by_rows else flat.reshape(width, height).T
        mask[y : y + height, x : x + width][inside] = value

    @classmethod
    def checked(
        cls, counts: Sequence[int], size: Sequence[int], place: tuple[int, int] = (0, 0), by_rows: bool = False
    ) -> RunLengths:
        """Raises DataError unless the counts are those of a mask of `size`."""
        height, width = (int(side) for side in size)
        lengths = np.array(counts, np.int64)
        wrong = lengths.ndim != 1 or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE
        if wrong or (lengths < 0).any() or (lengths > width * height).any() or lengths.sum() != height * width:
            raise DataError(f"run lengths that sum to {int(lengths.sum())}: must sum to {width} x {height} pixels")
        return cls(lengths, (height, width), place, by_rows)


def coco_counts(text: str) -> list[int]:
    """The counts in COCO's compressed form: five bits a character, from the third on differences to the count two before."""
    counts, position = list[int](), 0
    codes = text.encode("ascii")
    while position < len(codes):
        value, shift, more = 0, 0, True
        while more:
            code = codes[position] - 48
            value |= (code & 0x1F) << shift
            more = bool(code & 0x20)
            position, shift = position + 1, shift + 5
            if shift > MAX_COUNT_BITS:
                raise DataError(f"run lengths with a number of over {MAX_COUNT_BITS} bits: get them again")
            if not more and code & 0x10:
                value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


Outline = Polygon | RunLengths
