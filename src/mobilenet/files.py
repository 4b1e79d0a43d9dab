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
    """Replaces `path` with `content` in one step, after the bytes are on disk.

    The system applies the process's umask, as to a file of `open`.
    """
    try:
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists and has room") from error


def digest(path: Path) -> str:
    import hashlib  # loads OpenSSL, and predicting needs neither

    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()
