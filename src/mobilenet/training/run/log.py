"""What a run reports while it trains: a progress line and ``log.jsonl``. All else that follows a run: `loggers`.

A line of the log is a step (``{"step", "epoch", "lr", "loss", "parts", "images_per_second", "data_share"}``; losses are means
since the previous line) or a score (``{"step", "epoch", "metrics", "images", "failed", "seconds"}``).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TextIO, TypedDict, cast

from ...errors import printable
from ...files import write_atomically
from ...tasks.metrics import Metrics

LOG = "log.jsonl"


class Line(TypedDict, total=False):
    """A line of the log; which keys are there depends on its kind."""

    step: int
    epoch: float
    lr: float
    loss: float
    parts: dict[str, float]
    images_per_second: float
    data_share: float
    metrics: Metrics
    images: int
    failed: list[str]
    seconds: float


class RunLog:
    """The log of a run in `folder`, continued after step `step`. A context manager that closes it.

    Lines that an interrupted run wrote after its last checkpoint are removed, since those steps are done again.

    Args:
        folder: None for every process but the first; it then writes nothing.
        scored: the last step whose score is part of the checkpoint.
    """

    def __init__(self, folder: Path | None, step: int, scored: int) -> None:
        self.file: TextIO | None = None
        if folder is None:
            return
        self.path = folder / LOG
        lines = [line for line in read(self.path) if line["step"] <= (scored if "metrics" in line else step)]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115, closed by __exit__

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def write(self, line: Line) -> None:
        if self.file is None:
            return
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()


def read(path: Path) -> list[Line]:
    """The complete lines of a log; a kill may have cut off the last one."""
    lines: list[Line] = []
    if path.exists():
        for text in path.read_text("utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and "step" in line:
                lines.append(cast(Line, line))
    return lines


FIRST = 5.0
"""Seconds to the first line where lines are rare."""
WARM, ENOUGH = 2, 10.0
"""Steps, and seconds after them, from which the time of a run is estimated; the first steps are slower than the others."""


class Progress:
    """One line on stderr: rewritten on a terminal, else a new one at most every 15 seconds."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.watched = quiet, sys.stderr.isatty()
        self.pause = 0.5 if self.watched else 15.0
        self.begin(1, 0)

    def begin(self, steps: int, done: int) -> None:
        """Starts the clock from which the remaining time is estimated."""
        self.steps, self.first, self.start = steps, done, time.monotonic()
        self.last = 0.0 if self.watched else self.start - self.pause + min(self.pause, FIRST)
        self.warm: tuple[int, float] | None = None
        self.told = False

    def expect(self, step: int) -> None:
        """Says once, after a step, how long the rest will take."""
        now = time.monotonic()
        if self.told or step - self.first < WARM:
            return
        if self.warm is None:
            self.warm = step, now
            return
        before, begun = self.warm
        if now - begun >= ENOUGH or (step - before >= 3 * WARM and now - self.start >= FIRST):
            self.told = True
            left = (now - begun) / (step - before) * (self.steps - step)
            self.print(f"about {duration(left)} for the {self.steps - step} steps that are left; scoring comes on top")

    def show(self, step: int, epoch: float, epochs: int, line: Line) -> None:
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
            temporary=True,
        )

    def print(self, text: str, temporary: bool = False) -> None:
        """On a terminal, the next line replaces a `temporary` one."""
        if not self.quiet:
            text = printable(text)  # it may hold a path or a label
            sys.stderr.write(f"\r\x1b[K{text}" + ("" if temporary else "\n") if self.watched else f"{text}\n")
            sys.stderr.flush()


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def score_line(line: Line, epochs: int) -> str:
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in line["metrics"].items() if value is not None)
    images = f" on {line['images']} images in {duration(line['seconds'])}" if "images" in line else ""
    failed = f", {len(line['failed'])} unreadable" if line.get("failed") else ""
    return f"epoch {line['epoch']:g}/{epochs}: {metrics}{images}{failed}"
