"""Figure 5: accuracy against cost for widths and resolutions, published and trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v2
from ..studies.comparison import Sample
from ..studies.grid import SIDES, SIZES, WIDTHS
from .checkpoints import V2, V2_SOURCE
from .colors import SERIES
from .section import Figure, Material, Prose, Section, Table, Verdict
from .trained import log_scale, record_runs, row_names, samples, setting, table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TITLE = "Width and resolution against cost"
SOURCE = "MobileNetV2, section 6.1, Figure 5"
CLAIM = (
    "The width and the resolution make a family of networks from 11 to 582 million MAdds; accuracy rises with cost along one "
    "curve, whichever of the two is changed."
)
VARIANTS = tuple(SIZES.values())
NAMES = {variant.name: f"width {width} at {side} px" for (width, side), variant in SIZES.items()}

Points = Mapping[str, Sequence[tuple[float, float, float]]]
"""By width: (millions of MAdds, top-1 in percent, standard deviation over seeds)."""


def record(material: Material) -> None:
    record_runs(material, VARIANTS)


def published() -> Points:
    """The published checkpoints, with our count of their MAdds."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    for each in V2:
        madds = cost(mobilenet_v2(each.width, each.resolution)).madds
        points.setdefault(f"{each.width:g}", []).append((madds / 1e6, each.top1, 0.0))
    return points


def own(found: Sequence[Sample]) -> Points:
    by_name = {each.variant.name: each for each in found}
    points: dict[str, list[tuple[float, float, float]]] = {}
    for (width, _), variant in SIZES.items():
        if variant.name in by_name:
            each = by_name[variant.name]
            points.setdefault(f"{float(width):g}", []).append((each.madds / 1e6, each.mean, each.deviation))
    return points


def make(material: Material) -> Section:
    found = samples(material, VARIANTS)
    theirs, ours, whole = published(), own(found), len(found) == len(VARIANTS)

    def draw(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2) if whole else (canvas.subplots(), None)
        draw_curves(left, theirs, "top-1 on ImageNet, %")
        if right is not None:
            draw_curves(right, ours, "top-1 on Imagenette, %")

    costs = [x for line in theirs.values() for x, *_ in line]
    words = (
        f"{'Left: a' if whole else 'A'} curve for each width through its resolutions, for the {len(V2)} published networks "
        f"from {min(costs):.0f} to {max(costs):.0f} million MAdds; all lie close to one rising curve."
    )
    words += " Right: the same for the networks trained here, with a standard deviation over the seeds." if whole else ""
    figure = Figure("figure-5", "Accuracy against cost", words, draw, width=7.0 if whole else 6.0, height=3.8)
    prose = Prose(
        f"Published accuracies come from {V2_SOURCE}; MAdds are our own counts. " + (setting(found, material) if whole else "")
    )
    parts: list[Prose | Figure | Table] = [prose, figure]
    if whole:
        parts.append(table_of(f"Widths {', '.join(WIDTHS)} at {', '.join(SIDES)} pixels", found, NAMES))
    return Section(
        "figure-5", TITLE, SOURCE, CLAIM, tuple(parts), verdict(theirs, ours if whole else {}), row_names(material, VARIANTS)
    )


def one_curve(points: Points) -> tuple[float, float]:
    """R^2 of one parabola of top-1 over the logarithm of MAdds, and the mean distance of widths from it, in points."""
    x = np.log2([each[0] for line in points.values() for each in line])
    y = np.array([each[1] for line in points.values() for each in line])
    residuals = y - np.polyval(np.polyfit(x, y, 2), x)
    return float(1 - (residuals**2).sum() / ((y - y.mean()) ** 2).sum()), float(np.abs(residuals).mean())


def verdict(theirs: Points, ours: Points) -> Verdict:
    r2, distance = one_curve(theirs)
    words = (
        f"One parabola over the logarithm of the cost explains {r2 * 100:.1f} % of the published accuracies, {distance:.1f} "
        "points off on average."
    )
    if not ours:
        return Verdict(
            "open" if r2 < 0.95 else "holds",
            f"{words} Our own trainings are not all recorded yet; `mobilenet paper figure-5 --data IMAGENETTE --out "
            f"out/paper` runs them.",
        )
    own_r2, own_distance = one_curve(ours)
    words += f" Of those trained here it explains {own_r2 * 100:.1f} %, {own_distance:.1f} points off."
    return Verdict("holds" if min(r2, own_r2) > 0.95 else "holds in part" if r2 > 0.95 else "does not hold", words)


def draw_curves(axes: Axes, points: Points, unit: str) -> None:
    for (width, line), color in zip(sorted(points.items(), key=lambda item: float(item[0])), SERIES, strict=False):
        x, y, spread = zip(*sorted(line), strict=True)
        axes.errorbar(x, y, yerr=spread if any(spread) else None, fmt="o-", color=color, markersize=4, capsize=2, linewidth=1.2,
                      label=f"width {width}")  # fmt: skip
    log_scale(axes)
    axes.set_xlabel("MAdds, millions")
    axes.set_ylabel(unit)
    axes.legend(loc="lower right")
