"""Draws results on images, legible on any background and at any size."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import UsageError
from ..images.open import check_rgb

if TYPE_CHECKING:
    from .detection import Detection
    from .results import Answer, Prediction, Result
    from .segmentation import Region, Segmentation

BAND_OPACITY = 170  # of 255: white text on a white image still has a contrast of 7 to 1
MIN_TEXT_SIZE = 7  # pixels
MASK_OPACITY = 0.55
MAX_LEGEND_ROWS = 12  # classes that a legend names, the largest ones

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""


def draw(image: Image.Image, result: Result, predictions: Sequence[Prediction] | None = None) -> Image.Image:
    """A copy of an RGB image with its result drawn on it.

    Args:
        predictions: those of the result that are named: all that are drawn of a classifier or detector, and the legend of a
            segmenter. By default those that the result shows.

    Raises:
        ImageError: the image is not RGB.
    """
    answer: Answer = result
    return answer.drawn_on(image, answer.shown if predictions is None else predictions)


def draw_classification(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of an RGB image with `lines` at its lower left, white on a translucent dark band; without lines, no band.

    The text's size follows the image's. Text that does not fit shrinks to half its size; then lines end in an ellipsis, and
    the last lines are left out. Characters that the built-in font lacks show as boxes, accented letters lose the accent.
    """
    check_rgb(image)
    canvas = image.copy()
    _write_text(canvas, (0, 0, *canvas.size), lines)
    return canvas


def draw_detections(image: Image.Image, detections: Sequence[Detection]) -> Image.Image:
    """A copy of an RGB image with a frame in every box, in its class's color, and a tag with label and score.

    Frames have dark edges, so that they show on any background, and better boxes are drawn over worse ones. A tag stands on
    top of its box, or inside or below it if the tag of a better box stands there; its text is black or white, whichever is
    legible on the tag's color.
    """
    check_rgb(image)
    canvas = image.copy()
    pen = ImageDraw.Draw(canvas)
    line_width = max(round(min(canvas.size) / 150), 2)
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(max(min(canvas.size) // 24, 10)))
    margin, height = line_width, sum(font.getmetrics())
    frames = [_whole_pixels(prediction.box, canvas.size) for prediction in detections]
    for prediction, (left, top, right, bottom) in reversed(list(zip(detections, frames, strict=True))):
        pen.rectangle((left, top, right - 1, bottom - 1), outline="black", width=line_width + 2)
        if right - left > 2 and bottom - top > 2:
            pen.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline=vivid(prediction.index), width=line_width)
    tags: list[Rectangle] = []
    for prediction, (left, top, _, bottom) in zip(detections, frames, strict=True):
        text = _drawable(f"{prediction.label} {prediction.score * 100:.0f} %")
        width = int(font.getlength(text)) + 1 + 2 * margin
        x = max(min(left, canvas.width - width), 0)
        places = [(x, y, x + width, y + height) for y in (top - height, top, bottom - height, bottom)]
        places = [place for place in places if place[1] >= 0 and place[3] <= canvas.height] or [(x, 0, x + width, height)]
        tag = next((place for place in places if not any(_overlap(place, other) for other in tags)), places[0])
        tags.append(tag)
        color = vivid(prediction.index)
        pen.rectangle((x, tag[1], x + width - 1, tag[1] + height - 1), fill=color)
        pen.text((x + margin, tag[1]), text, fill=_text_color(color), font=font)
    return canvas


def draw_segmentation(image: Image.Image, result: Segmentation, legend: Sequence[Region]) -> Image.Image:
    """A copy of an RGB image with its classes tinted, their borders bright, the background unchanged.

    At the lower left stands a legend of at most `MAX_LEGEND_ROWS` classes. The image is tinted in strips, so that a large
    image needs no memory except for its copy.

    Raises:
        UsageError: the mask has another size than the image.
    """
    check_rgb(image)
    if result.mask.shape != (image.height, image.width):
        raise UsageError(f"mask {result.mask.shape} for an image of {image.height} x {image.width}; it must be of its size")
    canvas = image.copy()
    tints = np.array([vivid(index) for index in range(256)], np.float32)
    opacity = np.full(256, MASK_OPACITY, np.float32)
    opacity[len(result.labels) :] = 0  # void, and what is no class
    if result.background is not None:
        opacity[result.background] = 0
    rows = max((1 << 20) // image.width, 1)
    for top in range(0, image.height, rows):
        mask = result.mask[top : top + rows]
        strip = np.asarray(image.crop((0, top, image.width, top + len(mask))), np.float32)
        share = opacity[mask]
        edge = np.zeros(mask.shape, dtype=bool)
        edge[:, 1:] = mask[:, 1:] != mask[:, :-1]
        edge[1:] |= mask[1:] != mask[:-1]
        share = np.where(edge & (share > 0), 1, share)[:, :, None]
        canvas.paste(Image.fromarray((strip + (tints[mask] - strip) * share + 0.5).astype(np.uint8)), (0, top))
    _write_legend(canvas, legend[:MAX_LEGEND_ROWS])
    return canvas


def _write_legend(canvas: Image.Image, legend: Sequence[Region]) -> None:
    size = max(min(canvas.size) // 24, 10)
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    margin, pitch = max(size // 4, 1), sum(font.getmetrics())
    legend = legend[: max((canvas.height - 2 * margin) // pitch, 0)]
    room = canvas.width - 3 * margin - pitch
    texts = [_shortened(_drawable(f"{p.label} {p.share * 100:.1f} %"), font, room) for p in legend]
    if not any(texts):
        return
    width = int(max(font.getlength(text) for text in texts)) + 1 + 3 * margin + pitch
    height = len(texts) * pitch + 2 * margin
    top = canvas.height - height
    canvas.paste("black", (0, top), Image.new("L", (width, height), BAND_OPACITY))
    pen = ImageDraw.Draw(canvas)
    for row, (prediction, text) in enumerate(zip(legend, texts, strict=True)):
        y = top + margin + row * pitch
        pen.rectangle((margin, y + 1, margin + pitch - 3, y + pitch - 2), fill=vivid(prediction.index), outline="white")
        pen.text((2 * margin + pitch, y), text, fill="white", font=font)


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _whole_pixels(box: tuple[float, float, float, float], size: tuple[int, int]) -> Rectangle:
    """The pixels that a box covers: at least one, inside the image."""
    left, top = (min(max(int(low), 0), side - 1) for low, side in zip(box[:2], size, strict=True))
    right, bottom = (min(max(round(high), low + 1), side) for high, low, side in zip(box[2:], (left, top), size, strict=True))
    return left, top, right, bottom


def vivid(index: int) -> Color:
    """A bright color for a class: hues are a golden angle apart, so that neighbors differ, and every second one is lighter."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, (0.9, 0.55)[index % 2], 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _text_color(background: Color) -> str:
    red, green, blue = background
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _write_text(canvas: Image.Image, area: Rectangle, lines: Sequence[str]) -> None:
    """Draws `lines` on a band in the lower left corner of `area`, in place, never past it."""
    left, top, right, bottom = area
    texts = [text for text in map(_drawable, lines) if text]
    max_size = max(min(right - left, bottom - top) // 18, 10)
    min_size = max(max_size // 2, MIN_TEXT_SIZE)
    for size in range(max_size, min_size - 1, -max(max_size // 20, 1)):
        font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
        margin, pitch = max(size // 4, 1), sum(font.getmetrics())
        room, rows = right - left - 2 * margin, (bottom - top - 2 * margin) // pitch
        if len(texts) <= rows and all(font.getlength(text) <= room for text in texts):
            break
    texts = [text for text in (_shortened(text, font, room) for text in texts[: max(rows, 0)]) if text]
    if not texts:
        return
    width = int(max(font.getlength(text) for text in texts)) + 1 + 2 * margin
    height = len(texts) * pitch + 2 * margin
    band = Image.new("L", (min(width, right - left), height), BAND_OPACITY)
    canvas.paste("black", (left, bottom - height), band)
    draw = ImageDraw.Draw(canvas)
    for row, text in enumerate(texts):
        draw.text((left + margin, bottom - height + margin + row * pitch), text, fill="white", font=font)


def _drawable(line: str) -> str:
    """One line of at most 200 characters that every font accepts: without accents, control characters and lone surrogates."""
    letters = (c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    return " ".join("".join(c if c.isprintable() else " " for c in letters).split())[:200]


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1].rstrip()
    return text and text + "…"
