"""Charts as SVG inside a page. They take their colors from the page, light or dark, and cost a millisecond each.

Files of charts for other uses are drawn by `charts`, which needs matplotlib; a page needs no extra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .markup import text

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 10, 40
NUM_COLORS = 6
MAX_POINTS = 240  # of a line; neighbors of a longer one are averaged
MAX_DOTS = 40  # points; a line of few is drawn with a dot at each, so that one point alone is seen


class Line(NamedTuple):
    """Points of a chart, joined. `color` 0 to `NUM_COLORS` - 1; a `thin` line stands behind and has no place in the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int = 0
    thin: bool = False


class Bars(NamedTuple):
    """Bars from 0 to their heights: (from, to, height) and what each says when the mouse is on it."""

    name: str
    bars: Sequence[tuple[float, float, float]]
    titles: Sequence[str]
    color: int = 0


class Axis(NamedTuple):
    """From `low` to `high`, with its name."""

    name: str
    low: float
    high: float

    def at(self, value: float) -> float:
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


UNIT = (0.0, 1.0)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten, `most` + 1 at most."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def span(values: Sequence[float], low: float | None = None) -> tuple[float, float]:
    """Limits of an axis that shows all values; `low` is its lower end if no value is below. One value stands in the middle, or
    at the lower end if it is `low`."""
    smallest, largest = min(values), max(values)
    if low is not None and low <= smallest:
        smallest = low
    if smallest == largest:
        room = abs(largest) / 2 or 1.0
        return smallest - (0 if smallest == low else room), largest + room
    room = (largest - smallest) * 0.06
    return smallest - (0 if smallest == low else room), largest + room


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS` points: each the mean of neighbors, but the first and last."""
    if len(points) <= MAX_POINTS:
        return list(points)
    inner, count = points[1:-1], MAX_POINTS - 2
    groups = [inner[i * len(inner) // count : (i + 1) * len(inner) // count] for i in range(count)]
    means = [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
    return [points[0], *means, points[-1]]


def chart(title: str, x: Axis, y: Axis, content: Sequence[Line | Bars], diagonal: bool = False, words: str = "") -> str:
    """A chart with its title and legend.

    Args:
        diagonal: whether a dashed line joins the lower left with the upper right corner.
        words: what the chart shows, for those who cannot see it; by default its title.
    """
    pieces = list[str]()
    for value in ticks(x.low, x.high):
        at = LEFT + x.at(value) * (WIDTH - LEFT - RIGHT)
        pieces.append(f"<path class='axis' d='M{at:.1f} {TOP}V{HEIGHT - BOTTOM}'/>")
        pieces.append(f"<text x='{at:.1f}' y='{HEIGHT - BOTTOM + 15}' text-anchor='middle'>{label(value)}</text>")
    for value in ticks(y.low, y.high):
        at = HEIGHT - BOTTOM - y.at(value) * (HEIGHT - TOP - BOTTOM)
        pieces.append(f"<path class='axis' d='M{LEFT} {at:.1f}H{WIDTH - RIGHT}'/>")
        pieces.append(f"<text x='{LEFT - 5}' y='{at + 4:.1f}' text-anchor='end'>{label(value)}</text>")
    pieces.append(f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 6}' text-anchor='middle'>{text(x.name)}</text>")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    pieces.append(f"<text x='11' y='{middle}' text-anchor='middle' transform='rotate(-90 11 {middle})'>{text(y.name)}</text>")
    if diagonal:
        pieces.append(f"<path class='curve dash' d='M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}'/>")
    for each in content:
        pieces += bars(each, x, y) if isinstance(each, Bars) else line(each, x, y)
    alt = text(words or title)
    svg = f"<svg class='chart' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{alt}'>{''.join(pieces)}</svg>"
    return f"<figure><h3>{text(title)}</h3>{svg}{legend(content)}</figure>"


def place(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[float, float]:
    """Where a point stands in the SVG."""
    across, up = x.at(point[0]), y.at(point[1])
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def line(each: Line, x: Axis, y: Axis) -> list[str]:
    values = thinned([point for point in each.points if all(map(math.isfinite, point))])
    points = [place(x, y, point) for point in values]
    thin, color = " thin" if each.thin else "", f"s{each.color % NUM_COLORS}"
    path = "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
    pieces = [f"<path class='curve {color}{thin}' d='{path}'><title>{text(each.name)}</title></path>"] if points else []
    if len(points) <= MAX_DOTS and not each.thin:
        for (across, down), (at, value) in zip(points, values, strict=True):
            words = f"{each.name}: {value:.4g} at {at:.4g}"
            pieces.append(
                f"<circle class='dot {color}' cx='{across:.1f}' cy='{down:.1f}' r='3'><title>{text(words)}</title></circle>"
            )
    return pieces


def bars(each: Bars, x: Axis, y: Axis) -> list[str]:
    pieces = list[str]()
    for (left, right, height), title in zip(each.bars, each.titles, strict=True):
        (x0, top), (x1, bottom) = place(x, y, (left, height)), place(x, y, (right, 0))
        shape = f"x='{x0 + 0.5:.1f}' y='{top:.1f}' width='{x1 - x0 - 1:.1f}' height='{max(bottom - top, 0.5):.1f}'"
        pieces.append(f"<rect class='bar s{each.color % NUM_COLORS}' {shape}><title>{text(title)}</title></rect>")
    return pieces


def legend(content: Sequence[Line | Bars]) -> str:
    named = [each for each in content if isinstance(each, Bars) or not each.thin]
    items = "".join(f"<li><i class='s{each.color % NUM_COLORS}'></i>{text(each.name)}</li>" for each in named)
    return f"<ul class='legend'>{items}</ul>" if items else ""


def label(value: float) -> str:
    """A number at an axis, short: 0.001, 50, 12k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}"
