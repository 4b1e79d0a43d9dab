"""The best score of a run so far: which model file stands for the run, and when it has stopped getting better."""

from __future__ import annotations

from dataclasses import dataclass

from ...network.layers import Task

METRICS: dict[Task, str] = {"classification": "top1", "detection": "mAP", "segmentation": "mIoU"}
"""The metric that decides, for each task."""


@dataclass(frozen=True)
class Best:
    """The best score so far.

    Attributes:
        step: number of steps done before it. Of equal scores the later one is the best: it has seen more.
        value: the task's metric; -1 if there was nothing to measure.
        since: number of steps done when this value was first reached.
    """

    step: int
    value: float
    since: int

    @staticmethod
    def after(best: Best | None, step: int, value: float | None) -> Best:
        """The best score when `value` at `step` has come after `best`."""
        value = -1.0 if value is None else value
        if best is None or value > best.value:
            return Best(step, value, step)
        return Best(step, value, best.since) if value == best.value else best
