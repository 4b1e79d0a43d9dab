"""The exponential moving average of a network: the weights that are evaluated and kept, smoother than the trained ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
        start: share that the weights before the first step have in the result, all the way. What a trained network knows and
            a short training on few pictures would forget stays with it (WiSE-FT, arXiv 2109.01903).
    """

    decay: float = 0.9999
    every: int = 1
    ramp: bool = True
    start: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.decay < 1 and self.every >= 1 and 0 <= self.start < 1):
            raise ValueError(
                f"averaging: decay {self.decay} and start {self.start} must be from 0 to below 1, every {self.every} at least 1"
            )

    def share(self, update: int) -> float:
        """What update number `update`, from 0, keeps of the average."""
        return min(self.decay, (1 + update) / (10 + update)) if self.ramp else self.decay


class WeightAverage(Generic[M]):
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
        self.begun = [value.clone() for value in self.mine] if averaging.start else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the present weights in after `step` steps, if it is their turn."""
        if step % self.averaging.every:
            return
        keep = self.averaging.share(step // self.averaging.every - 1)
        present = torch._foreach_lerp(self.theirs, self.begun, self.averaging.start) if self.begun else self.theirs
        torch._foreach_lerp_(self.mine, present, 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "begun": self.begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        for mine, saved in zip(self.begun, state["begun"], strict=True):
            mine.copy_(saved)
