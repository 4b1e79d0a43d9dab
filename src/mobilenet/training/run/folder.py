"""A run's folder: the names of its files, and whether a run may begin or go on in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...files import write_atomically
from . import checkpoint

MODEL, RECIPE = "model.safetensors", "recipe.json"


def open_folder(out: Path, recipe: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """Makes the folder and writes the recipe (`Recipe.to_json`); the checkpoint to resume from, None if there is none.

    Raises UsageError if the folder holds a run by another recipe, or one that is not to be resumed.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.remove_partial_files(out)
    if (out / RECIPE).exists():
        if not resume and (checkpoint.exists(out) or (out / MODEL).exists()):
            raise UsageError(f"--out {out}: holds a run already; give --resume to continue it, or another folder")
        if resume:
            check_same_recipe(out / RECIPE, recipe)
    write_atomically(out / RECIPE, (json.dumps(recipe, indent=1) + "\n").encode())
    return checkpoint.load(out) if resume and checkpoint.exists(out) else None


def check_same_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """Both recipes must agree in everything that can change the result, which the number of workers cannot."""
    old, new = flat_settings(json.loads(path.read_text("utf-8"))), flat_settings(recipe)
    for key in {**old, **new}:
        if old.get(key) != new.get(key) and key != "workers":
            raise UsageError(
                f"--resume: {path} has {key} {old.get(key)!r}, the recipe has {new.get(key)!r}: a run must end with the recipe "
                "that it began with; leave the change out, or begin in another folder"
            )


def flat_settings(data: Any, path: str = "") -> dict[str, Any]:
    """A recipe's JSON with one entry for each setting: ``{"optimizer": {"momentum": 1}}`` as ``{"optimizer.momentum": 1}``."""
    if not isinstance(data, dict):
        return {path: data}
    return {key: value for name in data for key, value in flat_settings(data[name], f"{path}.{name}".lstrip(".")).items()}
