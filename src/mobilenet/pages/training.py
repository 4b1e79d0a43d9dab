"""What a run's page has before the figures of its latest score: charts of the whole run by epoch, and its recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from .markup import folded, section, text
from .plots import Axis, Line, chart, span
from .report import MAIN_METRICS

Points = Sequence[tuple[float, float]]


def training_section(
    losses: Mapping[str, Points], rates: Points, metrics: Mapping[str, Points], recipe: Mapping[str, object]
) -> str:
    """Charts of (epoch, value) points: the losses and the metrics by name, and the learning rate. One point is enough."""
    shown = {name: points for name, points in metrics.items() if name in MAIN_METRICS}
    charts = [
        epochs_chart("Training loss", "loss", losses, 0.0),
        epochs_chart("Validation", "metric", shown, None),
        epochs_chart("Learning rate", "rate", {"learning rate": rates}, 0.0),
    ]
    settings = folded("The recipe", f"<pre>{text_lines(json.dumps(recipe, indent=1, ensure_ascii=False))}</pre>")
    words = "By epoch. Losses are means over the steps since the point before; metrics are those of the validation images."
    return section("Training", words, f"<div class='charts'>{''.join(charts)}</div>", settings)


def epochs_chart(title: str, name: str, named: Mapping[str, Points], low: float | None) -> str:
    """A line for each name; "" if no point is finite."""
    finite = {key: [point for point in points if math.isfinite(point[1])] for key, points in named.items()}
    lines = [Line(key, points, color) for color, (key, points) in enumerate(finite.items()) if points]
    if not lines:
        return ""
    every = [point for line in lines for point in line.points]
    across, up = Axis("epoch", *span([x for x, _ in every], 0.0)), Axis(name, *span([y for _, y in every], low))
    latest = ", ".join(f"{line.name} {line.points[-1][1]:.4g}" for line in lines)
    return chart(title, across, up, lines, words=f"{title} by epoch; at last {latest}")


def text_lines(content: str) -> str:
    """Lines of text as HTML, each safe."""
    return "\n".join(map(text, content.split("\n")))
