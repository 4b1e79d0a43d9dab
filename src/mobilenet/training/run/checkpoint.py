"""A run's state on disk: one file, replaced in one step, so that whenever the process dies the last good one is there.

The file is written by `torch.save` and read without unpickling anything but plain tensors and containers. A sum over its
bytes stands in front, so that a file damaged on the disk is told from a whole one.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from ...files import WriteError, write_atomically

FILE = "checkpoint.pt"
MAGIC = b"mobilenet checkpoint 1\n"


class TrainingError(ValueError):
    """A run cannot go on; the message says why, what is kept, and how to go on."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint. TrainingError where it cannot be written; the old one is then as it was."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    try:
        write_atomically(folder / FILE, MAGIC + hashlib.sha256(content).digest() + content)
    except WriteError as error:
        kept = "the checkpoint before it is whole" if (folder / FILE).exists() else "there is none before it"
        raise TrainingError(f"{error}; {kept}: make room, then go on with --resume") from error


def load(folder: Path) -> dict[str, Any]:
    """The folder's checkpoint, on the CPU. TrainingError where there is none or it is damaged."""
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); leave --resume out to begin anew") from error
    head = len(MAGIC) + 32
    if not content.startswith(MAGIC) or hashlib.sha256(content[head:]).digest() != content[len(MAGIC) : head]:
        raise TrainingError(f"{path}: no whole checkpoint of this version; leave --resume out to begin anew")
    state: dict[str, Any] = torch.load(io.BytesIO(content[head:]), map_location="cpu", weights_only=True)
    return state


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def sweep(folder: Path) -> None:
    """Removes what a kill in mid-write left beside the checkpoint."""
    for left in folder.glob(".*.*"):
        if left.name.startswith((f".{FILE}.", ".model.safetensors.", ".recipe.json.", ".log.jsonl.")):
            left.unlink(missing_ok=True)
