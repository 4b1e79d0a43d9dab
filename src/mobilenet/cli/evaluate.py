"""``mobilenet evaluate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from .predictor import backend_option, device_option, load_predictor
from .shell import command, json_option, layout_option, model_option, progress, say, tell, threads_option


@command
@model_option
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder or file of labeled images.")
@layout_option
@backend_option
@device_option
@threads_option
@json_option
def evaluate(
    model: str, data: Path, layout: str | None, backend: str, device: str | None, threads: int | None, as_json: bool
) -> None:
    """Score a model on labeled images.

    The layout of the data is recognized. For a classifier: class folders (named by WordNet id, label or index), a CSV list,
    WebDataset's tar shards, or a dataset of Hugging Face. For a detector: YOLO, COCO (Roboflow's too), VOC, LabelMe, CVAT, or
    a CSV list of boxes. For a segmenter: VOC, folders of images and masks, or the outlines of YOLO, COCO, LabelMe and CVAT.

    Of data in parts, the validation part is scored, else the test part. Of data that a training divided, the part that its
    model has not seen.
    """
    predictor = load_predictor(model, backend, threads, device=device)
    from ..predict.evaluate import evaluate as score  # imports numpy, whose threads are limited now

    result = score(predictor, data, lambda items: progress(items, "evaluating"), layout)
    for line in result.notes:
        say(f"mobilenet: {line}")
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in result.metrics.items() if value is not None)
        tell(f"{result.images} images: {metrics}")
    for reason in result.failed:
        say(f"mobilenet: {reason}")
    if result.failed:
        sys.exit(1)
