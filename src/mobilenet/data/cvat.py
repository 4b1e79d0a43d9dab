"""CVAT's layout: ``annotations.xml``, "CVAT for images 1.1", beside the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from ..errors import UsageError
from ..network.layers import Task
from .classes import Classes
from .finder import ImageFinder
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split
from .objects import ObjectTable, Shape
from .outlines import RunLengths
from .records import ListedRecords, Truth, file_records
from .text import DAMAGED, peek, read_xml


class Cvat(DatasetLayout):
    """Boxes, polygons and masks (run lengths) of the images that the file lists; ``outside`` ones, lines and points are passed
    over. Images with tags and without shapes serve classification. The parts are the images' subsets. Labels are those of the
    file's own list, in its order, else those that are used. Points lie on the upright image.
    """

    name, title = "cvat", "CVAT"
    needs: ClassVar[Mapping[Task, str]] = {
        "detection": "a folder with CVAT's annotations.xml",
        "segmentation": "a folder with CVAT's annotations.xml",
        "classification": "a folder with CVAT's annotations.xml with tags",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        text = peek(_file(path))
        if "<annotations" not in text or ("<image " not in text and "<meta" not in text):
            return ()
        if "<polygon" in text or "<mask" in text:
            return ("segmentation", "detection")
        return ("classification",) if "<tag " in text and "<box" not in text else ("detection", "segmentation")

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task, self.file = path, task, _file(path)
        self.root = read_xml(self.file)
        subsets = {name.casefold() for each in self.root.iter("image") if (name := each.get("subset"))}
        self.splits = tuple(split for split, words in SPLITS.items() if subsets & set(words)) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        findings = Findings()
        folder = self.file.parent
        finder = ImageFinder([folder / "images", folder], findings)
        images = [
            each for each in self.root.iter("image") if split is None or str(each.get("subset", "")).casefold() in SPLITS[split]
        ]
        if not images:
            raise UsageError(f"{self.file}: lists no images; give data that has some")
        listed = [name.strip() for each in self.root.iterfind("meta//label/name") if (name := each.text)]
        if self.task == "classification":
            return self._tagged(images, listed, classes, finder, findings)
        table = ObjectTable(self.task, findings)
        for image in images:
            table.add(finder.find(str(image.get("name"))), _shapes(image, self.file), _size(image))
        found = {str(shape.get("label")).strip() for kind in ("box", "polygon", "mask") for shape in self.root.iter(kind)}
        return table.named(sorted(found), classes, self.file, list(dict.fromkeys(listed)))

    def _tagged(
        self,
        images: list[ElementTree.Element],
        listed: list[str],
        classes: Classes | None,
        finder: ImageFinder,
        findings: Findings,
    ) -> ListedRecords[int]:
        paths, names = list[str](), list[str]()
        for image in images:
            tag = image.find("tag")
            if tag is None:
                findings.add("label_missing", str(image.get("name")))
                continue
            paths.append(finder.find(str(image.get("name"))))
            names.append(str(tag.get("label")).strip())
        labels = [*dict.fromkeys(listed), *sorted(set(names) - set(listed))]
        numbers = {name: i for i, name in enumerate(labels)} if classes is None else classes.numbers(set(names), self.file)
        truths = [numbers[name] for name in names]
        return file_records("classification", labels if classes is None else classes.labels, paths, truths, (), findings)


def _file(path: Path) -> Path:
    return path / "annotations.xml" if path.is_dir() else path


def _size(image: ElementTree.Element) -> tuple[int, int] | None:
    width, height = str(image.get("width", "")), str(image.get("height", ""))
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() and len(width + height) < 12 else None


def _shapes(image: ElementTree.Element, file: Path) -> Iterator[Shape]:
    try:
        for entry in image:
            label = str(entry.get("label")).strip()
            if entry.get("outside") == "1":
                continue
            if entry.tag == "box":
                x0, y0, x1, y1 = (float(entry.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
                yield Shape(label, (x0, y0, x1, y1))
            elif entry.tag == "polygon":
                yield Shape.polygon(label, [float(number) for number in entry.attrib["points"].replace(";", ",").split(",")])
            elif entry.tag == "mask":
                left, top, width, height = (int(entry.attrib[key]) for key in ("left", "top", "width", "height"))
                counts = [int(count) for count in entry.attrib["rle"].split(",")]
                outline = RunLengths.checked(counts, (height, width), (left, top), by_rows=True)
                yield Shape(label, (left, top, left + width, top + height), (outline,))
    except DAMAGED as error:
        raise DataError(
            f"{file}: shapes of image {image.get('name')!r} cannot be read ({error!r:.100}); export it again"
        ) from error
