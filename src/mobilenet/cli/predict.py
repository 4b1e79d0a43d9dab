"""``mobilenet predict``. numpy and pathlib are imported only if the task or an option needs them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import MobilenetError, printable
from ..images.find import find_inputs
from ..images.open import ImageError, open_image
from ..tasks.results import OutputError, Prediction
from ..values import Value
from .predictor import backend_option, load_predictor
from .shell import command, json_option, model_option, print_json, process_peak, progress, say, tell, threads_option
from .tables import prediction_line

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from ..predict.predictor import Predictor
    from ..tasks.results import Result


class Answer(Value):
    """One image's predictions, and the mask's file if one was written."""

    path: str
    task: str
    predictions: Sequence[Prediction]
    mask: Path | None

    def to_json(self) -> dict[str, Any]:
        """The contract of ``mobilenet predict --json``."""
        entry = {"input": self.path, "task": self.task, "predictions": [p.to_dict() for p in self.predictions]}
        return entry if self.mask is None else {**entry, "mask": str(self.mask)}


@command
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option
@json_option
@click.option("--save", type=click.Path(file_okay=False), help="Folder for copies with the predictions drawn.")
@click.option("--top", type=click.IntRange(1), help="How many predictions to print; by default 5 of a classifier, else all.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Lowest score to print; by default 0.5 of a detector, else 0.")
@threads_option
@backend_option
@click.option("--memory-budget", type=click.IntRange(1), metavar="BYTES", help="Limit of the engine's activation memory.")
def predict(
    inputs: Sequence[str],
    model: str,
    as_json: bool,
    save: str | None,
    top: int | None,
    threshold: float | None,
    threads: int | None,
    backend: str,
    memory_budget: int | None,
) -> None:
    """Name what images show: labels, boxes or masks.

    An INPUT is an image file, a folder, or a quoted pattern such as 'photos/*.jpg'.
    """
    errors: list[MobilenetError] = []

    def report(error: MobilenetError) -> None:
        errors.append(error)
        say(f"mobilenet: {error}")

    paths = find_inputs(inputs, report)
    predictor = load_predictor(model, backend, threads, memory_budget, len(paths))
    task = predictor.model.network.task
    top = 5 if top is None and task == "classification" else top
    threshold = (0.5 if task == "detection" else 0.0) if threshold is None else threshold
    folder = None if save is None else Folder(save)
    answers, seconds = list[Answer](), list[float]()
    for path in progress(paths, "predicting"):
        try:
            image = open_image(path)
            start = time.perf_counter()
            result = predictor.predict(image, threshold=threshold, top=top)
            seconds.append(time.perf_counter() - start)
            predictions = result.top(top, threshold)
            mask = None if folder is None else folder.write(path, image, result, predictions)
            answers.append(Answer(path, task, predictions, mask))
        except ImageError as error:
            report(error)
        except OutputError as error:
            report(OutputError(error.name, path))
    if as_json:
        print_json([answer.to_json() for answer in answers])
    else:
        print_answers(answers)
        if seconds:
            print_summary(predictor, seconds, len(seconds) + len(errors))
        if save is not None and answers:
            tell(f"drawn in {save}")
    if errors:
        sys.exit(1)


def print_answers(answers: Sequence[Answer]) -> None:
    for answer in answers:
        click.echo(printable(answer.path))
        for prediction in answer.predictions:
            click.echo(f"  {prediction_line(prediction)}")


def print_summary(predictor: Predictor, seconds: list[float], num_inputs: int) -> None:
    ordered, half = sorted(seconds), len(seconds) // 2  # statistics.median would import fractions: 10 ms
    median = 1e3 * (ordered[-half - 1] + ordered[half]) / 2
    count, runtime = f"{len(seconds)} of {num_inputs} images", predictor.runtime.name
    activations = f"activations {predictor.activation_bytes() / 2**20:.2f} MiB"
    click.echo(f"{count}, median {median:.1f} ms each ({runtime}); {activations}, process peak {process_peak()}")


class Folder:
    """The folder of ``--save``: copies of the images with the predictions drawn, and masks."""

    def __init__(self, folder: str) -> None:
        from pathlib import Path

        self.path, self.names = Path(folder), set[str]()
        self.path.mkdir(parents=True, exist_ok=True)

    def write(self, source: str, image: Image.Image, result: Result, predictions: Sequence[Prediction]) -> Path | None:
        """Writes an image's copy; of a segmentation the mask too, whose file is returned."""
        from ..images.masks import write_mask
        from ..images.write import write_image
        from ..tasks.drawing import draw

        target = self.path / self.unused_name(os.path.basename(source))
        write_image(draw(image, result, predictions), target)
        pixels = getattr(result, "mask", None)
        if pixels is None:
            return None
        mask = self.path / self.unused_name(target.with_suffix(".mask.png").name)
        write_mask(pixels, mask)
        return mask

    def unused_name(self, name: str) -> str:
        """The name, with a number if an image from another folder has the same one."""
        (stem, suffix), number = os.path.splitext(name), 2
        while name.casefold() in self.names:
            name, number = f"{stem}-{number}{suffix}", number + 1
        self.names.add(name.casefold())
        return name
