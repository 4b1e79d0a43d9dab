"""Where labelled pictures come from: a folder or file is recognised by its layout. Class folders and CSV files stand here."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from ..errors import unknown_name
from ..images.find import find_inputs
from ..network.layers import Task
from ..tasks.labels import normalize_label
from . import archives, coco, voc
from .dataset import Dataset, Pictures, class_target

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What the parts of a set are called, and the names that they go by in folders and columns."""


def open_dataset(path: str | Path, task: Task, split: str | None = "train", classes: Sequence[str] | None = None) -> Dataset:
    """The labelled pictures of a folder or file, whose layout is recognised:

    - class folders (classification): one folder for each class, pictures in it and below, all that under ``train`` and
      ``val``, or directly. A folder's name is the class's; a WordNet id of ImageNet's 1,000 gets its label.
    - a CSV file (classification) with the columns ``path`` (relative to the file), ``label`` and, if it has one, ``split``.
    - COCO (detection): ``annotations/instances_{split}*.json``, or that file itself, beside the folder of pictures.
    - VOC (segmentation, detection): ``JPEGImages``, with ``SegmentationClass`` and ``ImageSets/Segmentation/{split}.txt``, or
      ``Annotations`` and ``ImageSets/Main/{split}.txt``.
    - WebDataset shards (classification): a tar file, or a folder of them, see `archives.Shards`.
    - a folder of Hugging Face `datasets`' ``save_to_disk`` (classification), or ``hf:NAME`` of one on their hub; needs the
      extra ``[huggingface]``.

    Args:
        path: the folder or file.
        task: "classification", "detection" or "segmentation"; the layout must have labels for it.
        split: "train", "val" or "test", or None for all of what has no parts. Data without parts is taken whole for "train"
            and None, and refused for the others: what was trained on proves nothing.
        classes: names or ids of the classes in the order wanted (a model's); otherwise the data's own, in the order of names
            (COCO: of category ids). Data with a class beyond these is refused; a class without pictures is not.

    Raises ValueError where the path, the layout, the split or a class is not understood.
    """
    tasks = [name for name in get_args(Task) if name != "features"]
    if task not in tasks:
        raise ValueError(unknown_name("task with data", task, tasks))
    if split is not None and split not in SPLITS:
        raise ValueError(unknown_name("split", split, SPLITS))
    if classes is not None and (isinstance(classes, str) or not classes or len(set(classes)) != len(classes)):
        raise ValueError(f"classes {classes!r:.100}: must be different names, at least one; or None for the data's own")
    if str(path).startswith(archives.HUB):
        found: Task = "classification"
    else:
        path = Path(path)
        if not path.exists():
            raise ValueError(f"{path}: is no folder and no file; give {NEEDS[task]}")
        found = _layout_task(path, task)
    if found != task:
        raise ValueError(f"{path}: has labels for {found}, wanted is {task}; give {NEEDS[task]}")
    if isinstance(path, str) or archives.is_saved(path):
        return archives.hugging_face(path, split, classes)
    if task == "detection":
        return coco.objects(path, split, classes) if _is_coco(path) else voc.objects(path, split, classes)
    if task == "segmentation":
        return voc.masks(path, split, classes)
    if path.suffix == ".csv":
        return listed_pictures(path, split, classes)
    if archives.is_shards(path, split):
        return archives.Shards(path, split, classes)
    return class_folders(path, split, classes)


NEEDS = {
    "classification": "a folder with one subfolder for each class, a CSV file of path and label, or tar shards",
    "detection": "a folder with COCO's annotations/instances_*.json, or VOC's JPEGImages and Annotations",
    "segmentation": "a folder with VOC's JPEGImages and SegmentationClass",
}


def _is_coco(path: Path) -> bool:
    return path.suffix == ".json" or (path / "annotations").is_dir()


def _layout_task(path: Path, task: Task) -> Task:
    """The task that the layout has labels for; `task` where it has them for several."""
    if _is_coco(path):
        return "detection"
    if (path / "JPEGImages").is_dir() or (path / "SegmentationClass").is_dir():
        masks, boxes = (path / "SegmentationClass").is_dir(), (path / "Annotations").is_dir()
        return "segmentation" if masks and not (boxes and task == "detection") else "detection"
    return "classification"


def class_folders(path: Path, split: str | None, classes: Sequence[str] | None) -> Pictures:
    """Pictures of every class folder, classes and pictures in the order of names. All splits together name the classes."""
    if path.is_file():
        raise ValueError(f"{path}: is no layout of data that is known; give {NEEDS['classification']}")
    folders = _folders(path)
    parts = {name: folder for name, names in SPLITS.items() for folder in folders if folder.name in names}
    if parts:
        if split is None or split not in parts:
            raise ValueError(f"{path}: has no {split or 'undivided'} pictures; it has {', '.join(parts)}")
        folders = [folder for part in parts.values() for folder in _folders(part)]
        root = parts[split]
    else:
        refuse_undivided(path, split)
        root = path
    names = sorted({folder.name for folder in folders})
    if not names:
        raise ValueError(f"{path}: holds no class folders; give {NEEDS['classification']}")
    labels, ids = _labels(names)
    numbers = class_numbers(names, classes, path)
    paths, records = list[Path](), list[int]()
    for folder in _folders(root):
        if any(folder.iterdir()):
            pictures = find_inputs([str(folder)])
            paths += pictures
            records += [numbers[folder.name]] * len(pictures)
    if not paths:
        raise ValueError(f"{root}: its class folders hold no pictures; put some there")
    if classes is not None:
        labels, ids = tuple(classes), ()
    return Pictures("classification", labels, paths, records, class_target, ids)


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _labels(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and ids of class folders: ImageNet's where all names are its WordNet ids."""
    from ..tasks.labels import imagenet

    short, ids = imagenet()
    by_id = dict(zip(ids, short, strict=True))
    known = all(name in by_id for name in names)
    return (tuple(by_id[name] for name in names), tuple(names)) if known else (tuple(names), ())


def listed_pictures(path: Path, split: str | None, classes: Sequence[str] | None) -> Pictures:
    """The pictures of a CSV file, in its order. Its first line names the columns; further columns are left alone.

    Labels that are all whole numbers are ordered as numbers, others as text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8, with commas") from error
    if not rows:
        raise ValueError(f"{path}: lists no pictures; the first line must be path,label and each other line a picture")
    for column in ("path", "label"):
        if column not in rows[0]:
            raise ValueError(
                f"{path}: {unknown_name('column', column, [str(name) for name in rows[0]])}; name it in the first line"
            )
    for line, row in enumerate(rows, start=2):
        if not row["path"] or not row["label"]:
            raise ValueError(f"{path}, entry {line}: has no path or no label; fill it in or take the line out")
    names = sorted({row["label"] for row in rows})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    if "split" in rows[0]:
        if split is None:
            raise ValueError(f"{path}: has no undivided pictures; choose a split, {', '.join(SPLITS)}")
        rows = [row for row in rows if row["split"] in SPLITS[split]]
        if not rows:
            raise ValueError(f"{path}: no line has the split {split!r}; give data that has it")
    else:
        refuse_undivided(path, split)
    numbers = class_numbers(names, classes, path)
    paths, records = [path.parent / row["path"] for row in rows], [numbers[row["label"]] for row in rows]
    return Pictures("classification", names if classes is None else classes, paths, records, class_target)


def refuse_undivided(path: Path | str, split: str | None) -> None:
    """Data without parts may be trained on; it cannot be a part for validation unless its name says so."""
    if split not in (None, "train") and Path(path).stem not in SPLITS[split]:
        raise ValueError(f"{path}: has no {split} pictures apart from the others; divide it into train and val")


def class_numbers(names: Sequence[str], classes: Sequence[str] | None, source: Path | str) -> dict[str, int]:
    """The number of each of the data's class names: its place, or that of its name, label or id among `classes`."""
    if classes is None:
        return {name: number for number, name in enumerate(names)}
    labels = dict(zip(names, _labels(names)[0], strict=True)) if names else {}
    wanted = {normalize_label(name): number for number, name in enumerate(classes)}
    numbers = {}
    for name in names:
        found = wanted.get(normalize_label(name), wanted.get(normalize_label(labels[name])))
        if found is None:
            raise ValueError(f"{source}: {unknown_name('class', name, classes)}")
        numbers[name] = found
    return numbers
