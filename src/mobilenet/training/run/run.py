"""What lives from the first step of a run to its last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ... import nn
from ...convert.checkpoints import HEADER
from ...errors import UsageError
from ..input import Dataset
from ..objectives import Objective
from ..optim.ema import WeightAverage
from ..recipes.recipe import Recipe
from ..teacher import TeacherNetwork
from . import checkpoint
from .best import Best
from .distributed import Interruptions
from .log import Line, Progress, RunLog
from .loggers import Loggers
from .monitor import LossWindow
from .scoring import Evaluation


@dataclass
class Run:
    """A run between two steps.

    Attributes:
        model, stepper: `net` and `optimizer` as Lightning Fabric wraps them: precision, gradients averaged over processes.
        epoch_steps, steps: of an epoch and of the whole run.
        step: number of steps done.
        scored: number of steps done when the network was last scored; -1 if not even the initial weights are.
        losses: since the last line of the log.
        best: the best score so far; None before the first.
        header: what a model file of the run says beside its tensors; None for integers.
        scored_net: what was scored last: the result, in integers if the recipe says so.
        evaluation: its score, until the next step.
    """

    fabric: Fabric
    interruptions: Interruptions
    progress: Progress
    recipe: Recipe
    out: Path
    training: Dataset
    validation: Dataset
    objective: Objective[Any]
    net: nn.TorchNetwork
    optimizer: torch.optim.Optimizer
    average: WeightAverage[nn.TorchNetwork] | None
    teacher: TeacherNetwork | None
    model: Any
    stepper: Any
    step: int = 0
    scored: int = 0
    best: Best | None = None
    header: dict[str, str] | None = None
    losses: LossWindow = field(default_factory=LossWindow)
    log: RunLog = field(init=False)
    loggers: Loggers | None = field(init=False, default=None)
    scored_net: nn.TorchNetwork = field(init=False)
    evaluation: Evaluation | None = field(init=False, default=None)

    @property
    def epoch_steps(self) -> int:
        return len(self.training) // self.recipe.batch

    @property
    def steps(self) -> int:
        return self.epoch_steps * self.recipe.epochs

    @property
    def is_over(self) -> bool:
        """All steps are done, or the scores have stopped getting better."""
        patience = self.recipe.patience
        if self.step >= self.steps or patience is None or self.best is None or self.scored != self.step:
            return self.step >= self.steps
        return self.step - self.best.since >= patience * self.epoch_steps

    @property
    def score_is_due(self) -> bool:
        return self.step > self.scored and self.step % (self.epoch_steps * self.recipe.score_epochs) == 0

    @property
    def result_net(self) -> nn.TorchNetwork:
        """The network that is scored and written to the model file, before it becomes integers."""
        return self.net if self.average is None else self.average.net

    def restore(self, state: checkpoint.State) -> None:
        """Continues from a checkpoint's state."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            assert state["average"] is not None  # the recipe is the same
            self.average.load_state_dict(state["average"])
        epoch_steps = state.get("epoch_steps", self.epoch_steps)  # older checkpoints lack it
        if epoch_steps != self.epoch_steps:
            raise UsageError(
                f"--resume: the run began with {epoch_steps} steps in an epoch, and these {len(self.training)} images make "
                f"{self.epoch_steps}: a run must end with the data that it began with; put it back, or begin in another folder"
            )
        self.step, self.scored, self.losses = state["step"], state["scored"], LossWindow(*state["window"])
        self.training.failed.update(state["failed"])
        best = state.get("best")  # older checkpoints lack it
        self.best = None if best is None else Best(**best)

    def write(self, line: Line) -> None:
        """A line of the log, and of all that follow the run."""
        self.log.write(line)
        if self.loggers is not None:
            self.loggers.log(line)

    def result(self) -> dict[str, Tensor]:
        """See `checkpoint.State`; empty for integers."""
        if self.header is None:
            return {}
        state, text = self.result_net.state_dict(), json.dumps({"metadata": self.header, "step": self.step})
        tensors = {name: state[name] for name in self.result_net.network.tensors()}
        return {**tensors, HEADER: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)}

    def save(self) -> None:
        """Writes a checkpoint, on the first process."""
        if self.fabric.is_global_zero:
            state: checkpoint.State = {
                "step": self.step,
                "scored": self.scored,
                "net": self.net.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "window": (self.losses.names, self.losses.sums, self.losses.steps),
                "failed": dict(self.training.failed),
                "epoch_steps": self.epoch_steps,
                "result": self.result(),
                "best": None if self.best is None else asdict(self.best),
            }
            checkpoint.save(self.out, state)
