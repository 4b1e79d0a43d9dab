"""``mobilenet train``. torch is imported when a run begins, so that ``--help`` works without it."""

from __future__ import annotations

import ast
import gc
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .shell import command, layout_option, parse_pairs, set_option

if TYPE_CHECKING:
    from ..training.recipes.recipe import Recipe

FINETUNE = "finetune"


def recipe_names() -> list[str]:
    """Names of the recipes, read from their source: importing it would import torch."""
    source = Path(__file__).parents[1] / "training" / "recipes" / "builtin.py"
    functions = [node for node in ast.parse(source.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if f.returns and ast.unparse(f.returns) == "Recipe" and not f.args.args]


@command
@click.argument("recipe")
@click.option(
    "--data",
    help="Folder or file of labeled images, in any layout that `check` names. If it has no val part, a fifth is held out.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.")
@layout_option
@click.option("--resume", is_flag=True, help="Continue from the folder's checkpoint; start anew if there is none.")
@click.option("--model", help="finetune: the model to start from; default imagenet, coco or voc-small, as the labels are.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="finetune: as many epochs as fit into this time.")
@click.option(
    "--log",
    "loggers",
    metavar="NAME",
    multiple=True,
    default=("tensorboard", "csv"),
    show_default=True,
    help="What follows the run besides log.jsonl: tensorboard, csv, or your own as file.py:name; again for more.",
)
@click.option("--smoke", is_flag=True, help="Shrink the recipe to seconds: a few small images, one epoch.")
@click.option("--print", "only_print", is_flag=True, help="Print all settings of the recipe as it would run, and stop.")
@set_option("recipe", "lr=0.05 or schedule.power=1", parse_pairs)
def train(
    recipe: str,
    data: str | None,
    out: Path | None,
    layout: str | None,
    resume: bool,
    model: str | None,
    minutes: float | None,
    loggers: tuple[str, ...],
    smoke: bool,
    only_print: bool,
    settings: dict[str, str],
) -> None:
    """Train a network by a recipe.

    RECIPE is a name, your own as file.py, file.py:name or package.module:name, or the recipe.json of another run. The recipe
    finetune teaches a published model your own classes, boxes or masks; the labels say which. The recipes named shapes draw
    their own images and need no --data. 'mobilenet recipes' tells of all.

    The folder of the run gets the model file, from the first score on, the log, checkpoints and images. If torchrun starts the
    command, all of its processes train one network.
    """
    gc.set_threshold(700, 10, 10)  # Python's own: `__main__` lets garbage lie, and a run is long
    if out is None and not only_print:
        raise UsageError("--out: the run needs a folder; give --out DIR, or --print to see the recipe only")
    try:
        from ..settings import assignments
        from ..training.recipes.recipe import shrunk
        from ..training.run.folder import begun_recipe
        from ..training.run.loop import train as run
    except ImportError as error:
        raise UsageError(f"train: {error}; pip install 'mobilenet[train]'") from error
    begun = begun_recipe(out) if resume and recipe == FINETUNE and out is not None else None
    chosen = chosen_recipe(recipe, data, layout, (model, minutes), settings, begun)
    chosen = shrunk(chosen) if smoke and begun is None else chosen
    if only_print:
        click.echo("\n".join(f"{path}={value}" for path, value in assignments(chosen.to_json())))
    elif out is not None:
        run(chosen, data, out, resume, layout=layout, loggers=loggers)


def chosen_recipe(
    name: str,
    data: str | None,
    layout: str | None,
    plan: tuple[str | None, float | None],
    settings: dict[str, str],
    begun: Recipe | None,
) -> Recipe:
    """The recipe with all settings. `plan` is the model and the minutes of `finetune`, `begun` the recipe of its run so far."""
    from ..training.recipes.find import find
    from ..training.recipes.recipe import with_settings
    from ..training.run.plan import finetune_recipe

    model, minutes = plan
    if name != FINETUNE:
        for option, value in (("--model", model), ("--minutes", minutes)):
            if value is not None:
                raise UsageError(f"{option} {value}: only the recipe {FINETUNE} takes it; set network.start or epochs by --set")
        return with_settings(find(name), settings)
    if data is None:
        raise UsageError(f"--data: the recipe {FINETUNE} needs labeled images; give --data DIR")
    if begun is None:
        return finetune_recipe(data, layout, model, minutes, settings)
    if model not in (None, begun.network.start):
        raise UsageError(f"--model {model}: the run began from {begun.network.start}; leave it out, or begin in another folder")
    return with_settings(begun, settings)


train.help = f"{inspect.cleandoc(train.help or '')}\n\nRecipes: {', '.join([FINETUNE, *recipe_names()])}."
