"""Runs of the grid compared: means, spreads, and a paired test seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .grid import Row, Run, Variant, recorded

LEVEL = 0.05
"""The p-value below which a difference counts as shown."""


class Sample(NamedTuple):
    """The scores of one variant by seed, in percent."""

    variant: Variant
    scores: Mapping[int, float]
    curves: Mapping[int, tuple[tuple[float, float], ...]]
    madds: int

    @property
    def mean(self) -> float:
        return sum(self.scores.values()) / len(self.scores)

    @property
    def deviation(self) -> float:
        """Of one run, from the sample; 0 for a single one."""
        return deviation(list(self.scores.values()))


def sample(rows: Sequence[Row], variant: Variant) -> Sample | None:
    """What is recorded of a variant; None if nothing is."""
    found = {seed: recorded(rows, Run(variant, seed)) for seed in range(variant.seeds)}
    known = {seed: row for seed, row in found.items() if row is not None}
    if not known:
        return None
    scores = {seed: 100 * number(row["top1"]) for seed, row in known.items()}
    curves = {seed: tuple((number(x), 100 * number(y)) for x, y in pairs(row["scores"])) for seed, row in known.items()}
    return Sample(variant, scores, curves, int(number(next(iter(known.values()))["madds"])))


def number(value: object) -> float:
    assert isinstance(value, (int, float)), value
    return float(value)


def pairs(value: object) -> list[tuple[object, object]]:
    assert isinstance(value, list), value
    return [(first, second) for first, second in value]


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; 0 of a single value."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1))


class Comparison(NamedTuple):
    """A paired t-test of two variants over the seeds that both have.

    Attributes:
        difference: mean of the first minus the second, in percentage points.
        p: two-sided; None with fewer than two pairs, or if all differences are the same.
        detectable: the least mean difference that would have counted as shown, with this spread and this number of seeds.
    """

    pairs: int
    difference: float
    p: float | None
    detectable: float | None

    @property
    def shown(self) -> bool:
        return self.p is not None and self.p < LEVEL


def paired_test(first: Mapping[int, float], second: Mapping[int, float]) -> Comparison:
    """Whether `first` and `second`, by seed, differ. At least one seed must be in both."""
    differences = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    count, mean = len(differences), sum(differences) / len(differences)
    error = deviation(differences) / math.sqrt(count)
    if count < 2 or error == 0:
        return Comparison(count, mean, None, None)
    return Comparison(count, mean, t_tail(abs(mean) / error, count - 1), t_limit(count - 1) * error)


def t_tail(t: float, freedom: int) -> float:
    """The chance that Student's t of `freedom` degrees lies beyond `t` or -`t` (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, total, term = math.cos(angle), 0.0, 1.0
    if freedom % 2:
        term = cosine
        for k in range(1, freedom - 1, 2):
            total += term
            term *= cosine**2 * (k + 1) / (k + 2)
        inside = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        for k in range(0, freedom - 1, 2):
            total += term
            term *= cosine**2 * (k + 1) / (k + 2)
        inside = math.sin(angle) * total
    return 1 - inside


def t_limit(freedom: int, level: float = LEVEL) -> float:
    """The t beyond which, on both sides, a share `level` lies."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > level else (low, middle)
    return high


class Line(NamedTuple):
    """The straight line y = a + b x of least squares, and its R^2."""

    a: float
    b: float
    r2: float


def fitted(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through two points or more of different x."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    xx = sum((each - mean_x) ** 2 for each in x)
    b = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True)) / xx
    a = mean_y - b * mean_x
    residual = sum((v - a - b * u) ** 2 for u, v in zip(x, y, strict=True))
    total = sum((v - mean_y) ** 2 for v in y)
    return Line(a, b, 1 - residual / total if total else 1.0)
