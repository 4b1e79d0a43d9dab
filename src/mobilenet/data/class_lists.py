"""Files that name the classes: lists of names, and tables of names and the colors that stand for them in masks."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .layout import DataError
from .text import read_lines

LISTS = ("classes.txt", "labels.txt", "codes.txt", "class_names.txt", "classes.names", "obj.names", "predefined_classes.txt")
TABLES = ("labelmap.txt", "label_colors.txt", "class_dict.csv", "_classes.csv", "classes.csv", "label_colors.csv")

Color = tuple[int, int, int]


@dataclass(frozen=True)
class ClassList:
    """Classes of a data set.

    Attributes:
        labels: names by index; "" for an index without a name.
        colors: red, green and blue of each class in masks, or () if masks hold indices.
    """

    labels: tuple[str, ...]
    colors: tuple[Color, ...] = ()


def find_class_list(*folders: Path) -> ClassList | None:
    """The first list or table in the folders; tables, which say more, before lists. Raises DataError if it is damaged."""
    for folder in folders:
        for name in (*TABLES, *LISTS):
            path = folder / name
            if path.is_file() and (found := read_class_list(path)).labels:
                return found
    return None


def read_class_list(path: Path) -> ClassList:
    """A list: a name on each line, as it is or behind its index (``0: sky``). A table: CVAT's ``name:r,g,b:parts:actions``, a
    CSV file with columns for the name and either the pixel's value or red, green and blue, or lines of red, green, blue and
    name.

    Raises DataError.
    """
    lines = read_lines(path)
    if path.suffix == ".csv":
        return _from_csv(path, lines)
    lines = [line for line in lines if not line.startswith("#")]
    if path.name == "labelmap.txt":
        parts = [line.split(":") for line in lines]
        colors = [_color(part[1].split(","), path) for part in parts if len(part) > 1 and part[1].strip()]
        return ClassList(tuple(part[0].strip() for part in parts), tuple(colors) if len(colors) == len(parts) else ())
    colored = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)", line) for line in lines]
    if lines and all(colored):
        matches = [match for match in colored if match is not None]
        return ClassList(tuple(m[4].strip() for m in matches), tuple(_color((m[1], m[2], m[3]), path) for m in matches))
    numbered = [re.fullmatch(r"(\d+)\s*[:,]?\s+(.+)|(\d+)[:,](.+)", line) for line in lines]
    if lines and all(numbered):
        pairs = [(m[1] or m[3], (m[2] or m[4]).strip()) for m in numbered if m is not None]
        if sorted(int(number) for number, _ in pairs) == list(
            range(int(pairs[0][0]) and 1, len(pairs) + (int(pairs[0][0]) and 1))
        ):
            return _by_value({int(number): name for number, name in pairs}, path)
    return ClassList(tuple(lines))


def _from_csv(path: Path, lines: Sequence[str]) -> ClassList:
    rows = list(csv.reader(lines, skipinitialspace=True))
    header = [name.strip().casefold() for name in rows[0]] if rows else []
    name = next((i for i, each in enumerate(header) if each in ("name", "class", "label", "class_name")), None)
    value = next((i for i, each in enumerate(header) if each in ("pixel value", "value", "index", "id")), None)
    channels = [i for names in (("r", "red"), ("g", "green"), ("b", "blue")) for i, each in enumerate(header) if each in names]
    try:
        if name is not None and len(channels) == 3:
            colors = tuple(_color([row[i] for i in channels], path) for row in rows[1:])
            return ClassList(tuple(row[name].strip() for row in rows[1:]), colors)
        if name is not None and value is not None:
            return _by_value({int(row[value]): row[name].strip() for row in rows[1:]}, path)
    except (IndexError, ValueError) as error:
        raise DataError(f"{path}: a line has no name or no number ({error}); correct it") from error
    return ClassList(())


def _by_value(names: dict[int, str], path: Path) -> ClassList:
    if min(names, default=0) < 0 or max(names, default=0) > 10_000:
        raise DataError(f"{path}: class {max(names)}: must be from 0 to 10000")
    return ClassList(tuple(names.get(value, "") for value in range(max(names, default=-1) + 1)))


def _color(parts: Sequence[str], path: Path) -> Color:
    try:
        red, green, blue = (int(part) for part in parts)
        if not all(0 <= channel <= 255 for channel in (red, green, blue)):
            raise ValueError("not from 0 to 255")
    except ValueError as error:
        raise DataError(f"{path}: color {','.join(parts)!r:.60}: must be red, green and blue from 0 to 255") from error
    return red, green, blue
