"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import MobilenetError

if TYPE_CHECKING:
    from pathlib import Path


CHUNK = 2**20  # bytes read at a time


class WriteError(MobilenetError):
    """A file cannot be written; the message names it, the reason and the remedy."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Replaces `path` with `content` in one step, after the bytes are on disk."""
    from tempfile import mkstemp

    try:
        folder, name = os.path.split(path)
        handle, temporary = mkstemp(dir=folder or ".", prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~current_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists and has room") from error


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def digest(path: Path) -> str:
    import hashlib  # loads OpenSSL, and predicting needs neither

    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()
