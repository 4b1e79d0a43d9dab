"""What is watched from step to step: losses, which must stay finite, requests to stop, and the speed."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor

from .checkpoint import TrainingError
from .distributed import gather


@dataclass
class StepLosses:
    """The losses of one step. On a GPU they may still be being computed.

    Attributes:
        local: (losses,) of this process.
        mean: (losses + 1,): their mean over all processes, and last the share of processes that were asked to stop.
        indices: of the images that this process trained on.
    """

    number: int
    names: list[str]
    indices: Tensor
    local: Tensor
    mean: Tensor

    @classmethod
    def reduced(
        cls, fabric: Fabric, number: int, names: list[str], losses: list[Tensor], indices: list[Tensor], stop: bool
    ) -> StepLosses:
        """From the losses of each part of the batch, (names,) each. Collective: every process must call it."""
        local = torch.stack(losses).mean(0)
        mean = torch.cat([local, torch.full_like(local[:1], float(stop))])
        if fabric.world_size > 1:
            mean = fabric.all_reduce(mean, reduce_op="mean")  # type: ignore[assignment]
        return cls(number, names, torch.cat(indices), local, mean)


@dataclass
class LossWindow:
    """The losses since the last line of the log. Names, sums and number of steps are part of a checkpoint.

    Attributes:
        pending: steps whose losses have not been looked at yet; never part of a checkpoint, see `drain`.
    """

    names: list[str] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    steps: int = 0
    pending: deque[StepLosses] = field(default_factory=deque)

    def add(self, fabric: Fabric, step: StepLosses) -> bool:
        """Adds a step's losses; True if some process was asked to stop.

        On a GPU the losses are examined one step later, since looking at them would wait for the GPU.
        """
        self.pending.append(step)
        if fabric.device.type == "cpu":
            return self.drain(fabric)
        return len(self.pending) > 1 and self.examine(fabric, self.pending.popleft())

    def drain(self, fabric: Fabric) -> bool:
        """Examines all pending losses; True if some process was asked to stop. Comes before every checkpoint."""
        stops = [self.examine(fabric, self.pending.popleft()) for _ in range(len(self.pending))]
        return any(stops)

    def examine(self, fabric: Fabric, step: StepLosses) -> bool:
        """Sums up a step's losses; True if some process was asked to stop. Raises TrainingError if a loss is not finite."""
        *losses, stop = step.mean.tolist()
        if not all(map(math.isfinite, losses)):
            raise TrainingError(not_finite(fabric, step))
        self.names = step.names
        self.sums = [a + b for a, b in zip(self.sums or [0.0] * len(losses), losses, strict=True)]
        self.steps += 1
        return bool(stop > 0)

    def take_means(self) -> dict[str, float]:
        """The means by name; empties the window."""
        means = {name: total / self.steps for name, total in zip(self.names, self.sums, strict=True)}
        self.sums, self.steps = [], 0
        return means


def not_finite(fabric: Fabric, step: StepLosses) -> str:
    """The losses and images of the first process whose loss is not finite. Collective: every process must call it."""
    local = (dict(zip(step.names, step.local.tolist(), strict=True)), step.indices.tolist())
    bad = [(rank, *each) for rank, each in enumerate(gather(fabric, local)) if not all(map(math.isfinite, each[0].values()))]
    rank, losses, indices = bad[0] if bad else (0, *local)
    listed = ", ".join(f"{name} {value:.6g}" for name, value in losses.items())
    process = f" on process {rank}" if fabric.world_size > 1 else ""
    return f"step {step.number}{process}: a loss is not finite ({listed}), for the images with index {indices}"


@dataclass
class Throughput:
    """Images, seconds, and seconds spent waiting for data, since the last line of the log.

    Attributes:
        total_waited: the loader's own count, which runs over the whole epoch.
    """

    start: float = field(default_factory=time.perf_counter)
    images: int = 0
    waited: float = 0.0
    total_waited: float = 0.0

    def add(self, images: int, total_waited: float) -> None:
        self.images += images
        self.waited += total_waited - self.total_waited
        self.total_waited = total_waited

    def take_rates(self) -> tuple[float, float]:
        """Images per second, and the share of the time spent waiting for data; starts counting again."""
        seconds = time.perf_counter() - self.start
        rates = round(self.images / seconds, 1), round(self.waited / seconds, 4)
        self.start, self.images, self.waited = time.perf_counter(), 0, 0.0
        return rates
