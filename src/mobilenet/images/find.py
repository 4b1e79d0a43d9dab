"""Inputs of the command line to image files. pathlib is imported for folders and patterns only: one photo does not need it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from PIL import Image

from .open import REFUSED_FORMATS, ImageError, nearest_path


def find_inputs(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], report: Callable[[ImageError], None] | None = None
) -> list[str]:
    """The paths of the images that files, folders and patterns name, in the order given, each once.

    A file is taken whatever its suffix. A folder stands for the images in it and below, by suffix, sorted, without hidden
    ones; a pattern (``*``, ``?``, ``[]``, ``**`` for any depth) for the files and folders it matches, as in a shell, again
    only those with an image's suffix.

    Args:
        report: is called with the error of each input that names no image, and the other inputs are still found.

    Raises:
        ImageError: an input names no image, and there is no `report`; names the nearest existing name.
    """
    images: dict[str, str] = {}
    for item in [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs:
        try:
            for path in _expanded(os.fsdecode(item)):
                images.setdefault(os.path.abspath(path), path)
        except ImageError as error:
            if report is None:
                raise
            report(error)
    return list(images.values())


def _expanded(item: str) -> list[str]:
    if os.path.isfile(item):  # before patterns: 'cat[1].jpg' may be a file
        return [item]
    from glob import glob
    from pathlib import Path

    def below(folder: Path) -> list[Path]:
        images = list[Path]()
        for here, folders, files in os.walk(folder, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            images += [Path(here, name) for name in files if _is_image(name)]
        return sorted(images)

    if os.path.exists(item):
        images = below(Path(item)) if os.path.isdir(item) else [Path(item)]
    elif any(sign in item for sign in "*?["):
        matches = sorted(map(Path, glob(item, recursive=True)))
        images = [image for match in matches for image in (below(match) if match.is_dir() else [match])]
        images = [image for image in images if _is_image(image.name)]
    else:
        raise ImageError(f"{item!r}: no such file or folder; {nearest_path(item)}")
    if not images:
        raise ImageError(f"{item!r}: no image there by suffix; check it, or name the files themselves")
    return list(map(str, images))


def _refuse(error: OSError) -> None:
    raise ImageError(f"{error.filename!r}: the folder cannot be read ({error.strerror}); change its mode") from error


def _is_image(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("."):
        return False
    if suffix in (".heic", ".heif"):  # if they cannot be read, the error says what is missing; nobody's photos are skipped
        return True
    kind = Image.registered_extensions().get(suffix)
    return kind in Image.OPEN and kind not in REFUSED_FORMATS
