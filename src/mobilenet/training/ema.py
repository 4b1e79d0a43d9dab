"""The exponential moving average of a network: the weights that are evaluated and kept, smoother than the trained ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Averaging:
    """How the average moves.

    Attributes:
        decay: share of the old average that stays at each update.
        every: steps from one update to the next.
        ramp: keep no more than (1 + n) / (10 + n) at update n, counted from 0, as TensorFlow does, so that the random start is
            forgotten soon.
    """

    decay: float = 0.9999
    every: int = 1
    ramp: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1 or self.every < 1:
            raise ValueError(f"averaging: decay {self.decay} must be from 0 to below 1, every {self.every} at least 1")

    def share(self, update: int) -> float:
        """What update number `update`, from 0, keeps of the average."""
        return min(self.decay, (1 + update) / (10 + update)) if self.ramp else self.decay


class Average(Generic[M]):
    """The average of a network that is being trained, whose tensors must from now on change in place.

    Attributes:
        net: a copy whose parameters and running statistics are the average.
    """

    def __init__(self, net: M, averaging: Averaging) -> None:
        self.averaging = averaging
        self.net: M = copy.deepcopy(net).requires_grad_(False).eval()
        mine, theirs = self.net.state_dict(), net.state_dict()
        names = [name for name, value in mine.items() if value.is_floating_point()]
        self.mine, self.theirs = [mine[name] for name in names], [theirs[name] for name in names]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the present weights in after `step` steps, if it is their turn."""
        if step % self.averaging.every:
            return
        keep = self.averaging.share(step // self.averaging.every - 1)
        torch._foreach_lerp_(self.mine, self.theirs, 1 - keep)
