"""What is fuzzed: every reader of files and requests from strangers, with seeds that it accepts.

A target gets the bytes as a file. It may return, or refuse with a `MobilenetError` of one short line; any other exception, a
crash, more memory or more time than the driver allows is a failure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "fuzz")]  # for tests/support: the writers of small files

MAX_LINE = 500  # characters of a command's line of error


class Target(NamedTuple):
    """A reader under test.

    Attributes:
        name: also its folder in `corpus` and `regressions`.
        file: the name under which the bytes are stored.
        read: gets the path.
        seeds: makes inputs that the reader accepts, for a corpus to start from.
        needs: the optional package that it reads with, or nothing.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: Callable[[], Iterator[bytes]]
    needs: str = ""


def check(target: Target, data: bytes, folder: Path) -> bool:
    """Runs a target on some bytes; True if it accepted them. Raises AssertionError for a refusal that is not one short line."""
    from mobilenet.errors import MobilenetError

    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a file that is mapped into memory is replaced, not written into
    path.write_bytes(data)
    try:
        target.read(path)
    except MobilenetError as error:
        text = str(error)
        assert len(f"mobilenet: {text}") < MAX_LINE, f"a message of {len(text)} characters: {text[:200]}"
        assert text.isprintable(), f"a message that is not one printable line: {text!r}"
        return False
    return True


def named(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)


def all_targets() -> tuple[Target, ...]:
    return TARGETS


import data_targets  # noqa: E402
import serving_targets  # noqa: E402
import weight_targets  # noqa: E402

TARGETS: tuple[Target, ...] = tuple(
    Target(*fields) for fields in (*weight_targets.TARGETS, *data_targets.TARGETS, *serving_targets.TARGETS)
)
