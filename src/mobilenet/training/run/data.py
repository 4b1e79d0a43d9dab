"""The two splits that a run reads: images to train on, images to score on."""

from __future__ import annotations

from pathlib import Path

from ...errors import UsageError
from ..input import Dataset, InMemory, open_dataset, shapes, subset
from ..recipes.recipe import Recipe


def open_splits(recipe: Recipe, data: Path | str | None) -> tuple[Dataset, Dataset]:
    """(training, validation). Raises UsageError if the recipe generates its images and `data` is given, or neither."""
    task, generated = recipe.task, recipe.shapes
    splits: list[Dataset]
    if generated is not None:
        if data is not None:
            raise UsageError(f"--data {data}: recipe {recipe.name} generates its images; leave --data out")
        splits = [
            shapes(task, "train", generated.train, generated.size, recipe.seed),
            shapes(task, "val", generated.val, generated.size),
        ]
    elif data is None:
        raise UsageError(f"--data: recipe {recipe.name} needs a folder of images; give --data DIR")
    else:
        training = open_dataset(data, task, "train")
        splits = [training, open_dataset(data, task, "val", classes=training.label_ids or training.labels)]
    if recipe.limit is not None:
        splits = [subset(dataset, recipe.limit) for dataset in splits]
    if recipe.in_memory:
        splits = [InMemory(dataset) for dataset in splits]
    return splits[0], splits[1]
