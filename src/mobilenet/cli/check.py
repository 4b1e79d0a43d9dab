"""``mobilenet check``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shell import command, json_option, layout_option, print_json, tell
from .tables import data_table

if TYPE_CHECKING:
    from ..checking.look import Look
    from ..network.layers import Task


@command
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--task", type=click.Choice(("classification", "detection", "segmentation")), help="For labels that serve several."
)
@layout_option
@click.option("--quick", is_flag=True, help="Read the labels only and open no image.")
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Draw some images with their labels to this file."
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that look at images; by default one for each core.")
@click.option("--strict", is_flag=True, help="Exit with 1 for anything that is more than a note.")
@json_option
def check(
    data: Path, task: Task | None, layout: str | None, quick: bool, sheet: Path | None, workers: int | None, strict: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Tell what labeled images hold, and what is wrong with them.

    DATA is a folder or file in any of these layouts: class folders, YOLO, COCO (Roboflow's too), VOC, LabelMe, CVAT, CSV lists,
    folders of images and masks, tar shards, Hugging Face's datasets. The layout and the task are recognized.

    Every image is decoded, and compared with the others: an image that stands in two parts makes the score too good.
    Exit status: 0 if a training can begin, 1 if it cannot; with --strict, 1 for anything that should be looked at.
    """
    from ..checking.check import check as check_data, open_parts
    from ..engine.cores import available_cores

    report = check_data(data, task, layout, workers=workers or available_cores(), quick=quick, watch=watched)
    if sheet is not None:
        from ..checking.sheet import write_sheet

        write_sheet(open_parts(data, report.task, layout), sheet)
    if as_json:
        print_json(report.to_json())
    else:
        tell(f"{report.title}, for {report.task}: {len(report.classes)} classes")
        if report.held_out is not None:
            tell(f"no validation part: a training holds out {report.held_out:.0%} of the images, chosen by their content")
        click.echo(data_table(report))
        for finding in report.findings:
            tell(f"{finding.level}: {finding}")
        if not report.findings:
            tell("nothing is wrong with it")
    sys.exit(report.status(strict))


def watched(found: Iterator[Look], count: int) -> Iterable[Look]:
    """The looks, with a progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, length=count, label="looking", file=sys.stderr, show_pos=True) as bar:
        yield from bar
