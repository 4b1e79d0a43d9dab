"""A recipe by what the user calls it: a known name, the file of another run, or a recipe of the user's own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ...errors import UsageError, short_repr
from .builtin import RECIPES, find as find_known
from .objects import load_module, load_object, names_object
from .recipe import Recipe


def find(text: str) -> Recipe:
    """The recipe that `text` names.

    - a name of `RECIPES`;
    - ``run/recipe.json``: the recipe of that run;
    - ``file.py``, which holds one recipe, or ``file.py:name``, or ``package.module:name``: a function without parameters that
      returns a Recipe, or a Recipe.

    Raises UsageError if there is none.
    """
    if text.endswith(".json"):
        return recorded(Path(text))
    if not names_object(text):
        return find_known(text)
    if text.endswith(".py"):
        made: object = the_one(load_module(text, "recipe"), text)
    else:
        made = load_object(text, "recipe", RECIPES)
    if callable(made) and not isinstance(made, Recipe):
        try:
            made = made()
        except UsageError as error:
            raise UsageError(f"recipe {text}: {error}") from error
        except TypeError as error:
            raise UsageError(
                f"recipe {text}: {error}; it must be a function without parameters that returns a Recipe"
            ) from error
    if not isinstance(made, Recipe):
        raise UsageError(f"recipe {text}: is {short_repr(made)}; it must be a Recipe or a function that returns one")
    return made


def recorded(path: Path) -> Recipe:
    """The recipe in a run's ``recipe.json``."""
    try:
        return Recipe.from_json(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"recipe {path}: cannot be read ({error.strerror}); give a run's recipe.json") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"recipe {path}: is no recipe ({error}); give a run's recipe.json") from error


def the_one(module: ModuleType, place: str) -> Callable[[], Recipe]:
    """The only recipe of a file: its function that says ``-> Recipe``, or its only function without parameters."""
    functions = {
        name: each
        for name, each in vars(module).items()
        if inspect.isfunction(each)
        and each.__module__ == module.__name__
        and not name.startswith("_")
        and not inspect.signature(each).parameters
    }
    said = {name: each for name, each in functions.items() if each.__annotations__.get("return") in (Recipe, "Recipe")}
    found = said or functions
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise UsageError(f"recipe {place}: has no function without parameters that returns a Recipe; write one")
    raise UsageError(f"recipe {place}: has {len(found)} recipes; choose one, {place}:{f' or {place}:'.join(found)}")
