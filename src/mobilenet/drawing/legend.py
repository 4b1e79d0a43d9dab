"""What the colors of a mask mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ..images.palette import class_color
from .labels import darken
from .sizes import MIN_TEXT, text_size
from .text import Line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tasks.segmentation import Region

TITLE = "share of image"
MAX_ROWS = 12
MIN_SHARE = 0.0005  # less would be 0.0 %


def draw_legend(canvas: Image.Image, regions: Sequence[Region], shown: NDArray[np.bool_]) -> None:
    """Draws at most `MAX_ROWS` classes with their shares in the corner that hides least of what is `shown`.

    Args:
        shown: (h, w) whether something is drawn, at any part of the canvas's size.
    """
    regions = [region for region in regions if region.share >= MIN_SHARE][:MAX_ROWS]
    size = text_size(canvas.size)
    while size > MIN_TEXT and (len(regions) + 2) * Line("", size).height > canvas.height:
        size -= 1
    pitch, margin = Line("", size).height, max(size // 3, 1)
    regions = regions[: max((canvas.height - 2 * margin) // pitch, 0)]
    room = canvas.width - 3 * margin - pitch
    rows = [(region, legend_line(region, size, room)) for region in regions]
    rows = [(region, line) for region, line in rows if line.width]
    if not rows:
        return
    title = Line(TITLE, max(round(size * 0.8), MIN_TEXT))
    with_title = title.width <= room + pitch and (len(rows) + 1) * pitch + 2 * margin <= canvas.height
    width = max(line.width for _, line in rows) + 3 * margin + pitch
    width = max(width, title.width + 2 * margin) if with_title else width
    height = len(rows) * pitch + 2 * margin + (title.height if with_title else 0)
    left, top = emptiest_corner(canvas.size, (width, height), shown)
    darken(canvas, (left, top), (width, height))
    pen, y = ImageDraw.Draw(canvas), top + margin
    if with_title:
        title.draw(pen, left + margin, y, (210, 210, 210))
        y += title.height
    for region, line in rows:
        swatch = (left + margin, y + 2, left + margin + pitch - 4, y + pitch - 3)
        if swatch[2] > swatch[0] and swatch[3] > swatch[1]:
            pen.rectangle(swatch, fill=class_color(region.index), outline="white")
        line.draw(pen, left + 2 * margin + pitch, y, (255, 255, 255))
        y += pitch


def legend_line(region: Region, size: int, room: int) -> Line:
    """The label and the share of a region, or as much of the label as fits."""
    line = Line(f"{region.label} {region.share * 100:.1f} %", size)
    return line if line.width <= room else Line(region.label, size).shortened(room)


def emptiest_corner(image: tuple[int, int], size: tuple[int, int], shown: NDArray[np.bool_]) -> tuple[int, int]:
    """Left and top of a rectangle of `size` in the corner of the image where the least is shown; the lower left if all are
    alike."""
    right, bottom = image[0] - size[0], image[1] - size[1]
    scale = shown.shape[1] / image[0]
    width, height = int(np.ceil(size[0] * scale)), int(np.ceil(size[1] * scale))
    corners = {
        (0, bottom): shown[-height:, :width],
        (right, bottom): shown[-height:, -width:],
        (0, 0): shown[:height, :width],
        (right, 0): shown[:height, -width:],
    }
    return min(corners, key=lambda corner: np.count_nonzero(corners[corner]))
