"""A model's score on labeled images. Needs only a predictor, so every runtime and every task is scored by the same code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..analysis.analysis import Analysis
from ..analysis.study import Case, Study
from ..data import Classes, DataError, Divided, Objects, Record, Records, Truth, coco_truth, open_held_out, open_records
from ..errors import UsageError
from ..images.open import ImageError
from ..modelfile import ModelFile
from ..network.layers import Task
from ..tasks.labels import Labels, without_unused
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics, Score
from ..tasks.results import OutputError
from .judged import AnswerFile
from .load import load
from .predictor import Predictor


@dataclass
class Evaluation:
    """`metrics` over `images` images, by the runtime `backend`. `failed` names every image that could not be opened or
    answered, with the reason. `notes` say what was wrong in the labels and was mended, and which part of the data was scored,
    if that is not obvious. With details, `analysis` has the figures of each class and more; `worst` and `samples` are some of
    the `records` with their answers."""

    task: Task
    images: int
    metrics: Metrics
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    backend: str = ""
    analysis: Analysis | None = None
    records: Records[Truth] | None = field(default=None, repr=False)
    worst: list[Case] = field(default_factory=list, repr=False)
    samples: list[Case] = field(default_factory=list, repr=False)

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet evaluate --json`; the metrics are fractions of the images that could be opened. With
        details, those of ``report.json`` too."""
        counts = {"task": self.task, "images": self.images, "metrics": self.metrics, "failed": self.failed}
        details = {} if self.analysis is None else self.analysis.to_json()
        return {**counts, "backend": self.backend, **details}

    def write_report(
        self, folder: str | os.PathLike[str], title: str = "Evaluation", data: str = "", footer: str = "Made by mobilenet."
    ) -> Path:
        """Writes a page of what the details say, ``index.html``, and ``report.json`` into `folder`; the page's path.

        Args:
            title, footer: the first and the last line of the page.
            data: the name of the labeled images.

        Raises:
            UsageError: the evaluation was made without details, or the folder holds a page of another kind.
            WriteError: a file cannot be written.
        """
        from ..pages.report import Report, check_folder, write_report

        if self.analysis is None or self.records is None:
            raise UsageError("write_report needs details; call evaluate(..., details=True)")
        folder = Path(folder)
        check_folder(folder)
        report = Report(
            self.records, self.analysis, self.metrics, self.images, self.failed, self.notes, self.worst, self.samples
        )
        place = f" of {data}" if data else ""
        subtitle = f"{self.images:,} images{place} for {self.task}, answered by {self.backend}"
        return write_report(folder, report, title, subtitle, footer=footer)


def evaluate(
    predictor: Predictor | str | os.PathLike[str],
    data: str | os.PathLike[str],
    watch: Callable[[Records[Truth]], Iterable[Record[Truth]]] = lambda records: records,
    layout: str | None = None,
    details: bool = False,
    answers: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """The model's score on labeled images.

    Args:
        predictor: a loaded model, or a model's name or file.
        data: a folder or file whose layout is recognized, see `data.open`. If it is divided, its validation part is scored,
            else its test part; if the model's training divided it, the part that was held out.
        watch: may wrap the records, to show progress.
        layout: the layout's name, for data that can be read in several ways.
        details: whether to make the `analysis`, and to keep the worst answers and some samples.
        answers: a new file for every image's answer and truth, as JSON lines.

    Raises:
        UsageError: the layout or a class is not understood, the labels are for another task, a truth contradicts its image, or
            the file `answers` is there already.
        DataError: no image could be opened, or a file of the data is damaged.
        WriteError: `answers` cannot be written.
    """
    predictor = predictor if isinstance(predictor, Predictor) else load(os.fspath(predictor))
    data = Path(data)
    records = records_for(predictor.model, data, layout)
    score, images, failed = score_of(records), 0, list[str]()
    study = Study(records, predictor.model.background) if details or answers is not None else None
    with ExitStack() as stack:
        file = None if answers is None else stack.enter_context(answer_file(Path(answers), records, predictor))
        for index, record in enumerate(watch(records)):
            try:
                truth = scored_truth(record.truth, index)
                result = predictor.predict(record.open())
                score.add(result, truth)
            except (ImageError, OutputError) as error:
                failed.append(str(error if isinstance(error, ImageError) else OutputError(error.name, record.name)))
                if file is not None:
                    file.write_failed(record, failed[-1])
                continue
            except ValueError as error:
                raise UsageError(f"{record.name}: {error}") from error
            images += 1
            badness = () if study is None else study.add(index, result, truth)
            if file is not None:
                file.write(record, result, truth, badness)
    if not images:
        raise DataError(f"{data}: none of its {len(records)} images could be opened and answered; the first: {failed[0]}")
    scored = Evaluation(records.task, images, score.metrics(), failed, notes_on(records), backend=predictor.runtime.name)
    if details and study is not None:
        scored.analysis, scored.records = study.analysis(score), records
        scored.worst, scored.samples = study.worst, study.samples
    return scored


def answer_file(path: Path, records: Records[Truth], predictor: Predictor) -> AnswerFile:
    return AnswerFile(path, records.task, records.labels, predictor.runtime.name)


def notes_on(records: Records[Truth]) -> list[str]:
    """Sentences for the user."""
    notes = records.findings.lines()
    if isinstance(records, Divided):
        notes.insert(0, f"scored on the {len(records)} images that the model's training held out of this data")
    return notes


def records_for(model: ModelFile, data: Path, layout: str | None = None) -> Records[Truth]:
    """Labeled images for the model's task, with the model's class indices: a class of the data is found by the model's label
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
