"""Hugging Face `datasets` (the extra ``[huggingface]``): a folder of ``save_to_disk`` or of Parquet files, or ``hf:NAME``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from ..errors import UsageError
from ..network.layers import Task
from .classes import Classes
from .layout import SPLITS, DataError, DatasetLayout, Split
from .records import Computed, ImageSource, ListedRecords

HUB = "hf:"
"""Before the name of a dataset on Hugging Face's hub."""
SAFE_VERSION = (2, 20)
"""Of `datasets`. Before it, a dataset on the hub may hold a script that loading it runs."""


IMAGE_COLUMNS = ("image", "img", "jpg", "png")


def load_saved(source: str) -> tuple[ModuleType, Any]:
    """The library, and the data set in a folder of ``save_to_disk`` or with a name of the hub: a table, or tables by name.

    Raises:
        UsageError: the library is missing, or so old that it runs a data set's own code.
        DataError: it cannot be loaded.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError(f"{source}: reading it needs Hugging Face's library; pip install 'mobilenet[huggingface]'") from error
    version = str(datasets.__version__)
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < SAFE_VERSION:
        raise UsageError(f"{source}: datasets {version} runs a dataset's own code; pip install -U 'mobilenet[huggingface]'")
    try:
        if source.startswith(HUB):
            return datasets, datasets.load_dataset(source.removeprefix(HUB))
        if _is_parquet(Path(source)):  # the library finds the parts by the files' names, and keeps a copy to read at any place
            return datasets, datasets.load_dataset(source)
        return datasets, datasets.load_from_disk(source)
    except Exception as error:  # of the library, of its parsers, of the network
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{source}: cannot be loaded ({reason}); check its name, or save it again") from error


class HuggingFace(DatasetLayout):
    """Tables with a column of images (``image``, ``img``...) and one of class numbers (``label``...)."""

    name, title = "huggingface", "Hugging Face"
    needs: ClassVar[Mapping[Task, str]] = {"classification": "a folder saved by Hugging Face's datasets"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        saved = (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()
        return ("classification",) if saved or path.as_posix().startswith(HUB) or _is_parquet(path) else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.source = path.as_posix()
        self.datasets, loaded = load_saved(self.source)
        if hasattr(loaded, "keys"):  # a dict of parts
            tables = {split: next((loaded[name] for name in names if name in loaded), None) for split, names in SPLITS.items()}
            self.tables: dict[Split | None, Any] = {split: table for split, table in tables.items() if table is not None}
            self.splits = tuple(split for split in SPLITS if split in self.tables)
        else:
            self.tables = {None: loaded}

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[int]:
        table = self.tables[split]
        columns = list(table.features)
        image = next((name for name in IMAGE_COLUMNS if name in columns), "")
        label = next((name for name in ("label", "labels", "fine_label", "cls") if name in columns), "")
        if not image or not label:
            raise DataError(f"{self.source}: has the columns {', '.join(columns)}; must have image and label")
        numbers = [int(number) for number in table[label]]
        if min(numbers, default=0) < 0:
            raise DataError(f"{self.source}: has images without a label (class {min(numbers)}); take them out")
        labels = getattr(table.features[label], "names", None) or [str(n) for n in range(max(numbers, default=0) + 1)]
        if classes is not None:
            known = classes.numbers(sorted({labels[n] for n in numbers}), self.source)
            labels, numbers = classes.labels, [known[labels[n]] for n in numbers]
        images = TableImages(table.cast_column(image, self.datasets.Image(decode=False)), image)
        names = [f"{self.source}[{index}]" for index in range(len(numbers))]
        return ListedRecords("classification", labels, names, images, numbers)


def _is_parquet(path: Path) -> bool:
    return path.is_dir() and any(next(folder.glob("*.parquet"), None) is not None for folder in (path, path / "data"))


class TableImages(Computed[ImageSource]):
    """The images of a table's column: encoded, or as paths."""

    def __init__(self, table: Any, column: str) -> None:
        self.table, self.column = table, column

    def __len__(self) -> int:
        return len(self.table)

    def at(self, index: int) -> ImageSource:
        entry = self.table[index][self.column]
        return str(entry["path"]) if entry.get("bytes") is None else entry["bytes"]
