"""Answers drawn on pictures, legible on any background and at any size."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..images.open import check_rgb
from .results import VOID, Prediction, Result, Segmentation

BAND_OPACITY = 170  # of 255: white text on a white picture still has a contrast of 7 to 1
SMALLEST_TEXT = 7  # pixels
MASK_OPACITY = 0.55
LEGEND_ROWS = 12  # classes that a legend names, the largest ones

Colour = tuple[int, int, int]
Frame = tuple[int, int, int, int]  # left, top, right, bottom


def draw(image: Image.Image, result: Result, kept: Sequence[Prediction]) -> Image.Image:
    """A copy of an RGB picture with what a result says of it; `kept` are those of its predictions that are named."""
    if isinstance(result, Segmentation):
        return draw_segmentation(image, result, kept)
    if kept and kept[0].box is not None:
        return draw_detections(image, kept)
    return draw_classification(image, [f"{p.label} {p.score * 100:.1f} %" for p in kept])


def draw_classification(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of an RGB picture with `lines` at its lower left, white on a translucent dark band; no line, no band.

    The text follows the picture's size. Where it does not fit it shrinks to a half, then lines end in an ellipsis, and the
    last ones are left out. Characters that the built-in font lacks show as boxes, accented letters without the accent.
    """
    check_rgb(image)
    canvas = image.copy()
    _write_text(canvas, (0, 0, *canvas.size), lines)
    return canvas


def draw_detections(image: Image.Image, found: Sequence[Prediction]) -> Image.Image:
    """A copy of an RGB picture with a frame around every box, in its class's colour, and a tag with label and score.

    Frames lie inside their boxes, dark at the edges so that they show on any ground; better boxes over worse ones. A tag
    stands on top of its box, else inside or below it, where none of a better box stands; its text is black or white,
    whichever its ground makes legible.
    """
    check_rgb(image)
    canvas = image.copy()
    pen = ImageDraw.Draw(canvas)
    thick = max(round(min(canvas.size) / 150), 2)
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(max(min(canvas.size) // 24, 10)))
    margin, height = thick, sum(font.getmetrics())
    frames = [_whole_pixels(prediction.box, canvas.size) for prediction in found if prediction.box is not None]
    for prediction, (left, top, right, bottom) in reversed(list(zip(found, frames, strict=True))):
        pen.rectangle((left, top, right - 1, bottom - 1), outline="black", width=thick + 2)
        if right - left > 2 and bottom - top > 2:
            pen.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline=vivid(prediction.index), width=thick)
    taken: list[Frame] = []
    for prediction, (left, top, _, bottom) in zip(found, frames, strict=True):
        text = _drawable(f"{prediction.label} {prediction.score * 100:.0f} %")
        width = int(font.getlength(text)) + 1 + 2 * margin
        x = max(min(left, canvas.width - width), 0)
        places = [(x, y, x + width, y + height) for y in (top - height, top, bottom - height, bottom)]
        places = [place for place in places if place[1] >= 0 and place[3] <= canvas.height] or [(x, 0, x + width, height)]
        place = next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])
        taken.append(place)
        paint = vivid(prediction.index)
        pen.rectangle((x, place[1], x + width - 1, place[1] + height - 1), fill=paint)
        pen.text((x + margin, place[1]), text, fill=_ink(paint), font=font)
    return canvas


def draw_segmentation(image: Image.Image, result: Segmentation, kept: Sequence[Prediction]) -> Image.Image:
    """A copy of an RGB picture with its classes tinted, their borders bright, the background left, a legend at the lower left.

    The legend names `kept`, at most `LEGEND_ROWS` of them, each beside its colour. Works strip by strip, so that the copy is
    all the memory a large picture needs.
    """
    check_rgb(image)
    if result.mask.shape != (image.height, image.width):
        raise ValueError(f"mask {result.mask.shape} for a picture of {image.height} x {image.width}; it must be of its size")
    canvas = image.copy()
    tints = np.array([vivid(index) for index in range(256)], np.float32)
    opacity = np.full(256, MASK_OPACITY, np.float32)
    opacity[[VOID, *([] if result.background is None else [result.background])]] = 0
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
    _write_legend(canvas, kept[:LEGEND_ROWS])
    return canvas


def _write_legend(canvas: Image.Image, kept: Sequence[Prediction]) -> None:
    size = max(min(canvas.size) // 24, 10)
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    margin, pitch = max(size // 4, 1), sum(font.getmetrics())
    kept = kept[: max((canvas.height - 2 * margin) // pitch, 0)]
    room = canvas.width - 3 * margin - pitch
    texts = [_shortened(_drawable(f"{p.label} {(p.share or 0) * 100:.1f} %"), font, room) for p in kept]
    if not any(texts):
        return
    width = int(max(font.getlength(text) for text in texts)) + 1 + 3 * margin + pitch
    height = len(texts) * pitch + 2 * margin
    top = canvas.height - height
    canvas.paste("black", (0, top), Image.new("L", (width, height), BAND_OPACITY))
    pen = ImageDraw.Draw(canvas)
    for row, (prediction, text) in enumerate(zip(kept, texts, strict=True)):
        y = top + margin + row * pitch
        pen.rectangle((margin, y + 1, margin + pitch - 3, y + pitch - 2), fill=vivid(prediction.index), outline="white")
        pen.text((2 * margin + pitch, y), text, fill="white", font=font)


def _overlap(a: Frame, b: Frame) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _whole_pixels(box: tuple[float, float, float, float], size: tuple[int, int]) -> Frame:
    """The pixels a box covers, at least one, within the picture."""
    left, top = (min(max(int(low), 0), side - 1) for low, side in zip(box[:2], size, strict=True))
    right, bottom = (min(max(round(high), low + 1), side) for high, low, side in zip(box[2:], (left, top), size, strict=True))
    return left, top, right, bottom


def vivid(index: int) -> Colour:
    """A bright colour for a class: hues a golden angle apart, so that neighbours differ; every other one lighter."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, (0.9, 0.55)[index % 2], 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(ground: Colour) -> str:
    red, green, blue = ground
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _write_text(canvas: Image.Image, area: tuple[int, int, int, int], lines: Sequence[str]) -> None:
    """Draw `lines` on a band in the lower left corner of `area` (left, top, right, bottom), in place, never past it."""
    left, top, right, bottom = area
    texts = [text for text in map(_drawable, lines) if text]
    largest = max(min(right - left, bottom - top) // 18, 10)
    smallest = max(largest // 2, SMALLEST_TEXT)
    for size in range(largest, smallest - 1, -max(largest // 20, 1)):
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
    """One line of at most 200 characters that any font can take: no accents, no control characters, no lone surrogates."""
    letters = (c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    return " ".join("".join(c if c.isprintable() else " " for c in letters).split())[:200]


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1].rstrip()
    return text and text + "…"
