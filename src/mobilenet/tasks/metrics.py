"""What a score is made of: top-1 and top-5, COCO's mean average precision, mean intersection over union.

Each score takes results one by one (`add`) and gives its metrics, fractions, at the end. None where there was nothing to
measure (no object of that size). Where several processes score a part each, `merge` takes in the `state` of another's score.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .results import VOID, Classification, Detections, Segmentation

Metrics = dict[str, float | None]

COCO_METRICS = ("mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large",
                "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")  # fmt: skip
"""COCO's twelve, in its order: over IoU 0.50 to 0.95 and 100 detections where the name says nothing else."""


class Accuracy:
    """Top-1 and top-5 of a classifier; truth is the class's index."""

    def __init__(self) -> None:
        self.pictures = self.top1 = self.top5 = 0

    def add(self, result: Classification, truth: int) -> None:
        best = [prediction.index for prediction in result.top(5)]
        self.pictures += 1
        self.top1 += best[0] == truth
        self.top5 += truth in best

    def state(self) -> tuple[int, int, int]:
        return self.pictures, self.top1, self.top5

    def merge(self, state: tuple[int, int, int]) -> None:
        self.pictures, self.top1, self.top5 = (a + b for a, b in zip(self.state(), state, strict=True))

    def metrics(self) -> Metrics:
        return {"top1": self.top1 / self.pictures, "top5": self.top5 / self.pictures}


class MeanIoU:
    """Mean IoU and pixel accuracy of a segmenter over all pixels of all pictures together, as VOC defines them.

    Truth is a mask (H, W) of class indices; pixels that are `VOID` there count for nothing. A class that stands neither in
    the truth nor in the answers is left out of the mean.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.confusion = np.zeros((classes, classes), np.int64)  # truth, answer

    def add(self, result: Segmentation, truth: NDArray[np.uint8]) -> None:
        """ValueError where the sizes differ, or where the truth has a class that the model does not know."""
        if truth.shape != result.mask.shape:
            raise ValueError(f"mask {truth.shape} for a picture of {result.mask.shape}: must be of one size (height, width)")
        meant = truth != VOID
        if meant.any() and (unknown := int(truth[meant].max())) >= self.classes:
            raise ValueError(f"mask with class {unknown}: the model has classes 0 to {self.classes - 1}; void is {VOID}")
        pairs = truth[meant].astype(np.int64) * self.classes + result.mask[meant]
        self.confusion += np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def state(self) -> NDArray[np.int64]:
        return self.confusion

    def merge(self, state: NDArray[np.int64]) -> None:
        self.confusion = self.confusion + state

    def per_class(self) -> NDArray[np.float64]:
        """(K,) IoU of each class, NaN where there is none."""
        right = np.diag(self.confusion).astype(np.float64)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - right
        return np.asarray(np.divide(right, union, out=np.full(self.classes, np.nan), where=union > 0))

    def metrics(self) -> Metrics:
        if not self.confusion.any():
            return {"mIoU": None, "pixel_accuracy": None}
        accuracy = np.diag(self.confusion).sum() / self.confusion.sum()
        return {"mIoU": float(np.nanmean(self.per_class())), "pixel_accuracy": float(accuracy)}


class MeanAP:
    """COCO's mean average precision, computed by faster-coco-eval, which gives pycocotools' figures.

    Args:
        truth: the annotations, as the JSON of COCO's instances files.
        categories: COCO's category id of each of the model's classes, None for a class that the data does not have.

    Raises ValueError where faster-coco-eval is not installed.
    """

    def __init__(self, truth: Mapping[str, Any], categories: Sequence[int | None]) -> None:
        try:
            import faster_coco_eval
        except ImportError as error:
            raise ValueError("scoring detections needs faster-coco-eval; pip install 'mobilenet[coco]'") from error
        self.module, self.truth, self.categories = faster_coco_eval, truth, categories
        self.pictures: list[int] = []
        self.found: list[dict[str, Any]] = []

    def add(self, result: Detections, truth: int) -> None:
        """`truth` is the picture's id in the annotations."""
        self.pictures.append(truth)
        for (x0, y0, x1, y1), score, index in zip(result.boxes.tolist(), result.scores.tolist(), result.classes, strict=True):
            category = self.categories[index]
            if category is not None:  # a class that the data was never labelled with can be neither right nor wrong
                box = [x0, y0, x1 - x0, y1 - y0]
                self.found.append({"image_id": truth, "category_id": category, "bbox": box, "score": score})

    def state(self) -> tuple[list[int], list[dict[str, Any]]]:
        return self.pictures, self.found

    def merge(self, state: tuple[list[int], list[dict[str, Any]]]) -> None:
        self.pictures, self.found = self.pictures + state[0], self.found + state[1]

    def metrics(self) -> Metrics:
        """Over the pictures that were added, those without objects among them (what is found there is wrong)."""
        with contextlib.redirect_stdout(io.StringIO()):  # both libraries print as they go
            truth = self.module.COCO(dict(self.truth))
            answers = truth.loadRes(self.found) if self.found else self.module.COCO({**self.truth, "annotations": []})
            score = self.module.COCOeval_faster(truth, answers, iouType="bbox")
            score.params.imgIds = sorted(self.pictures)
            score.evaluate()
            score.accumulate()
            score.summarize()
        return {name: None if value < 0 else float(value) for name, value in zip(COCO_METRICS, score.stats, strict=False)}
