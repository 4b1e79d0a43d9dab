"""Pictures inside larger files: WebDataset tar shards, and Hugging Face `datasets` (an extra of its own)."""

from __future__ import annotations

import importlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import unknown_name
from ..images.open import ImageError, decode_image, open_image
from .dataset import CorruptPicture, Dataset, Target, to_tensor

HUB = "hf:"
"""Before the name of a dataset on Hugging Face's hub."""

PICTURES = ("jpg", "jpeg", "png", "webp", "ppm")


def is_shards(path: Path, split: str | None) -> bool:
    return path.suffix == ".tar" or (path.is_dir() and bool(_shards(path, split)))


def _shards(path: Path, split: str | None) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(path.glob(f"{split or ''}*.tar")) or sorted((path / (split or "")).glob("*.tar"))


class Shards(Dataset):
    """Classification from WebDataset's tar files, read at any place: the tars are indexed once, when opened.

    Members of one sample share their name up to the first dot of the last part: ``000017.jpg`` and ``000017.cls`` (the
    class's number as text) or ``000017.json`` (with a ``label``: a number or a name). Of a folder the shards are
    ``{split}*.tar``, or all in the folder ``{split}``. Shards are not compressed, as pictures are already.

    Numbers without names need `classes`, or become labels "0", "1", ...
    """

    def __init__(self, path: Path, split: str | None, classes: Sequence[str] | None) -> None:
        self.entries: list[tuple[str, str, int, int]] = []  # shard, member, offset, length
        found: list[int | str] = []
        for shard in _shards(path, split):
            for name, (member, start, length), label in _index(shard):
                self.entries.append((str(shard), f"{name}.{member}", start, length))
                found.append(label)
        if not found:
            raise ValueError(f"{path}: its shards hold no picture with a .cls or .json beside it; check their members' names")
        numbered = all(isinstance(label, int) for label in found)
        names = [str(n) for n in range(max(map(int, found)) + 1)] if numbered else sorted({str(label) for label in found})
        labels = tuple(classes) if classes is not None else tuple(names)
        for label in found:
            if int(label) >= len(labels) if numbered else str(label) not in labels:
                raise ValueError(f"{path}: {unknown_name('class', label, labels)}")
        targets = [int(label) if numbered else labels.index(str(label)) for label in found]
        super().__init__("classification", labels, (), torch.tensor(targets))

    def __len__(self) -> int:
        return len(self.entries)

    def name(self, index: int) -> str:
        shard, member, _, _ = self.entries[index]
        return f"{shard}/{member}"

    def read(self, index: int) -> tuple[Tensor, Target]:
        shard, _, start, length = self.entries[index]
        try:
            with open(shard, "rb") as file:
                file.seek(start)
                content = file.read(length)
        except OSError as error:
            raise CorruptPicture(self.name(index), f"{error.strerror}; check the shard") from error
        assert self.targets is not None
        return decode(content, self.name(index)), self.targets[index]


def _index(shard: Path) -> list[tuple[str, tuple[str, int, int], int | str]]:
    """(sample's name, (suffix, offset, length) of its picture, label) of every sample with both."""
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int | str] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                name = f"{folder}/{stem}" if folder else stem
                if not member.isfile() or not stem:
                    continue
                if suffix.lower() in PICTURES:
                    pictures[name] = (suffix, member.offset_data, member.size)
                elif suffix in ("cls", "json"):
                    file = archive.extractfile(member)
                    assert file is not None
                    text = file.read(1 << 20).decode("utf-8")
                    labels[name] = _label(text if suffix == "cls" else json.loads(text)["label"])
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{shard}: is no tar file with pictures and labels ({error}); write it without compression") from error
    return [(name, pictures[name], labels[name]) for name in pictures if name in labels]


def _label(given: Any) -> int | str:
    if isinstance(given, bool) or not isinstance(given, (int, str)) or (isinstance(given, int) and given < 0):
        raise ValueError(f"label {given!r}: must be a number from 0 or a name")
    return int(given) if isinstance(given, int) or given.strip().isdecimal() else given.strip()


def decode(content: bytes, name: str) -> Tensor:
    """The picture in a file's bytes, as `dataset.to_tensor` gives it. Raises CorruptPicture."""
    try:
        return to_tensor(decode_image(content, name))
    except ImageError as error:
        raise CorruptPicture(name, " ".join(str(error).split())[:200]) from error


# Hugging Face ----------------------------------------------------------------------------------------------------------


def is_saved(path: Path) -> bool:
    return (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()


def hugging_face(source: Path | str, split: str | None, classes: Sequence[str] | None) -> Dataset:
    """A dataset of Hugging Face's library: a folder of ``save_to_disk``, or ``hf:NAME`` from the hub."""
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise ValueError(f"{source}: reading it needs Hugging Face's library; pip install 'mobilenet[huggingface]'") from error
    if isinstance(source, Path):
        loaded = datasets.load_from_disk(str(source))
    else:
        loaded = datasets.load_dataset(source.removeprefix(HUB))
    if hasattr(loaded, "keys"):  # a dict of splits
        aliases = {"val": ("val", "validation", "valid"), "train": ("train",), "test": ("test",)}[split or "train"]
        name = next((alias for alias in aliases if alias in loaded), None)
        if name is None:
            raise ValueError(f"{source}: {unknown_name('split', split, list(loaded.keys()))}")
        loaded = loaded[name]
    elif split not in (None, "train"):
        raise ValueError(f"{source}: has no {split} pictures apart from the others; divide it into train and val")
    return HuggingFace(loaded, str(source), classes)


class HuggingFace(Dataset):
    """Classification from a table with a column of pictures (``image`` or ``img``) and one of class numbers (``label``...)."""

    def __init__(self, table: Any, source: str, classes: Sequence[str] | None) -> None:
        datasets = importlib.import_module("datasets")
        columns = list(table.features)
        self.column = next((name for name in ("image", "img", "jpg", "png") if name in columns), "")
        label = next((name for name in ("label", "labels", "fine_label", "cls") if name in columns), "")
        if not self.column or not label:
            raise ValueError(f"{source}: has the columns {', '.join(columns)}; must have image and label")
        numbers = [int(number) for number in table[label]]
        names = getattr(table.features[label], "names", None) or [str(n) for n in range(max(numbers, default=0) + 1)]
        labels = tuple(classes) if classes is not None else tuple(names)
        if classes is not None:
            numbers = [labels.index(names[n]) if names[n] in labels else -1 for n in numbers]
        if not numbers or min(numbers) < 0:
            raise ValueError(f"{source}: has no pictures, or some of a class that is none of {', '.join(labels)[:200]}")
        super().__init__("classification", labels, (), torch.tensor(numbers))
        self.table, self.source = table.cast_column(self.column, datasets.Image(decode=False)), source

    def __len__(self) -> int:
        return len(self.table)

    def name(self, index: int) -> str:
        return f"{self.source}[{index}]"

    def read(self, index: int) -> tuple[Tensor, Target]:
        entry = self.table[index][self.column]
        assert self.targets is not None
        if entry.get("bytes") is not None:
            return decode(entry["bytes"], self.name(index)), self.targets[index]
        try:
            return to_tensor(open_image(entry["path"])), self.targets[index]
        except ImageError as error:
            raise CorruptPicture(self.name(index), str(error)) from error
