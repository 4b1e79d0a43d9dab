"""What differs between classification, detection and segmentation: loss, decoding and score. All else is one loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import assert_never
from ..images.preprocessing import Preprocessing
from ..network.layers import Network
from ..tasks.classification import ClassificationDecoder
from ..tasks.detection import Decoding, DetectionDecoder
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics
from ..tasks.results import Decoder, Result
from ..tasks.segmentation import SegmentationDecoder
from . import losses
from .input import Dataset
from .losses import LossTerms, MeanOverProcesses
from .recipes.recipe import BoxLoss, CrossEntropy, PixelCrossEntropy, Recipe, Teacher


class Score(Protocol):
    """A score that processes can share out: `metrics.Accuracy` and its like."""

    def add(self, result: Any, truth: Any) -> None: ...
    def state(self) -> Any: ...
    def merge(self, state: Any) -> None: ...
    def metrics(self) -> Metrics: ...


class Objective(ABC):
    """The three things that the loop and the scoring ask for.

    Attributes:
        headline: the metric that a run is judged by.
        background: index of the label that means "none of the others", or None.
        decoding: how a detector's outputs are read, or None.
        decode: turns the network's outputs for one image of a batch into its result, as the predictor does.
    """

    headline: str
    background: int | None = None
    decoding: Decoding | None = None
    decode: Decoder[Result]

    def __init__(
        self, network: Network, preprocessing: Preprocessing, labels: tuple[str, ...], average: MeanOverProcesses
    ) -> None:
        self.network, self.preprocessing, self.labels, self.average = network, preprocessing, labels, average

    @abstractmethod
    def loss(self, outputs: Any, target: Any) -> LossTerms:
        """The network's outputs for a batch and the batch's target -> parts by name and their "total", see `losses`."""

    @abstractmethod
    def truth(self, target: Any, index: int) -> Any:
        """What the score's `add` takes for the sample."""

    @abstractmethod
    def score(self, dataset: Dataset) -> Score: ...


class ClassificationObjective(Objective):
    headline = "top1"

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        labels: tuple[str, ...],
        average: MeanOverProcesses,
        settings: CrossEntropy,
    ) -> None:
        super().__init__(network, preprocessing, labels, average)
        self.settings = settings
        self.decode = ClassificationDecoder(labels)

    def loss(self, outputs: Tensor, target: Tensor) -> LossTerms:
        return losses.cross_entropy(outputs, target, self.settings.smoothing)

    def taught_loss(self, outputs: Tensor, target: Tensor, taught: Tensor, teacher: Teacher) -> LossTerms:
        """The loss with a teacher's logits as a second truth."""
        return losses.distillation(outputs, taught, target, teacher.weight, teacher.temperature, self.settings.smoothing)

    def truth(self, target: Tensor, index: int) -> int:
        return int(target)

    def score(self, dataset: Dataset) -> Accuracy:
        return Accuracy()


class DetectionObjective(Objective):
    headline = "mAP50"

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        labels: tuple[str, ...],
        average: MeanOverProcesses,
        settings: BoxLoss,
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
        decoder = DetectionDecoder(network, preprocessing, settings.decoding, labels)
        self.decode, self.default_boxes = decoder, decoder.default_boxes
        self.known: tuple[Dataset, Mapping[str, Any]] | None = None

    def loss(self, outputs: Mapping[str, Tensor], target: Any) -> LossTerms:
        logits, codes = losses.outputs_of(outputs, self.network)
        return losses.ssd(logits, codes, target, self.default_boxes, self.preprocessing.size, self.matching, self.average)

    def truth(self, target: Any, index: int) -> int:
        return index

    def score(self, dataset: Dataset) -> MeanAP:
        if self.known is None or self.known[0] is not dataset:
            self.known = dataset, dataset.coco_truth()  # goes through all records, so once
        return MeanAP(self.known[1], list(range(len(self.labels))))


class SegmentationObjective(Objective):
    headline = "mIoU"

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        labels: tuple[str, ...],
        average: MeanOverProcesses,
        settings: PixelCrossEntropy,
    ) -> None:
        super().__init__(network, preprocessing, labels, average)
        if settings.weights and len(settings.weights) != len(labels):
            raise ValueError(f"loss.weights: {len(settings.weights)} for {len(labels)} classes; give one for each, or none")
        self.settings = settings
        self.background = 0 if labels[0] == "background" else None
        self.decode = SegmentationDecoder(preprocessing, labels, self.background)

    def loss(self, outputs: Tensor, target: Tensor) -> LossTerms:
        return losses.pixel_cross_entropy(outputs, target, self.settings.weights, self.average)

    def truth(self, target: Tensor, index: int) -> NDArray[np.uint8]:
        return np.asarray(target.numpy(), np.uint8)

    def score(self, dataset: Dataset) -> MeanIoU:
        return MeanIoU(len(self.labels))


def objective_of(
    recipe: Recipe, network: Network, labels: tuple[str, ...], average: MeanOverProcesses = losses.alone
) -> Objective:
    """The objective for a recipe's network and loss. `average`: the mean of a count over all processes."""
    match recipe.loss:
        case CrossEntropy():
            return ClassificationObjective(network, recipe.preprocessing, labels, average, recipe.loss)
        case BoxLoss():
            return DetectionObjective(network, recipe.preprocessing, labels, average, recipe.loss)
        case PixelCrossEntropy():
            return SegmentationObjective(network, recipe.preprocessing, labels, average, recipe.loss)
        case _:
            assert_never(recipe.loss)
