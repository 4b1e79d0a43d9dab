"""The file of ``mobilenet evaluate --answers``: every image's answer as in ``predict``, what is true, and how right it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..analysis.matching import FALSE, matched
from ..analysis.tallies import SHOWN, Badness
from ..data import Objects, Record, Truth
from ..errors import UsageError, printable
from ..files import WriteError
from ..network.layers import Task
from ..tasks.detection import Detections
from ..tasks.results import VOID

if TYPE_CHECKING:
    from ..tasks.results import Result


class AnswerFile:
    """JSON lines, one for each image, written as they come. A context manager that closes the file.

    Raises:
        UsageError: the file is there already.
        WriteError: it cannot be written.
    """

    def __init__(self, path: Path, task: Task, labels: tuple[str, ...], backend: str) -> None:
        self.path, self.task, self.labels, self.backend = path, task, labels, backend
        try:
            self.file = open(path, "xb", buffering=0)  # noqa: SIM115, closed by __exit__
        except FileExistsError as error:
            raise UsageError(f"--answers {path}: is there already; give another name") from error
        except OSError as error:
            raise WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists") from error

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, record: Record[Truth], result: Result, truth: object, badness: Badness) -> None:
        """Adds the answer for an image. `truth`: a class index, a mask, or anything if the record knows its objects."""
        predictions = [prediction.to_dict() for prediction in result]
        judgment = self.judgment(result, record.truth if isinstance(record.truth, Objects) else truth, badness)
        self._line({**self._start(record), "predictions": predictions, **judgment, "backend": self.backend})

    def write_failed(self, record: Record[Truth], reason: str) -> None:
        self._line({**self._start(record), "error": reason})

    def judgment(self, result: Result, truth: object, badness: Badness) -> dict[str, object]:
        """The truth, and ``right`` of a classifier, ``found``, ``missed``, ``wrong`` of a detector, ``mIoU`` of a segmenter."""
        match truth:
            case int():
                return {"truth": self._label(truth), "right": not badness}
            case Objects():
                assert isinstance(result, Detections)
                return {"truth": self._objects(truth), **self._found(result, truth)}
            case np.ndarray():
                counts = np.bincount(truth.ravel(), minlength=VOID + 1)[:VOID]
                shares = [
                    {**self._label(index), "share": counts[index] / truth.size} for index in np.flatnonzero(counts).tolist()
                ]
                return {"truth": shares, "mIoU": 1 - badness[0] if badness else 1.0}
            case _:
                raise TypeError(type(truth))

    def _objects(self, truth: Objects) -> list[dict[str, object]]:
        columns = zip(truth.labels.tolist(), truth.boxes.tolist(), truth.crowd.tolist(), strict=True)
        return [{**self._label(index), "box": box, **({"crowd": True} if crowd else {})} for index, box, crowd in columns]

    def _found(self, result: Detections, truth: Objects) -> dict[str, object]:
        """Objects that were found, and missed, and detections of nothing, at IoU 0.5 and scores of at least 0.5."""
        objects = matched(result, truth)[result.scores >= SHOWN]
        found = int((objects >= 0).sum())
        return {"found": found, "missed": int((~truth.crowd).sum()) - found, "wrong": int((objects == FALSE).sum())}

    def _label(self, index: int) -> dict[str, object]:
        return {"label": self.labels[index], "index": index}

    def _start(self, record: Record[Truth]) -> dict[str, object]:
        return {"input": record.name, "task": self.task}

    def _line(self, entry: dict[str, object]) -> None:
        content = memoryview(f"{printable(json.dumps(entry, ensure_ascii=False))}\n".encode())
        end, written = self.file.tell(), 0
        try:
            while written < len(content):
                written += self.file.write(content[written:]) or 0
        except OSError as error:
            self.file.truncate(end)
            raise WriteError(f"{self.path}: {error.strerror}; make room, or give --answers a name elsewhere") from error
