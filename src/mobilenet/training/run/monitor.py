"""What is watched from step to step: losses, which must be finite; pictures per second; whether anyone asked to stop."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor

from .checkpoint import TrainingError
from .distributed import gather


@dataclass
class StepLosses:
    """The losses of one step: this process's `mine`, and `all`, the mean over all processes, with the share of processes
    that were asked to stop behind them. On a GPU they may still be under way."""

    number: int
    names: list[str]
    indices: Tensor
    mine: Tensor
    all: Tensor

    @classmethod
    def shared(
        cls, fabric: Fabric, number: int, names: list[str], losses: list[Tensor], indices: list[Tensor], asked: bool
    ) -> StepLosses:
        """From the losses of each part of the batch, (names,) each. All processes must come here together."""
        mine = torch.stack(losses).mean(0)
        everyone = torch.cat([mine, torch.full_like(mine[:1], float(asked))])
        if fabric.world_size > 1:
            everyone = fabric.all_reduce(everyone, reduce_op="mean")  # type: ignore[assignment]
        return cls(number, names, torch.cat(indices), mine, everyone)


@dataclass
class LossWindow:
    """Losses since the last line of the log: names, sums, steps. It is part of a checkpoint."""

    names: list[str] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    steps: int = 0

    def examine(self, fabric: Fabric, step: StepLosses) -> bool:
        """Takes a step's losses in; whether some process was asked to stop. TrainingError where a loss is not finite."""
        *losses, asked = step.all.tolist()
        if not all(map(math.isfinite, losses)):
            raise TrainingError(not_finite(fabric, step))
        self.names = step.names
        self.sums = [a + b for a, b in zip(self.sums or [0.0] * len(losses), losses, strict=True)]
        self.steps += 1
        return bool(asked > 0)

    def taken(self) -> dict[str, float]:
        """The means, by name; the window is empty afterwards."""
        means = {name: total / self.steps for name, total in zip(self.names, self.sums, strict=True)}
        self.sums, self.steps = [], 0
        return means


def not_finite(fabric: Fabric, step: StepLosses) -> str:
    """Parts and pictures of the first process whose loss is not finite; all processes must come here together."""
    mine = (dict(zip(step.names, step.mine.tolist(), strict=True)), step.indices.tolist())
    bad = [(rank, *each) for rank, each in enumerate(gather(fabric, mine)) if not all(map(math.isfinite, each[0].values()))]
    rank, parts, indices = bad[0] if bad else (0, *mine)
    listed = ", ".join(f"{name} {value:.6g}" for name, value in parts.items())
    process = f" on process {rank}" if fabric.world_size > 1 else ""
    return f"step {step.number}{process}: a loss is not finite ({listed}), for the pictures with index {indices}"


@dataclass
class Throughput:
    """Pictures and seconds, and those of them spent waiting for data, since the last line of the log."""

    start: float = field(default_factory=time.perf_counter)
    pictures: int = 0
    waited: float = 0.0

    def taken(self) -> dict[str, float]:
        """Pictures per second and the share of time; counting begins anew."""
        seconds = time.perf_counter() - self.start
        rates = {"images_per_second": round(self.pictures / seconds, 1), "data_share": round(self.waited / seconds, 4)}
        self.start, self.pictures, self.waited = time.perf_counter(), 0, 0.0
        return rates
