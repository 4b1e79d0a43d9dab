"""Outlines of objects as pixels: polygons, and COCO's run lengths.

Letters: P corners, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from .layout import DataError


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
        edge = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        slope = (lower[edge] - upper[edge])[:, 0] / (lower[edge] - upper[edge])[:, 1]
        crossing = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope
        column = np.clip(np.ceil(crossing - 0.5), 0, columns).astype(np.int64)
        top, left = int(row.min()), int(column.min())
        height, width = int(row.max()) + 1 - top, int(column.max()) + 1 - left
        toggles = np.bincount((row - top) * width + column - left, minlength=height * width).reshape(height, width)
        inside = (np.cumsum(toggles, axis=1) & 1).astype(bool)[:, : columns - left]
        mask[top : top + height, left : left + inside.shape[1]][inside] = value


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths: pixels outside and inside in turns, column by column, of a mask with `size` (height, width), whose
    upper left corner lies at `place` (x, y) of the image."""

    counts: NDArray[np.int64]
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)

    def fill(self, mask: NDArray[np.uint8], value: int, scale: tuple[float, float]) -> None:
        """Sets the pixels inside. Raises DataError if it reaches past the image, or is of an image of another size."""
        (height, width), (x, y) = self.size, self.place
        if scale != (1, 1) or x < 0 or y < 0 or x + width > mask.shape[1] or y + height > mask.shape[0]:
            raise DataError(f"run lengths of {width}x{height} for an image of {mask.shape[1]}x{mask.shape[0]}: get them again")
        inside = np.repeat(np.arange(len(self.counts)) & 1, self.counts).astype(bool).reshape(width, height).T
        mask[y : y + height, x : x + width][inside] = value

    @classmethod
    def checked(cls, counts: Sequence[int], size: Sequence[int], place: tuple[int, int] = (0, 0)) -> RunLengths:
        """Raises DataError unless the counts are those of a mask of `size`."""
        height, width = (int(side) for side in size)
        lengths = np.array(counts, np.int64)
        if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width or min(height, width) < 1:
            raise DataError(f"run lengths that sum to {int(lengths.sum())}: must sum to {width} x {height} pixels")
        return cls(lengths, (height, width), place)


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
            if not more and code & 0x10:
                value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def row_counts(counts: Sequence[int], width: int, height: int) -> list[int]:
    """Run lengths that go row by row as run lengths that go column by column."""
    ends = list(accumulate(counts))
    if not ends or ends[-1] != width * height or width * height > 1 << 28:
        raise DataError(f"run lengths that sum to {ends[-1] if ends else 0}: must sum to {width} x {height} pixels")
    flat = np.repeat(np.arange(len(counts)) & 1, counts).reshape(height, width).T.ravel()
    (changes,) = np.nonzero(np.diff(flat))
    edges = np.concatenate([[0] if flat[0] else [], [0], changes + 1, [flat.size]])
    lengths: list[int] = np.diff(edges).astype(np.int64).tolist()
    return lengths


Outline = Polygon | RunLengths
