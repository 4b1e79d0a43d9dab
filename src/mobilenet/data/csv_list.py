"""CSV lists: a line for each image, or for each box. The first line names the columns, as one of the many names that people
use."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ..errors import unknown_name
from ..network.layers import Task
from .classes import Classes
from .finder import ImageFinder
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split, split_folders
from .objects import ObjectTable, Shape
from .records import ListedRecords, Truth, file_records
from .text import peek, read_text

PATHS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "imagepath", "image_name",
    "img", "img_path", "image_file", "image_id", "imageid", "id", "name",
)  # fmt: skip
LABELS = (
    "label", "class", "class_name", "classname", "category", "category_name", "target", "species", "breed", "labels",
    "labelname", "tag",
)  # fmt: skip
PARTS = ("split", "set", "subset", "partition", "part", "dataset")
CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x1", "y1", "x2", "y2"),
           ("x0", "y0", "x1", "y1"), ("left", "top", "right", "bottom"))  # fmt: skip
SIDES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
)
SIZES = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"), ("w", "h"))
FILES = ("labels.csv", "annotations.csv", "_annotations.csv", "metadata.csv", "data.csv", "images.csv", "_classes.csv")


class CsvList(DatasetLayout):
    """A CSV file, or a folder with ``labels.csv``, ``annotations.csv``, or a file for each part (``train.csv``, or Roboflow's
    ``train/_annotations.csv``). Images come in the order of the file.

    Columns are a path (relative to the file; without its suffix too), a label, perhaps a split, and for boxes four corners, or
    a corner with width and height, in pixels, or in shares of the image's sides if none is above 1. The separator is a comma, a
    semicolon or a tab. Without a line of names, two columns are path and label, six are path, four corners and label. A line
    without a box is an image without objects. Further columns are ignored.

    Labels that are all whole numbers are ordered as numbers, others as text.
    """

    name, title = "csv", "CSV list"
    needs: ClassVar[Mapping[Task, str]] = {
        "classification": "a CSV file of path and label",
        "detection": "a CSV file of path, label, xmin, ymin, xmax and ymax",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        if path.is_file():
            named = path.suffix.lower() in (".csv", ".tsv")
            return (("detection",) if Columns.of(_header(path)).box else ("classification",)) if named else ()
        for file in _files(path).values():
            columns = Columns.of(_header(file))
            is_one = columns.path is not None and columns.label is not None
            if is_one or (file.name in FILES and (columns.path is not None or columns.label is not None)):
                return ("detection",) if columns.box else ("classification",)
        return ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task = path, task
        files: dict[Split | None, Path] = {None: path} if path.is_file() else _files(path)
        self.rows: dict[Split | None, list[Row]] = {part: _read(file) for part, file in files.items()}
        parts = {split for split, words in SPLITS.items() for row in self.rows.get(None, ()) if row.part in words}
        if parts or any(row.part for row in self.rows.get(None, ())):
            self.splits = tuple(split for split in SPLITS if split in parts)
        elif None not in self.rows:
            self.splits = tuple(split for split in SPLITS if split in self.rows)

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        findings = Findings()
        everything = [row for rows in self.rows.values() for row in rows]
        rows = self.rows.get(split) if split in self.rows else self.rows.get(None, [])
        if split is not None and split not in self.rows:
            rows = [row for row in rows or () if row.part in SPLITS[split]]
        root = self.path.parent if self.path.is_file() else self.path
        inside = split_folders(root).get(split) if split is not None else None
        finder = ImageFinder(
            [*(row.folder for row in (rows or ())[:1]), root / "images", *([inside] if inside else ()), root], findings
        )
        names = sorted({row.label for row in everything if row.label})
        if all(name.isdecimal() and len(name) < 20 for name in names):
            names.sort(key=int)
        if self.task == "detection":
            return self._boxes(rows or [], names, classes, finder, findings)
        numbers = {name: i for i, name in enumerate(names)} if classes is None else classes.numbers(names, self.path)
        labels = names if classes is None else classes.labels
        paths, truths = list[str](), list[int]()
        for row in rows or []:
            if not row.path or not row.label:
                raise DataError(f"{self.path}, entry {row.line}: has no path or no label; fill it in or take the line out")
            paths.append(finder.find(row.path))
            truths.append(numbers[row.label])
        return file_records("classification", labels, paths, truths, (), findings)

    def _boxes(
        self, rows: Sequence[Row], names: Sequence[str], classes: Classes | None, finder: ImageFinder, findings: Findings
    ) -> ListedRecords[Truth]:
        numbers = [number for row in rows if row.box for number in row.box]
        relative = bool(numbers) and max(numbers) <= 1 and any(number % 1 for number in numbers)
        table, images = ObjectTable("detection", findings, relative), dict[str, list[Row]]()
        for row in rows:
            images.setdefault(row.path, []).append(row)
        for name, entries in images.items():
            shapes = [Shape(row.label, row.box) for row in entries if row.box is not None and row.label]
            for row in entries:
                if (row.box is None) != (not row.label):
                    findings.add("label_damaged", f"{self.path}, entry {row.line}")
            table.add(finder.find(name), shapes, entries[0].size)
        return table.named(names, classes, self.path, names)


class Columns:
    """Which column is what, by number; `box` are the four columns of a box, `corners` whether these are two corners."""

    def __init__(self) -> None:
        self.path: int | None = None
        self.label: int | None = None
        self.part: int | None = None
        self.box: tuple[int, ...] = ()
        self.size: tuple[int, ...] = ()
        self.corners = True

    @classmethod
    def of(cls, header: Sequence[str]) -> Columns:
        columns, numbers = (
            cls(),
            {name.strip().casefold().replace(" ", "_"): i for i, name in reversed(list(enumerate(header)))},
        )
        columns.path = next((numbers[name] for name in PATHS if name in numbers), None)
        columns.label = next((numbers[name] for name in LABELS if name in numbers), None)
        columns.part = next((numbers[name] for name in PARTS if name in numbers), None)
        for names in CORNERS:
            if all(name in numbers for name in names) and not columns.box:
                columns.box = tuple(numbers[name] for name in names)
        columns.corners = bool(columns.box)
        for names in SIDES:
            if all(name in numbers for name in names) and not columns.box:
                columns.box = tuple(numbers[name] for name in names)
        columns.size = next((tuple(numbers[name] for name in names) for names in SIZES
                             if columns.corners and all(name in numbers for name in names)), ())  # fmt: skip
        return columns


class Row:
    """One line: an image, its label, and a box if it has one."""

    def __init__(self, cells: Sequence[str], columns: Columns, line: int, folder: Path) -> None:
        def cell(number: int | None) -> str:
            return cells[number].strip() if number is not None and number < len(cells) else ""

        self.line, self.folder = line, folder
        self.path, self.label, self.part = cell(columns.path), cell(columns.label), cell(columns.part).casefold()
        texts = [cell(number) for number in columns.box]
        self.box: tuple[float, float, float, float] | None = None
        if texts and all(texts):
            x0, y0, x1, y1 = (float(text) for text in texts)
            self.box = (x0, y0, x1, y1) if columns.corners else (x0, y0, x0 + x1, y0 + y1)
        sides = [cell(number) for number in columns.size]
        known = len(sides) == 2 and all(side.isdecimal() and 0 < int(side) < 1 << 30 for side in sides if len(side) < 12)
        self.size = (int(sides[0]), int(sides[1])) if known and all(len(side) < 12 for side in sides) else None


def _files(path: Path) -> dict[Split | None, Path]:
    """The CSV file of each part, or of the whole as None."""
    if not path.is_dir():
        return {}
    files = [path / name for name in FILES if (path / name).is_file()]
    if not files and len(alone := sorted(path.glob("*.csv"))) == 1 and not split_folders(path):
        files = alone
    if files:
        return {None: files[0]}
    parts: dict[Split | None, Path] = {}
    for split, words in SPLITS.items():
        candidates = [path / f"{word}{ending}.csv" for word in words for ending in ("", "_labels", "_annotations")]
        candidates += [folder / name for part, folder in split_folders(path).items() if part == split for name in FILES]
        file = next((file for file in candidates if file.is_file()), None)
        if file is not None:
            parts[split] = file
    return parts


def _separator(head: str) -> str:
    line = head.partition("\n")[0]
    return max(",;\t", key=line.count)


def _header(path: Path) -> list[str]:
    head = peek(path)
    first = next(csv.reader(head.splitlines()[:1], delimiter=_separator(head)), [])
    return first if not _is_headless(first) else _standard(len(first))


def _is_headless(cells: Sequence[str]) -> bool:
    return len(cells) in (2, 6) and re.search(r"\.(jpe?g|png|bmp|webp|tiff?|gif)$", cells[0].strip(), re.IGNORECASE) is not None


def _standard(count: int) -> list[str]:
    return ["path", "label"] if count == 2 else ["path", "xmin", "ymin", "xmax", "ymax", "label"]


def _read(path: Path) -> list[Row]:
    """The lines of a file. Raises DataError."""
    try:
        text = read_text(path)
        lines = list(csv.reader(re.split(r"\r\n|\r|\n", text) if '"' not in text else text.splitlines(keepends=True),
                                delimiter=_separator(text), strict=True))  # fmt: skip
    except (csv.Error, DataError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8, with commas") from error
    entries = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cell.strip() for cell in cells)]
    headless = bool(entries) and _is_headless(entries[0][1])
    header = (_standard(len(entries[0][1])) if headless else entries[0][1]) if entries else []
    if len(entries) < 2 and not headless:
        raise DataError(f"{path}: lists no images; the first line must be path,label and each other line an image")
    columns = Columns.of(header)
    for name, column in (("path", columns.path), ("label", columns.label)):
        if column is None:
            raise DataError(f"{path}: {unknown_name('column', name, header)}; name it in the first line")
    try:
        return [Row(cells, columns, number, path.parent) for number, cells in entries[not headless :]]
    except ValueError as error:
        raise DataError(f"{path}: {error!s:.100}; a box must be four numbers") from error
