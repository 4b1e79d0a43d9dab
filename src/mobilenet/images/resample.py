"""A decoded image becomes a network's input in the native core: resized, cut or padded, normalized, without copies between."""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, NamedTuple

import PIL
from PIL import Image

from ..tensors import zeros

if TYPE_CHECKING:
    from .._core import Resampler
    from ..tensors import View

BAND_BYTES = 1 << 20
"""Of an image that Pillow keeps in several pieces, as much is copied at once: what the processor's cache holds."""


DOWN_FIRST = int(PIL.__version__.partition(".")[0]) >= 13
"""Whether this Pillow ever resizes down before across; each pass rounds, so their order is part of the result."""


class Placement(NamedTuple):
    """How an image comes into an input.

    Attributes:
        part: left, top, width, height of the image's part that is looked at.
        box: x0, y0, x1, y1 in the part: what is resized. Pixels of the part beside it have their share in its edges.
        resized: width and height after resizing.
        offset: left and top of the input in the resized image; negative if the input begins before it.
        fill: 0 to 255, the value of the input past the resized image.
    """

    part: tuple[int, int, int, int]
    box: tuple[float, float, float, float]
    resized: tuple[int, int]
    offset: tuple[int, int]
    fill: int


def resample(image: Image.Image, place: Placement, interpolation: str, size: tuple[int, int], levels: array[float]) -> View:
    """A batch of one image, (1, 3, H, W) float32, from an RGB image. Bit by bit what Pillow's resize and `tensors.planes` make.

    Only rows that the filter spans are kept, so memory does not grow with the image.

    Args:
        interpolation: any of Pillow's filters except ``nearest``.
        size: (H, W) of the input.
        levels: what the 256 values of a byte become in red, green and blue, (768,) float32.
    """
    from .. import _core

    target = zeros((1, 3, *size))
    isa = os.environ.get("MOBILENET_ISA", "")
    left, top, width, height = place.part
    columns, rows = place.resized
    # Pillow resizes down before across where that leaves it less to do (python-pillow/Pillow, pull request 9549).
    down_first = DOWN_FIRST and height > rows and height - rows > 2 * (width - columns)
    resampler = _core.Resampler(
        image.size,
        (left, top),
        (width, height),
        place.box,
        place.resized,
        place.offset,
        down_first,
        place.fill,
        interpolation,
        levels,
        target,
        isa,
    )
    first, end = resampler.rows
    if first < end and not _feed(resampler, image, 0):
        rows = max(BAND_BYTES // (4 * image.width), 1)
        for row in range(first, end, rows):
            band = image.crop((0, row, image.width, min(row + rows, end)))
            if not _feed(resampler, band, row):
                resampler.feed(band.tobytes("raw", "RGBX"), row)
    return target


def _feed(resampler: Resampler, image: Image.Image, row: int) -> bool:
    """Feeds the image from Pillow's own memory, if it is lent."""
    pixels = lent(image)
    if pixels is not None:
        resampler.feed_arrow(pixels, row)
    return pixels is not None


def lent(image: Image.Image) -> object | None:
    """Pillow's own memory of an RGB image, 4 bytes for each pixel, for the core to read; None if it is in several pieces or
    Pillow is too old to lend it (before 11.3)."""
    lend = getattr(image, "__arrow_c_array__", None)
    if lend is None:
        return None
    try:
        _, pixels = lend()
    except ValueError:  # in several pieces
        return None
    memory: object = pixels
    return memory
