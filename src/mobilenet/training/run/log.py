"""What a run leaves behind as it goes: a progress line, ``log.jsonl`` and TensorBoard's files.

A line of the log is a step (``{"step", "epoch", "lr", "loss", "parts", "images_per_second", "data_share"}``, the losses means
since the line before) or a score (``{"step", "epoch", "metrics", "images", "failed", "seconds"}``).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ...files import write_atomically

LOG = "log.jsonl"
Line = dict[str, Any]


class RunLog:
    """The log of a run in `folder`, gone on with after step `step`. Enter it, so that it is closed whatever happens.

    What an interrupted run had logged past its last checkpoint is removed, since it is about to be done again.

    Args:
        folder: None for a process that is not the first one, which keeps no log.
        scored: the last step whose score stands in the checkpoint.
    """

    def __init__(self, folder: Path | None, step: int, scored: int) -> None:
        self.file: TextIO | None = None
        if folder is None:
            return
        self.path = folder / LOG
        kept = [line for line in read(self.path) if line["step"] <= (scored if "metrics" in line else step)]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115, closed on the way out

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
            self.board.close()

    def write(self, line: Line) -> None:
        if self.file is None:
            return
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        for name, value in flat(line).items():
            if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                self.board.add_scalar(name, value, line["step"])


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """``{"parts": {"box": 1}}`` as ``{"parts/box": 1}``."""
    found: dict[str, Any] = {}
    for key, value in line.items():
        found |= {f"{key}/{name}": item for name, item in value.items()} if isinstance(value, Mapping) else {key: value}
    return found


def read(path: Path) -> list[Line]:
    """The whole lines of a log; the last one may have been cut by a kill."""
    lines: list[Line] = []
    if path.exists():
        for text in path.read_text("utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and "step" in line:
                lines.append(line)
    return lines


class Progress:
    """One line on stderr: rewritten where somebody watches, else a new one at most every `pause` seconds."""

    def __init__(self, quiet: bool, pause: float | None = None) -> None:
        self.quiet, self.watched = quiet, sys.stderr.isatty()
        self.pause = pause if pause is not None else 0.5 if self.watched else 15.0
        self.begin(1, 0)

    def begin(self, steps: int, done: int) -> None:
        """The time that is left is reckoned from here."""
        self.steps, self.first, self.start = steps, done, time.monotonic()
        self.last = 0.0 if self.watched else self.start

    def show(self, step: int, epoch: float, epochs: int, line: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self.quiet or now - self.last < self.pause:
            return
        self.last = now
        left = (now - self.start) / max(step - self.first, 1) * (self.steps - step)
        parts = ", ".join(f"{name} {value:.3f}" for name, value in line["parts"].items())
        self.print(
            f"epoch {epoch:.2f}/{epochs}  step {step}/{self.steps}  loss {line['loss']:.4f}"
            + (f" ({parts})" if len(line["parts"]) > 1 else "")
            + f"  lr {line['lr']:.3g}  {line['images_per_second']:.0f} images/s  waiting for data {line['data_share']:.0%}"
            + f"  ETA {duration(left)}",
            passing=True,
        )

    def print(self, text: str, passing: bool = False) -> None:
        """A `passing` line gives way to the next one on a terminal."""
        if not self.quiet:
            sys.stderr.write(f"\r\x1b[K{text}" + ("" if passing else "\n") if self.watched else f"{text}\n")
            sys.stderr.flush()


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
