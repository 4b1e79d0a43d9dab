"""Inputs of the command line to image files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from .open import NOT_READ, ImageError, _nearest


def find_inputs(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The pictures that files, folders and patterns name, in the order given, each once.

    A file is taken whatever its suffix. A folder stands for the pictures in it and below, by suffix, sorted, hidden ones
    left out; a pattern (``*``, ``?``, ``[]``, ``**`` for any depth) for the files and folders it matches, as in a shell,
    again only those with a picture's suffix. ImageError names an input that stands for nothing, and the nearest name.
    """
    from pathlib import Path

    return [Path(path) for path in find_files(inputs)]


def find_files(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """As `find_inputs`, in pathlib's own writing but without its import, which costs as much as a picture."""
    found: dict[str, str] = {}
    for given in [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs:
        paths = list(_expanded(os.fsdecode(given)))
        if not paths:
            raise ImageError(f"{os.fsdecode(given)!r}: no picture there by suffix; check it, or name the files themselves")
        for path in paths:
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _expanded(given: str) -> Iterator[str]:
    if os.path.isdir(given):
        yield from _pictures_below(given)
    elif os.path.exists(given):  # before patterns: 'cat[1].jpg' may be a file
        yield _tidy(given)
    elif any(sign in given for sign in "*?["):
        from glob import glob
        from pathlib import Path

        for match in sorted(map(Path, glob(given, recursive=True))):
            if match.is_dir():
                yield from _pictures_below(match)
            elif _is_picture(match.name):
                yield str(match)
    else:
        raise ImageError(f"{given!r}: no such file or folder; {_nearest(given)}")


def _tidy(path: str) -> str:
    """As pathlib writes it."""
    if "//" not in path and "./" not in path:
        return path
    from pathlib import Path

    return str(Path(path))


def _pictures_below(folder: str | Path) -> list[str]:
    from pathlib import Path

    def unreadable(error: OSError) -> None:
        raise ImageError(f"{error.filename!r}: the folder cannot be read ({error.strerror}); change its mode") from error

    found = []
    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(here, name) for name in files if _is_picture(name)]
    return [str(path) for path in sorted(found)]


def _is_picture(name: str) -> bool:
    kind = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
    return not name.startswith(".") and kind in Image.OPEN and kind not in NOT_READ
