"""A model's score on labeled images. Needs only a predictor, so every runtime and every task is scored by the same code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data import Classes, DataError, Objects, Record, Records, Truth, coco_truth, open_records
from ..errors import UsageError
from ..images.open import ImageError
from ..modelfile import ModelFile
from ..network.layers import Task
from ..tasks.labels import Labels, without_unused
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics, Score
from ..tasks.results import OutputError
from .predictor import Predictor, load


@dataclass
class Evaluation:
    """`metrics` over `images` images. `failed` names every image that could not be opened or answered, with the reason."""

    task: Task
    images: int
    metrics: Metrics
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet evaluate --json`; the metrics are fractions of the images that could be opened."""
        return {"task": self.task, "images": self.images, "metrics": self.metrics, "failed": self.failed}


def evaluate(
    predictor: Predictor | str | os.PathLike[str],
    data: str | os.PathLike[str],
    watch: Callable[[Records[Truth]], Iterable[Record[Truth]]] = lambda records: records,
) -> Evaluation:
    """The model's score on labeled images.

    Args:
        predictor: a loaded model, or a model's name or file.
        data: a folder or file whose layout is recognized: class folders, a CSV list, tar shards, a Hugging Face dataset, COCO,
            VOC. If it is divided, its validation part is scored.
        watch: may wrap the records, to show progress.

    Raises:
        UsageError: the layout or a class is not understood, the labels are for another task, or a truth contradicts its image.
        DataError: no image could be opened, or a file of the data is damaged.
    """
    predictor = predictor if isinstance(predictor, Predictor) else load(os.fspath(predictor))
    data = Path(data)
    records = records_for(predictor.model, data)
    score, images, failed = score_of(records), 0, list[str]()
    for index, record in enumerate(watch(records)):
        try:
            truth = scored_truth(record.truth, index)
            score.add(predictor.predict(record.open()), truth)
        except ImageError as error:
            failed.append(str(error))
            continue
        except OutputError as error:
            failed.append(str(OutputError(error.name, record.name)))
            continue
        except ValueError as error:
            raise UsageError(f"{record.name}: {error}") from error
        images += 1
    if not images:
        raise DataError(f"{data}: none of its {len(records)} images could be opened and answered; the first: {failed[0]}")
    return Evaluation(records.task, images, score.metrics(), failed)


def records_for(model: ModelFile, data: Path) -> Records[Truth]:
    """Labeled images for the model's task, their class indices the model's: a class of the data is found by the model's label
    id, then by its label, then (class folders and lists only) by its index."""
    labels, label_ids = without_unused(Labels(model.labels, model.label_ids))
    return open_records(data, model.network.task, None, Classes(labels, label_ids, indices=True))


def score_of(records: Records[Truth]) -> Score[Any, Any]:
    """The empty score for the records' task."""
    match records.task:
        case "detection":
            return MeanAP(coco_truth(records), range(len(records.labels)))
        case "segmentation":
            return MeanIoU(len(records.labels))
        case _:
            return Accuracy()


def scored_truth(truth: Truth, index: int) -> Any:
    """What the score's `add` takes for record `index`: a class index, an image id, or a mask."""
    if isinstance(truth, int):
        return truth
    return index if isinstance(truth, Objects) else truth.read()
