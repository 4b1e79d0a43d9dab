"""Pictures of a run: its curves, a classifier's confusions, some answers drawn on the pictures they were given for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...images.write import write_image
from ...modelfile import ModelFile
from ...nn import executor
from ...predict.predictor import Predictor
from ...tasks.drawing import draw
from ..input import CorruptImage, Dataset
from .log import LOG, read
from .scoring import Scored

CURVES, CONFUSION, SAMPLES = "curves.png", "confusion.png", "samples.png"
SHOWN, COLUMNS, SIDE = 16, 4, 256
MOST_NAMED = 40  # classes; beyond them the axes of the confusion matrix would be unreadable


def draw_run(out: Path, model: ModelFile, validation: Dataset, result: Scored) -> None:
    """Writes ``curves.png``, ``samples.png`` and, of a classifier, ``confusion.png`` to the run's folder."""
    draw_curves(out)
    draw_samples(out, model, validation)
    if result.pairs:
        draw_confusion(out, model.labels, result)


def figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure((width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def draw_curves(out: Path) -> None:
    """Losses by part, the learning rate and the scores, over the epochs."""
    lines = read(out / LOG)
    steps, scores = [line for line in lines if "loss" in line], [line for line in lines if "metrics" in line]
    made = figure(15, 4)
    losses, rates, metrics = made.subplots(1, 3)
    epochs = [line["epoch"] for line in steps]
    losses.plot(epochs, [line["loss"] for line in steps], label="loss", linewidth=1)
    for name in steps[-1]["parts"] if steps else ():
        losses.plot(epochs, [line["parts"].get(name, np.nan) for line in steps], label=name, linewidth=1, alpha=0.7)
    rates.plot(epochs, [line["lr"] for line in steps], linewidth=1)
    for name in scores[-1]["metrics"] if scores else ():
        values = [np.nan if line["metrics"][name] is None else line["metrics"][name] for line in scores]
        if not np.isnan(values).all():
            metrics.plot([line["epoch"] for line in scores], values, label=name, marker=".")
    for axes, title in ((losses, "training loss"), (rates, "learning rate"), (metrics, "validation")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    made.savefig(out / CURVES, dpi=110)


def draw_confusion(out: Path, labels: tuple[str, ...], result: Scored) -> None:
    """Pictures by truth (row) and answer (column), each row as shares of its class."""
    table = result.confusion(len(labels))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    few = len(labels) <= MOST_NAMED
    side = max(4.0, 0.35 * len(labels) + 2) if few else 10.0
    made = figure(side + 1, side)
    axes = made.subplots()
    made.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), ax=axes, fraction=0.046)
    axes.set(xlabel="answer", ylabel="truth")
    if few:
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
    if len(labels) <= 20:
        for row, column in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=7, color=colour)
    made.savefig(out / CONFUSION, dpi=110)


def draw_samples(out: Path, model: ModelFile, dataset: Dataset) -> None:
    """The model's answers on some pictures of `dataset`, evenly spread over it, side by side."""
    predictor = Predictor(model, executor(model))
    count = min(SHOWN, len(dataset))
    sheet = Image.new("RGB", (COLUMNS * SIDE, -(-count // COLUMNS) * SIDE), "white")
    threshold = 0.4 if model.network.task == "detection" else 0.0
    for place in range(count):
        try:
            image, _ = dataset.read(place * len(dataset) // count)
        except CorruptImage:
            continue  # named when it was scored
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        result = predictor(picture)
        scale = SIDE / max(picture.size)
        top = result.top(3 if model.network.task == "classification" else None, threshold)
        drawn = draw(picture, result, top) if min(picture.size) >= SIDE // 2 else picture
        if drawn is picture:  # too small to write on: enlarge first
            picture = picture.resize((max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)))
            result = predictor(picture)
            drawn = draw(picture, result, result.top(3 if model.network.task == "classification" else None, threshold))
        drawn.thumbnail((SIDE, SIDE))
        sheet.paste(drawn, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
    write_image(sheet, out / SAMPLES)
