"""VOC's layout: objects in XML files, masks in ``SegmentationClass``, images in ``JPEGImages``, lists in ``ImageSets``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from ..errors import UsageError, short_repr
from ..network.layers import Task
from ..tasks.labels import VOC
from .class_lists import ClassList, find_class_list
from .classes import Classes
from .finder import ImageFinder, list_images, stem_of
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split, split_folders
from .masks import mask_records
from .objects import ObjectTable, Shape
from .records import ListedRecords, Truth
from .text import peek, read_lines, read_xml

NAMES = tuple(VOC.split())
FOLDERS = ("Annotations", "annotations", "annotations/xmls", "Annotation", "labels", "xml", "xmls")
"""Where XML files are, if not beside the images."""


class Voc(DatasetLayout):
    """Images that a list names; without lists, all that have labels.

    Masks are PNGs with a class index at each pixel, `tasks.results.VOID` where no class is meant, or with colors. Their classes
    are those of a class list in the data's folder (see `class_lists`), else VOC's 21, the background among them.

    Boxes stand in XML files, in ``Annotations`` or beside the images, there also in a folder for each part. VOC counts pixels
    from 1 and includes the last, so 1 is subtracted from the first two numbers. Objects marked difficult are `crowd`: VOC
    neither trains on them nor scores them. Labels are those that the files name, in the order of a class list or of names;
    VOC's 20, if they name no other and there are VOC's lists.
    """

    name, title = "voc", "VOC"
    needs: ClassVar[Mapping[Task, str]] = {
        "segmentation": "a folder with VOC's JPEGImages and SegmentationClass",
        "detection": "a folder with VOC's JPEGImages and Annotations, or XML files beside images",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        if not path.is_dir():
            return ()
        boxes = ((path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()) or bool(_xml_folders(path))
        if (path / "SegmentationClass").is_dir() and (path / "JPEGImages").is_dir():
            return ("segmentation", "detection") if boxes else ("segmentation",)
        return ("detection",) if boxes or ((path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()) else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task = path, task
        self.lists = path / "ImageSets" / ("Segmentation" if task == "segmentation" else "Main")
        self.listed: dict[Split, Path] = {
            split: file for split, words in SPLITS.items() for word in reversed(words)
            if (file := self.lists / f"{word}.txt").is_file()
        }  # fmt: skip
        self.folders = {} if self.listed or task == "segmentation" else _xml_folders(path)
        if None in self.folders or not self.folders:
            self.splits = tuple(split for split in SPLITS if split in self.listed) or None
        else:
            self.splits = tuple(split for split in SPLITS if split in self.folders)

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        findings = Findings()
        if self.task == "segmentation":
            return self._masks(split, classes, findings)
        table = ObjectTable("detection", findings)
        finder = ImageFinder([self._image_folder(), self.path], findings)
        images = {stem_of(path): path for path in list_images(finder.roots[0])}
        for file in self._files(split):
            try:
                size, name, shapes = _read_objects(file)
            except DataError as error:
                findings.add("label_damaged", str(error))
                continue
            path = images.get(stem_of(str(file))) or finder.find(name or f"{file.stem}.jpg")
            table.add(path, shapes, size)
        if not table.paths:
            raise DataError(findings.examples["label_damaged"][0])
        found = set(table.names)
        if classes is None and self.splits is not None:
            for other in self.splits:
                found |= _names(self._files(other)) if other != split else set()
        listed = find_class_list(self.path)
        names: Sequence[str] = listed.labels if listed is not None else ()
        if listed is None and found <= set(NAMES[1:]):
            names = NAMES[1:] if self.listed else [name for name in NAMES if name in found]
        return table.named(sorted(found), classes, self.path, names)

    def _masks(self, split: Split | None, classes: Classes | None, findings: Findings) -> ListedRecords[Truth]:
        masks = {stem_of(path): path for path in list_images(self.path / "SegmentationClass")}
        names = self._list(split) or sorted(masks)
        if not names:
            raise UsageError(f"{self.path / 'SegmentationClass'}: holds no masks; give data that has some")
        images = {stem_of(path): path for path in list_images(self.path / "JPEGImages")}
        finder = ImageFinder([self.path / "JPEGImages"], findings)
        pairs = []
        for name in names:
            image = images.get(stem_of(f"{name}.x")) or finder.find(f"{name}.jpg")
            pairs.append((image, masks.get(stem_of(f"{name}.x"), str(self.path / "SegmentationClass" / f"{name}.png"))))
        listed = find_class_list(self.path)
        if listed is None:  # the masks do not name their classes
            listed = ClassList(NAMES if classes is None else classes.labels)
        return mask_records(pairs, listed, classes, self.path, pairs, findings)

    def _list(self, split: Split | None) -> list[str]:
        """The names in the part's list, in ``trainval.txt`` if there are no parts; [] without a list."""
        file = self.lists / "trainval.txt" if split is None else self.listed[split]
        if not file.is_file():
            return []
        names = [re.sub(r"\s+-?[01]$", "", line) for line in read_lines(file)]
        if not names:
            raise UsageError(f"{file}: names no image; give data that has some")
        return names

    def _files(self, split: Split | None) -> list[Path]:
        """The XML files of a part."""
        if self.folders and None not in self.folders and split is not None:
            return sorted(self.folders[split].glob("*.xml"))
        folder = self.folders.get(None) or self.path / "Annotations"
        names = self._list(split)
        files = [folder / f"{name}.xml" for name in names] if names else sorted(folder.glob("*.xml"))
        if not files:
            raise UsageError(f"{folder}: holds no XML files; give data that has some")
        return files

    def _image_folder(self) -> Path:
        folders = [self.path / "JPEGImages", self.path / "images"]
        return next((folder for folder in folders if folder.is_dir()), self.path)


def _xml_folders(path: Path) -> dict[Split | None, Path]:
    """The folder of XML files of each part, or of the whole as None; {} if there are none."""
    for name in (*FOLDERS, ""):
        if _has_objects(path / name):
            return {None: path / name}
    parts: dict[Split | None, Path] = {}
    for name in (*FOLDERS, ""):
        for split, folder in split_folders(path, name).items():
            if split not in parts and _has_objects(folder):
                parts[split] = folder
    return parts


def _has_objects(folder: Path) -> bool:
    file = next(folder.glob("*.xml"), None) if folder.is_dir() else None
    return file is not None and "<annotation" in (text := peek(file)) and "<annotations" not in text


def _names(files: Sequence[Path]) -> set[str]:
    """The names of all classes in XML files."""
    found = set[str]()
    for file in files:
        with suppress(DataError):  # counted where its part is read
            found.update(shape.label for shape in _read_objects(file)[2])
    return found


def _read_objects(path: Path) -> tuple[tuple[int, int] | None, str, list[Shape]]:
    """(stated size, file name, objects). Raises DataError."""
    root = read_xml(path)
    shapes = []
    try:
        for entry in root.iter("object"):
            name = str(entry.findtext("name")).strip()
            frame = entry.find("bndbox")
            if frame is None:
                raise UsageError(f"{short_repr(name)} has no bndbox")
            x0, y0, x1, y1 = (float(str(frame.findtext(key))) for key in ("xmin", "ymin", "xmax", "ymax"))
            difficult = str(entry.findtext("difficult", "0")).strip() == "1"
            shapes.append(Shape(name, (x0 - 1, y0 - 1, x1, y1), (), difficult))
        return _size(root), str(root.findtext("filename", "")).strip(), shapes
    except ValueError as error:
        raise DataError(f"{path}: no objects can be read from it ({error}); correct it") from error


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Some tools write zeros for a size that they do not know."""
    width, height = (str(root.findtext(f"size/{side}", "0")).strip() for side in ("width", "height"))
    size = (int(width), int(height)) if width.isdecimal() and height.isdecimal() and len(width + height) < 12 else (0, 0)
    return size if all(size) else None
