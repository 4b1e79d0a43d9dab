"""WebDataset's tar files: images and their labels side by side, found again by their place in the file."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError, short_repr
from ..limits import parse_json
from ..network.layers import Task
from .classes import Classes
from .layout import SPLITS, DataError, DatasetLayout, Split
from .records import ListedRecords, Section

SUFFIXES = ("jpg", "jpeg", "png", "webp", "ppm")
MAX_INDEX = 1_000_000  # of a class
MAX_LABEL = 1 << 20  # bytes of a label's file


class Shards(DatasetLayout):
    """Members of one sample share their name up to the first dot of the last part: ``000017.jpg`` and ``000017.cls`` (the
    class's index as text) or ``000017.json`` (with a ``label``: an index or a name). The shards of a part are the folder's
    ``train*.tar``, or all in its folder ``train``. Shards are not compressed, as images are already.

    Indices without names become labels "0", "1", ... unless the caller gives the classes.
    """

    name, title = "shards", "WebDataset shards"
    needs: ClassVar[Mapping[Task, str]] = {"classification": "tar shards"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        if path.suffix == ".tar" and path.is_file():
            return ("classification",)
        parts = path.is_dir() and any(_shards(path, split) for split in SPLITS)
        # A folder with subfolders may hold class folders and the archive that they came in.
        whole = not parts and any(path.glob("*.tar")) and not any(each.is_dir() for each in path.iterdir())
        return ("classification",) if parts or whole else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        if path.is_dir():
            self.splits = tuple(split for split in SPLITS if _shards(path, split)) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[int]:
        shards = [self.path] if self.path.is_file() else _shards(self.path, split)
        samples = [(shard, *sample) for shard in shards for sample in _index(shard)]
        if not samples:
            raise DataError(f"{self.path}: its shards hold no image with a .cls or .json beside it; check their members' names")
        names, sections = [f"{shard}/{member}" for shard, member, _, _ in samples], [section for _, _, section, _ in samples]
        labels, truths = _classes([label for *_, label in samples], classes, self.path)
        return ListedRecords("classification", labels, names, sections, truths)


def _shards(path: Path, split: Split | None) -> list[Path]:
    if split is None:
        return sorted(path.glob("*.tar"))
    return sorted(path.glob(f"{split}*.tar")) or sorted((path / split).glob("*.tar"))


def _classes(found: list[int | str], classes: Classes | None, source: Path) -> tuple[tuple[str, ...], list[int]]:
    """(labels, class index of each sample) from indices or names."""
    indices = [label for label in found if isinstance(label, int)]
    if len(indices) == len(found):
        labels = tuple(map(str, range(max(indices) + 1))) if classes is None else classes.labels
        if max(indices) >= len(labels):
            assert classes is not None
            raise classes.missing(max(indices), source)
        return labels, indices
    names = sorted({str(label) for label in found})
    numbers = {name: i for i, name in enumerate(names)} if classes is None else classes.numbers(names, source)
    return tuple(names) if classes is None else classes.labels, [numbers[str(label)] for label in found]


def _index(shard: Path) -> list[tuple[str, Section, int | str]]:
    """(member's name, place of its bytes, label) of every image that has a label."""
    images: dict[str, tuple[str, Section]] = {}
    labels: dict[str, int | str] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                name = f"{folder}/{stem}" if folder else stem
                if not member.isfile() or not stem:
                    continue
                if member.issparse():  # its size is only claimed: the bytes are not all in the archive
                    raise UsageError(f"{member.name} is sparse")
                if suffix.lower() in SUFFIXES:
                    images[name] = f"{name}.{suffix}", Section(str(shard), member.offset_data, member.size)
                elif suffix in ("cls", "json"):
                    file = archive.extractfile(member)
                    assert file is not None
                    text = file.read(MAX_LABEL).decode("utf-8")
                    labels[name] = _label(text if suffix == "cls" else parse_json(text)["label"])
    except (OSError, tarfile.TarError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{shard}: is no tar file with images and labels ({error}); write it without compression and holes"
        ) from error
    return [(*images[name], labels[name]) for name in images if name in labels]


def _label(label: object) -> int | str:
    if isinstance(label, str) and label.strip().isdecimal() and len(label) < 20:
        label = int(label)
    if isinstance(label, int) and label > MAX_INDEX:
        raise UsageError(f"label {short_repr(label)}: must be at most {MAX_INDEX}, or a name")
    if isinstance(label, bool) or not isinstance(label, (int, str)) or (isinstance(label, int) and label < 0):
        raise UsageError(f"label {short_repr(label)}: must be a number from 0 or a name")
    return label if isinstance(label, int) else label.strip()
