"""The exponential moving average of a network's weights, which is scored and stored instead of the last weights."""

from __future__ import annotations

import copy
from typing import Generic, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from ...settings import Rules, Settings

M = TypeVar("M", bound=nn.Module)


class AverageState(TypedDict):
    """What a checkpoint keeps of an average."""

    net: dict[str, Tensor]
    initial: list[Tensor]


class Averaging(Settings):
    """How the average moves.

    Attributes:
        decay: share of the old average in the new one, at each update.
        every: number of steps between updates.
        ramp: limit that share to (1 + n) / (2 + power + n) at update n, counted from 0, so that the initial weights lose their
            influence soon.
        power: of the ramp. Update n then counts in proportion to its power n ** power (arXiv 1212.1824): 8 is TensorFlow's,
            the mean of the last ninth of the run; 1 is that of about half of it, and 0 of all.
        start: constant share of the weights before the first step in the result. It keeps what a trained network knows and a
            short training on few images would make it forget (WiSE-FT, arXiv 2109.01903).
    """

    decay: float = 0.9999
    every: int = 1
    ramp: bool = True
    start: float = 0.0
    power: float = 8.0

    def rules(self) -> Rules:
        yield "decay", 0 <= self.decay < 1, "0 to below 1"
        yield "every", self.every >= 1, "at least 1"
        yield "start", 0 <= self.start < 1, "0 to below 1"
        yield "power", self.power >= 0, "at least 0"
        yield "power", self.ramp or self.power == 8, "absent without ramp"

    def share(self, update: int) -> float:
        """The share of the old average in update number `update`, counted from 0."""
        return min(self.decay, (1 + update) / (2 + self.power + update)) if self.ramp else self.decay


class WeightAverage(Generic[M]):
    """The average of a network during training. The network's tensors must only change in place from now on.

    Attributes:
        net: a copy whose parameters and running statistics are the average.
    """

    def __init__(self, net: M, averaging: Averaging) -> None:
        self.averaging = averaging
        self.net: M = copy.deepcopy(net).requires_grad_(False).eval()
        averages, weights = self.net.state_dict(), net.state_dict()
        names = [name for name, value in averages.items() if value.is_floating_point()]
        self.averages, self.weights = [averages[name] for name in names], [weights[name] for name in names]
        self.initial = [value.clone() for value in self.averages] if averaging.start else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Includes the current weights after `step` steps, if an update is due."""
        if step % self.averaging.every:
            return
        share = self.averaging.share(step // self.averaging.every - 1)
        current = torch._foreach_lerp(self.weights, self.initial, self.averaging.start) if self.initial else self.weights
        torch._foreach_lerp_(self.averages, current, 1 - share)

    def state_dict(self) -> AverageState:
        return {"net": self.net.state_dict(), "initial": self.initial}

    def load_state_dict(self, state: AverageState) -> None:
        self.net.load_state_dict(state["net"])
        for initial, saved in zip(self.initial, state["initial"], strict=True):
            initial.copy_(saved)
