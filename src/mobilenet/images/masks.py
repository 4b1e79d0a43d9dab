"""Reads and writes masks: images whose pixels are class indices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..palette import file_colors
from .open import ImageError, open_header
from .write import write_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """(H, W) class indices from an image with a palette or of 8-bit gray values. Raises ImageError for anything else."""
    name = repr(os.fsdecode(path))
    try:
        with open(path, "rb") as file:
            image = open_header(file, name)
            if image.mode not in ("P", "L"):
                raise ImageError(f"{name}: mode {image.mode} is no mask; save class indices with a palette or as gray")
            return np.array(image)
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost any type on damaged bytes
        raise ImageError(f"{name}: no mask can be read from it ({error}); get it again") from error


def write_mask(mask: NDArray[np.uint8], path: str | os.PathLike[str], background: int | None = None) -> None:
    """Writes (H, W) class indices as a PNG whose palette has the colors in which the classes are drawn.

    Args:
        background: the class that is black, if any.
    """
    image = Image.fromarray(mask).convert("P")
    image.putpalette(file_colors(background))
    write_image(image, path)
