"""Figure 1: a spiral through a ReLU in more and more dimensions, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..studies.manifold import DIMENSIONS, SEED, spiral, there_and_back
from .colors import INK, QUIET, SERIES
from .section import Figure, Material, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import NDArray

LIMIT = 1.15


def make(material: Material) -> Section:
    ways = [there_and_back(m) for m in DIMENSIONS]
    few, many = ways[:2], ways[-2:]
    table = Table(
        "The spiral after its way",
        ("dimensions m", "points that can be found again, %", "mean distance, of the spiral's radius"),
        tuple((str(way.m), f"{way.kept * 100:.1f}", f"{way.error:.3f}") for way in ways),
        "A point can be found again if two positive rows of the matrix are independent. The distance is taken after the one "
        "scale that fits best, since the ReLU removes about half of the sum.",
    )
    figure = Figure(
        "figure-1",
        "A spiral through a ReLU and back",
        f"Six spirals: the original, and what comes back from {', '.join(map(str, DIMENSIONS[:-1]))} and {DIMENSIONS[-1]} "
        "dimensions, each drawn so that its farthest point is at 1. A color is the same piece of the spiral in all of them.",
        draw_spirals,
        width=6.0,
        height=4.4,
    )
    lost = max(way.kept for way in few) < 0.95
    found = min(way.kept for way in many) == 1
    words = (
        f"In {few[0].m} and {few[1].m} dimensions only {few[0].kept * 100:.0f} and {few[1].kept * 100:.0f} % of the points can "
        f"be found again, whole arms fall onto a line or a point; in {many[0].m} and {many[1].m} it is "
        f"{many[0].kept * 100:.0f} and {many[1].kept * 100:.0f} %."
    )
    return Section(
        "figure-1",
        "What a ReLU keeps of a spiral",
        "MobileNetV2, section 3.2, Figure 1",
        "A ReLU destroys a thin shape that lies in few channels. In many channels the shape survives, though it is bent.",
        (
            Prose(
                "A random matrix of m rows puts a spiral of the plane into m dimensions. A ReLU sets "
                "what is negative to zero. The pseudo-inverse of the matrix brings the result back into the plane. "
                f"The matrices are drawn from a normal distribution with the seed {SEED}."
            ),
            figure,
            table,
        ),
        Verdict("holds" if lost and found else "holds in part" if lost or found else "does not hold", words),
    )


def draw_spirals(canvas: Canvas) -> None:
    shared = canvas.subplots(2, 3, sharex=True, sharey=True)
    draw_spiral(shared[0, 0], spiral(), "the original")
    for axes, m in zip(shared.flat[1:], DIMENSIONS, strict=True):
        points = there_and_back(m).points
        draw_spiral(axes, points / np.hypot(*points.T).max(), f"m = {m}")
    for axes in shared[1]:
        axes.set_xlabel("first coordinate")
    for axes in shared[:, 0]:
        axes.set_ylabel("second coordinate")


def draw_spiral(axes: Axes, points: NDArray[np.float64], title: str) -> None:
    pieces = len(SERIES)
    for piece, color in enumerate(SERIES):
        first, last = len(points) * piece // pieces, len(points) * (piece + 1) // pieces
        axes.plot(*points[first : last + 1].T, color=color, linewidth=1.8)
    axes.set_title(title, color=INK)
    axes.set_aspect("equal")
    axes.set_xlim(-LIMIT, LIMIT)
    axes.set_ylim(-LIMIT, LIMIT)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.tick_params(colors=QUIET)
