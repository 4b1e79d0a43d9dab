"""Scores: top-1 and top-5 accuracy, mean intersection over union, COCO's mean average precision.

A score takes results one by one (`add`) and returns its metrics at the end: fractions, or None if there was nothing to
measure (no object of that size). If several processes score a part each, `merge` adds the `state` of another's score.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .results import VOID

if TYPE_CHECKING:
    from .classification import Classification
    from .detection import Detections
    from .segmentation import Segmentation

Metrics = dict[str, float | None]
R_contra = TypeVar("R_contra", contravariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

COCO_METRICS = (
    *("mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""COCO's twelve, in its order: over IoU 0.50 to 0.95 and at most 100 detections unless the name says otherwise."""


class Score(Protocol[R_contra, T_contra]):
    """A score of results against truths."""

    def add(self, result: R_contra, truth: T_contra) -> None: ...

    def state(self) -> Any:
        """The sum of all results so far, as values that can be sent to another process."""

    def merge(self, state: Any) -> None:
        """Adds the `state` of another score of the same kind."""

    def metrics(self) -> Metrics: ...


class Accuracy:
    """Top-1 and top-5 accuracy of a classifier; a truth is the index of a class."""

    def __init__(self) -> None:
        self.num_images = self.top1 = self.top5 = 0

    def add(self, result: Classification, truth: int) -> None:
        indices = [prediction.index for prediction in result.top(5)]
        self.num_images += 1
        self.top1 += indices[0] == truth
        self.top5 += truth in indices

    def state(self) -> tuple[int, int, int]:
        return self.num_images, self.top1, self.top5

    def merge(self, state: tuple[int, int, int]) -> None:
        self.num_images, self.top1, self.top5 = (a + b for a, b in zip(self.state(), state, strict=True))

    def metrics(self) -> Metrics:
        return {"top1": self.top1 / self.num_images, "top5": self.top5 / self.num_images}


def pixel_pairs(mask: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """(K, K): number of pixels by true class (row) and class in the answer's mask (column), without void.

    Raises UsageError if the sizes differ, or if the truth has a class that is not below `classes`.
    """
    if truth.shape != mask.shape:
        raise UsageError(f"mask {truth.shape} for an image of {mask.shape}: must be of one size (height, width)")
    valid = truth != VOID
    if valid.any() and (unknown := int(truth[valid].max())) >= classes:
        raise UsageError(f"mask with class {unknown}: the model has classes 0 to {classes - 1}; void is {VOID}")
    pairs = truth[valid].astype(np.int64) * classes + mask[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class MeanIoU:
    """Mean IoU and pixel accuracy of a segmenter over all pixels of all images together, as VOC defines them.

    A truth is a mask, (H, W) class indices in the size of the image; pixels that are `VOID` in it do not count. A class that
    occurs neither in a truth nor in a result is left out of the mean.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.confusion = np.zeros((classes, classes), np.int64)  # (truth, result)

    def add(self, result: Segmentation, truth: NDArray[np.uint8]) -> None:
        """Raises UsageError if the sizes differ, or if the truth has a class that the model does not have."""
        self.confusion += pixel_pairs(result.mask, truth, self.classes)

    def state(self) -> NDArray[np.int64]:
        return self.confusion

    def merge(self, state: NDArray[np.int64]) -> None:
        self.confusion = self.confusion + state

    def per_class(self) -> NDArray[np.float64]:
        """(K,) IoU of each class, NaN for a class that does not occur."""
        hits = np.diag(self.confusion).astype(np.float64)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hits
        return np.asarray(np.divide(hits, union, out=np.full(self.classes, np.nan), where=union > 0))

    def metrics(self) -> Metrics:
        if not self.confusion.any():
            return {"mIoU": None, "pixel_accuracy": None}
        accuracy = np.diag(self.confusion).sum() / self.confusion.sum()
        return {"mIoU": float(np.nanmean(self.per_class())), "pixel_accuracy": float(accuracy)}


class CocoParameters(Protocol):
    """What faster-coco-eval's evaluation counts: images and categories by their ids."""

    imgIds: list[int]
    catIds: list[int]


class CocoEvaluation(Protocol):
    """As much of faster-coco-eval's evaluation as is used here."""

    params: CocoParameters
    stats: Sequence[float]
    eval: Mapping[str, object]

    def evaluate(self) -> None: ...

    def accumulate(self) -> None: ...

    def summarize(self) -> None: ...


class ClassAP(NamedTuple):
    """A class's average precision: the mean over IoU 0.50 to 0.95, and at 0.50; None if the data has no object of it."""

    mean: float | None
    at50: float | None


class MeanAP:
    """COCO's mean average precision of a detector, computed by faster-coco-eval; equal to pycocotools' figures.

    A truth is the id of an image in the annotations.

    Args:
        truth: the annotations, as the JSON of COCO's instances files.
        categories: COCO's category id of each of the model's classes, None for a class that the data does not have.

    Raises UsageError if faster-coco-eval is not installed.
    """

    def __init__(self, truth: Mapping[str, object], categories: Sequence[int | None]) -> None:
        try:
            import faster_coco_eval
        except ImportError as error:
            raise UsageError("scoring detections needs faster-coco-eval; pip install 'mobilenet[coco]'") from error
        self.module, self.truth, self.categories = faster_coco_eval, truth, categories
        self.image_ids: list[int] = []
        self.detections: list[dict[str, object]] = []
        self._evaluation: tuple[int, CocoEvaluation] | None = None  # and of how many images it is

    def add(self, result: Detections, truth: int) -> None:
        self.image_ids.append(truth)
        for (x0, y0, x1, y1), score, index in zip(result.boxes.tolist(), result.scores.tolist(), result.classes, strict=True):
            category = self.categories[index]
            if category is not None:  # no data is labeled with such a class: neither right nor wrong
                box = [x0, y0, x1 - x0, y1 - y0]
                self.detections.append({"image_id": truth, "category_id": category, "bbox": box, "score": score})

    def state(self) -> tuple[list[int], list[dict[str, object]]]:
        return self.image_ids, self.detections

    def merge(self, state: tuple[list[int], list[dict[str, object]]]) -> None:
        self.image_ids, self.detections = self.image_ids + state[0], self.detections + state[1]

    def metrics(self) -> Metrics:
        """Over all images that were added, also those without objects, in which every detection is wrong."""
        score = self._scored()
        return {name: None if value < 0 else float(value) for name, value in zip(COCO_METRICS, score.stats, strict=False)}

    def per_class(self) -> list[ClassAP]:
        """The average precision of each of the model's classes; the means over the classes are the metrics mAP and mAP50."""
        score = self._scored()
        # (10 IoUs, 101 recalls, categories, areas: the first is all, limits: the last is the largest), -1 for no object
        precisions = np.asarray(score.eval["precision"], np.float64)[:, :, :, 0, -1]
        columns = {int(category): number for number, category in enumerate(score.params.catIds)}
        found = list[ClassAP]()
        for category in self.categories:
            values = precisions[:, :, columns[category]] if category in columns else np.empty((0, 0))
            known = values.size > 0 and values.min() > -1
            found.append(ClassAP(float(values.mean()), float(values[0].mean())) if known else ClassAP(None, None))
        return found

    def _scored(self) -> CocoEvaluation:
        """The library's evaluation of what was added up to now."""
        if self._evaluation is not None and self._evaluation[0] == len(self.image_ids):
            return self._evaluation[1]
        with contextlib.redirect_stdout(io.StringIO()):  # the library prints its progress
            truth = self.module.COCO(dict(self.truth))
            results = truth.loadRes(self.detections) if self.detections else self.module.COCO({**self.truth, "annotations": []})
            score: CocoEvaluation = self.module.COCOeval_faster(truth, results, iouType="bbox")
            score.params.imgIds = sorted(self.image_ids)
            score.evaluate()
            score.accumulate()
            score.summarize()
        self._evaluation = len(self.image_ids), score
        return score
