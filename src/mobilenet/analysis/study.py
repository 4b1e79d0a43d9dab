"""All that is kept while a model is scored: the counts, the worst images, and some of all, with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Objects, Records, Truth
from ..errors import UsageError, assert_never
from ..network.layers import Task
from ..tasks.classification import Classification
from ..tasks.detection import Detections
from ..tasks.metrics import MeanAP
from ..tasks.segmentation import Segmentation
from .analysis import Analysis
from .tallies import Badness, ClassificationTally, DetectionTally, SegmentationTally, State

if TYPE_CHECKING:
    from ..tasks.results import Result

NUM_WORST, NUM_SAMPLES = 12, 12


@dataclass(frozen=True)
class Case:
    """The answer for one image, by its index in the records."""

    index: int
    badness: Badness
    result: Result


def tally_of(
    task: Task, labels: Sequence[str], background: int | None = None
) -> ClassificationTally | DetectionTally | SegmentationTally:
    """An empty tally for the task."""
    match task:
        case "classification":
            return ClassificationTally(labels)
        case "detection":
            return DetectionTally(labels)
        case "segmentation":
            return SegmentationTally(labels, background)
        case "features":
            raise UsageError("a model without a classifier gives no answers to count")
        case _:
            assert_never(task)


class Study:
    """Is told of every image of `records`.

    Attributes:
        worst: the images with the worst mistakes, the worst first; of equal ones the first in the records.
        samples: images evenly spread over the records.
    """

    def __init__(self, records: Records[Truth], background: int | None = None) -> None:
        self.records = records
        self.tally = tally_of(records.task, records.labels, background)
        self.sampled = {number * len(records) // NUM_SAMPLES for number in range(NUM_SAMPLES)}
        self.worst, self.samples = list[Case](), list[Case]()

    def add(self, index: int, result: Result, truth: object) -> Badness:
        """`truth` is a class index or a mask; of objects the records know more, whatever it is."""
        badness = self.count(index, result, truth)
        case = Case(index, badness, result)
        if badness:
            self.keep(case)
        if index in self.sampled:
            self.samples.append(case)
        return badness

    def count(self, index: int, result: Result, truth: object) -> Badness:
        tally = self.tally
        match result:
            case Classification():
                assert isinstance(tally, ClassificationTally)
                assert isinstance(truth, int)
                return tally.add(result, truth)
            case Detections():
                objects = self.records.truth(index)
                assert isinstance(tally, DetectionTally)
                assert isinstance(objects, Objects)
                return tally.add(result, objects)
            case Segmentation():
                assert isinstance(tally, SegmentationTally)
                assert isinstance(truth, np.ndarray)
                return tally.add(result, truth)
            case _:
                assert_never(result)

    def keep(self, case: Case) -> None:
        if len(self.worst) == NUM_WORST and rank(case) >= rank(self.worst[-1]):
            return
        self.worst = sorted([*self.worst, case], key=rank)[:NUM_WORST]

    def state(self) -> tuple[State, list[Case], list[Case]]:
        """What can be sent to another process."""
        return self.tally.state(), self.worst, self.samples

    def merge(self, state: tuple[State, list[Case], list[Case]]) -> None:
        """Adds what another process counted of the same records."""
        self.tally.merge(state[0])
        for case in state[1]:
            self.keep(case)
        self.samples = sorted([*self.samples, *state[2]], key=lambda case: case.index)

    def analysis(self, score: object) -> Analysis:
        """The figures, with the average precisions of a detector's `score` of the same images."""
        if isinstance(self.tally, DetectionTally) and isinstance(score, MeanAP):
            self.tally.aps = score.per_class()
        return self.tally.analysis()


def rank(case: Case) -> tuple[Badness, int]:
    """Cases in this order have the worst first."""
    return tuple(-value for value in case.badness), case.index
