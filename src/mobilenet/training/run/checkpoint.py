"""A run's state on disk: one file, replaced atomically, so that the last good one survives whenever the process dies.

The file is written by `torch.save` and read without unpickling anything but plain tensors and containers. A hash of its content
comes first, so that a damaged file is detected.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from ...convert.checkpoints import MAGIC
from ...errors import MobilenetError
from ...files import WriteError, write_atomically
from ..optim.ema import AverageState

FILE = "checkpoint.pt"
WRITTEN = (FILE, "model.safetensors", "last.safetensors", "recipe.json", "log.jsonl", "scores.csv")
"""Files of a run whose writing a kill can interrupt."""


class _Later(TypedDict, total=False):
    best: dict[str, Any] | None
    epoch_steps: int
    result: dict[str, Tensor]


class State(_Later):
    """What a run continues from.

    Attributes:
        best: `best.Best` by its fields, None before the first score; absent in older checkpoints.
        epoch_steps: number of steps of an epoch; absent in older checkpoints.
        result: what `convert.checkpoints` makes a model of: the tensors of `net` or of the average, which take no room again,
            and the header. Absent in older checkpoints and for integers.
        step, scored: see `loop.Run`.
        net, optimizer, average: state dicts, those of torch and of `ema.WeightAverage`.
        window: names, sums and number of steps of the losses since the last line of the log.
        failed: images that could not be read, with the reason.
    """

    step: int
    scored: int
    net: dict[str, Tensor]
    optimizer: dict[str, Any]  # torch's own
    average: AverageState | None
    window: tuple[list[str], list[float], int]
    failed: dict[str, str]


class TrainingError(MobilenetError):
    """A run cannot continue; the message says why, what was saved, and how to go on."""


def save(folder: Path, state: State) -> None:
    """Replaces the folder's checkpoint. Raises TrainingError if it cannot be written; the old one is then unchanged."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    try:
        write_atomically(folder / FILE, MAGIC + hashlib.sha256(content).digest() + content)
    except WriteError as error:
        previous = "the checkpoint before it is whole" if (folder / FILE).exists() else "there is no checkpoint before it"
        raise TrainingError(f"{error}; {previous}: free some space, then continue with --resume") from error


def load(folder: Path) -> State:
    """The folder's checkpoint, on the CPU. Raises TrainingError if there is none or it is damaged."""
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); leave --resume out to start again") from error
    header = len(MAGIC) + 32
    if not content.startswith(MAGIC) or hashlib.sha256(content[header:]).digest() != content[len(MAGIC) : header]:
        raise TrainingError(f"{path}: no whole checkpoint of this version; leave --resume out to start again")
    state: State = torch.load(io.BytesIO(content[header:]), map_location="cpu", weights_only=True)
    return state


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def remove_partial_files(folder: Path) -> None:
    """Removes the temporary files of writes that a kill interrupted."""
    for path in folder.glob(".*.*"):
        if path.name.startswith(tuple(f".{name}." for name in WRITTEN)):
            path.unlink(missing_ok=True)
