"""What differs between classification, detection and segmentation: loss, decoding and score. All else is one loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data.dataset import Dataset
from ..images.preprocessing import Preprocessing
from ..network.layers import Network
from ..predict.predictor import softmax
from ..tasks import detection, segmentation
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics
from ..tasks.results import Classification, Detections, Result, Segmentation
from . import losses
from .losses import Average, Parts
from .recipes.recipe import BoxLoss, CrossEntropy, PixelCrossEntropy, Recipe, Teacher

Outputs = Mapping[str, NDArray[np.float32]]
Size = tuple[int, int]


class Score(Protocol):
    """A score that processes can share out: `metrics.Accuracy` and its like."""

    def add(self, result: Any, truth: Any) -> None: ...
    def state(self) -> Any: ...
    def merge(self, state: Any) -> None: ...
    def metrics(self) -> Metrics: ...


class Task(ABC):
    """The three things that the loop and the scoring ask for.

    Attributes:
        headline: the metric that a run is judged by.
        background: index of the label that means "none of the others", or None.
        decoding: how a detector's outputs are read, or None.
    """

    headline: str
    background: int | None = None
    decoding: detection.Decoding | None = None

    def __init__(self, network: Network, preprocessing: Preprocessing, labels: tuple[str, ...], average: Average) -> None:
        self.network, self.preprocessing, self.labels, self.average = network, preprocessing, labels, average

    @abstractmethod
    def loss(self, outputs: Any, target: Any) -> Parts:
        """The network's outputs for a batch and the batch's target -> parts by name and their "total", see `losses`."""

    @abstractmethod
    def decode(self, outputs: Outputs, number: int, size: Size) -> Result:
        """The answer for picture `number` of a batch, whose own size is (width, height)."""

    @abstractmethod
    def truth(self, target: Any, index: int) -> Any:
        """What the score's `add` takes for the sample."""

    @abstractmethod
    def score(self, dataset: Dataset) -> Score: ...


class Classifying(Task):
    headline = "top1"

    def __init__(
        self, network: Network, preprocessing: Preprocessing, labels: tuple[str, ...], average: Average, settings: CrossEntropy
    ) -> None:
        super().__init__(network, preprocessing, labels, average)
        self.settings = settings

    def loss(self, outputs: Tensor, target: Tensor) -> Parts:
        return losses.cross_entropy(outputs, target, self.settings.smoothing)

    def taught_loss(self, outputs: Tensor, target: Tensor, taught: Tensor, teacher: Teacher) -> Parts:
        """The loss with a teacher's logits as a second truth."""
        return losses.distillation(outputs, taught, target, teacher.weight, teacher.temperature, self.settings.smoothing)

    def decode(self, outputs: Outputs, number: int, size: Size) -> Classification:
        return Classification(softmax(outputs["classifier"][number].tolist()), self.labels)

    def truth(self, target: Tensor, index: int) -> int:
        return int(target)

    def score(self, dataset: Dataset) -> Accuracy:
        return Accuracy()


class Detecting(Task):
    headline = "mAP50"

    def __init__(
        self, network: Network, preprocessing: Preprocessing, labels: tuple[str, ...], average: Average, settings: BoxLoss
    ) -> None:
        super().__init__(network, preprocessing, labels, average)
        self.matching = replace(losses.FORMS[settings.form], negatives=settings.negatives)
        self.decoding = settings.decoding
        for what, given, wanted in (
            ("network.settings.anchors", network.settings["anchors"], settings.form),
            ("loss.decoding.scores", settings.decoding.scores, self.matching.scores),
            ("loss.decoding.codes", settings.decoding.codes, self.matching.codes),
        ):
            if given != wanted:
                raise ValueError(f"{what} {given!r}: must be {wanted!r}, as loss.form {settings.form!r} has it")
        self.defaults = detection.default_boxes(network)
        self.known: tuple[Dataset, Mapping[str, Any]] | None = None

    def loss(self, outputs: Mapping[str, Tensor], target: Any) -> Parts:
        logits, codes = losses.outputs_of(outputs, self.network)
        return losses.ssd(logits, codes, target, self.defaults, self.preprocessing.size, self.matching, self.average)

    def decode(self, outputs: Outputs, number: int, size: Size) -> Detections:
        assert self.decoding is not None
        logits, codes = detection.raw_scores(outputs, self.network, number)
        window = self.preprocessing.window(size)
        return detection.detect(logits, codes, self.defaults, self.decoding, size, window, self.labels)

    def truth(self, target: Any, index: int) -> int:
        return index

    def score(self, dataset: Dataset) -> MeanAP:
        if self.known is None or self.known[0] is not dataset:
            self.known = dataset, dataset.coco_truth()  # reads every picture, so once
        return MeanAP(self.known[1], list(range(len(self.labels))))


class Segmenting(Task):
    headline = "mIoU"

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        labels: tuple[str, ...],
        average: Average,
        settings: PixelCrossEntropy,
    ) -> None:
        super().__init__(network, preprocessing, labels, average)
        if settings.weights and len(settings.weights) != len(labels):
            raise ValueError(f"loss.weights: {len(settings.weights)} for {len(labels)} classes; give one for each, or none")
        self.settings = settings
        self.background = 0 if labels[0] == "background" else None

    def loss(self, outputs: Tensor, target: Tensor) -> Parts:
        return losses.pixel_cross_entropy(outputs, target, self.settings.weights, self.average)

    def decode(self, outputs: Outputs, number: int, size: Size) -> Segmentation:
        columns, rows = content = self.preprocessing.content(size)
        found = segmentation.probabilities(outputs["upsample"][number], content, False, (rows, columns))
        return segmentation.segment(found, size, self.labels, self.background)

    def truth(self, target: Tensor, index: int) -> NDArray[np.uint8]:
        return np.asarray(target.numpy(), np.uint8)

    def score(self, dataset: Dataset) -> MeanIoU:
        return MeanIoU(len(self.labels))


def task_of(recipe: Recipe, network: Network, labels: tuple[str, ...], average: Average = losses.alone) -> Task:
    """The task of a recipe's network and loss; `average` is the mean of a count over all processes, see `losses.Average`."""
    if isinstance(recipe.loss, BoxLoss):
        return Detecting(network, recipe.preprocessing, labels, average, recipe.loss)
    if isinstance(recipe.loss, PixelCrossEntropy):
        return Segmenting(network, recipe.preprocessing, labels, average, recipe.loss)
    return Classifying(network, recipe.preprocessing, labels, average, recipe.loss)
