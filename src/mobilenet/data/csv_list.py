"""CSV lists: a file with a line for each image. The first line names the columns; further columns are ignored."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import unknown_name
from ..limits import check_limit
from ..network.layers import Task
from .classes import Classes
from .layout import SPLITS, DataError, DatasetLayout, Split
from .records import ListedRecords, file_records


class CsvList(DatasetLayout):
    """Columns ``path`` (relative to the file), ``label`` and perhaps ``split``. Images come in the order of the file.

    Labels that are all whole numbers are ordered as numbers, others as text.
    """

    title = "CSV list"
    needs: ClassVar[Mapping[Task, str]] = {"classification": "a CSV file of path and label"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        return ("classification",) if path.suffix == ".csv" and path.is_file() else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        try:
            check_limit("max_annotation_bytes", path.stat().st_size, f"{path}, bytes", DataError)
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file, strict=True))
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8, with commas") from error
        if not rows:
            raise DataError(f"{path}: lists no images; the first line must be path,label and each other line an image")
        for column in ("path", "label"):
            if column not in rows[0]:
                columns = [str(name) for name in rows[0]]
                raise DataError(f"{path}: {unknown_name('column', column, columns)}; name it in the first line")
        for line, row in enumerate(rows, start=2):
            if not row["path"] or not row["label"]:
                raise DataError(f"{path}, entry {line}: has no path or no label; fill it in or take the line out")
        self.rows = rows
        if "split" in rows[0]:
            present = {row["split"] for row in rows}
            self.splits = tuple(split for split, names in SPLITS.items() if present & set(names))

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[int]:
        names = sorted({row["label"] for row in self.rows})
        if all(name.isdecimal() and len(name) < 20 for name in names):
            names.sort(key=int)
        numbers = {name: i for i, name in enumerate(names)} if classes is None else classes.numbers(names, self.path)
        rows = [row for row in self.rows if split is None or row["split"] in SPLITS[split]]
        paths, truths = [self.path.parent / row["path"] for row in rows], [numbers[row["label"]] for row in rows]
        return file_records("classification", names if classes is None else classes.labels, paths, truths)
