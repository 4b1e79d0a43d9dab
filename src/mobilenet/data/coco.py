"""COCO's layout: ``annotations/instances_{split}*.json`` beside folders of images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError
from ..limits import TooLarge, check_limit, parse_json
from ..network.layers import Task
from .classes import Classes
from .layout import SPLITS, DataError, DatasetLayout, Split
from .records import ListedRecords, Objects, file_records

Entry = tuple[list[float], int, bool, float]
"""Box as corners, category id, crowd, area."""


class Coco(DatasetLayout):
    """All images of an annotation file, those without objects too, in the order of image ids.

    Labels are the categories in the order of their ids, which are the label ids. Boxes without area are left out. Images lie
    in the folder that the file is named after (``instances_val2017.json``: ``val2017``), there under ``images``, or in the
    data's own folder.
    """

    title = "COCO"
    needs: ClassVar[Mapping[Task, str]] = {"detection": "a folder with COCO's annotations/instances_*.json"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        file = path.suffix == ".json" and path.is_file()
        return ("detection",) if file or (path / "annotations").is_dir() else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        self.files = [path] if path.is_file() else sorted((path / "annotations").glob("instances_*.json"))
        if not path.is_file():
            self.splits = tuple(split for split in SPLITS if self._files(split)) or None

    def _files(self, split: Split) -> list[Path]:
        """Files whose name begins with the part's, else those whose name has it somewhere (``minival``)."""
        names = {file: file.stem.removeprefix("instances_") for file in self.files}
        first = [file for file, name in names.items() if name.startswith(split)]
        return first or [file for file, name in names.items() if split in name]

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Objects]:
        files = self.files if split is None else self._files(split)
        if len(files) != 1:
            listed = ", ".join(file.name for file in files)
            raise UsageError(
                f"{self.path / 'annotations'}: {len(files)} files instances_*.json to choose from ({listed}); name one of them"
            )
        (file,) = files
        images, categories, entries = _read(file)
        numbers = class_numbers(categories, classes, file)
        _check(file, images, categories, entries)
        folder = _image_folder(file, list(images.values())[:100])
        truths = []
        for image in images:
            boxes, ids, crowds, areas = zip(*entries[image], strict=True) if image in entries else ((), (), (), ())
            truths.append(Objects.of(boxes, [numbers[category] for category in ids], crowds, areas))
        labels = list(categories.values()) if classes is None else classes.labels
        label_ids = [str(number) for number in categories] if classes is None else ()
        return file_records("detection", labels, [folder / name for name in images.values()], truths, label_ids)


def _read(file: Path) -> tuple[dict[int, str], dict[int, str], dict[int, list[Entry]]]:
    """(file names by image id, names by category id, both in the order of ids; objects by image id)."""
    try:
        check_limit("max_annotation_bytes", file.stat().st_size, f"{file}, bytes", DataError)
        content = parse_json(file.read_text("utf-8"), "max_annotation_bytes")
        images = {int(entry["id"]): str(entry["file_name"]) for entry in content["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        entries: dict[int, list[Entry]] = defaultdict(list)
        for entry in content["annotations"]:
            x, y, width, height = (float(number) for number in entry["bbox"])
            if width > 0 and height > 0:
                area, crowd = float(entry.get("area", width * height)), bool(entry.get("iscrowd", 0))
                category = int(entry["category_id"])
                entries[int(entry["image_id"])].append(([x, y, x + width, y + height], category, crowd, area))
    except DataError:
        raise
    except TooLarge as error:
        raise DataError(f"{file}: {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{file}: no COCO annotations can be read from it ({error!r:.200}); get the file again") from error
    return dict(sorted(images.items())), dict(sorted(categories.items())), entries


def _check(
    file: Path, images: Mapping[int, str], categories: Mapping[int, str], entries: Mapping[int, Sequence[Entry]]
) -> None:
    if not images or not categories:
        raise DataError(f"{file}: lists no images or no categories; give one that does")
    if stray := set(entries) - set(images):
        raise DataError(f"{file}: objects on image {min(stray)}, which it does not list; get the file again")
    if stray := {category for of in entries.values() for _, category, _, _ in of} - set(categories):
        raise DataError(f"{file}: objects of category {min(stray)}, which it does not list; get the file again")


def _image_folder(file: Path, names: Sequence[str]) -> Path:
    root, name = file.parent.parent, file.stem.removeprefix("instances_")
    folders = [root / name, root / "images" / name, root / "images", root]
    for folder in folders:
        if any(os.path.isfile(folder / each) for each in names):  # False for a name that is too long
            return folder
    raise DataError(f"{file}: none of its images ({names[0]}) lies in {folders[0]}; put them there")


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
