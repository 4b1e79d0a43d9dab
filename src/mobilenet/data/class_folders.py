"""Class folders: one folder of images for each class, directly or under ``train`` and ``val``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError
from ..network.layers import Task
from .classes import Classes, own_classes
from .finder import list_images
from .layout import DatasetLayout, Split, split_folders
from .records import ListedRecords, file_records


class ClassFolders(DatasetLayout):
    """Images of every class folder and below, classes and images in the order of names. All parts together name the classes.

    A folder called ``train`` or ``test`` that has no folders in it is a class like the others.
    """

    name, title = "folders", "class folders"
    needs: ClassVar[Mapping[Task, str]] = {"classification": "a folder with one subfolder for each class"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        return ("classification",) if path.is_dir() else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        self.parts = {split: folder for split, folder in split_folders(path).items() if _folders(folder)}
        self.splits = tuple(self.parts) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[int]:
        root = self.path if split is None else self.parts[split]
        roots = [root] if split is None else list(self.parts.values())
        names = sorted({folder.name for each in roots for folder in _folders(each)})
        if not names:
            raise UsageError(f"{self.path}: holds no class folders; give {self.needs['classification']}")
        known = own_classes(names) if classes is None else classes
        numbers = {name: i for i, name in enumerate(names)} if classes is None else classes.numbers(names, self.path)
        paths, truths = list[str](), list[int]()
        for folder in _folders(root):
            images = list_images(folder)
            paths += images
            truths += [numbers[folder.name]] * len(images)
        if not paths:
            raise UsageError(f"{root}: its class folders hold no images; put some there")
        return file_records("classification", known.labels, paths, truths, known.ids if classes is None else ())


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
