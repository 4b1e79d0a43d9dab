"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import MobilenetError

if TYPE_CHECKING:
    from pathlib import Path


CHUNK = 2**20  # bytes read at a time
RANDOM = 6  # bytes in the name of a temporary
STALE = 24 * 3600  # seconds after which a temporary is the rest of a process that was killed, where there are no locks


class WriteError(MobilenetError):
    """A file cannot be written; the message names it, the reason and the remedy."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Replaces `path` with `content` in one step, after the bytes are on disk.

    The system applies the process's umask, as to a file of `open`. What is written first is a temporary beside it, locked as
    long as this process lives: see `remove_leftovers`.
    """
    try:
        handle, temporary = _temporary(*os.path.split(path))
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
        raise unwritable(path, error) from error


class Staged:
    """A place for a file or folder that becomes `path` in one step when it is published; otherwise it goes, and `path` stays.

    With ``with``: the place's path, in a temporary folder beside `path`, locked as long as this process lives: see
    `remove_leftovers`. A folder at `path` is replaced as a whole.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = os.path.abspath(path)
        self.handle: int | None = None

    def __enter__(self) -> Staged:
        folder, name = os.path.split(self.path)
        self.folder = os.path.join(folder, f".{name}.{os.urandom(RANDOM).hex()}")
        self.place = os.path.join(self.folder, name)
        try:
            os.mkdir(self.folder)
        except OSError as error:
            raise unwritable(self.path, error) from error
        if os.name == "posix":
            self.handle = os.open(self.folder, os.O_RDONLY)
            _lock(self.handle)
        return self

    def publish(self) -> None:
        """Makes `path` of what stands in the place, after the bytes are on disk. Raises WriteError."""
        try:
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    with open(os.path.join(folder, name), "rb+") as file:
                        os.fsync(file.fileno())
            if os.path.isdir(self.path):
                os.rename(self.path, os.path.join(self.folder, "before"))
            os.replace(self.place, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def __exit__(self, *error: object) -> None:
        import shutil

        before = os.path.join(self.folder, "before")
        if not os.path.exists(self.path) and os.path.isdir(before):
            os.rename(before, self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.handle is not None:
            os.close(self.handle)


def unwritable(path: str | Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists and has room")


def _temporary(folder: str, name: str) -> tuple[int, str]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        path = os.path.join(folder, f".{name}.{os.urandom(RANDOM).hex()}")
        handle = os.open(path, flags, 0o666)
        if _lock(handle) is not False and os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)  # somebody who removes leftovers has found it in the moment before it was locked


def _lock(handle: int) -> bool | None:
    """Whether the file could be locked; None if this system has no such locks. The lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def remove_leftovers(folder: str | Path, name: str = "") -> None:
    """Removes the temporaries of processes that were killed while they wrote `name`, or any file, into `folder`.

    A temporary that is not locked has no process; where there are no locks, one of a day ago has none.
    """
    import re
    import shutil
    import time

    pattern = re.compile(rf"\.{re.escape(name) or '.+'}\.[0-9a-f]{{{2 * RANDOM}}}")
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return
    for path in (os.path.join(folder, each) for each in names if pattern.fullmatch(each)):
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                alone = _lock(handle)
                if alone or (alone is None and time.time() - os.fstat(handle).st_mtime > STALE):
                    if os.path.isdir(path):
                        shutil.rmtree(path)
                    else:
                        os.unlink(path)
            finally:
                os.close(handle)
        except OSError:  # another process was faster, or the folder is read-only
            continue


def digest(path: Path) -> str:
    import hashlib  # loads OpenSSL, and predicting needs neither

    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()
