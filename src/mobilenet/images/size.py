"""An image's size from its file's header: no pixel is decoded."""

from __future__ import annotations

import io
import os
from typing import IO, NamedTuple

from PIL import Image

from .open import TURNED, ImageError, as_image_errors, open_header, orientation_of


class StoredSize(NamedTuple):
    """Width and height as the pixels are stored, and the EXIF orientation (1 to 8) that makes the image upright."""

    width: int
    height: int
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) of the image as `open_image` returns it."""
        return (self.height, self.width) if self.orientation in TURNED else (self.width, self.height)


def read_size(source: str | os.PathLike[str] | bytes, name: str = "") -> StoredSize:
    """The size of an image file, or of a file's bytes. Raises ImageError, which calls it `name`, as `open_image` does."""
    called = repr(name or os.fsdecode(source))
    with as_image_errors(called):
        if isinstance(source, bytes):
            return _size(io.BytesIO(source), called)
        try:
            with open(source, "rb") as file:
                return _size(file, called)
        except FileNotFoundError:
            raise ImageError(f"{called}: no such file; check the path") from None


def _size(file: IO[bytes], name: str) -> StoredSize:
    image = open_header(file, name)
    # Pillow would decode the pixels of a PNG, to look behind them.
    orientation = orientation_of(_png_exif(file) if image.format == "PNG" else image)
    return StoredSize(image.width, image.height, orientation if 1 <= orientation <= 8 else 1)


def _png_exif(file: IO[bytes]) -> Image.Exif:
    exif = Image.Exif()
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            exif.load(file.read(min(length, 1 << 16)))
            break
        file.seek(length + 4, 1)
    return exif
