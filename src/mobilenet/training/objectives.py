"""What differs between classification, detection and segmentation: loss, decoding and metric. Everything else is one loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data import coco_truth
from ..errors import UsageError, assert_never
from ..images.preprocessing import Preprocessing
from ..network.heads import detector_settings
from ..network.layers import Network
from ..predict.evaluate import score_of
from ..tasks.classification import ClassificationDecoder
from ..tasks.detection import Decoding, DetectionDecoder
from ..tasks.metrics import MeanAP, Score
from ..tasks.results import Decoder
from ..tasks.segmentation import SegmentationDecoder
from . import losses
from .input import Dataset
from .losses import LossTerms, MeanOverProcesses
from .recipes.recipe import BoxLoss, CrossEntropy, Loss, PixelCrossEntropy, Teacher

if TYPE_CHECKING:
    from ..tasks.results import Result

L = TypeVar("L", CrossEntropy, BoxLoss, PixelCrossEntropy)


@dataclass(eq=False)
class Objective(ABC, Generic[L]):
    """How a network for one task is trained and scored.

    Attributes:
        settings: of the loss.
        average: the mean of a count over all processes, see `losses.MeanOverProcesses`.
        decode: turns the network's outputs for one image of a batch into its result, as the predictor does.
        decoding: how a detector's outputs are read, else None.
        background: index of the label that means "none of the others", or None.
    """

    settings: L
    network: Network
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    average: MeanOverProcesses
    decode: Decoder[Result] = field(init=False)
    decoding: Decoding | None = field(init=False, default=None)
    background: int | None = field(init=False, default=None)

    @abstractmethod
    def loss(self, outputs: Any, target: Any) -> LossTerms:
        """The loss of a batch: its terms by name and their "total", see `losses`. `target`: see `Batch`."""

    @abstractmethod
    def truth(self, target: Any, index: int) -> Any:
        """What `Score.add` takes as the truth of a sample."""

    def metric(self, dataset: Dataset) -> Score[Any, Any]:
        """A new metric, before any sample: the one of ``mobilenet evaluate``."""
        return score_of(dataset.records)


@dataclass(eq=False)
class ClassificationObjective(Objective[CrossEntropy]):
    def __post_init__(self) -> None:
        self.decode = ClassificationDecoder(self.labels)

    def loss(self, outputs: Tensor, target: Tensor) -> LossTerms:
        return losses.cross_entropy(outputs, target, self.settings.smoothing)

    def distillation_loss(self, outputs: Tensor, target: Tensor, teacher_logits: Tensor, teacher: Teacher) -> LossTerms:
        """The loss with the teacher's answers as a second truth."""
        smoothing = self.settings.smoothing
        return losses.distillation(outputs, teacher_logits, target, teacher.weight, teacher.temperature, smoothing)

    def truth(self, target: Tensor, index: int) -> int:
        return int(target)


@dataclass(eq=False)
class DetectionObjective(Objective[BoxLoss]):
    def __post_init__(self) -> None:
        form, decoding = self.settings.form, self.settings.decoding
        self.matching = replace(losses.FORMS[form], negatives=self.settings.negatives)
        for path, value, required in (
            ("network.settings.anchors", detector_settings(self.network).anchors, form),
            ("loss.decoding.scores", decoding.scores, self.matching.scores),
            ("loss.decoding.codes", decoding.codes, self.matching.codes),
        ):
            if value != required:
                raise UsageError(f"{path} {value!r}: must be {required!r} with loss.form {form!r}; set one or the other")
        decoder = DetectionDecoder(self.network, self.preprocessing, decoding, self.labels)
        self.decode, self.decoding, self.default_boxes = decoder, decoding, decoder.default_boxes
        self.ground_truth: tuple[Dataset, Mapping[str, object]] | None = None

    def loss(self, outputs: Mapping[str, Tensor], target: Any) -> LossTerms:
        logits, codes = losses.split_outputs(outputs, self.network)
        return losses.ssd(logits, codes, target, self.default_boxes, self.preprocessing.size, self.matching, self.average)

    def truth(self, target: Any, index: int) -> int:
        return index

    def metric(self, dataset: Dataset) -> MeanAP:
        if self.ground_truth is None or self.ground_truth[0] is not dataset:
            self.ground_truth = dataset, coco_truth(dataset.records)  # goes through all records, so it is kept
        return MeanAP(self.ground_truth[1], list(range(len(self.labels))))


@dataclass(eq=False)
class SegmentationObjective(Objective[PixelCrossEntropy]):
    def __post_init__(self) -> None:
        num_weights, num_classes = len(self.settings.weights), len(self.labels)
        if num_weights and num_weights != num_classes:
            raise UsageError(f"loss.weights: {num_weights} for {num_classes} classes; give one for each class, or none")
        self.background = 0 if self.labels[0] == "background" else None
        self.decode = SegmentationDecoder(self.preprocessing, self.labels, self.background)

    def loss(self, outputs: Tensor, target: Tensor) -> LossTerms:
        return losses.pixel_cross_entropy(outputs, target, self.settings.weights, self.average)

    def truth(self, target: Tensor, index: int) -> NDArray[np.uint8]:
        return np.asarray(target.numpy(), np.uint8)


def objective_of(
    loss: Loss,
    network: Network,
    preprocessing: Preprocessing,
    labels: tuple[str, ...],
    average: MeanOverProcesses = losses.one_process,
) -> Objective[Any]:
    match loss:
        case CrossEntropy():
            return ClassificationObjective(loss, network, preprocessing, labels, average)
        case BoxLoss():
            return DetectionObjective(loss, network, preprocessing, labels, average)
        case PixelCrossEntropy():
            return SegmentationObjective(loss, network, preprocessing, labels, average)
        case _:
            assert_never(loss)
