"""Lines of text for images, in as many fonts as their characters need."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import escaped, printable
from .fonts import SHIPPED, font_of, open_font

if TYPE_CHECKING:
    from PIL import ImageDraw

    from ..images.palette import Color

MAX_CHARACTERS = 200
ELLIPSIS = "…"


class Line:
    """One line of text at one size, measured.

    Attributes:
        text: as it is drawn: composed, printable, at most `MAX_CHARACTERS`. A character that no font has is escaped, as control
            characters are: a box or another letter in its place would mislead.
        size: of the letters in pixels.
        width: in whole pixels.
        height: from line to line, in pixels; the same for every text of a size.
    """

    def __init__(self, text: str, size: int) -> None:
        self.text, self.size = drawable(text), size
        self.runs = runs(self.text)
        self.widths = [open_font(path, size).getlength(run) for path, run in self.runs]
        self.width = int(sum(self.widths)) + (1 if self.runs else 0)
        self.ascent, descent = open_font(SHIPPED, size).getmetrics()
        self.height = self.ascent + descent

    def shortened(self, room: float) -> Line:
        """The line, or as much of it as fits into `room` pixels with an ellipsis; perhaps nothing."""
        if self.width <= room:
            return self
        low, high = 0, len(self.text)
        while low < high:
            middle = (low + high + 1) // 2
            fits = Line(self.text[:middle].rstrip() + ELLIPSIS, self.size).width <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return Line(self.text[:low].rstrip() + ELLIPSIS if low else "", self.size)

    def draw(self, pen: ImageDraw.ImageDraw, x: float, y: float, color: Color) -> None:
        """Draws the line with its upper left corner at (x, y)."""
        for (path, run), width in zip(self.runs, self.widths, strict=True):
            pen.text((x, y + self.ascent), run, fill=color, font=open_font(path, self.size), anchor="ls")
            x += width


@lru_cache(1024)
def drawable(text: str) -> str:
    """One line whose every character some font has."""
    text = printable(" ".join(unicodedata.normalize("NFC", text[: 4 * MAX_CHARACTERS]).split()))[:MAX_CHARACTERS]
    return "".join(c if font_of(c) is not None else escaped(c) for c in text)


@lru_cache(1024)
def runs(text: str) -> tuple[tuple[str, str], ...]:
    """The text in pieces of one font each. Marks and spaces stay with the letters around them if their font has them."""
    pieces = list[tuple[str, str]]()
    for index, character in enumerate(text):
        path = font_of(character) or SHIPPED
        before = pieces[-1][0] if pieces else SHIPPED
        after = font_of(text[index + 1]) if index + 1 < len(text) else None
        if before != path and (unicodedata.combining(character) or (character.isspace() and after == before)):
            path = before
        if path == before and pieces:
            pieces[-1] = path, pieces[-1][1] + character
        else:
            pieces.append((path, character))
    return tuple(pieces)
