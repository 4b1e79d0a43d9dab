"""How far two answers to the same image agree, by task."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from ..tasks import boxes as box_math

if TYPE_CHECKING:
    from ..network.layers import Task
    from ..tasks.classification import Classification
    from ..tasks.detection import Detections
    from ..tasks.results import Result
    from ..tasks.segmentation import Segmentation

MIN_SCORE = 0.3
"""Boxes of a lower score are not looked for on the other side."""
TINY = 2.0**-126
"""The least float32 with all its digits: a smaller probability says no more than "none"."""
MIN_OVERLAP = 0.9
"""Two boxes of a class are one if their intersection over union is at least this."""


@dataclass
class Agreement:
    """Of what one side says, how much the other says too.

    Attributes:
        what: what is counted: "first labels", "boxes" or "pixels".
        same, all: counts. A box is counted from both sides.
        largest_score: the largest difference of two scores of one label or box.
        largest_box: the largest difference of two edges of one box, in pixels.
        moves: of each image whose first labels differ, how far the difference of these two labels' logits moved from one side
            to the other.
    """

    what: str
    same: int = 0
    all: int = 0
    largest_score: float = 0.0
    largest_box: float = 0.0
    moves: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """1 if there was nothing to agree on."""
        return self.same / self.all if self.all else 1.0

    def add(self, a: Result, b: Result) -> None:
        match self.what:
            case "boxes":
                self._boxes(cast("Detections", a), cast("Detections", b))
            case "pixels":
                masks = cast("Segmentation", a).mask, cast("Segmentation", b).mask
                self.same += int((masks[0] == masks[1]).sum())
                self.all += masks[0].size
            case _:
                self._labels(cast("Classification", a), cast("Classification", b))

    def _labels(self, a: Classification, b: Classification) -> None:
        (first,), (second,) = a.top(1), b.top(1)
        self.same += first.label == second.label
        self.all += 1
        if a.labels == b.labels:
            if first.label != second.label:
                gaps = (math.log(max(p[first.index], TINY) / max(p[second.index], TINY)) for p in (a.scores, b.scores))
                self.moves.append(abs(next(gaps) - next(gaps)))
            difference = np.abs(np.asarray(a.probabilities) - np.asarray(b.probabilities)).max()
            self.largest_score = max(self.largest_score, float(difference))

    def _boxes(self, a: Detections, b: Detections) -> None:
        """Every box of one side with a score of `MIN_SCORE` should be on the other, with any score."""
        for these, those in ((a, b), (b, a)):
            clear = np.flatnonzero(these.scores >= MIN_SCORE)
            self.all += len(clear)
            for i in clear:
                index = these.classes[i]
                same = np.flatnonzero(those.classes == index) if a.labels == b.labels else named(those, these.labels[index])
                overlaps = box_math.iou(these.boxes[i : i + 1], those.boxes[same])[0]
                if not len(overlaps) or overlaps.max() < MIN_OVERLAP:
                    continue
                partner = same[overlaps.argmax()]
                self.same += 1
                self.largest_score = max(self.largest_score, float(abs(these.scores[i] - those.scores[partner])))
                self.largest_box = max(self.largest_box, float(np.abs(these.boxes[i] - those.boxes[partner]).max()))

    def to_json(self) -> dict[str, object]:
        found = {"of": self.what, "share": self.share, "count": self.all}
        if self.what != "pixels":
            found["largest_score_difference"] = self.largest_score
        return {**found, "largest_edge_difference": self.largest_box} if self.what == "boxes" else found


def named(detections: Detections, label: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.array([i for i, index in enumerate(detections.classes) if detections.labels[index] == label], np.intp)


def agreement_of(task: Task) -> Agreement:
    return Agreement({"detection": "boxes", "segmentation": "pixels"}.get(task, "first labels"))
