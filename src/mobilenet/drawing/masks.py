"""A segmenter's answer: classes tinted, with an outline, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from ..errors import UsageError
from ..images.open import check_rgb
from ..images.palette import COLORS
from ..images.resample import lent
from ..tensors import built
from .legend import draw_legend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tasks.segmentation import Region, Segmentation

TINT, OUTLINE = 105, 255
"""Opacity, of 255: at 41 % the object stays visible."""
MAX_WORKED_PIXELS = 900_000
"""Outlines of a larger image are drawn on a reduced copy and enlarged smoothly."""
OUTLINE_SHARE = 1 / 180
"""An outline's width, as a share of the side of a square image of as many pixels."""
MIN_OUTLINE = 2.4  # pixels
STRIP = 32  # rows of the part that are enlarged at once
NONE = 255  # in a map of classes: nothing is drawn


def draw_segmentation(image: Image.Image, result: Segmentation, legend: Sequence[Region]) -> Image.Image:
    """A copy of an RGB image with its classes tinted and outlined in their colors, the background unchanged.

    A legend names the classes of `legend` with their shares of the image, in the corner where it hides least.

    Raises:
        UsageError: the mask has another size than the image.
    """
    check_rgb(image)
    if result.mask.shape != (image.height, image.width):
        raise UsageError(f"mask {result.mask.shape} for an image of {image.height} x {image.width}; it must be of its size")
    canvas = image.copy()
    pixels = image.width * image.height
    step = int(max((pixels / MAX_WORKED_PIXELS) ** 0.5 + 0.5, 1))
    classes = result.mask if step == 1 else every(result.mask, step)
    drawn = np.full(256, NONE, np.uint8)
    drawn[: len(result.labels)] = np.arange(min(len(result.labels), 256))
    if result.background is not None:
        drawn[result.background] = NONE
    classes = np.frombuffer(classes.tobytes().translate(drawn.tobytes()), np.uint8).reshape(classes.shape)
    shown = classes != NONE
    if not shown.any():
        return canvas
    thickness = max(pixels**0.5 * OUTLINE_SHARE, MIN_OUTLINE) / step
    rows, columns = extent(shown, int(thickness) + 1)
    paint(canvas, classes[rows, columns], thickness, (columns.start * step, rows.start * step), step)
    draw_legend(canvas, legend, shown)
    return canvas


def every(mask: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """One pixel of each block of `step` x `step`: its middle, or its last where the image ends in it."""
    rows, columns = (np.minimum(np.arange(step // 2, side + step // 2, step), side - 1) for side in mask.shape)
    return np.ascontiguousarray(mask[rows][:, columns])


def extent(shown: NDArray[np.bool_], around: int) -> tuple[slice, slice]:
    """The rows and columns that hold all that is shown, and a margin."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return (
        slice(max(int(rows[0]) - around, 0), int(rows[-1]) + 1 + around),
        slice(max(int(columns[0]) - around, 0), int(columns[-1]) + 1 + around),
    )


def paint(canvas: Image.Image, classes: NDArray[np.uint8], thickness: float, corner: tuple[int, int], step: int) -> None:
    """Tints and outlines `classes`, of which each pixel stands for `step` x `step` pixels of the canvas from `corner` on."""
    opacity, colored = outlined(classes, thickness)
    # In strips: what is enlarged stays in the processor's cache. Filters see across the strips' borders.
    width = min(opacity.width * step, canvas.width - corner[0])  # the last block may reach past the image's edge
    bottom = min(opacity.height * step, canvas.height - corner[1])
    room = np.empty((min(STRIP * step, bottom), width, 4), np.uint8)
    for first in range(0, opacity.height, STRIP):
        top = first * step
        height = min(STRIP * step, bottom - top)
        part = (0.0, float(first), min(width / step, opacity.width), min((top + height) / step, opacity.height))
        laid, spacing = enlarged(opacity, (width, height), part, step)
        place = (corner[0], corner[1] + top)
        strip = canvas.crop((*place, place[0] + width, place[1] + height))
        canvas.paste(tinted(strip, laid, spacing, colored[first : first + STRIP], step, room[:height]), place)


def enlarged(
    opacity: Image.Image, size: tuple[int, int], part: tuple[float, float, float, float], step: int
) -> tuple[Image.Image, int]:
    """A part of an image, smoothly enlarged, and how many pixels to a side one of its pixels stands for. From 3 times on, that
    is 2, which takes half the time: blocks of two pixels do not show where lines are a dozen wide."""
    if step == 1:
        return opacity.crop((0, int(part[1]), size[0], int(part[1]) + size[1])), 1
    if step < 3:
        return opacity.resize(size, Image.Resampling.BILINEAR, part), 1
    half = opacity.resize(((size[0] + 1) // 2, (size[1] + 1) // 2), Image.Resampling.BILINEAR, part)
    if size[0] % 2 == size[1] % 2 == 0:
        return half, 2
    return half.resize(size, Image.Resampling.NEAREST), 1


def tinted(
    image: Image.Image,
    opacity: Image.Image,
    spacing: int,
    classes: NDArray[np.uint8],
    step: int,
    room: NDArray[np.uint8],
) -> Image.Image:
    """An image with the colors of `classes` laid on it. One value of `opacity` stands for `spacing` x `spacing` pixels, one
    class for `step` x `step`. The result may lie in `room`, (H, W, 4)."""
    if built():
        from .. import _core

        pixels = lent(image)
        pixels = image.tobytes("raw", "RGBX") if pixels is None else pixels
        _core.tint(pixels, np.asarray(opacity), spacing, np.ascontiguousarray(classes), step, COLORS, room)
        return Image.frombuffer("RGB", image.size, room, "raw", "RGBX", 0, 1)
    colors = Image.fromarray(classes).convert("P")
    colors.putpalette(COLORS)
    layer = colors.convert("RGB").resize(image.size, Image.Resampling.NEAREST, (0, 0, image.width / step, image.height / step))
    image.paste(layer, (0, 0), opacity.resize(image.size, Image.Resampling.NEAREST))
    return image


def outlined(classes: NDArray[np.uint8], thickness: float) -> tuple[Image.Image, NDArray[np.uint8]]:
    """The opacity of each pixel, and the class whose color it takes.

    The outline is the border between classes, blurred to its thickness; half of it lies outside of an object, in the color of
    the nearest class.
    """
    border = np.zeros(classes.shape, np.uint8)
    for a, b, at_a, at_b in (
        (classes[:, 1:], classes[:, :-1], border[:, 1:], border[:, :-1]),
        (classes[1:], classes[:-1], border[1:], border[:-1]),
    ):
        differs = (a != b).view(np.uint8) * 255
        np.maximum(at_a, differs, out=at_a)
        np.maximum(at_b, differs, out=at_b)
    radius = (thickness - 1) / 2
    blurred = Image.fromarray(border).filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(0.6))
    gain = (2 * radius + 1) / 2 * 1.4  # a straight border is two pixels wide
    outline = np.asarray(blurred.point([min(round(value * gain), OUTLINE) for value in range(256)]))
    tint = np.frombuffer(classes.tobytes().translate(bytes([TINT] * NONE + [0])), np.uint8).reshape(classes.shape)
    return Image.fromarray(np.maximum(tint, outline)), spread(classes, int(thickness) + 2)


def spread(classes: NDArray[np.uint8], distance: int) -> NDArray[np.uint8]:
    """The same map, where a pixel of no class near one has that class: the smallest of those within `distance` to all sides."""
    near = classes
    for axis in (0, 1):
        padded = np.pad(near, [(distance, distance) if each == axis else (0, 0) for each in (0, 1)], constant_values=NONE)
        count = near.shape[axis]
        for offset in range(2 * distance + 1):
            part = padded[offset : offset + count] if axis == 0 else padded[:, offset : offset + count]
            near = np.minimum(near, part)
    return np.where(classes == NONE, near, classes)
