"""Which font has which character: the one that is shipped, then those of the system.

The shipped font has Latin with diacritics, Greek and Cyrillic (see ``tools/label_font.py``). Other scripts need a font of
the system, or one that the environment variable MOBILENET_FONTS names: files and folders, as in PATH.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache

from PIL import ImageFont, features

SHIPPED = os.path.join(os.path.dirname(__file__), "DejaVuSans.ttf")
VARIABLE = "MOBILENET_FONTS"
SUFFIXES = (".ttf", ".otf", ".ttc")
MAX_FONTS = 400
"""Maximum number of the system's fonts that are searched for a character."""
NO_CHARACTER = "\U0010ffff"  # which no font has: its image is what a font draws for every character that it lacks
CHECK_SIZE = 24  # pixels


@lru_cache(64)
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of a file. Raises OSError if it cannot be read at this size: fonts of bitmaps have few sizes."""
    layout = ImageFont.Layout.BASIC
    if path != SHIPPED and features.check("raqm"):  # scripts that join their letters, or run from right to left
        layout = ImageFont.Layout.RAQM
    return ImageFont.truetype(path, size, layout_engine=layout)


@lru_cache(4096)
def font_of(character: str) -> str | None:
    """The path of the first font that has `character`, or None."""
    return next((path for path in (SHIPPED, *system_fonts()) if has(path, character)), None)


def has(path: str, character: str) -> bool:
    try:
        font = open_font(path, CHECK_SIZE)
        ink = bytes(font.getmask(character))
        return (any(ink) and ink != bytes(font.getmask(NO_CHARACTER))) or (path == SHIPPED and character.isspace())
    except (OSError, ValueError):
        return False


@lru_cache(1)
def system_fonts() -> tuple[str, ...]:
    """Paths of the fonts that MOBILENET_FONTS names, and of the system's: plain faces without serifs first."""
    named = os.environ.get(VARIABLE, "")
    own = [path for item in named.split(os.pathsep) if item for path in _fonts_in(item)]
    found = sorted({path for folder in font_folders() for path in _fonts_in(folder)}, key=_rank)
    return (*own, *found)[:MAX_FONTS]


def font_folders() -> list[str]:
    """Where systems keep fonts."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", os.path.join(home, "AppData", "Local"))
        windows = os.environ.get("WINDIR", r"C:\Windows")
        return [os.path.join(windows, "Fonts"), os.path.join(local, "Microsoft", "Windows", "Fonts")]
    if sys.platform == "darwin":
        return ["/System/Library/Fonts", "/Library/Fonts", os.path.join(home, "Library", "Fonts")]
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return [*(os.path.join(folder, "fonts") for folder in (own, *shared.split(":"))), os.path.join(home, ".fonts")]


def _fonts_in(item: str) -> Iterator[str]:
    if os.path.isfile(item):
        yield item
    for folder, _, names in os.walk(item):
        yield from (os.path.join(folder, name) for name in names if name.lower().endswith(SUFFIXES))


def _rank(path: str) -> tuple[bool, bool, str]:
    name = os.path.basename(path).lower()
    decorated = any(word in name for word in ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono"))
    return decorated, "serif" in name or "sans" not in name, path
