"""What a model's repository on the hub holds: model file, card, samples, exports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from ..files import WriteError, write_atomically
from .card import MODEL, Card
from .markdown import SAMPLES, markdown
from .page import page_of

README, PAGE = "README.md", "index.html"
EXPORTS = (".onnx", ".tflite", ".mlpackage", ".mlmodel", ".pte", ".pt2", ".mnn", ".param", ".bin", ".xml")
"""Suffixes of what `mobilenet export` writes."""


def write_card(card: Card, folder: Path) -> list[Path]:
    """README.md, index.html and the samples, in a folder that need not be there. Raises WriteError or UsageError."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; give a folder")
    contents = {README: markdown(card).encode("utf-8", "backslashreplace"), PAGE: page_of(card)}
    contents |= {f"{SAMPLES}/{sample.name}": sample.content for sample in card.samples}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if card.samples:
            (folder / SAMPLES).mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def fill(card: Card, run: Path | None, folder: Path) -> None:
    """All files of the repository in an empty folder; `run` is the folder in which exports are looked for."""
    write_card(card, folder)
    shutil.copyfile(card.file, folder / MODEL)
    for path in exports(run):
        target = folder / path.name
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copyfile(path, target)


def exports(run: Path | None) -> Iterator[Path]:
    """Exported models beside a run's model, or in its folder ``exports``."""
    for folder in () if run is None else (run, run / "exports"):
        if folder.is_dir():
            for path in sorted(Path(entry.path) for entry in os.scandir(folder)):
                if path.suffix in EXPORTS and not path.is_symlink():
                    yield path
