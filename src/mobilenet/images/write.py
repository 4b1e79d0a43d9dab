"""Writes images, whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from ..files import write_atomically
from .open import ImageError


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Writes an image or a mask in the format of the suffix: PNG if there is none or it is unknown, JPEG at quality 92.

    Raises:
        ImageError: the file cannot be written; what was there before stays.
    """
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower(), "PNG")
    kind = kind if kind in Image.SAVE else "PNG"
    try:
        write_atomically(path, encoded(image, kind))
    except Exception as error:  # encoders raise almost any type on modes and sizes that they cannot write
        reason = " ".join(str(error).split())[:200]
        raise ImageError(f"{str(path)!r}: no {kind} written ({reason}); choose another folder or suffix") from error


def encoded(image: Image.Image, kind: str) -> bytes:
    """The bytes of an image file of one of Pillow's formats, JPEG at quality 92. Raises whatever the encoder raises."""
    content = io.BytesIO()
    image.save(content, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return content.getvalue()
