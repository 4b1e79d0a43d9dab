"""What each recipe needs, takes and reached, for ``mobilenet recipes``."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path

from ...network.layers import Task
from .builtin import RECIPES
from .finetune import MIN_EPOCHS, SHOWN, STARTS, finetune
from .recipe import Recipe

REACHED = Path(__file__).with_name("reached.json")
"""Measured runs of the recipes as they are, made of results/ by tools/tables.py."""

NEEDS: dict[Task, str] = {
    "classification": "images by class",
    "detection": "images with boxes",
    "segmentation": "images with masks",
}


@dataclass(frozen=True)
class Reached:
    """One run of a recipe with no setting changed but the seed and the number of workers."""

    recipe: str
    seed: int
    metric: str
    value: float
    seconds: float
    machine: str
    note: str
    date: str
    commit: str


@dataclass(frozen=True)
class Entry:
    """A recipe in the list.

    Attributes:
        needs: the images.
        start: the published model, or None for random weights: what is known before the first step.
        epochs, resolution: a number, or a range in words.
        reached: measured runs, the newest of each seed.
    """

    name: str
    summary: str
    task: str
    architecture: str
    needs: str
    start: str | None
    epochs: str
    resolution: str
    reached: tuple[Reached, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {**vars(self), "reached": [vars(each) for each in self.reached]}


def listing() -> list[Entry]:
    """All recipes, `finetune` first."""
    rows = [Reached(**row) for row in json.loads(REACHED.read_text("utf-8"))]
    most = max(epochs for _, epochs in SHOWN.values())
    own = Entry(
        "finetune",
        summary(finetune),
        "any",
        "that of the start",
        "your images with classes, boxes or masks",
        " or ".join(STARTS.values()),
        f"{MIN_EPOCHS} to {most}",
        "by the images",
    )
    return [own, *(entry(name, make(), summary(make), rows) for name, make in RECIPES.items())]


def entry(name: str, recipe: Recipe, said: str, rows: list[Reached]) -> Entry:
    generated = recipe.shapes is not None
    return Entry(
        name,
        said,
        recipe.task,
        recipe.network.architecture,
        "nothing: draws its images" if generated else NEEDS[recipe.task],
        recipe.network.start,
        str(recipe.epochs),
        str(recipe.resolution),
        tuple(row for row in rows if row.recipe == name),
    )


def summary(function: object) -> str:
    """The first sentence of a recipe's docstring."""
    text = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".") + "."
