"""Claims that are right or wrong, each with a score: precision, recall and F1 by threshold, and calibration.

What a claim is depends on the task. Classification: an image is of a class. Detection: an object of a class is in a box.
Segmentation: the pixels that a class won in one image, which are right in part.

Letters: N claims, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
NUM_BINS = 15
"""Of a calibration, as in "On calibration of modern neural networks" (Guo et al., arXiv 1706.04599, section 5)."""


@dataclass(frozen=True)
class Claims:
    """Columns of N values.

    Attributes:
        classes: class indices.
        scores: 0 to 1.
        sizes: how much each claims: 1, or a number of pixels.
        right: how much of that is true, 0 to its size.
    """

    classes: NDArray[np.int64]
    scores: Column
    sizes: Column
    right: Column

    @classmethod
    def joined(cls, parts: Sequence[Claims]) -> Claims:
        """All of the parts, one after the other."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
        columns = ([part.classes, part.scores, part.sizes, part.right] for part in parts)
        classes, scores, sizes, right = (np.concatenate(column) for column in zip(*columns, strict=True))
        return cls(classes, scores, sizes, right)

    def where(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> Claims:
        return Claims(self.classes[kept], self.scores[kept], self.sizes[kept], self.right[kept])

    def by_class(self) -> dict[int, Claims]:
        """The claims of each class that has some."""
        ordered = self.where(np.argsort(self.classes, kind="stable"))
        classes, starts = np.unique(ordered.classes, return_index=True)
        ranges = zip(starts, np.append(starts[1:], len(self)), strict=False)
        return {int(each): ordered.where(np.arange(*ends)) for each, ends in zip(classes, ranges, strict=False)}

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Curve:
    """What is right if only claims with a score of at least a threshold count: (T,) each, thresholds descending.

    `recall` is a share of all that is true, so it ends below 1 if some of that was never claimed.
    """

    thresholds: Column
    precision: Column
    recall: Column

    @property
    def f1(self) -> Column:
        """The harmonic mean of precision and recall, 0 if both are 0."""
        total = self.precision + self.recall
        return np.asarray(np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0))

    @property
    def average_precision(self) -> float:
        """The mean of the precisions, each weighted by the recall that its threshold adds. Nothing is interpolated."""
        return float(np.sum(np.diff(self.recall, prepend=0) * self.precision))

    def best(self) -> int | None:
        """The index of the highest F1, and of equal ones that of the highest threshold; None for an empty curve."""
        return int(self.f1.argmax()) if len(self.thresholds) else None

    def at(self, threshold: float) -> tuple[float, float, float] | None:
        """Precision, recall and F1 of the claims with a score of at least `threshold`; None if there is none."""
        count = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        return (float(self.precision[count - 1]), float(self.recall[count - 1]), float(self.f1[count - 1])) if count else None


def curve(claims: Claims, total: float) -> Curve | None:
    """The curve of claims about things that are true `total` times; None if nothing is true, so that recall has no meaning."""
    if not total:
        return None
    order = np.argsort(-claims.scores, kind="stable")
    scores = claims.scores[order]
    last = np.flatnonzero(np.diff(scores, append=-1.0))  # of the claims with equal scores
    right, claimed = np.cumsum(claims.right[order])[last], np.cumsum(claims.sizes[order])[last]
    precision = np.divide(right, claimed, out=np.zeros_like(right), where=claimed > 0)
    return Curve(scores[last], precision, right / total)


@dataclass(frozen=True)
class Calibration:
    """How often claims of a score are right: `NUM_BINS` bins of equal width, NaN in an empty one.

    Attributes:
        sizes: what the claims of each bin claim together.
        scores: the mean score of each bin.
        right: the share of each bin that is right; if it equals the score, the model knows how sure it may be.
    """

    sizes: Column
    scores: Column
    right: Column

    @property
    def error(self) -> float | None:
        """The expected calibration error: the mean of |score - right| over the claims, 0 to 1; None without claims."""
        total = float(self.sizes.sum())
        return float(np.nansum(self.sizes * np.abs(self.scores - self.right)) / total) if total else None


def calibration(claims: Claims) -> Calibration:
    """The bins of the claims by their scores; a bin begins with its lowest score, and the last holds 1 too."""
    bins = np.minimum((claims.scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    columns = claims.sizes, claims.sizes * claims.scores, claims.right
    sizes, *sums = (np.bincount(bins, column, NUM_BINS).astype(np.float64) for column in columns)
    scores, right = (np.divide(each, sizes, out=np.full(NUM_BINS, np.nan), where=sizes > 0) for each in sums)
    return Calibration(sizes, scores, right)
