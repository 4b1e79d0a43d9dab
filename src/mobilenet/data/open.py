"""The one place that recognizes the layout of labeled images, and refuses what does not fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ..errors import UsageError, unknown_name
from ..network.layers import Task
from .class_folders import ClassFolders
from .classes import Classes
from .coco import Coco
from .csv_list import CsvList
from .huggingface import HuggingFace
from .layout import SPLITS, DatasetLayout, Split, split_in
from .records import Records, Truth
from .shards import Shards
from .voc import Voc

LAYOUTS: tuple[type[DatasetLayout], ...] = (HuggingFace, Coco, Voc, CsvList, Shards, ClassFolders)
"""In the order of looking; a folder that no other layout knows may hold class folders."""

TASKS: tuple[Task, ...] = tuple(task for task in get_args(Task) if task != "features")


def recognize(path: str | os.PathLike[str], task: Task | None = None) -> type[DatasetLayout]:
    """The layout of labeled images at a path, by preference one with labels for `task`.

    Raises UsageError if nothing is there, or no layout is recognized, or none has labels for `task`.
    """
    place = Path(path)
    remedy = f"give {needs(task)}"
    layouts = {layout: tasks for layout in LAYOUTS if (tasks := layout.tasks(place))}
    if not layouts:
        problem = "has no known layout of labeled images" if place.exists() else "is no folder and no file"
        raise UsageError(f"{path}: {problem}; {remedy}")
    if layouts.keys() == {ClassFolders} and task not in (None, *layouts[ClassFolders]):
        raise UsageError(f"{path}: has no known layout of labels for {task}; {remedy}")
    if len(layouts) > 1:  # class folders are only what no other layout explains
        layouts.pop(ClassFolders, None)
    for layout, tasks in layouts.items():
        if task is None or task in tasks:
            return layout
    raise UsageError(f"{path}: has labels for {next(iter(layouts.values()))[0]}, not for {task}; {remedy}")


def needs(task: Task | None) -> str:
    """What data for a task may be, for messages."""
    shapes = [shape for layout in reversed(LAYOUTS) for served, shape in layout.needs.items() if task in (None, served)]
    return ", or ".join(dict.fromkeys(shapes))


def open_records(
    path: str | os.PathLike[str], task: Task, split: Split | None, classes: Classes | Sequence[str] | None = None
) -> Records[Truth]:
    """The labeled images of a folder or file, whose layout is recognized:

    - class folders (classification): one folder for each class, images in it and below, all that under ``train`` and
      ``val``, or directly. A folder's name is the class's; a WordNet id of ImageNet's 1,000 gets its label.
    - a CSV file (classification) with the columns ``path`` (relative to the file), ``label`` and, if it has one, ``split``.
    - COCO (detection): ``annotations/instances_{split}*.json``, or that file itself, beside the folder of images.
    - VOC (segmentation, detection): ``JPEGImages``, with ``SegmentationClass`` and ``ImageSets/Segmentation/{split}.txt``, or
      ``Annotations`` and ``ImageSets/Main/{split}.txt``.
    - WebDataset shards (classification): a tar file, or a folder of them, see `shards`.
    - a folder of Hugging Face `datasets`' ``save_to_disk`` (classification), or ``hf:NAME`` of one on their hub; needs the
      extra ``[huggingface]``.

    Args:
        path: the folder or file.
        task: "classification", "detection" or "segmentation"; the data must have labels for it.
        split: "train", "val" or "test". Data that is not divided is used whole for "train" and refused for the others unless
            its own name says so: a score on training images proves nothing. None is the part to score on: "val", or the only
            part, or all of data that is not divided. Class folders are the exception: for None give ``FOLDER/val`` itself.
        classes: the classes whose indices the truths are, with the labels; otherwise the data's own, in the order of names
            (COCO: of category ids). Data with a class beyond these is refused; a class without images is not.

    Raises UsageError if the path, the layout, the split or a class does not fit, DataError for damaged files.
    """
    if task not in TASKS:
        raise UsageError(unknown_name("task with data", task, TASKS))
    if split is not None and split not in SPLITS:
        raise UsageError(unknown_name("split", split, SPLITS))
    if classes is not None and not isinstance(classes, Classes):
        classes = Classes.different(classes)
    data = recognize(path, task)(Path(path), task)
    records = data.read(_part(data, path, split), classes)
    if not len(records):
        raise UsageError(f"{path}: lists no images; give data that has some")
    return records


def _part(data: DatasetLayout, path: str | os.PathLike[str], split: Split | None) -> Split | None:
    """The part to read for `split`; None for data that is not divided."""
    parts = data.splits
    if parts is None:
        if split not in (None, "train") and split_in(Path(path).stem) != split:
            raise UsageError(f"{path}: has no {split} images apart from the others; divide it into train and val")
        return None
    if split is not None:
        if split not in parts:
            raise UsageError(f"{path}: has no {split} images; it has {', '.join(parts) or 'no part of a known name'}")
        return split
    if data.parts_are_data:
        raise UsageError(f"{path}: holds splits, not classes; give one of them, for example {Path(path) / parts[-1]}")
    if "val" in parts or len(parts) == 1:
        return "val" if "val" in parts else parts[0]
    raise UsageError(f"{path}: is divided into {', '.join(parts) or 'parts of unknown names'}; give data with a val part")
