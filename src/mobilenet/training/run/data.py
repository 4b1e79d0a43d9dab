"""The two splits that a run reads: images to train on, images to score on."""

from __future__ import annotations

from pathlib import Path

from ...data import Records, Shapes, Subset, Truth, open_records
from ...errors import UsageError
from ..input import Dataset, InMemory
from ..recipes.recipe import Recipe


def open_splits(recipe: Recipe, data: Path | str | None) -> tuple[Dataset, Dataset]:
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
        training = open_records(data, task, "train")
        splits = [training, open_records(data, task, "val", classes=training.label_ids or training.labels)]
    if recipe.limit is not None:
        splits = [Subset(records, recipe.limit) for records in splits]
    datasets = [Dataset(records) for records in splits]
    if recipe.in_memory:
        datasets = [InMemory(dataset) for dataset in datasets]
    return datasets[0], datasets[1]
