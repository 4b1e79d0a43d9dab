"""The user's own recipes and loggers, by name: from an installed module or from a Python file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import UsageError, unknown_name


def names_object(text: str) -> bool:
    """Whether `text` is the place of an object, not a name: ``package.module:name``, ``./file.py``, ``file.py:name``."""
    path, _, name = text.rpartition(":")
    return bool(path and name.isidentifier()) or text.endswith(".py")


def load_object(text: str, noun: str, known: Iterable[str] = ()) -> Any:
    """What stands at ``package.module:name`` or ``file.py:name``. A module of the working directory is found too.

    The module is run, as `import` would. Raises UsageError if it is not there, cannot be run, or lacks the name; `noun` is what
    messages call the object, and `known` are the names that would have done.
    """
    place, _, name = text.rpartition(":")
    if not place or not name.isidentifier():
        raise UsageError(f"{unknown_name(noun, text, known)}; your own is package.module:name or file.py:name")
    module = load_module(place, noun)
    try:
        return getattr(module, name)
    except AttributeError:
        found = [each for each in vars(module) if not each.startswith("_")]
        raise UsageError(unknown_name(f"{noun} of {place}", name, found)) from None


def load_module(place: str, noun: str) -> ModuleType:
    """The module of a dotted name, or of a path that ends in ``.py``. Raises UsageError if it cannot be loaded."""
    try:
        if not place.endswith(".py"):
            if "" not in sys.path and str(Path.cwd()) not in sys.path:
                sys.path.append(str(Path.cwd()))
            return importlib.import_module(place)
        path = Path(place)
        if not path.is_file():
            raise UsageError(f"{noun} {place}: no such file; check the path")
        if str(path.parent.resolve()) not in sys.path:
            sys.path.append(str(path.parent.resolve()))  # it may import its neighbors
        spec = importlib.util.spec_from_file_location(f"mobilenet_file_{path.stem}", path.resolve())
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # annotations of its classes are evaluated there
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{noun} {place}: cannot be loaded ({type(error).__name__}: {error}); mend the file") from error
    return module
