"""Whatever follows a run while it trains: TensorBoard, a table, images, pages, trackers of experiments. One small protocol.

A logger reads and never changes a run. If it fails (a tracker's server is away), the user is told once and the run goes on
without it. Loggers run on the first process only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import UsageError
from ...files import write_atomically
from ...modelfile import ModelFile
from ..input import Dataset
from ..recipes.objects import load_object
from ..recipes.recipe import Recipe
from .log import LOG, Line, read
from .scoring import Evaluation

SCORES = "scores.csv"


@dataclass(frozen=True)
class Begun:
    """What a logger is made from: a run that begins or goes on.

    Attributes:
        out: the run's folder, which exists.
        step, steps: number of steps done, and of the whole run. What a logger has of later steps is to be dropped: an
            interrupted run does them again.
        labels: of the classes.
    """

    out: Path
    recipe: Recipe
    step: int
    steps: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """A score, after the model files are written.

    Attributes:
        line: the score's line of the log.
        model: the network that was scored, as ``last.safetensors`` holds it.
        is_best: ``model.safetensors`` holds it too.
        is_last: no step follows.
        validation: the images that were scored.
    """

    out: Path
    line: Line
    model: ModelFile
    is_best: bool
    is_last: bool
    validation: Dataset
    evaluation: Evaluation


class Logger(Protocol):
    """Follows one run. What a method raises ends the logger, not the run."""

    def log(self, line: Line) -> None:
        """After each line of ``log.jsonl``: of steps (key "loss") and of scores (key "metrics")."""

    def scored(self, score: Scored) -> None:
        """After each score. A run that goes on may repeat its last one."""

    def close(self) -> None:
        """At the end of the run, however it ends."""


MakeLogger = Callable[[Begun], Logger]


class TensorBoard:
    """Every number of the log, for ``tensorboard --logdir RUN``."""

    def __init__(self, begun: Begun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(begun.out / "tensorboard"), purge_step=begun.step + 1 if begun.step else None)

    def log(self, line: Line) -> None:
        for name, value in flat(line).items():
            if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                self.board.add_scalar(name, value, line["step"])

    def scored(self, score: Scored) -> None:
        pass

    def close(self) -> None:
        self.board.close()


class ScoreTable:
    """``scores.csv``: a row for each score, with the losses and the learning rate before it."""

    def __init__(self, begun: Begun) -> None:
        self.out = begun.out

    def log(self, line: Line) -> None:
        pass

    def scored(self, score: Scored) -> None:
        rows, before = list[dict[str, object]](), dict[str, object]()
        for line in read(self.out / LOG):
            if "metrics" not in line:
                before = {key: value for key, value in flat(line).items() if key in ("loss", "lr") or key.startswith("parts/")}
                continue
            values = flat({key: value for key, value in line.items() if key not in ("failed", "metrics")})
            rows.append({**values, **line["metrics"], **before, "unreadable": len(line["failed"])})
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, columns)
        table.writeheader()
        table.writerows(rows)
        write_atomically(self.out / SCORES, text.getvalue().encode())

    def close(self) -> None:
        pass


LOGGERS: dict[str, MakeLogger] = {"tensorboard": TensorBoard, "csv": ScoreTable}
DEFAULT = tuple(LOGGERS)


def find(name: str) -> MakeLogger:
    """The logger called `name`: one of `LOGGERS`, or ``package.module:name`` or ``file.py:name`` of the user's own."""
    if name in LOGGERS:
        return LOGGERS[name]
    found: MakeLogger = load_object(name, "logger", LOGGERS)
    if not callable(found):
        raise UsageError(f"logger {name!r}: must be a function or class that takes the run that begins, and is {found!r:.60}")
    return found


class Loggers:
    """All loggers of a run. A context manager that closes them.

    Args:
        makers: what makes each, by name.
        say: prints a line for the user.
    """

    def __init__(self, makers: Mapping[str, MakeLogger], begun: Begun, say: Callable[[str], None]) -> None:
        self.say = say
        self.following: dict[str, Logger] = {}
        for name, make in makers.items():
            self.attempt(name, lambda name=name, make=make: self.following.update({name: make(begun)}))  # type: ignore[misc]

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, *_: object) -> None:
        for name, logger in self.each():
            self.attempt(name, logger.close)

    def log(self, line: Line) -> None:
        for name, logger in self.each():
            self.attempt(name, lambda logger=logger: logger.log(line))  # type: ignore[misc]

    def scored(self, score: Scored) -> None:
        for name, logger in self.each():
            self.attempt(name, lambda logger=logger: logger.scored(score))  # type: ignore[misc]

    def each(self) -> Iterable[tuple[str, Logger]]:
        return list(self.following.items())

    def attempt(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            self.following.pop(name, None)
            line = (str(error) or type(error).__name__).strip().splitlines()[-1]
            self.say(f"logger {name}: failed ({line}); the run goes on without it")


def flat(line: Mapping[str, object]) -> dict[str, object]:
    """``{"parts": {"box": 1}}`` as ``{"parts/box": 1}``."""
    values: dict[str, object] = {}
    for key, value in line.items():
        values |= {f"{key}/{name}": item for name, item in value.items()} if isinstance(value, Mapping) else {key: value}
    return values
