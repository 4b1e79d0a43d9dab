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
from .cvat import Cvat
from .division import divide
from .huggingface import HuggingFace
from .labelme import LabelMe
from .layout import SPLITS, DatasetLayout, Split, split_in
from .masks import Masks
from .records import Records, Truth
from .shards import Shards
from .voc import Voc
from .yolo import Yolo

LAYOUTS: tuple[type[DatasetLayout], ...] = (HuggingFace, Yolo, Coco, Voc, LabelMe, Cvat, Masks, CsvList, Shards, ClassFolders)
"""A folder that no other layout knows may hold class folders; all others have equal rights."""

VAL_SHARE = 0.2
"""Of the images of data without a validation part, the share that is held out for validation."""

TASKS: tuple[Task, ...] = tuple(task for task in get_args(Task) if task != "features")


def recognize(
    path: str | os.PathLike[str], task: Task | None = None, layout: str | None = None
) -> tuple[type[DatasetLayout], Task]:
    """The layout of labeled images at a path, and the task that its labels are for.

    Args:
        task: one that the labels must serve; None for the one that they serve first.
        layout: the name of the layout, if it is known.

    Raises UsageError if nothing is there, or no layout is recognized, or several are, or none has labels for `task`.
    """
    place = Path(path)
    remedy = f"give {needs(task)}"
    named = {each.name: each for each in LAYOUTS}
    if layout is not None and layout not in named:
        raise UsageError(unknown_name("layout", layout, named))
    found = {each: tasks for each in LAYOUTS if layout in (None, each.name) and (tasks := each.tasks(place))}
    if not found:
        problem = f"is not laid out as {named[layout].title}" if layout else "has no known layout of labeled images"
        raise UsageError(f"{path}: {problem if place.exists() else 'is no folder and no file'}; {remedy}")
    if found.keys() == {ClassFolders} and task not in (None, *found[ClassFolders]):
        raise UsageError(f"{path}: has no known layout of labels for {task}; {remedy}")
    if len(found) > 1:  # class folders are only what no other layout explains
        found.pop(ClassFolders, None)
    serving = {each: tasks.index(task or tasks[0]) for each, tasks in found.items() if task in (None, *tasks)}
    if not serving:
        raise UsageError(f"{path}: has labels for {next(iter(found.values()))[0]}, not for {task}; {remedy}")
    best = [each for each, rank in serving.items() if rank == min(serving.values())]
    if len(best) > 1:
        readings, options = (" or ".join(texts) for texts in ([b.title for b in best], [f"--layout {b.name}" for b in best]))
        raise UsageError(f"{path}: can be read as {readings}; choose with {options}")
    return best[0], task or found[best[0]][0]


def needs(task: Task | None) -> str:
    """What data for a task may be, for messages."""
    shapes = [shape for layout in reversed(LAYOUTS) for served, shape in layout.needs.items() if task in (None, served)]
    return ", or ".join(dict.fromkeys(shapes))


def open_records(
    path: str | os.PathLike[str],
    task: Task,
    split: Split | None,
    classes: Classes | Sequence[str] | None = None,
    layout: str | None = None,
) -> Records[Truth]:
    """The labeled images of a folder or file, whose layout is recognized: one of `LAYOUTS`, each of which says what it reads.

    No image is decoded, except for masks without a list of classes.

    Args:
        path: the folder or file.
        task: "classification", "detection" or "segmentation"; the data must have labels for it.
        split: "train", "val" or "test". Data that is not divided is used whole for "train" and refused for the others unless
            its own name says so: a score on training images proves nothing. None is the part to score on: "val", else "test",
            or the only part, or all of data that is not divided.
        classes: the classes whose indices the truths are, with the labels; otherwise the data's own, in the order of names
            (COCO: of category ids). Data with a class beyond these is refused; a class without images is not.
        layout: the layout's name, for data that can be read in several ways.

    Raises UsageError if the path, the layout, the split or a class does not fit, DataError for damaged files.
    """
    if task not in TASKS:
        raise UsageError(unknown_name("task with data", task, TASKS))
    if split is not None and split not in SPLITS:
        raise UsageError(unknown_name("split", split, SPLITS))
    if classes is not None and not isinstance(classes, Classes):
        classes = Classes.different(classes)
    data = recognize(path, task, layout)[0](Path(path), task)
    return _read(data, path, _part(data, path, split), classes)


def open_training(
    path: str | os.PathLike[str], task: Task, share: float = VAL_SHARE, layout: str | None = None
) -> tuple[Records[Truth], Records[Truth]]:
    """(training, validation) with the classes of the training part. Data without a validation part is divided by the content of
    its
    images: `share` of the training part is held out, see `division.divide`, and both are `Divided`.

    Raises what `open_records` raises.
    """
    data = recognize(path, task, layout)[0](Path(path), task)
    parts = data.splits
    whole = _read(data, path, _part(data, path, "train"), None)
    if parts is not None and "val" in parts:
        return whole, _read(data, path, "val", Classes(whole.labels, whole.label_ids))
    training, validation = divide(whole, share)
    return training, validation


def open_held_out(
    path: str | os.PathLike[str], task: Task, classes: Classes, share: float, fingerprint: str, layout: str | None = None
) -> Records[Truth] | None:
    """The validation part of data that `open_training` divided, if this is that data; else None."""
    data = recognize(path, task, layout)[0](Path(path), task)
    if data.splits is not None and ("val" in data.splits or "train" not in data.splits):
        return None
    _, validation = divide(_read(data, path, _part(data, path, "train"), classes), share)
    return validation if validation.fingerprint == fingerprint else None


def _read(data: DatasetLayout, path: str | os.PathLike[str], part: Split | None, classes: Classes | None) -> Records[Truth]:
    records = data.read(part, classes)
    if not len(records):
        raise UsageError(f"{path}: lists no images; give data that has some")
    records.layout = data.title
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
    scored: tuple[Split, ...] = ("val", "test")
    found = next((part for part in scored if part in parts), parts[0] if len(parts) == 1 else None)
    if found is None:
        raise UsageError(f"{path}: is divided into {', '.join(parts) or 'parts of unknown names'}; give data with a val part")
    return found
