"""A run's folder: the names of its files, and whether a run may begin or go on in it."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import UsageError
from ...files import write_atomically
from ..recipes.recipe import Recipe
from . import checkpoint

MODEL, LAST, RECIPE = "model.safetensors", "last.safetensors", "recipe.json"
"""The model of the best score, the model of the last, and the recipe."""


def load_state(out: Path, recipe: Recipe, resume: bool) -> checkpoint.State | None:
    """The checkpoint to continue from, None if there is none. Changes nothing.

    Raises UsageError if the folder holds a run that is not to be continued, or one by another recipe.
    """
    has_checkpoint = checkpoint.exists(out)
    if (out / RECIPE).exists():
        if resume and (begun := begun_recipe(out)) is not None:
            check_same_recipe(out / RECIPE, begun, recipe)
        elif has_checkpoint or (out / MODEL).exists():
            raise UsageError(f"--out {out}: holds a run already; give --resume to continue it, or another folder")
    if not resume or not has_checkpoint:
        return None
    state = checkpoint.load(out)
    if not (out / MODEL).exists():
        state["best"] = None  # removed: the next score makes another
    return state


def begin(out: Path, recipe: Recipe) -> None:
    """Makes the folder, without what a killed run left half written, and writes the recipe."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.remove_partial_files(out)
    write_atomically(out / RECIPE, (json.dumps(recipe.to_json(), indent=1) + "\n").encode())


def begun_recipe(out: Path) -> Recipe | None:
    """The recipe that the folder's run began with, None if it holds no run. Raises TrainingError if it cannot be read."""
    path = out / RECIPE
    if not path.exists():
        return None
    try:
        return Recipe.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise checkpoint.TrainingError(
            f"{path}: cannot be read as the recipe that the run began with ({error}); put it back, or begin in another folder"
        ) from error


def check_same_recipe(path: Path, begun: Recipe, recipe: Recipe) -> None:
    """Both recipes must agree in everything that can change the result, which the number of workers cannot."""
    old, new = flat_settings(begun.to_json()), flat_settings(recipe.to_json())
    for key in {**old, **new}:
        if old.get(key) != new.get(key) and key != "workers":
            raise UsageError(
                f"--resume: {path} has {key} {old.get(key)!r}, the recipe has {new.get(key)!r}: a run must end with the recipe "
                "that it began with; leave the change out, or begin in another folder"
            )


def flat_settings(data: object, path: str = "") -> dict[str, object]:
    """A recipe's JSON with one entry for each setting: ``{"optimizer": {"momentum": 1}}`` as ``{"optimizer.momentum": 1}``."""
    if not isinstance(data, dict):
        return {path: data}
    return {key: value for name in data for key, value in flat_settings(data[name], f"{path}.{name}".lstrip(".")).items()}
