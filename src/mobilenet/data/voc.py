"""VOC's layout: ``JPEGImages``, lists in ``ImageSets``, masks in ``SegmentationClass``, objects in ``Annotations``."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError, short_repr, unknown_name
from ..limits import check_limit
from ..network.layers import Task
from ..tasks.labels import VOC
from .classes import Classes
from .layout import SPLITS, DataError, DatasetLayout, Split
from .records import ListedRecords, MaskFile, Objects, file_records

NAMES = tuple(VOC.split())
MAX_CLASSES = 255  # in a mask of 8 bits, beside `tasks.results.VOID`


class Voc(DatasetLayout):
    """Images that a list names; without lists, all that have labels.

    Masks are PNGs with a class index at each pixel, `tasks.results.VOID` where no class is meant. They do not name their
    classes: these are VOC's 21 unless the caller gives others, background among them.

    Boxes stand in XML files. VOC counts pixels from 1 and includes the last, so 1 is subtracted from the first two numbers.
    Objects marked difficult are `crowd`: VOC neither trains on them nor scores them. Labels are VOC's 20 unless the caller
    gives others; a name that is none of them is refused.
    """

    title = "VOC"
    needs: ClassVar[Mapping[Task, str]] = {
        "segmentation": "a folder with VOC's JPEGImages and SegmentationClass",
        "detection": "a folder with VOC's JPEGImages and Annotations",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        masks, boxes = (path / "SegmentationClass").is_dir(), (path / "Annotations").is_dir()
        if masks:
            return ("segmentation", "detection") if boxes else ("segmentation",)
        return ("detection",) if (path / "JPEGImages").is_dir() else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task = path, task
        self.lists = path / "ImageSets" / ("Segmentation" if task == "segmentation" else "Main")
        self.labels = path / ("SegmentationClass" if task == "segmentation" else "Annotations")
        self.splits = tuple(split for split in SPLITS if (self.lists / f"{split}.txt").is_file()) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[MaskFile] | ListedRecords[Objects]:
        names = self._names(split)
        images = self._images(names)
        if self.task == "segmentation":
            labels = NAMES if classes is None else classes.labels
            if len(labels) > MAX_CLASSES:
                raise UsageError(f"{len(labels)} classes: a mask of 8 bits has room for {MAX_CLASSES} and void; give fewer")
            masks = [MaskFile(self.labels / f"{name}.png") for name in names]
            return file_records("segmentation", labels, images, masks)
        known = Classes(NAMES[1:]) if classes is None else classes
        objects = [_read_objects(self.labels / f"{name}.xml", known) for name in names]
        return file_records("detection", known.labels, images, objects)

    def _names(self, split: Split | None) -> list[str]:
        """Of the part's list, of ``trainval.txt`` if there are no parts, or without lists of all that have labels."""
        file = self.lists / f"{split or 'trainval'}.txt"
        if file.is_file():
            names = [line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip()]
        else:
            names = sorted(each.stem for each in self.labels.glob("*.png" if self.task == "segmentation" else "*.xml"))
        if not names:
            raise UsageError(f"{file if file.is_file() else self.labels}: names no image; give data that has some")
        return names

    def _images(self, names: Sequence[str]) -> list[Path]:
        """JPEG files as VOC has them, or PNG files if the first image is one."""
        folder = self.path / "JPEGImages"
        png = not os.path.isfile(folder / f"{names[0]}.jpg") and os.path.isfile(folder / f"{names[0]}.png")
        return [folder / f"{name}{'.png' if png else '.jpg'}" for name in names]


def _read_objects(path: Path, classes: Classes) -> Objects:
    boxes, labels, difficult = list[list[float]](), list[int](), list[bool]()
    try:
        check_limit("max_annotation_bytes", path.stat().st_size, f"{path}, bytes", DataError)
        text = path.read_text("utf-8")
        if "<!" in text:  # entities could expand without end; VOC's files have none
            raise UsageError("holds a document type or a comment")
        for entry in ElementTree.fromstring(text).iter("object"):
            name = str(entry.findtext("name")).strip()
            frame = entry.find("bndbox")
            if frame is None:
                raise UsageError(f"{short_repr(name)} has no bndbox")
            x0, y0, x1, y1 = (float(str(frame.findtext(key))) for key in ("xmin", "ymin", "xmax", "ymax"))
            number = classes.number(name)
            if number is None:
                raise UsageError(unknown_name("class", name, classes.labels))
            boxes.append([x0 - 1, y0 - 1, x1, y1])
            labels.append(number)
            difficult.append(str(entry.findtext("difficult", "0")).strip() == "1")
    except DataError:
        raise
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: no objects can be read from it ({error}); correct it, or give the classes") from error
    return Objects.of(boxes, labels, difficult)
