"""The reading's remark that accuracy is linear in the logarithm of computation, fitted over the published checkpoints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from .checkpoints import V1, V1_SOURCE, V2, V2_SOURCE, Checkpoint
from .colors import QUIET, SERIES
from .section import Cell, Figure, Material, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

BELOW = 60e6  # MAdds that part the small networks from the large ones


class Point(NamedTuple):
    """A published network: its multiply-adds by our ledger, its accuracy by its publisher."""

    checkpoint: Checkpoint
    madds: int

    @property
    def x(self) -> float:
        return math.log2(self.madds)


class Fit(NamedTuple):
    """top-1 = intercept + slope * log2(MAdds), by least squares.

    Attributes:
        residuals: of each point, in percent points.
        bend: percent points by which the slope changes with every doubling, of a parabola through the same points.
    """

    slope: float
    intercept: float
    r2: float
    residuals: list[float]
    bend: float

    def at(self, madds: float) -> float:
        return self.intercept + self.slope * math.log2(madds)


def fitted(points: list[Point]) -> Fit:
    x, y = np.array([point.x for point in points]), np.array([point.checkpoint.top1 for point in points])
    slope, intercept = (float(value) for value in np.polyfit(x, y, 1))
    residuals = y - (intercept + slope * x)
    r2 = 1 - float((residuals**2).sum() / ((y - y.mean()) ** 2).sum())
    return Fit(slope, intercept, r2, [float(value) for value in residuals], 2 * float(np.polyfit(x, y, 2)[0]))


def points_of(version: int) -> list[Point]:
    build, rows = ((mobilenet_v1, V1), (mobilenet_v2, V2))[version - 1]
    return [Point(row, cost(build(row.width, row.resolution)).madds) for row in rows]


def make(material: Material) -> Section:
    families = {"MobileNetV1": points_of(1), "MobileNetV2": points_of(2)}
    fits = {name: fitted(points) for name, points in families.items()}
    first, second = fits.values()
    figure = Figure(
        "log-linear",
        "Accuracy and the logarithm of work",
        "Above, the published checkpoints of both families with a straight line through each; below, how far each lies from "
        "its line.",
        lambda canvas: draw(canvas, families, fits),
        5.6,
        5.0,
    )
    bent = all(fit.bend < 0 for fit in fits.values())
    bend = (
        "The residuals bend the same way in both families: large networks gain less from a doubling than small ones."
        if bent
        else "The residuals do not bend the same way in both families."
    )
    points = families["MobileNetV2"]
    return Section(
        "log-linear",
        "Accuracy is linear in the logarithm of work, nearly",
        "MobileNetV1, section 4.3, Figure 4",
        "The relation between accuracy and the logarithm of computation is log-linear.",
        (explained(points, second, bent), figure, lines(families, fits), distances(points, second)),
        Verdict(
            "holds in part" if bent else "holds",
            f"R² is {first.r2:.3f} for MobileNetV1 and {second.r2:.3f} for MobileNetV2, so a line is a good rule of thumb. "
            f"{bend}",
        ),
        (f"accuracies: {V1_SOURCE}; {V2_SOURCE}",),
    )


def halves(points: list[Point]) -> tuple[Fit, Fit]:
    """Lines through the networks below `BELOW` and through those above."""
    small, large = (fitted([point for point in points if (point.madds < BELOW) == below]) for below in (True, False))
    return small, large


def explained(points: list[Point], fit: Fit, bent: bool) -> Prose:
    small, large = halves(points)
    bend = (
        "They do not: in the middle they are above zero, at both ends below, in both families. The curve bends. Each doubling "
        f"buys {abs(fit.bend):.1f} points less than the one before it: {small.slope:.1f} points among the networks below "
        f"{BELOW / 1e6:.0f} million, {large.slope:.1f} among those above."
    )
    return Prose(
        f"""The claim is easy to remember: every doubling of the work buys the same number of points. Over the {len(points)}
        published checkpoints of MobileNetV2 a straight line explains {100 * fit.r2:.1f} % of the spread, with {fit.slope:.1f}
        points for each doubling.

        The residuals tell more than R² does. If the law were exact they would scatter. {bend if bent else ""}"""
    )


def lines(families: dict[str, list[Point]], fits: dict[str, Fit]) -> Table:
    rows = list[tuple[Cell, ...]]()
    for name, points in families.items():
        fit, parts = fits[name], halves(points)
        slopes = [f"{each.slope:.2f}" for each in (fit, *parts)]
        rms = math.sqrt(sum(residual**2 for residual in fit.residuals) / len(points))
        rows.append((name, len(points), fit.r2, *slopes, f"{rms:.2f}", f"{max(map(abs, fit.residuals)):.2f}"))
    spread = ("residual, rms", "largest")
    part = f"{BELOW / 1e6:.0f}M"
    names = ("family", "networks", "R²", "points per doubling", f"below {part}", f"above {part}", *spread)
    words = "Slopes and residuals in points of ImageNet top-1; x is the logarithm of our exact MAdds."
    return Table("Straight lines through published checkpoints", names, tuple(rows), words)


def distances(points: list[Point], fit: Fit) -> Table:
    rows = []
    for point, residual in sorted(zip(points, fit.residuals, strict=True), key=lambda pair: pair[0].madds):
        row = point.checkpoint
        numbers = (f"{row.top1:.1f}", f"{fit.at(point.madds):.1f}", f"{residual:+.1f}")
        rows.append((f"{row.width:g} at {row.resolution}", point.madds, *numbers))
    return Table(
        "MobileNetV2: each checkpoint and its distance from the line",
        ("width and resolution", "MAdds", "top-1, %", "the line, %", "residual"),
        tuple(rows),
        f"Source of the accuracies: {V2_SOURCE}.",
    )


def draw(canvas: Canvas, families: dict[str, list[Point]], fits: dict[str, Fit]) -> None:
    above, below = canvas.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for (name, points), color in zip(families.items(), (SERIES[1], SERIES[0]), strict=True):
        x, fit = [point.madds / 1e6 for point in points], fits[name]
        above.plot(x, [point.checkpoint.top1 for point in points], "o", color=color, markersize=4, label=name)
        ends = [min(x), max(x)]
        above.plot(ends, [fit.at(each * 1e6) for each in ends], color=color, linewidth=1)
        below.plot(x, fit.residuals, "o", color=color, markersize=4)
    below.axhline(0, color=QUIET, linewidth=1)
    above.set_xscale("log")
    below.set_xticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    below.minorticks_off()
    below.set_xlabel("MAdds, millions, logarithmic")
    above.set_ylabel("ImageNet top-1, %")
    below.set_ylabel("residual, points")
    above.legend(loc="lower right")
