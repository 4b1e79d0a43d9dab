"""A run's folder: the names of its files, and whether a run may begin or go on in it."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import UsageError
from ...files import write_atomically
from ...settings import kind_of
from ...values import replace
from ..optim.schedule import Constant, Exponential
from ..recipes.recipe import Recipe
from . import checkpoint

MODEL, LAST, RECIPE = "model.safetensors", "last.safetensors", "recipe.json"
"""The model of the best score, the model of the last, and the recipe."""


Position = tuple[Recipe, checkpoint.State | None]
"""The recipe that a run goes on with, and the checkpoint that it goes on from, or None."""


def position(out: Path, recipe: Recipe, resume: bool) -> Position:
    """Where a run in the folder `out` begins or goes on by `recipe`. Changes nothing.

    Raises UsageError if the folder holds a run that is not to be continued, or one by another recipe.
    """
    has_checkpoint, begun = checkpoint.exists(out), None
    if (out / RECIPE).exists():
        begun = begun_recipe(out) if resume else None
        if begun is None and (has_checkpoint or (out / MODEL).exists()):
            raise UsageError(f"--out {out}: holds a run already; give --resume to continue it, or another folder")
    state = checkpoint.load(out) if resume and has_checkpoint else None
    if state is not None and not (out / MODEL).exists():
        state["best"] = None  # removed: the next score makes another
    return recipe if begun is None else continued(out, begun, recipe, state), state


def continued(out: Path, begun: Recipe, recipe: Recipe, state: checkpoint.State | None) -> Recipe:
    """The recipe with which a run by `begun` goes on, when `recipe` is asked for: the same, or one with more epochs.

    With a learning rate that does not depend on the number of epochs, the run goes on as if it had been planned so. Any other
    schedule begins again after the end of the run. UsageError if it has not come to its end, or if anything else differs that
    can change the result.
    """
    recipe = replace(recipe, restarts=begun.restarts) if recipe.epochs >= begun.epochs else recipe
    check_same_recipe(out / RECIPE, begun, recipe)
    plain = isinstance(recipe.schedule, (Constant, Exponential)) and not recipe.sizes
    if recipe.epochs == begun.epochs or state is None or plain:
        return recipe
    known = state.get("epoch_steps")  # older checkpoints lack it; their runs wrote the model file at the end
    ended = (out / MODEL).exists() if known is None else state["step"] >= begun.epochs * known
    if not ended:
        raise UsageError(
            f"--resume: epochs {recipe.epochs}, the run has {begun.epochs} and is not through with them: its schedule "
            f"{kind_of(type(recipe.schedule))} leads to their end; let it finish with --resume alone, then give more"
        )
    return replace(recipe, restarts=(*begun.restarts, begun.epochs))


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


FREE = ("workers", "patience", "checkpoint_steps")
"""Settings that change nothing that was computed."""


def check_same_recipe(path: Path, begun: Recipe, recipe: Recipe) -> None:
    """Both recipes must agree in everything that can change the result; only `epochs` may be more."""
    old, new = flat_settings(begun.to_json()), flat_settings(recipe.to_json())
    for key in {**old, **new}:
        if old.get(key) != new.get(key) and key not in FREE and not (key == "epochs" and recipe.epochs > begun.epochs):
            raise UsageError(
                f"--resume: {path} has {key} {old.get(key)!r}, the recipe has {new.get(key)!r}: a run must end with the recipe "
                "that it began with; leave the change out, or begin in another folder"
            )


def flat_settings(data: object, path: str = "") -> dict[str, object]:
    """A recipe's JSON with one entry for each setting: ``{"optimizer": {"momentum": 1}}`` as ``{"optimizer.momentum": 1}``."""
    if not isinstance(data, dict):
        return {path: data}
    return {key: value for name in data for key, value in flat_settings(data[name], f"{path}.{name}".lstrip(".")).items()}
