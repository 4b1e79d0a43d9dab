"""What shows a run: its page, and images of its curves, a classifier's confusion matrix, results on some validation images."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ...analysis.analysis import Analysis
from ...charts import chart
from ...errors import printable
from ...images.write import write_image
from ...pages.cases import sheet
from ...pages.report import Report, settle, write_report
from ...pages.training import training_section
from .log import LOG, Line, read
from .loggers import Begun, Scored

REPORT = "report"
REFRESH = 20  # seconds
CURVES, CONFUSION, SAMPLES = "curves.png", "confusion.png", "samples.png"
MAX_DOTS = 40  # points; a line of few is drawn with a dot at each, so that one point alone is seen
MAX_SHARE = 0.05  # of a run's time for drawing between its first and its last score
MAX_NAMED = 40  # classes; with more, the axes of the confusion matrix would be unreadable
MAX_COUNTED = 20  # classes; with more, the numbers in its cells would be


class RunImages:
    """Draws the images after the first score and the last, and after others if that takes little of the run's time."""

    def __init__(self, begun: Begun) -> None:
        self.begun, self.next = begun, 0.0

    def log(self, line: Line) -> None:
        pass

    def scored(self, score: Scored) -> None:
        start = time.monotonic()
        if start < self.next and not score.is_last:
            return
        draw_run(self.begun, score)
        end = time.monotonic()
        self.next = end + (end - start) / MAX_SHARE

    def close(self) -> None:
        settle(self.begun.out / REPORT)


def draw_run(begun: Begun, score: Scored) -> None:
    """Writes to the run's folder: ``report/``, ``curves.png``, ``samples.png`` and, for a classifier, ``confusion.png``."""
    write_page(begun, score)
    draw_curves(score.out)
    write_image(sheet(score.evaluation.samples, score.validation.records), score.out / SAMPLES)
    if score.evaluation.analysis.task == "classification":
        draw_confusion(score.out, score.evaluation.analysis)


def write_page(begun: Begun, score: Scored) -> None:
    """The page of the run up to now, which a browser loads again and again until the run ends."""
    lines, evaluation = read(score.out / LOG), score.evaluation
    steps, scores = [line for line in lines if "loss" in line], [line for line in lines if "metrics" in line]
    losses = {"loss": [(line["epoch"], line["loss"]) for line in steps]}
    for name in steps[-1]["parts"] if steps and len(steps[-1]["parts"]) > 1 else ():
        losses[name] = [(line["epoch"], line["parts"][name]) for line in steps if name in line["parts"]]
    rates = [(line["epoch"], line["lr"]) for line in steps]
    known = [(line["epoch"], name, value) for line in scores for name, value in line["metrics"].items() if value is not None]
    metrics = {name: [(epoch, value) for epoch, each, value in known if each == name] for name in evaluation.metrics}
    recipe = begun.recipe
    done = "finished" if score.is_last else f"step {score.line['step']:,} of {begun.steps:,}"
    subtitle = (
        f"{recipe.task}, {done}. Figures and images are those of epoch {score.line['epoch']:g} of {recipe.epochs}, "
        f"{'the best so far' if score.is_best else 'which is not the best'}."
    )
    write_report(
        score.out / REPORT,
        Report(
            score.validation.records,
            evaluation.analysis,
            evaluation.metrics,
            evaluation.images,
            evaluation.failed,
            (),
            evaluation.worst,
            evaluation.samples,
        ),
        str(score.out),
        subtitle,
        [training_section(losses, rates, metrics, recipe.to_json())],
        refresh=None if score.is_last else REFRESH,
    )


def draw_curves(out: Path) -> None:
    """The loss and its terms, the learning rate and the scores, by epoch."""
    lines = read(out / LOG)
    steps, scores = [line for line in lines if "loss" in line], [line for line in lines if "metrics" in line]
    epochs = [line["epoch"] for line in steps]
    with chart(out / CURVES, 15, 4) as figure:
        losses, rates, metrics = figure.subplots(1, 3)
        marker = "." if len(steps) <= MAX_DOTS else ""
        losses.plot(epochs, [line["loss"] for line in steps], label="loss", linewidth=1, marker=marker)
        parts = steps[-1]["parts"] if steps else ()
        for name in parts if len(parts) > 1 else ():  # one part is the loss itself
            losses.plot(
                epochs, [line["parts"].get(name, np.nan) for line in steps], label=name, linewidth=1, alpha=0.7, marker=marker
            )
        rates.plot(epochs, [line["lr"] for line in steps], linewidth=1, marker=marker)
        for name in scores[-1]["metrics"] if scores else ():
            values = [np.nan if (value := line["metrics"][name]) is None else value for line in scores]
            if not np.isnan(values).all():
                metrics.plot([line["epoch"] for line in scores], values, label=name, marker=".")
        for axes, title in ((losses, "training loss"), (rates, "learning rate"), (metrics, "validation")):
            axes.set(title=title, xlabel="epoch")
            if axes.get_legend_handles_labels()[0]:
                axes.legend()


def draw_confusion(out: Path, analysis: Analysis) -> None:
    """Number of images by true class (row) and predicted class (column); colors are shares of the row."""
    labels = analysis.labels
    table = np.zeros((len(labels), len(labels)), np.int64)
    for pair, count in analysis.counts.items():
        table[pair] = count
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    named = len(labels) <= MAX_NAMED
    side = max(4.0, 0.35 * len(labels) + 2) if named else 10.0
    with chart(out / CONFUSION, side + 1, side) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        colors = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(colors, ax=axes, fraction=0.046, label="share of the images of a class")
        axes.set(title=f"answers for {table.sum():,} images", xlabel="answer", ylabel="truth")
        if named:
            names = [printable(label) for label in labels]
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), names, fontsize=7)
        if len(labels) <= MAX_COUNTED:
            for row, column in zip(*np.nonzero(table), strict=True):
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=7, color=color)
