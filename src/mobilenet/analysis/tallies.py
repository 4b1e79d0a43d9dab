"""One tally for each task: it is told of every image, and knows the figures of all of them at the end.

If several processes count a part each, `merge` adds the `state` of another's tally.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data import Objects
from ..network.layers import Task
from ..tasks.detection import Detections
from ..tasks.metrics import ClassAP, pixel_pairs
from ..tasks.results import MIN_SHOWN
from .analysis import MAX_MATRIX, NOTHING, Analysis, ClassFigures
from .claims import Claims, calibration, curve
from .matching import FALSE, IGNORED, matched, mistaken

if TYPE_CHECKING:
    from ..tasks.classification import Classification
    from ..tasks.segmentation import Segmentation

MIN_SCORE = 0.001
"""A classifier's claims of a lower score are left out: there is one for each class and image."""

SHOWN = MIN_SHOWN["detection"]
"""The score from which on a detection counts in a class's precision and recall: what `predict` shows."""

NO_CLAIMS = Claims.joined([])

Badness = tuple[float, ...]
"""How bad the mistakes in an image are: larger is worse, and () is none."""

State = tuple[Counter[tuple[int, int]], Claims, Claims]

R = TypeVar("R")
T = TypeVar("T")


class Tally(ABC, Generic[R, T]):
    """Counts results (R) and their truths (T).

    Attributes:
        pairs: how often each (true class, answer) occurred; see `analysis.NOTHING`.
        claims, sure: those of the curves, and those of the calibration.
    """

    task: Task

    def __init__(self, labels: Sequence[str], background: int | None = None) -> None:
        self.labels, self.background = tuple(labels), background
        self.pairs, self.claims, self.sure = Counter[tuple[int, int]](), list[Claims](), list[Claims]()

    @abstractmethod
    def add(self, result: R, truth: T) -> Badness:
        """Counts one image."""

    @abstractmethod
    def quality(self, index: int, total: int, claimed: int, claims: Claims) -> ClassAP:
        """See `ClassFigures.quality`, of a class that is true `total` times and claimed `claimed` times."""

    def state(self) -> State:
        return self.pairs, Claims.joined(self.claims), Claims.joined(self.sure)

    def merge(self, state: State) -> None:
        self.pairs.update(state[0])
        self.claims.append(state[1])
        self.sure.append(state[2])

    def figures(self, index: int, total: int, claimed: int, claims: Claims) -> ClassFigures:
        quality = self.quality(index, total, claimed, claims)
        return ClassFigures(index, self.labels[index], total, claimed, self.pairs[index, index], quality.mean, quality.at50)

    def analysis(self) -> Analysis:
        totals, claimed = Counter[int](), Counter[int]()
        for (truth, answer), count in self.pairs.items():
            totals[truth] += count
            claimed[answer] += count
        claims = Claims.joined(self.claims)
        if self.background is not None:
            claims = claims.where(claims.classes != self.background)
        by_class = claims.by_class()
        real = [index for index in totals if index not in (NOTHING, self.background)]
        every = range(len(self.labels))
        curves = {index: curve(by_class[index], totals[index]) for index in sorted(real) if index in by_class}
        return Analysis(
            self.task,
            self.labels,
            MIN_SHOWN[self.task],
            tuple(self.figures(index, totals[index], claimed[index], by_class.get(index, NO_CLAIMS)) for index in every),
            dict(self.pairs),
            curve(claims, sum(totals[index] for index in real)),
            calibration(Claims.joined(self.sure)),
            {index: each for index, each in curves.items() if each is not None} if len(real) <= MAX_MATRIX else {},
            self.background,
        )


class ClassificationTally(Tally["Classification", int]):
    """A truth is a class index. The claims are those of all classes (one against the rest), the calibration is the best's."""

    task = "classification"

    def add(self, result: Classification, truth: int) -> Badness:
        scores = result.scores
        answer = int(scores.argmax())
        self.pairs[truth, answer] += 1
        (classes,) = np.nonzero(scores >= MIN_SCORE)
        self.claims.append(Claims(classes, scores[classes].astype(np.float64), np.ones(len(classes)), 1.0 * (classes == truth)))
        best = np.array([scores[answer]], np.float64)
        self.sure.append(Claims(np.array([answer]), best, np.ones(1), np.array([float(answer == truth)])))
        return () if answer == truth else (float(best[0]),)

    def quality(self, index: int, total: int, claimed: int, claims: Claims) -> ClassAP:
        curved = curve(claims, total)
        return ClassAP(None if curved is None else curved.average_precision, None)


class DetectionTally(Tally[Detections, Objects]):
    """A truth is an image's objects. `aps` are the average precisions of each class, known when all images are counted."""

    task = "detection"
    aps: Sequence[ClassAP] = ()

    def add(self, result: Detections, truth: Objects) -> Badness:
        objects = matched(result, truth)
        counted = objects != IGNORED
        ones = np.ones(int(counted.sum()))
        scores, right = result.scores[counted].astype(np.float64), 1.0 * (objects[counted] != FALSE)
        self.claims.append(Claims(result.classes[counted], scores, ones, right))
        self.sure.append(self.claims[-1])
        shown = result.scores >= SHOWN
        right_objects = objects[shown & (objects >= 0)]
        (false,) = np.nonzero(shown & (objects == FALSE))
        missed = np.setdiff1d(np.flatnonzero(~truth.crowd), right_objects)
        for index in right_objects.tolist():
            self.pairs[int(truth.labels[index]), int(truth.labels[index])] += 1
        swapped = mistaken(result, truth, false, missed)
        for detection, index in swapped:
            self.pairs[int(truth.labels[index]), int(result.classes[detection])] += 1
        for detection in np.setdiff1d(false, [pair[0] for pair in swapped]).tolist():
            self.pairs[NOTHING, int(result.classes[detection])] += 1
        for index in np.setdiff1d(missed, [pair[1] for pair in swapped]).tolist():
            self.pairs[int(truth.labels[index]), NOTHING] += 1
        mistakes = len(false) + len(missed)
        return (mistakes / (mistakes + 2 * len(right_objects)), float(mistakes)) if mistakes else ()

    def quality(self, index: int, total: int, claimed: int, claims: Claims) -> ClassAP:
        return self.aps[index] if self.aps else ClassAP(None, None)


class SegmentationTally(Tally["Segmentation", NDArray[np.uint8]]):
    """A truth is a mask. A claim is all pixels of a class in an image, at their mean probability. Void is left out."""

    task = "segmentation"

    def add(self, result: Segmentation, truth: NDArray[np.uint8]) -> Badness:
        pairs = pixel_pairs(result.mask, truth, len(self.labels))
        for row, column in zip(*(places.tolist() for places in np.nonzero(pairs)), strict=True):
            self.pairs[row, column] += int(pairs[row, column])
        claimed, right = pairs.sum(axis=0), np.diag(pairs)
        (classes,) = np.nonzero(claimed)
        scores = result.confidence[classes].astype(np.float64)
        self.claims.append(Claims(classes, scores, claimed[classes].astype(np.float64), right[classes].astype(np.float64)))
        self.sure.append(self.claims[-1])
        union = pairs.sum(axis=1) + claimed - right
        ious = right[union > 0] / union[union > 0]
        return (1 - float(ious.mean()),) if len(ious) and ious.min() < 1 else ()

    def quality(self, index: int, total: int, claimed: int, claims: Claims) -> ClassAP:
        union = total + claimed - self.pairs[index, index]
        return ClassAP(self.pairs[index, index] / union if union else None, None)
