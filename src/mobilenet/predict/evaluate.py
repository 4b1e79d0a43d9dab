"""A model's score on labeled images. Needs only a predictor, so every runtime and every task is scored by the same code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data import Classes, DataError, Divided, Objects, Record, Records, Truth, coco_truth, open_held_out, open_records
from ..errors import UsageError
from ..images.open import ImageError
from ..modelfile import ModelFile
from ..network.layers import Task
from ..tasks.labels import Labels, without_unused
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics, Score
from ..tasks.results import OutputError
from .load import load
from .predictor import Predictor


@dataclass
class Evaluation:
    """`metrics` over `images` images, by the runtime `backend`. `failed` names every image that could not be opened or
    answered, with the reason. `notes` say what was wrong in the labels and was mended, and which part of the data was scored,
    if that is not obvious."""

    task: Task
    images: int
    metrics: Metrics
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    backend: str = ""

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet evaluate --json`; the metrics are fractions of the images that could be opened."""
        counts = {"task": self.task, "images": self.images, "metrics": self.metrics, "failed": self.failed}
        return {**counts, "backend": self.backend}


def evaluate(
    predictor: Predictor | str | os.PathLike[str],
    data: str | os.PathLike[str],
    watch: Callable[[Records[Truth]], Iterable[Record[Truth]]] = lambda records: records,
    layout: str | None = None,
) -> Evaluation:
    """The model's score on labeled images.

    Args:
        predictor: a loaded model, or a model's name or file.
        data: a folder or file whose layout is recognized, see `data.open`. If it is divided, its validation part is scored,
            else its test part; if the model's training divided it, the part that was held out.
        watch: may wrap the records, to show progress.
        layout: the layout's name, for data that can be read in several ways.

    Raises:
        UsageError: the layout or a class is not understood, the labels are for another task, or a truth contradicts its image.
        DataError: no image could be opened, or a file of the data is damaged.
    """
    predictor = predictor if isinstance(predictor, Predictor) else load(os.fspath(predictor))
    data = Path(data)
    records = records_for(predictor.model, data, layout)
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
    return Evaluation(records.task, images, score.metrics(), failed, notes_on(records), backend=predictor.runtime.name)


def notes_on(records: Records[Truth]) -> list[str]:
    """Sentences for the user."""
    notes = records.findings.lines()
    if isinstance(records, Divided):
        notes.insert(0, f"scored on the {len(records)} images that the model's training held out of this data")
    return notes


def records_for(model: ModelFile, data: Path, layout: str | None = None) -> Records[Truth]:
    """Labeled images for the model's task, their class indices the model's: a class of the data is found by the model's label
    id, then by its label, then (class folders and lists only) by its index."""
    labels, label_ids = without_unused(Labels(model.labels, model.label_ids))
    classes, task = Classes(labels, label_ids, indices=True), model.network.task
    division = model.provenance.get("held_out")
    if isinstance(division, dict):  # a score on images that the model was trained on proves nothing
        share, fingerprint = division.get("share"), str(division.get("fingerprint"))
        if isinstance(share, float) and 0 < share < 1:
            held_out = open_held_out(data, task, classes, share, fingerprint, layout)
            if held_out is not None:
                return held_out
    return open_records(data, task, None, classes, layout)


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
