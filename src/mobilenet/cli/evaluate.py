"""``mobilenet evaluate``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from .predictor import Rules, backend_option, device_option, load_predictor, precision_option, rule_options
from .shell import command, json_option, layout_option, model_option, progress, say, tell, threads_option
from .tables import class_table


@command
@model_option
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder or file of labeled images.")
@layout_option
@backend_option
@device_option
@precision_option
@threads_option
@click.option("--per-class", is_flag=True, help="Figures of each class, and what is confused most, with --json as well.")
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for a page: classes, curves, worst mistakes."
)
@click.option(
    "--answers", type=click.Path(path_type=Path, dir_okay=False), help="File for every image's answer and truth, as JSON lines."
)
@rule_options("views", "iou", "max_detections", "agnostic")
@json_option
def evaluate(
    model: str,
    data: Path,
    layout: str | None,
    backend: str,
    device: str | None,
    precision: str | None,
    threads: int | None,
    per_class: bool,
    report: Path | None,
    answers: Path | None,
    as_json: bool,
    rules: Rules,
) -> None:
    """Score a model on labeled images.

    The layout of the data is recognized. For a classifier: class folders (named by WordNet id, label or index), a CSV list,
    WebDataset's tar shards, or a dataset of Hugging Face. For a detector: YOLO, COCO (Roboflow's too), VOC, LabelMe, CVAT, or
    a CSV list of boxes. For a segmenter: VOC, folders of images and masks, or the outlines of YOLO, COCO, LabelMe and CVAT.

    Of data in parts, the validation part is scored, else the test part. Of data that a training divided, the part that its
    model has not seen.

    --report writes index.html, a page without any outside file, and report.json, the same figures for programs.
    """
    predictor = load_predictor(model, backend, threads, device=device, rules=rules, precision=precision)
    from ..predict.evaluate import evaluate as score  # imports numpy, whose threads are limited now

    if report is not None:
        from ..pages.report import check_folder

        check_folder(report)
    details = per_class or report is not None
    result = score(predictor, data, lambda items: progress(items, "evaluating"), layout, details, answers)
    for line in result.notes:
        say(f"mobilenet: {line}")
    if as_json:
        content = result if per_class else replace(result, analysis=None)
        click.echo(json.dumps(content.to_json(), indent=2))
    else:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in result.metrics.items() if value is not None)
        tell(f"{result.images} images: {metrics}")
        if per_class and result.analysis is not None:
            click.echo(class_table(result.analysis))
    if report is not None:
        footer = f"mobilenet evaluate --model {model} --data {data} --report {report}"
        say(f"{result.write_report(report, model, str(data), footer)}: the report")
    for reason in result.failed:
        say(f"mobilenet: {reason}")
    if result.failed:
        sys.exit(1)
