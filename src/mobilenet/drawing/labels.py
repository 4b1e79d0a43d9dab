"""A classifier's answer: lines on a band."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..images.open import check_rgb
from .sizes import MIN_TEXT
from .text import Line

BAND_OPACITY = 170  # of 255: white text on a white image still has a contrast of 7 to 1


def draw_classification(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of an RGB image with `lines` at its lower left, white on a translucent dark band; without lines, no band.

    The text's size follows the image's. Text that does not fit shrinks to half its size; then lines end in an ellipsis, and
    the last lines are left out.
    """
    check_rgb(image)
    canvas = image.copy()
    texts = [text for text in lines if text.strip()]
    max_size = max(min(canvas.size) // 20, MIN_TEXT + 1)
    min_size = max(max_size // 2, MIN_TEXT)
    for size in range(max_size, min_size - 1, -max(max_size // 20, 1)):
        rows = [Line(text, size) for text in texts]
        margin = max(size // 4, 1)
        room, height = canvas.width - 2 * margin, canvas.height - 2 * margin
        if all(row.width <= room for row in rows) and sum(row.height for row in rows) <= height:
            break
    rows = [row for row in (row.shortened(room) for row in rows) if row.width and row.width <= room]
    rows = rows[: max(height // rows[0].height, 0)] if rows else []
    if rows:
        draw_band(canvas, (0, canvas.height), rows, margin)
    return canvas


def draw_band(canvas: Image.Image, corner: tuple[int, int], rows: Sequence[Line], margin: int) -> None:
    """Draws the lines in white on a band whose lower left corner is `corner`."""
    left, bottom = corner
    size = max(row.width for row in rows) + 2 * margin, sum(row.height for row in rows) + 2 * margin
    darken(canvas, (left, bottom - size[1]), size)
    pen, y = ImageDraw.Draw(canvas), bottom - size[1] + margin
    for row in rows:
        row.draw(pen, left + margin, y, (255, 255, 255))
        y += row.height


def darken(canvas: Image.Image, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Lays a translucent black band of `size` with the upper left `corner`. An image is pasted in half the time of a color."""
    canvas.paste(Image.new("RGB", size), corner, Image.new("L", size, BAND_OPACITY))
