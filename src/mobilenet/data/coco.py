"""COCO's layout: ``annotations/instances_{split}*.json`` beside folders of pictures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import unknown_name
from ..tasks.labels import normalize_label
from .dataset import ObjectRecord, Pictures, object_target


def objects(path: Path, split: str | None, classes: Sequence[str] | None) -> Pictures:
    """All pictures of an annotation file, those without objects too, in the order of image ids.

    Labels are the categories in the order of their ids, `label_ids` these ids. Boxes without area are left out. Pictures lie
    in the folder that the file is named after (``instances_val2017.json``: ``val2017``), there under ``images``, or in the
    data's own folder.
    """
    file = path if path.is_file() else _annotations(path, split)
    try:
        truth = json.loads(file.read_text("utf-8"))
        pictures = {int(entry["id"]): str(entry["file_name"]) for entry in truth["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in truth["categories"]}
        found: dict[int, list[tuple[list[float], int, bool, float]]] = defaultdict(list)
        for entry in truth["annotations"]:
            x, y, width, height = (float(number) for number in entry["bbox"])
            if width > 0 and height > 0:
                area = float(entry.get("area", width * height))
                crowd = bool(entry.get("iscrowd", 0))
                found[int(entry["image_id"])].append(([x, y, x + width, y + height], int(entry["category_id"]), crowd, area))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: no COCO annotations can be read from it ({error!r:.200}); get the file again") from error
    if not pictures or not categories:
        raise ValueError(f"{file}: lists no pictures or no categories; give one that does")
    if stray := set(found) - set(pictures):
        raise ValueError(f"{file}: objects on picture {min(stray)}, which it does not list; get the file again")
    numbers = _numbers(categories, classes, file)
    if stray := {label for entries in found.values() for _, label, _, _ in entries} - set(numbers):
        raise ValueError(f"{file}: objects of category {min(stray)}, which it does not list; get the file again")
    root, name = file.parent.parent, file.stem.removeprefix("instances_")
    ordered = sorted(pictures)
    folders = [root / name, root / "images" / name, root / "images", root]
    folder = next((each for each in folders if any((each / pictures[i]).is_file() for i in ordered[:100])), None)
    if folder is None:
        raise ValueError(f"{file}: none of its pictures ({pictures[ordered[0]]}) lies in {folders[0]}; put them there")
    records = []
    for picture in ordered:
        boxes, ids, crowds, areas = zip(*found[picture], strict=True) if picture in found else ((), (), (), ())
        records.append(ObjectRecord.of(boxes, [numbers[category] for category in ids], crowds, areas))
    labels = [categories[number] for number in sorted(categories)] if classes is None else classes
    label_ids = [str(number) for number in sorted(categories)] if classes is None else ()
    return Pictures("detection", labels, [folder / pictures[i] for i in ordered], records, object_target, label_ids)


def _annotations(path: Path, split: str | None) -> Path:
    files = sorted((path / "annotations").glob("instances_*.json"))
    names = ("train", "val", "test") if split is None else (split,)
    chosen = [file for file in files if file.stem.removeprefix("instances_").startswith(names)]
    if len(chosen) != 1:
        what = ", ".join(file.name for file in chosen or files) or "none"
        raise ValueError(
            f"{path / 'annotations'}: must hold one instances_{split or ''}*.json, has {what}; name the file itself"
        )
    return chosen[0]


def _numbers(categories: dict[int, str], classes: Sequence[str] | None, source: Any) -> dict[int, int]:
    """The number of each category: its place in the order of ids, or that of its name or id among `classes`."""
    if classes is None:
        return {category: number for number, category in enumerate(sorted(categories))}
    wanted = {normalize_label(name): number for number, name in enumerate(classes)}
    numbers = {}
    for category, name in categories.items():
        number = wanted.get(normalize_label(name), wanted.get(str(category)))
        if number is None:
            raise ValueError(f"{source}: {unknown_name('class', name, classes)}")
        numbers[category] = number
    return numbers
