"""What a layout of labeled images is.

To add a layout:

1. Write one file with a subclass of `DatasetLayout`: `tasks` looks at a path and says what labels it finds there, `__init__`
   reads the lists, `splits` names the parts, `read` gives the records. `csv_list` and `coco` are the shortest examples.
2. Add the class to `LAYOUTS` in `data.open`, before those that would take its folders for theirs.

Training, evaluation and every other reader of records then have it. Messages about a path, a task or a split that does not
fit are raised once for all layouts, in `data.open`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from ..errors import MobilenetError
from ..network.layers import Task
from .classes import Classes
from .records import Records, Truth

Split = Literal["train", "val", "test"]

SPLITS: Mapping[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The parts of a data set, and the names that folders, files and columns have for them."""


class DataError(MobilenetError):
    """A file of a data set is damaged: it lacks something, or contradicts itself."""


class DatasetLayout(ABC):
    """One way to keep labeled images in a folder or file. An instance is the data at one path, read for one task.

    Attributes:
        name: by which `--layout` asks for it.
        title: what the layout is called.
        needs: for each task that the layout can have labels for, what it looks like, for messages: "give ...".
        splits: the parts that the data is divided into, or None if it is not divided.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Mapping[Task, str]]
    splits: tuple[Split, ...] | None = None

    @classmethod
    @abstractmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        """The tasks that the data has labels for; () if it has another layout. Only looks, and never raises."""

    @abstractmethod
    def __init__(self, path: Path, task: Task) -> None:
        """Reads what names the parts. Raises DataError if that is damaged."""

    @abstractmethod
    def read(self, split: Split | None, classes: Classes | None) -> Records[Truth]:
        """The records of one of `splits`; all of them for None, if the data is not divided.

        `classes` gives the class indices and labels, None leaves them to the data. Raises DataError for damaged files and
        UsageError for a class that `classes` lacks.
        """


def split_in(name: str) -> Split | None:
    """The part that a file's name says, as ``instances_val2017`` and ``train-000`` do."""
    words = set(re.findall("[a-z]+", name.lower()))
    return next((split for split, names in SPLITS.items() if words & set(names)), None)


def split_folders(root: Path, inner: str = "") -> dict[Split, Path]:
    """The folders of the parts, called as in `SPLITS` in small or capital letters: ``train/INNER``, ``INNER/train`` or, without
    `inner`, ``train``."""
    found: dict[Split, Path] = {}
    for base, below in ((root / inner, ""), (root, inner)) if inner else ((root, ""),):
        folders = sorted(base.iterdir()) if base.is_dir() else []
        for split, names in SPLITS.items():
            for folder in folders:
                if split not in found and folder.name.lower() in names and (folder / below).is_dir():
                    found[split] = folder / below
    return found
