"""COCO's layout: JSON files with images, categories and objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ..errors import UsageError
from ..network.layers import Task
from .classes import Classes
from .finder import ImageFinder
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split, split_folders
from .objects import ObjectTable, Shape
from .outlines import Outline, Polygon, RunLengths, coco_counts
from .records import ListedRecords, Truth
from .text import DAMAGED, is_key, peek, read_json

KEYS = ('"images"', '"annotations"', '"categories"')


class Coco(DatasetLayout):
    """All images of an annotation file, those without objects too, in the order of image ids.

    The files are ``annotations/instances_{split}*.json``, or other JSON files there or in the data's folder whose name says
    their part, or Roboflow's ``train/_annotations.coco.json``, one in each part's folder. Images lie beside the file, or in the
    folder that the file is named after (``instances_val2017.json``: ``val2017``), there under ``images``, or in the data's own
    folder.

    Labels are the categories in the order of their ids, which are the label ids. A category that no object has and that is the
    supercategory of others is no class: Roboflow puts one first, with the project's name. Boxes without area are left out.
    Outlines and run lengths serve as masks too; 0 is the background.
    """

    name, title = "coco", "COCO"
    needs: ClassVar[Mapping[Task, str]] = {
        "detection": "a folder with COCO's annotations/instances_*.json or Roboflow's _annotations.coco.json",
        "segmentation": "a folder with COCO's annotations with outlines",
    }

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        both: tuple[Task, ...] = ("detection", "segmentation")
        if path.is_file():
            return both if path.suffix.lower() == ".json" and _is_coco(path) else ()
        return both if path.is_dir() and any(_is_coco(file) for file in _files(path)) else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task = path, task
        self.files = [path] if path.is_file() else [file for file in _files(path) if _is_coco(file)]
        if not path.is_file():
            self.splits = tuple(split for split in SPLITS if self._of(split)) or None

    def _of(self, split: Split) -> list[Path]:
        """Files in the part's folder, else files whose name begins with the part's, else those whose name has it
        (``minival``)."""
        folder = split_folders(self.path).get(split)
        inside = [file for file in self.files if file.parent == folder]
        names = {file: file.stem.lower().removeprefix("instances_").lstrip("_") for file in self.files}
        first = [file for file, name in names.items() if name.startswith(SPLITS[split])]
        return inside or first or [file for file, name in names.items() if any(each in name for each in SPLITS[split])]

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        self.findings = Findings()
        files = self.files if split is None else self._of(split)
        if len(files) != 1:
            listed = ", ".join(file.name for file in files)
            raise UsageError(f"{self.path}: {len(files)} COCO files to choose from ({listed}); name one of them")
        (file,) = files
        content = _read(file)
        _check(file, content)
        finder = ImageFinder(_image_folders(file, self.path), self.findings)
        table = ObjectTable(self.task, self.findings)
        for image, (name, size) in content.images.items():
            table.add(finder.find(name), _shapes(content.objects.get(image, ()), self.task == "segmentation"), size)
        if self.findings.counts.get("image_missing") == len(content.images):
            first, _ = next(iter(content.images.values()))
            raise DataError(f"{file}: none of its images ({first}) lies in {finder.roots[0]}; put them there")
        if self.task == "segmentation" and content.objects and not content.has_outlines:
            raise DataError(f"{file}: has boxes and no outlines, from which masks could be drawn; use it for detection")
        categories = content.categories
        numbers = {str(number): index for number, index in class_numbers(categories, classes, file).items()}
        if classes is not None:
            return table.records(classes.labels, numbers, given=True)
        return table.records(list(categories.values()), numbers, [str(number) for number in categories])


class Entry(NamedTuple):
    """One annotation. `outline` is JSON as it stands in the file."""

    box: tuple[float, float, float, float]
    category: int
    crowd: bool
    area: float
    outline: object


@dataclass(frozen=True)
class Content:
    """A file of COCO: (file name, (width, height) if stated) by image id and names by category id, both in the order of ids,
    and the annotations by image id."""

    images: dict[int, tuple[str, tuple[int, int] | None]]
    categories: dict[int, str]
    objects: dict[int, list[Entry]]
    has_outlines: bool


def _files(path: Path) -> Iterator[Path]:
    """The JSON files that may be COCO's, those in ``annotations`` alone if there are some that are called ``instances_*``."""
    inside = sorted((path / "annotations").glob("*.json"))
    instances = [file for file in inside if file.name.startswith("instances_")]
    yield from instances or inside
    if not inside:
        yield from sorted(path.glob("*.json"))[:20]
        for folder in split_folders(path).values():
            named = sorted(folder.glob("*annotations*.json")) or sorted(folder.glob("*.json"))
            yield from named[:1]


def _is_coco(path: Path) -> bool:
    text = peek(path)
    has_keys = any(key in text for key in KEYS) and not is_key("shapes", text)  # which LabelMe has; a category may be called so
    return has_keys or (path.name.startswith("instances_") and path.is_file())


def _read(file: Path) -> Content:
    content = read_json(file)
    try:
        images = {int(entry["id"]): (str(entry["file_name"]), _size(entry)) for entry in content["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        parents = [(int(entry["id"]), entry.get("supercategory")) for entry in content["categories"]]
        objects: dict[int, list[Entry]] = defaultdict(list)
        used, has_outlines = set[int](), False
        for item in content["annotations"]:
            x, y, width, height = (float(number) for number in item["bbox"])
            category, crowd = int(item["category_id"]), bool(item.get("iscrowd", 0))
            outline = item.get("segmentation")
            entry = Entry((x, y, x + width, y + height), category, crowd, float(item.get("area", width * height)), outline)
            objects[int(item["image_id"])].append(entry)
            used.add(category)
            has_outlines = has_outlines or bool(outline)
    except DAMAGED as error:
        raise DataError(f"{file}: no COCO annotations can be read from it ({error!r:.200}); get the file again") from error
    for number, name in list(categories.items()):
        if number not in used and any(parent == name and other != number for other, parent in parents):
            del categories[number]
    return Content(dict(sorted(images.items())), dict(sorted(categories.items())), objects, has_outlines)


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = int(entry.get("width") or 0), int(entry.get("height") or 0)
    return (width, height) if 0 < width < 1 << 30 and 0 < height < 1 << 30 else None


def _shapes(entries: Sequence[Entry], with_outlines: bool) -> Iterator[Shape]:
    for entry in entries:
        outlines: tuple[Outline, ...] = ()
        if with_outlines:
            try:
                outlines = tuple(_outlines(entry.outline))
            except DAMAGED as error:
                raise DataError(
                    f"the outline of the object at {entry.box} is damaged ({error!s:.100}); get it again"
                ) from error
        yield Shape(str(entry.category), entry.box, outlines, entry.crowd, entry.area)


def _outlines(segmentation: object) -> Iterator[Outline]:
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        yield RunLengths.checked(coco_counts(counts) if isinstance(counts, str) else counts, segmentation["size"])
    elif isinstance(segmentation, list):
        for numbers in segmentation:
            if len(numbers) >= 6:
                yield Polygon.of([float(number) for number in numbers[: len(numbers) // 2 * 2]])


def _check(file: Path, content: Content) -> None:
    if not content.images or not content.categories:
        raise DataError(f"{file}: lists no images or no categories; give one that does")
    if stray := set(content.objects) - set(content.images):
        raise DataError(f"{file}: objects on image {min(stray)}, which it does not list; get the file again")
    used = {entry.category for entries in content.objects.values() for entry in entries}
    if stray := used - set(content.categories):
        raise DataError(f"{file}: objects of category {min(stray)}, which it does not list; get the file again")


def _image_folders(file: Path, root: Path) -> list[Path]:
    base, name = file.parent.parent if file.parent.name == "annotations" else file.parent, file.stem.removeprefix("instances_")
    folders = [base / name, base / "images" / name, base / "images", base / "data", base, root if root.is_dir() else base]
    return [folder for folder in folders if folder.is_dir()] or [base]


def class_numbers(categories: Mapping[int, str], classes: Classes | None, source: object) -> dict[int, int]:
    """The class index of each category: its place in the order of ids, or that of its name, else of its id, in `classes`."""
    if classes is None:
        return {category: number for number, category in enumerate(categories)}
    numbers = {}
    for category, name in categories.items():
        number = classes.number(name)
        number = classes.number(str(category)) if number is None else number
        if number is None:
            raise classes.missing(name, source)
        numbers[category] = number
    return numbers
