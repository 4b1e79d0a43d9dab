"""What is known of a model after all images: the figures that a page shows and a program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..network.layers import Task
from .claims import Calibration, Curve

NOTHING = -1
"""In place of a class: nothing is there, or nothing was found."""

MAX_MATRIX = 24
"""Classes; of more, only the pairs that are confused most are listed."""

MAX_PAIRS = 25
GRID = np.linspace(0, 1, 101)
"""The thresholds at which curves are written down."""


@dataclass(frozen=True)
class ClassFigures:
    """One class. What is counted depends on the task: images, objects or pixels (`Analysis.unit`).

    Attributes:
        total: how many are of this class.
        claimed: how many the model says are.
        right: how many of these are.
        quality: average precision of a classifier or detector, IoU of a segmenter; None if nothing is of this class.
        quality50: a detector's average precision at IoU 0.5.
    """

    index: int
    label: str
    total: int
    claimed: int
    right: int
    quality: float | None = None
    quality50: float | None = None

    @property
    def precision(self) -> float | None:
        return self.right / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        return self.right / self.total if self.total else None

    @property
    def f1(self) -> float | None:
        return 2 * self.right / (self.total + self.claimed) if self.total else None


@dataclass(frozen=True)
class Confusion:
    """How often a class was taken for another one, `NOTHING` included; `share` is that of all that is of the true class."""

    truth: int
    answer: int
    count: int
    share: float | None


@dataclass(frozen=True)
class Analysis:
    """The figures of all images.

    Attributes:
        threshold: the score from which on a claim counts in `classes` and `counts`; 0 where the best claim of all counts.
        counts: number of images, objects or pixels by true class and answer, without zeros; see `NOTHING`.
        curve: of all classes together, for a segmenter without the background; None if there is nothing to find.
        class_curves: of each class, for at most `MAX_MATRIX` classes.
        background: the class that means "none of the others", or None.
    """

    task: Task
    labels: tuple[str, ...]
    threshold: float
    classes: tuple[ClassFigures, ...]
    counts: Mapping[tuple[int, int], int]
    curve: Curve | None
    calibration: Calibration
    class_curves: Mapping[int, Curve] = field(default_factory=dict)
    background: int | None = None

    @property
    def unit(self) -> str:
        return {"classification": "images", "detection": "objects", "segmentation": "pixels"}[self.task]

    @property
    def quality(self) -> str:
        """The name of `ClassFigures.quality`."""
        return "IoU" if self.task == "segmentation" else "AP"

    def name(self, index: int, truth: bool) -> str:
        """The label of a class; of `NOTHING`, what it means as a truth or as an answer."""
        return self.labels[index] if index != NOTHING else "(nothing there)" if truth else "(not found)"

    def occurring(self) -> list[ClassFigures]:
        """The classes that are true or claimed somewhere: the weakest first, by F1 of a classifier, else by `quality`, and last
        those that are nowhere true."""

        def weakness(each: ClassFigures) -> tuple[bool, float, float, int]:
            quality, f1 = each.quality or 0.0, each.f1 or 0.0
            return (each.total == 0, *((f1, quality) if self.task == "classification" else (quality, f1)), each.index)

        return sorted((each for each in self.classes if each.total or each.claimed), key=weakness)

    def confused(self, count: int = MAX_PAIRS) -> list[Confusion]:
        """The pairs of classes that were confused most often."""
        totals = dict[int, int]()
        for (truth, _), number in self.counts.items():
            totals[truth] = totals.get(truth, 0) + number
        pairs = [
            Confusion(truth, answer, number, None if truth == NOTHING else number / totals[truth])
            for (truth, answer), number in self.counts.items()
            if truth != answer
        ]
        return sorted(pairs, key=lambda pair: (-pair.count, pair.truth, pair.answer))[:count]

    def axes(self) -> tuple[list[int], list[int]]:
        """The rows and columns of the confusion matrix: classes that occur, and `NOTHING` at the end if it does."""
        seen = {index for pair in self.counts for index in pair} - {NOTHING}
        rows, columns = sorted(seen), sorted(seen)
        if any(truth == NOTHING for truth, _ in self.counts):
            rows.append(NOTHING)
        if any(answer == NOTHING for _, answer in self.counts):
            columns.append(NOTHING)
        return rows, columns

    def to_json(self) -> dict[str, object]:
        """JSON's types; shares are fractions, and None stands for what cannot be said."""
        curve, bins = self.curve, self.calibration
        best = None if curve is None else curve.best()
        return {
            "unit": self.unit,
            "threshold": self.threshold,
            "classes": [self.class_json(each) for each in self.classes],
            "confused": [
                {
                    "truth": None if pair.truth == NOTHING else self.labels[pair.truth],
                    "answer": None if pair.answer == NOTHING else self.labels[pair.answer],
                    "count": pair.count,
                    "share": pair.share,
                }
                for pair in self.confused()
            ],
            "best_threshold": None
            if curve is None or best is None
            else {"threshold": float(curve.thresholds[best]), "f1": float(curve.f1[best])},
            "curve": [] if curve is None else curve_json(curve),
            "calibration": {
                "error": bins.error,
                "bins": [
                    {"size": int(size), "score": number(score), "right": number(right)}
                    for size, score, right in zip(bins.sizes, bins.scores, bins.right, strict=True)
                ],
            },
        }

    def class_json(self, figures: ClassFigures) -> dict[str, object]:
        entry: dict[str, object] = {
            "label": figures.label,
            "index": figures.index,
            self.unit: figures.total,
            "answers": figures.claimed,
            "right": figures.right,
            "precision": figures.precision,
            "recall": figures.recall,
            "f1": figures.f1,
            self.quality: figures.quality,
        }
        return {**entry, "AP50": figures.quality50} if self.task == "detection" else entry


def curve_json(curve: Curve) -> list[dict[str, float]]:
    """The curve at the thresholds of `GRID`, as far as there are claims."""
    points = ((threshold, curve.at(threshold)) for threshold in GRID.tolist())
    names = ("precision", "recall", "f1")
    return [{"threshold": threshold, **dict(zip(names, point, strict=True))} for threshold, point in points if point]


def number(value: float) -> float | None:
    """A value for JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)
