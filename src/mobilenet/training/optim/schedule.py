"""Learning-rate schedules: functions from a position in the run to a factor of the recipe's learning rate.

A schedule is called with the position `t` and the length `epochs` of its part of the run, both in epochs. Steps are converted
to epochs in one place, `factor`.
"""

from __future__ import annotations

import math

from ...settings import Rules, Settings


class Constant(Settings):
    """Always 1."""

    def __call__(self, t: float, epochs: float) -> float:
        return 1.0


class Exponential(Settings):
    """rate ** (t / every): TensorFlow's exponential decay; `staircase` rounds t / every down to an integer."""

    rate: float = 0.98
    every: float = 1.0
    staircase: bool = True

    def rules(self) -> Rules:
        yield "rate", 0 < self.rate <= 1, "above 0 and at most 1"
        yield "every", self.every > 0, "a number of epochs above 0"

    def __call__(self, t: float, epochs: float) -> float:
        # The step that starts an epoch must not fall before it because t is rounded.
        power = math.floor(t / self.every + 1e-9) if self.staircase else t / self.every
        return float(self.rate**power)


class Steps(Settings):
    """gamma to the power of the number of milestones reached; milestones are shares of the run, 0 to 1."""

    milestones: tuple[float, ...] = (0.6, 0.85)
    gamma: float = 0.1

    def rules(self) -> Rules:
        yield "milestones", all(0 < m < 1 for m in self.milestones), "shares of the run between 0 and 1"
        yield "gamma", 0 < self.gamma <= 1, "above 0 and at most 1"

    def __call__(self, t: float, epochs: float) -> float:
        return float(self.gamma ** sum(t >= milestone * epochs - 1e-9 for milestone in self.milestones))


class Cosine(Settings):
    """Half a cosine from 1 down to `final`."""

    final: float = 0.0

    def rules(self) -> Rules:
        yield "final", 0 <= self.final <= 1, "0 to 1"

    def __call__(self, t: float, epochs: float) -> float:
        return eased(1.0, self.final, t / epochs)


class Poly(Settings):
    """(1 - t / epochs) ** power, from 1 down to `final`: TensorFlow's polynomial decay, DeepLab's schedule."""

    power: float = 0.9
    final: float = 0.0

    def rules(self) -> Rules:
        yield "power", self.power > 0, "above 0; 1 is a straight line"
        yield "final", 0 <= self.final <= 1, "0 to 1"

    def __call__(self, t: float, epochs: float) -> float:
        return float((1 - self.final) * (1 - min(t / epochs, 1.0)) ** self.power + self.final)


class OneCycle(Settings):
    """Half a cosine from `start` up to 1 during the share `rise` of the run, then another down to `final`."""

    rise: float = 0.3
    start: float = 0.04
    final: float = 0.000004

    def rules(self) -> Rules:
        yield "rise", 0 < self.rise < 1, "a share between 0 and 1"
        yield "start", 0 <= self.start <= 1, "0 to 1"
        yield "final", 0 <= self.final <= 1, "0 to 1"

    def __call__(self, t: float, epochs: float) -> float:
        share = min(t / epochs, 1.0)
        if share < self.rise:
            return eased(self.start, 1.0, share / self.rise)
        return eased(1.0, self.final, (share - self.rise) / (1 - self.rise))


Schedule = Constant | Exponential | Steps | Cosine | Poly | OneCycle


def eased(first: float, last: float, share: float) -> float:
    """From `first` to `last` along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


class Warmup(Settings):
    """The factor rises linearly from `start` to 1 during the first `epochs`; the schedule then covers the rest of the run."""

    epochs: float = 0.0
    start: float = 0.01

    def rules(self) -> Rules:
        yield "epochs", self.epochs >= 0, "at least 0"
        yield "start", 0 <= self.start <= 1, "0 to 1"


def factor(schedule: Schedule, warmup: Warmup, step: int, epoch_steps: int, epochs: float) -> float:
    """The factor of the learning rate for step number `step`, counted from 0."""
    t = step / epoch_steps
    if t < warmup.epochs:
        return warmup.start + (1 - warmup.start) * t / warmup.epochs
    return schedule(t - warmup.epochs, epochs - warmup.epochs)
