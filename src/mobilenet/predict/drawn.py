"""The folder of ``mobilenet predict --save``: copies of the images with the predictions drawn, and masks. The folder is new or
empty, so no file of the user is replaced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import unwritable

if TYPE_CHECKING:
    from PIL import Image

    from ..tasks.results import Prediction, Result


class DrawnFolder:
    """`name` if there is no such folder or it is empty, else the first of ``name2``, ``name3`` ... of which that is true.

    Args:
        inputs: as the user gave them. `name` must not be one of these folders, or hold one of these files.
        resume: go on in the last of these folders, if there is one.

    Raises:
        UsageError: `name` is a folder of the inputs.
    """

    def __init__(self, name: str, inputs: Sequence[str], resume: bool = False) -> None:
        self.name = name.rstrip(os.sep) or name
        refuse_folder_of(self.name, inputs)
        number = 1
        while is_used(self.numbered(number)):
            number += 1
        self.path = self.numbered(max(number - 1, 1) if resume else number)
        self.parent, self.stem = os.path.split(os.path.realpath(self.name))
        self.claimed, self.lock = set[str](), Lock()

    def numbered(self, number: int) -> str:
        return self.name if number == 1 else f"{self.name}{number}"

    def make(self) -> None:
        """Raises WriteError."""
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def is_own(self, folder: str) -> bool:
        """Whether `folder` is one of these numbered folders: what was drawn in one is no input of the next."""
        parent, name = os.path.split(os.path.realpath(folder))
        number = name[len(self.stem) :]
        return parent == self.parent and name.startswith(self.stem) and (not number or number.isdecimal())

    def claim(self, source: str) -> str:
        """The name for the copy of `source`: its own, or with a number if an image from another folder has it already."""
        stem, suffix = os.path.splitext(os.path.basename(source.partition("?")[0] if "://" in source else source))
        stem, name, number = stem or "image", (stem or "image") + suffix, 1
        with self.lock:
            while name.casefold() in self.claimed or os.path.lexists(os.path.join(self.path, name)):
                number += 1
                name = f"{stem}-{number}{suffix}"
            self.claimed.add(name.casefold())
        return name

    def write(self, name: str, image: Image.Image, result: Result, predictions: Sequence[Prediction]) -> str | None:
        """Writes the copy that `claim` named; of a segmentation the mask too, whose path is returned.

        Raises:
            ImageError: it cannot be written.
        """
        from ..drawing.draw import draw
        from ..images.masks import write_mask
        from ..images.write import write_image

        write_image(draw(image, result, predictions), os.path.join(self.path, name))
        pixels = getattr(result, "mask", None)
        if pixels is None:
            return None
        mask_name = self.claim(os.path.splitext(name)[0] + ".mask.png")
        mask = os.path.join(self.path, mask_name)
        write_mask(pixels, mask, getattr(result, "background", None))
        self.release(mask_name)
        return mask

    def release(self, name: str) -> None:
        """`name` needs no claim any more: its file is there, or will never be."""
        with self.lock:
            self.claimed.discard(name.casefold())


def is_used(folder: str) -> bool:
    """Whether the path exists and is not an empty folder."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return os.path.lexists(folder)


def refuse_folder_of(name: str, inputs: Sequence[str]) -> None:
    """UsageError if the folder `name` is one of the inputs, or holds one of them."""
    if not os.path.isdir(name):
        return
    for item in inputs:
        pattern = not os.path.exists(item) and any(sign in item for sign in "*?[")
        folder = item if os.path.isdir(item) and not pattern else os.path.dirname(item) or os.curdir
        if os.path.isdir(folder) and os.path.samefile(folder, name):
            raise UsageError(f"--save {name}: {item!r} is an input there, and inputs are never replaced; choose another folder")
