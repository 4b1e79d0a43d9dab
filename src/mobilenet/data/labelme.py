"""LabelMe's layout: a JSON file for each image, with shapes."""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..network.layers import Task
from .class_lists import find_class_list
from .classes import Classes
from .finder import ImageFinder
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split, split_folders
from .objects import ObjectTable, Shape
from .records import ListedRecords, Truth
from .text import DAMAGED, is_key, peek, read_json

FOLDERS = ("", "annotations", "labels", "json", "jsons", "labelme")
IGNORED = "__ignore__"
MAX_LOOKED_AT = 20  # files, to recognize the layout and the task
CORNERS = 32  # of the polygon that stands for a circle


class LabelMe(DatasetLayout):
    """JSON files beside their images, or in ``annotations`` or ``labels``, there also in a folder for each part. Rectangles,
    polygons and circles are read; points and lines have no area and are passed over. Shapes called ``__ignore__`` are crowds,
    void in masks.

    Labels are those of a class list in the data's folder, else those that the files name. Points lie on the upright image; for
    files made without looking at the orientation, the stated size tells. An image that is only inside its JSON file is read
    from there.
    """

    name, title = "labelme", "LabelMe"
    needs: ClassVar[Mapping[Task, str]] = {
        "segmentation": "a folder with LabelMe's JSON files beside images",
        "detection": "a folder with LabelMe's JSON files beside images",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        places = _places(path) if path.is_dir() else {}
        texts = [peek(file) for folder in places.values() for file in _first_files(folder)]
        if not texts:
            return ()
        return ("segmentation", "detection") if any('"polygon"' in text for text in texts) else ("detection", "segmentation")

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task, self.places = path, task, _places(path)
        self.splits = tuple(split for split in SPLITS if split in self.places) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        findings = Findings()
        table = ObjectTable(self.task, findings)
        folder = self.places[split]
        finder = ImageFinder([folder, folder.parent / "images", self.path / "images", self.path], findings)
        for file in sorted(folder.glob("*.json")):
            try:
                content = read_json(file)
                if not isinstance(content, dict) or "shapes" not in content:
                    continue  # another file that lies there
                shapes, size = [*_shapes(content, file)], _size(content)
            except DataError as error:
                findings.add("label_damaged", str(error))
                continue
            path, image = _image(content, file, finder)
            table.add(path, shapes, size, image)
        if not table.paths:
            first = findings.examples.get(
                "label_damaged", [f"{folder}: holds no JSON file with shapes; give data that has some"]
            )
            raise DataError(first[0])
        found = set(table.names)
        if classes is None:
            others = [each for part, each in self.places.items() if part != split]
            found |= {shape.label for each in others for file in each.glob("*.json") for shape in _safe_shapes(file)}
        found.discard(IGNORED)
        listed = find_class_list(self.path)
        names = [name for name in listed.labels if name not in (IGNORED, "_background_")] if listed is not None else []
        table.names.setdefault(IGNORED, len(table.names))
        return _named(table, found, classes, self.path, names)


def _named(
    table: ObjectTable, found: set[str], classes: Classes | None, source: Path, names: Sequence[str]
) -> ListedRecords[Truth]:
    """As `ObjectTable.named`; what is ignored has no class, and 0 stands for it."""
    if classes is not None:
        numbers = classes.numbers([name for name in table.names if name != IGNORED], source)
        return table.records(classes.labels, {**numbers, IGNORED: 0}, given=True)
    labels = [*names, *sorted(found - set(names))]
    return table.records(labels, {**{name: number for number, name in enumerate(labels)}, IGNORED: 0})


def _places(path: Path) -> dict[Split | None, Path]:
    """The folder of JSON files of each part, or of the whole as None; {} if there are none."""
    for name in FOLDERS:
        if _first_files(path / name):
            return {None: path / name}
    parts: dict[Split | None, Path] = {}
    for name in FOLDERS:
        for split, folder in split_folders(path, name).items():
            if split not in parts and _first_files(folder):
                parts[split] = folder
    return parts


def _first_files(folder: Path) -> list[Path]:
    """The first of the folder's files that have shapes and name an image; these keys may stand behind a long image."""
    if not folder.is_dir():
        return []
    files = [file for file, _ in zip(folder.glob("*.json"), range(MAX_LOOKED_AT), strict=False)]
    return [file for file in files if is_key("shapes", text := peek(file)) or '"imagePath"' in text or '"imageData"' in text]


def _shapes(content: Mapping[str, Any], file: Path) -> Iterator[Shape]:
    try:
        for entry in content["shapes"]:
            label, kind = str(entry["label"]).strip(), entry.get("shape_type") or "polygon"
            points = [(float(x), float(y)) for x, y in entry["points"]]
            crowd = label == IGNORED
            numbers = [number for point in points for number in point]
            if kind == "rectangle" and len(points) >= 2:
                yield Shape.polygon(label, numbers, crowd) if len(points) > 2 else Shape(label, _box(points), (), crowd)
            elif kind == "polygon" and len(points) >= 3:
                yield Shape.polygon(label, numbers, crowd)
            elif kind == "circle" and len(points) == 2:
                yield Shape.polygon(label, _circle(*points), crowd)
    except DAMAGED as error:
        raise DataError(f"{file}: its shapes cannot be read ({error!r:.100}); correct it") from error


def _safe_shapes(file: Path) -> list[Shape]:
    """[] for a damaged file, which is counted where its part is read."""
    try:
        content = read_json(file)
        return [*_shapes(content, file)] if isinstance(content, dict) and "shapes" in content else []
    except DataError:
        return []


def _box(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _circle(center: tuple[float, float], edge: tuple[float, float]) -> list[float]:
    radius = math.dist(center, edge)
    angles = [2 * math.pi * step / CORNERS for step in range(CORNERS)]
    return [n for a in angles for n in (center[0] + radius * math.cos(a), center[1] + radius * math.sin(a))]


def _size(content: Mapping[str, object]) -> tuple[int, int] | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    known = isinstance(width, int) and isinstance(height, int) and 0 < width < 1 << 30 and 0 < height < 1 << 30
    return (width, height) if known and isinstance(width, int) and isinstance(height, int) else None


def _image(content: Mapping[str, object], file: Path, finder: ImageFinder) -> tuple[str, bytes | None]:
    """(path, bytes if the image is in the file alone)."""
    name = str(content.get("imagePath") or f"{file.stem}.jpg")
    data = content.get("imageData")
    plain = os.path.join(file.parent, name.replace("\\", "/"))
    if isinstance(data, str) and data and not os.path.isfile(plain):
        try:
            return str(file), base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            pass
    return finder.find(name), None
