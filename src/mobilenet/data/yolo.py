"""YOLO's layout: a text file for each image, with a line ``class x y width height`` or ``class x y x y x y ...`` for each
object, in shares of the image's sides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError
from ..network.layers import Task
from .class_lists import find_class_list, read_class_list
from .classes import Classes
from .finder import ImageFinder, list_images
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split, split_folders
from .objects import ObjectTable, Shape
from .records import ListedRecords, Truth
from .text import peek, read_lines, read_yaml

LINE = re.compile(r"\s*\d+(\.0+)?(\s+-?[\d.]+(e-?\d+)?){4,}\s*", re.IGNORECASE)
NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
MAX_CLASS = 100_000
MAX_LOOKED_AT = 50  # label files, to recognize the layout and the task


class Yolo(DatasetLayout):
    """Images and their label files: in ``images`` and ``labels`` (the label file of ``a/images/b/c.jpg`` is
    ``a/labels/b/c.txt``), or side by side. The parts and the classes are those of ``data.yaml``; without one, the parts are
    folders (``train/images`` or ``images/train``) or darknet's lists (``train.txt``), and the classes those of ``classes.txt``
    or ``obj.names``, else numbers.

    Paths in ``data.yaml`` that do not exist are tried without their first parts: they are often those of another machine.
    An image without a label file, or with an empty one, has no objects. Boxes lie on the upright image. Outlines serve as masks
    too, with class 0 the background.
    """

    name, title = "yolo", "YOLO"
    needs: ClassVar[Mapping[Task, str]] = {
        "detection": "a folder with YOLO's data.yaml, or with images and labels",
        "segmentation": "a folder with YOLO's data.yaml and outlines as labels",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        if path.is_file():
            described = path.suffix.lower() in (".yaml", ".yml") and _is_description(path)
            return _tasks(path.parent) if described else ()
        if not path.is_dir():
            return ()
        description = find_description(path)
        if description is not None or any(True for _ in _label_files(path)):
            return _tasks(path)
        return ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task, self.findings = path, task, Findings()
        description = path if path.is_file() else find_description(path)
        self.root = path.parent if path.is_file() else path
        self.keypoints, self.labels = False, list[str]()
        self.parts: dict[Split, list[Path]]
        if description is not None:
            content = read_yaml(description)
            self.root, self.keypoints = description.parent, "kpt_shape" in content
            self.labels = _names(content, description)
            self.parts = _described_parts(content, description)
        else:
            listed = find_class_list(self.root, self.root / "labels", self.root.parent)
            self.labels = list(listed.labels) if listed is not None else []
            self.parts = {split: [folder] for split, folder in split_folders(self.root, "images").items()}
            if not self.parts:
                self.parts = {split: [file] for split, file in _darknet_lists(self.root).items()}
        self.splits = tuple(split for split in SPLITS if split in self.parts) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        self.findings = Findings()
        places = [self.root] if split is None else self.parts[split]
        finder = ImageFinder([self.root, self.root.parent], self.findings)
        table = ObjectTable(self.task, self.findings, relative=True)
        for image in dict.fromkeys(_images(places, finder)):
            table.add(image, () if image in finder.lost else self._shapes(label_file(image)))
        labels = self.labels or [str(number) for number in range(max(map(int, table.names), default=-1) + 1)]
        indices = {number: labels[int(number)] for number in table.names}
        if classes is None:
            return table.records(labels, {number: int(number) for number in indices})
        known = classes.numbers(indices.values(), self.path)
        return table.records(classes.labels, {number: known[name] for number, name in indices.items()}, given=True)

    def _shapes(self, path: str) -> Iterator[Shape]:
        try:
            lines = read_lines(path)
        except DataError:
            self.findings.add("label_damaged" if os.path.exists(path) else "label_missing", path)
            return
        if not lines:
            self.findings.add("label_empty", path)
        for number, line in enumerate(lines, start=1):
            shape = self._shape(line)
            if shape is None:
                self.findings.add("label_damaged", f"{path}, line {number}")
            elif self.labels and int(shape.label) >= len(self.labels):
                self.findings.add(
                    "class_unknown", f"{path}, line {number}: class {shape.label}, known are 0 to {len(self.labels) - 1}"
                )
            else:
                yield shape

    def _shape(self, line: str) -> Shape | None:
        """None if the line is damaged."""
        try:
            number, *numbers = map(float, line.split())
        except ValueError:
            return None
        if not 0 <= number < MAX_CLASS or number % 1 or len(numbers) < 4:
            return None
        label = str(int(number))
        if self.keypoints or len(numbers) in (4, 5):  # the fifth is a confidence
            x, y, width, height = numbers[:4]
            return Shape(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        return Shape.polygon(label, numbers) if len(numbers) % 2 == 0 else None


def find_description(folder: Path) -> Path | None:
    """The YAML file in a folder that names YOLO's classes and parts."""
    files = [folder / name for name in NAMES if (folder / name).is_file()]
    files = files or sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return next((file for file in files if _is_description(file)), None)


def label_file(image: str) -> str:
    """Where the labels of an image are: beside it, with its last folder ``images`` called ``labels``."""
    stem = os.path.splitext(image)[0]
    before, folder, after = stem.rpartition(f"{os.sep}images{os.sep}")
    return f"{before}{os.sep}labels{os.sep}{after}.txt" if folder else f"{stem}.txt"


def _is_description(path: Path) -> bool:
    text = peek(path)
    return all(re.search(rf"^{key}\s*:", text, re.MULTILINE) for key in ("names", "(train|val|test)"))


def _label_files(folder: Path) -> Iterator[str]:
    """The first label files below a folder that have an image where an image should be, and a line of numbers."""
    for number, image in enumerate(_first_images(folder)):
        if number >= MAX_LOOKED_AT:
            return
        path = label_file(image)
        first = next((line for line in peek(path).splitlines() if line.strip()), "")
        if LINE.fullmatch(first):
            yield path


def _first_images(folder: Path) -> Iterator[str]:
    from ..images.find import Search

    return (path for path in Search().found([str(folder)]) if isinstance(path, str))


def _tasks(folder: Path) -> tuple[Task, ...]:
    """Outlines are there for masks; those of four corners are probably turned boxes."""
    description = find_description(folder)
    keypoints = description is not None and re.search(r"^kpt_shape\s*:", peek(description), re.MULTILINE)
    for path in () if keypoints else _label_files(folder):
        for line in peek(path).splitlines()[:100]:
            numbers = len(line.split()) - 1
            if numbers >= 6 and numbers % 2 == 0:
                return ("detection", "segmentation") if numbers == 8 else ("segmentation", "detection")
    return ("detection",)


def _names(content: Mapping[str, object], path: Path) -> list[str]:
    names = content.get("names")
    if isinstance(names, dict) and all(isinstance(key, str) and key.strip().isdecimal() for key in names):
        numbered = {int(key): str(name) for key, name in names.items()}
        if max(numbered, default=0) > MAX_CLASS:
            raise DataError(f"{path}: class {max(numbered)}: must be at most {MAX_CLASS}")
        names = [numbered.get(index, str(index)) for index in range(max(numbered, default=-1) + 1)]
    if isinstance(names, str) and (path.parent / names).is_file():  # darknet's: the name of a file of names
        names = list(read_class_list(path.parent / names).labels)
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names: must be a list of the classes, or 'index: name' for each")
    return [str(name) for name in names]


def _described_parts(content: Mapping[str, object], path: Path) -> dict[Split, list[Path]]:
    root = content.get("path")
    bases = [path.parent]
    if isinstance(root, str) and root.strip():
        bases = [path.parent / root, path.parent, Path(root)]
    parts: dict[Split, list[Path]] = {}
    for split, names in SPLITS.items():
        value = next((content[name] for name in names if content.get(name) not in (None, "", [])), None)
        values = value if isinstance(value, list) else [] if value is None else [value]
        found = [place for each in values if isinstance(each, str) and (place := _existing(bases, each)) is not None]
        if values and not found:
            if split == "test":
                continue
            raise DataError(f"{path}: {split}: {str(values[0])!r:.120} is nowhere; correct the path")
        if found:
            parts[split] = found
    if not parts:
        raise DataError(f"{path}: names no folder or list of images as train, val or test; add them")
    return parts


def _existing(bases: Sequence[Path], name: str) -> Path | None:
    """The first place that exists, the path as it stands and then without its first parts."""
    plain = name.strip().replace("\\", "/")
    parts = plain.split("/")
    for start in range(len(parts)):
        rest = "/".join(parts[start:])
        for base in bases:
            if rest not in ("", ".", "..") and os.path.exists(base / rest):
                return base / rest
    return bases[0] if plain in (".", "./") else None


def _darknet_lists(root: Path) -> dict[Split, Path]:
    names = {split: [root / f"{name}.txt" for name in names] for split, names in SPLITS.items()}
    files = {split: next((file for file in files if file.is_file()), None) for split, files in names.items()}
    return {split: file for split, file in files.items() if file is not None}


def _images(places: Sequence[Path], finder: ImageFinder) -> Iterator[str]:
    """Folders hold images, text files list them."""
    for place in places:
        if place.is_dir():
            images = list_images(place)
        elif place.suffix == ".txt":
            images = [finder.find(line) for line in read_lines(place)]
            if repeated := len(images) - len(set(images)):
                finder.findings.add("image_repeated", str(place), repeated)
        else:
            images = [str(place)]
        if not images:
            raise UsageError(f"{place}: holds no images; put some there, or correct the paths")
        yield from images
