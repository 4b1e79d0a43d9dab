"""Reads and writes masks: images whose pixels are class indices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .open import ImageError, as_image_errors, open_header
from .palette import file_colors
from .write import write_image

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def read_color_mask(path: str | os.PathLike[str], colors: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """(H, W): for each pixel of an image in color the index of its color in `colors`, 255 for a color that is not there. An
    image of gray values holds the indices themselves. Raises ImageError."""
    name = repr(os.fsdecode(path))
    with as_image_errors(name), open(path, "rb") as file:
        image = open_header(file, name)
        if image.mode == "L":
            return np.array(image)
        pixels = np.array(image.convert("RGB")).astype(np.uint32)
    keys = np.array([red << 16 | green << 8 | blue for red, green, blue in colors], np.uint32)
    order = np.argsort(keys, kind="stable")
    packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    place = np.minimum(np.searchsorted(keys[order], packed), len(keys) - 1)
    return np.where(keys[order][place] == packed, order[place], 255).astype(np.uint8)


def write_mask(mask: NDArray[np.uint8], path: str | os.PathLike[str], background: int | None = None) -> None:
    """Writes (H, W) class indices as a PNG whose palette has the colors in which the classes are drawn.

    Args:
        background: the class that is black, if any.
    """
    write_image(mask_image(mask, background), path)


def mask_image(mask: NDArray[np.uint8], background: int | None = None) -> Image.Image:
    """(H, W) class indices as an image with that palette."""
    image = Image.fromarray(mask).convert("P")
    image.putpalette(file_colors(background))
    return image
