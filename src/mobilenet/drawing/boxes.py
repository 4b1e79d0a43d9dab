"""A detector's answer: a frame around each object, and tags."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ..images.open import check_rgb
from ..images.palette import BLACK, Color, class_color, shade, text_color
from .sizes import MIN_TEXT, line_width, text_size
from .tags import Place, Rectangle, Room
from .text import Line

if TYPE_CHECKING:
    from ..tasks.detection import Detection

MAX_TAG_SHARE = 0.6
"""The largest share of the image's width that a tag takes."""


def draw_detections(image: Image.Image, detections: Sequence[Detection]) -> Image.Image:
    """A copy of an RGB image with a frame around each object and a tag with its label and score.

    Frames are in the color of the class, each object of a class in another shade, with dark edges that show on any background;
    small objects are drawn over large ones, with thinner lines and smaller letters. A tag stands at its box or is tied to it by
    a line. It covers no other tag and no small object. If there is no room for it, first the score and then the whole tag is
    left out, beginning with the lowest scores. A score of NaN is not written: ground truth has none.
    """
    check_rgb(image)
    canvas = image.copy()
    if not detections:
        return canvas
    frames = [whole_pixels(detection.box, canvas.size) for detection in detections]
    seen = Counter[int]()
    colors = list[Color]()
    for detection in detections:
        colors.append(shade(class_color(detection.index), seen[detection.index]))
        seen[detection.index] += 1
    pen, width = ImageDraw.Draw(canvas), line_width(canvas.size)
    for index in sorted(range(len(frames)), key=lambda index: -_area(frames[index])):
        draw_frame(pen, frames[index], colors[index], width)
    room = Room(canvas.size, np.array(frames, np.float64))
    tags = list[tuple[Place, Line, Color]]()
    for index, detection in enumerate(detections):
        size = tag_size(frames[index], canvas.size)
        for line in tag_lines(detection, size, canvas.width * MAX_TAG_SHARE):
            place = room.place(index, line.width + 2 * margin(size), line.height) if line.width else None
            if place is not None:
                tags.append((place, line, colors[index]))
                break
    for place, _, color in reversed(tags):
        if place.leader is not None:
            pen.line(place.leader, fill=BLACK, width=width + 2)
            pen.line(place.leader, fill=color, width=width)
    for (tag, _), line, color in reversed(tags):
        pen.rectangle((tag[0], tag[1], tag[2] - 1, tag[3] - 1), fill=color)
        line.draw(pen, tag[0] + margin(line.size), tag[1], text_color(color))
    return canvas


def tag_lines(detection: Detection, size: int, widest: float) -> Iterator[Line]:
    """The texts that a tag may have, the best first: label and score, the label alone, or as much of the label as fits."""
    if not math.isnan(detection.score):
        whole = Line(f"{detection.label} {detection.score * 100:.0f} %", size)
        if whole.width <= widest:
            yield whole
    yield Line(detection.label, size).shortened(widest)


def draw_frame(pen: ImageDraw.ImageDraw, frame: Rectangle, color: Color, width: int) -> None:
    """A colored line inside the frame with a thin dark line on both sides, no thicker than a small object allows."""
    left, top, right, bottom = frame
    side = min(right - left, bottom - top)
    width = max(min(width, side // 12), min(width, 2 if side > 16 else 1))
    edge = max(width // 4, 1) if side > 6 else 0
    if edge:
        pen.rectangle((left, top, right - 1, bottom - 1), outline=BLACK, width=width + 2 * edge)
    pen.rectangle((left + edge, top + edge, right - 1 - edge, bottom - 1 - edge), outline=color, width=width)


def tag_size(frame: Rectangle, image: tuple[int, int]) -> int:
    """Height in pixels of the letters on a box's tag: as elsewhere on the image, or down to 0.65 of that for small objects."""
    standard = text_size(image)
    return max(min(standard, round(0.2 * math.sqrt(_area(frame)))), round(0.65 * standard), MIN_TEXT)


def margin(size: int) -> int:
    """Pixels to the left and right of letters of `size`."""
    return max(size // 4, 2)


def whole_pixels(box: tuple[float, float, float, float], size: tuple[int, int]) -> Rectangle:
    """The pixels that a box covers: at least one, inside the image."""
    left, top = (min(max(int(low), 0), side - 1) for low, side in zip(box[:2], size, strict=True))
    right, bottom = (min(max(round(high), low + 1), side) for high, low, side in zip(box[2:], (left, top), size, strict=True))
    return left, top, right, bottom


def _area(frame: Rectangle) -> int:
    return (frame[2] - frame[0]) * (frame[3] - frame[1])
