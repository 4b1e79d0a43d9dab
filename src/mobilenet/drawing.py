"""Answers drawn on pictures, legible on any background and at any size."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from .images import check_rgb

BAND_OPACITY = 170  # of 255: white text on a white picture still has a contrast of 7 to 1
SMALLEST_TEXT = 7  # pixels


def draw_classification(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of an RGB picture with `lines` at its lower left, white on a translucent dark band; no line, no band.

    The text follows the picture's size. Where it does not fit it shrinks to a half, then lines end in an ellipsis, and the
    last ones are left out. Characters that the built-in font lacks show as boxes, accented letters without the accent.
    """
    check_rgb(image)
    canvas = image.copy()
    _write_text(canvas, (0, 0, *canvas.size), lines)
    return canvas


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
