"""JPEG photos decoded at a half, a quarter or an eighth of their size, where a network needs no more."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, NamedTuple

from .open import TURNED, _check_file, _upright_rgb, as_image_errors, open_header, orientation_of

if TYPE_CHECKING:
    from PIL import Image

    Size = tuple[int, int]
    Box = tuple[float, float, float, float]

REDUCTIONS = (8, 4, 2)
"""What a JPEG decoder can divide an image's sides by: it computes fewer values from the same coefficients."""


class Reduced(NamedTuple):
    """A smaller copy of an image.

    Attributes:
        pixels: the copy, RGB and upright.
        size: (width, height) of the image itself. Boxes and masks are in its pixels.
        box: x0, y0, x1, y1 in the copy: where the image lies in it. The decoder rounds the copy's sides up.
    """

    pixels: Image.Image
    size: Size
    box: Box


def open_reduced(path: str | os.PathLike[str], needed: Callable[[Size], Size] | None) -> Image.Image | Reduced:
    """As `open_image` of a file; a JPEG may be decoded at a reduced scale.

    Args:
        needed: from an image's (width, height) to the sides that it must keep at least; None for all of it.
    """
    name = os.fsdecode(path)
    _check_file(name)
    with as_image_errors(repr(name)), open(path, "rb") as file:
        return _decode(file, repr(name), needed)


def decode_reduced(content: bytes, name: str, needed: Callable[[Size], Size] | None) -> Image.Image | Reduced:
    """The same of an image file's bytes; errors call it `name`."""
    with as_image_errors(repr(name)):
        return _decode(io.BytesIO(content), repr(name), needed)


def _decode(file: IO[bytes], name: str, needed: Callable[[Size], Size] | None) -> Image.Image | Reduced:
    image = open_header(file, name)
    if image.format != "JPEG" or needed is None:
        return _upright_rgb(image, name, copy=False)
    turned, size, drafted = orientation_of(image), image.size, None
    upright = size[::-1] if turned in TURNED else size
    columns, rows = needed(upright)
    for reduction in REDUCTIONS:
        if upright[0] >= columns * reduction and upright[1] >= rows * reduction:
            drafted = image.draft(None, (size[0] // reduction, size[1] // reduction))
            break
    pixels = _upright_rgb(image, name, copy=False)
    return pixels if drafted is None else Reduced(pixels, upright, box_in_copy(pixels.size, drafted[1][2:], turned))


def box_in_copy(copy: Size, exact: tuple[float, float], orientation: int) -> Box:
    """Where an image lies in its upright copy: the decoder rounds the sides, which are `exact` in the file's own orientation
    (EXIF, 1 to 8), up at the right and at the lower edge."""
    width, height = exact
    if orientation in TURNED:
        width, height = height, width
    from_right, from_below = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    left = copy[0] - width if from_right else 0.0
    top = copy[1] - height if from_below else 0.0
    return left, top, left + width, top + height
