"""The file of ``mobilenet predict --output`` while answers are appended. A kill at any moment leaves whole answers and at most
one cut answer, which the next run removes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b

from ..errors import MobilenetError, UsageError, printable
from ..files import WriteError
from .rows import CSV_HEADER, Row, RowError, may_be_cut, read_row, to_text
from .work import Entry


class Held:
    """The inputs that an output holds: 16 bytes of a hash for each, about 80 bytes of memory.

    Of a video, frames up to a last one are held. The video itself is held only if it could not be read to its end.

    Attributes:
        num_failed: how many of them are failures.
    """

    def __init__(self) -> None:
        self.digests, self.num_failed = set[bytes](), 0
        self.frames = dict[bytes, int]()

    def add(self, name: str, failed: bool, frame: int | None = None) -> None:
        if frame is None:
            self.digests.add(digest(name))
        else:
            key = digest(name)
            self.frames[key] = max(frame, self.frames.get(key, -1))
        self.num_failed += failed

    def holds(self, row: Row) -> bool:
        """Whether the answer of a row is held."""
        return row.input in self if row.frame is None else row.frame <= self.last_frame(row.input)

    def last_frame(self, name: str) -> int:
        """The number of the last frame of a video that is held, or -1."""
        return self.frames.get(digest(name), -1)

    def __contains__(self, name: str) -> bool:
        return digest(name) in self.digests

    def __len__(self) -> int:
        return len(self.digests) + len(self.frames)


def digest(name: str) -> bytes:
    return blake2b(printable(name).encode(), digest_size=16).digest()  # CSV holds the printable form only


class LineFile:
    """A file of JSON or CSV lines that answers are appended to, each in one write.

    Args:
        kind: "jsonl" or "csv".
        held: is told of every answer that the file holds already.

    Raises:
        UsageError: another process writes to it, or it is no regular file.
        WriteError: it cannot be opened.
        MobilenetError: it holds something else than answers.
    """

    def __init__(self, path: str, kind: str, held: Held) -> None:
        self.path, self.kind, self.num_written = path, kind, 0
        try:
            self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists") from error
        try:
            if not stat.S_ISREG(os.fstat(self.handle).st_mode):
                raise UsageError(f"--output {path}: no regular file, so it holds nothing to go on with; give another name")
            lock(self.handle, path)
            self.end = self.next_end = self._mend(held)
            os.ftruncate(self.handle, self.end)
        except BaseException:
            os.close(self.handle)
            raise

    def write(self, entry: Entry) -> None:
        """Raises WriteError if the disk is full; the file then ends with the previous answer."""
        header = CSV_HEADER if self.kind == "csv" and not self.end else ""
        self._append(header + to_text(self.kind, entry))

    def close(self) -> None:
        if self.next_end > self.end:  # a signal ended `write`, perhaps after the last byte
            self.num_written += os.fstat(self.handle).st_size == self.next_end
        with suppress(OSError):  # some file systems cannot
            os.fsync(self.handle)
        os.close(self.handle)

    def _append(self, text: str) -> None:
        content = memoryview(text.encode())
        self.next_end = self.end + len(content)
        try:
            written = 0
            while written < len(content):
                written += os.write(self.handle, content[written:])
        except OSError as error:
            self.next_end = self.end
            os.ftruncate(self.handle, self.end)
            raise WriteError(f"{self.path}: {error.strerror}; make room, then go on with --resume") from error
        self.num_written += 1
        self.end = self.next_end

    def _mend(self, held: Held) -> int:
        """Reads what is there; the number of bytes up to the end of the last whole answer."""
        good = offset = num_left = number = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                whole = line.endswith(b"\n")
                offset += len(line)
                if self.kind == "csv" and number == 1:
                    if line != CSV_HEADER.encode() if whole else not may_be_cut(self.kind, line):
                        raise self._no_answers(number)
                    good = offset if whole else 0
                    continue
                try:
                    row = read_row(self.kind, line)
                except RowError as error:
                    if whole or (self.kind == "jsonl" and not may_be_cut(self.kind, line)):
                        raise self._no_answers(number) from error  # a file of the user's own is never cut
                    break
                if not whole:
                    break
                num_left = (num_left or row.num_lines) - 1
                if not num_left:
                    good = offset
                    held.add(row.input, row.failed, row.frame)
        return good

    def _no_answers(self, number: int) -> MobilenetError:
        return MobilenetError(
            f"{self.path}, line {number}: no answer of mobilenet predict as {self.kind}; give --output another name"
        )


def lock(handle: int, path: str) -> None:
    """Two runs that append to one file would do every image twice. The system releases the lock when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"--output {path}: another run writes to it; wait for it, or choose another file") from None
    except OSError:  # a file system without locks
        return


def refuse_existing(paths: Iterable[str]) -> None:
    """Raises UsageError if one of the files exists and is not empty."""
    for path in paths:
        if os.path.lexists(path) and not (os.path.isfile(path) and os.path.getsize(path) == 0):
            raise UsageError(f"--output {path}: is there already; give --resume to go on with it, or another name")
