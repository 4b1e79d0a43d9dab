"""The two splits that a run reads: images to train on, images to score on."""

from __future__ import annotations

from pathlib import Path

import torch

from ...checking.check import quick_findings
from ...data import DataError, Divided, Records, Shapes, Subset, Truth, open_training
from ...errors import UsageError
from ..input import Dataset, InMemory
from ..recipes.recipe import Recipe


def open_splits(recipe: Recipe, data: Path | str | None, layout: str | None = None) -> tuple[Dataset, Dataset]:
    """(training, validation). Raises UsageError if the recipe generates its images and `data` is given, or neither."""
    task, generated = recipe.task, recipe.shapes
    splits: list[Records[Truth]]
    if generated is not None:
        if data is not None:
            raise UsageError(f"--data {data}: recipe {recipe.name} generates its images; leave --data out")
        splits = [
            Shapes(task, "train", generated.train, generated.size, recipe.seed),
            Shapes(task, "val", generated.val, generated.size),
        ]
    elif data is None:
        raise UsageError(f"--data: recipe {recipe.name} needs a folder of images; give --data DIR")
    else:
        splits = list(open_training(data, task, recipe.val_share, layout))
    if recipe.limit is not None:
        splits = [Subset(records, recipe.limit) for records in splits]
    datasets = [Dataset(records) for records in splits]
    if recipe.in_memory:
        datasets = [InMemory(dataset) for dataset in datasets]
    return datasets[0], datasets[1]


def data_lines(training: Dataset, validation: Dataset) -> list[str]:
    """What the user should know of the data before the first step: how many images and classes there are, how they were divided
    if they were not, and what the quick part of `mobilenet check` finds. Raises DataError if that is an error."""
    kind = training.records.layout or "generated"
    lines = [
        f"{kind}: {len(training)} training and {len(validation)} validation images, {len(training.labels)} classes, "
        f"for {training.task}"
    ]
    if (divided := _divided(validation.records)) is not None:
        lines.append(f"there is no validation part: {divided.share:.0%} of the images were chosen for it by their content")
    if not training.records.layout:
        return lines
    findings = quick_findings({"train": training.records, "val": validation.records})
    for finding in findings:
        if finding.level == "error":
            raise DataError(f"{finding}; `mobilenet check` says more")
    return [*lines, *(f"{finding.level}: {finding}" for finding in findings)]


def work_line(recipe: Recipe, net: torch.nn.Module, epoch_steps: int, device: torch.device) -> str:
    """What will be computed, before the first step."""
    count = sum(each.numel() for each in net.parameters())
    count_threads = torch.get_num_threads()
    threads = f", {count_threads} thread{'s' * (count_threads > 1)}" if device.type == "cpu" else ""
    return (
        f"{recipe.network.architecture}: {count / 1e6:.2f} million parameters, {recipe.epochs} epochs of {epoch_steps} steps "
        f"of {recipe.batch} images at {recipe.resolution} px, on {device}{threads}"
    )


def held_out(validation: Dataset) -> dict[str, object] | None:
    """For the model file: what tells data that this run divided from other data; None if it was divided already."""
    divided = _divided(validation.records)
    return None if divided is None else {"share": divided.share, "fingerprint": divided.fingerprint}


def _divided(records: Records[Truth]) -> Divided[Truth] | None:
    while isinstance(records, Subset):
        records = records.source
    return records if isinstance(records, Divided) else None
