"""Parts: the inputs that one process answers at a time, which become one file of the output.

A part's file is named by the inputs of the part, so doing a part twice writes the same file again.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from hashlib import blake2b
from typing import Literal, TypeAlias
from zlib import crc32

from ..predict.held import Held
from ..values import Value, replace

SIZE = 1_000
"""Approximate number of inputs in a part. Too many cost work when a node dies, too few make many small files."""


class Named(Value):
    """Files and addresses.

    Attributes:
        names: of the inputs, as they stand in the rows.
        errors: why an input names no image, for each such input.
        found: whether the listing found the files. If so, a folder that is missing on a node is a fault of the cluster, not of
            the images.
    """

    names: tuple[str, ...]
    errors: tuple[tuple[str, str], ...] = ()
    found: bool = False


class Rows(Value):
    """Rows of a table.

    Attributes:
        table: name of a Parquet file, a folder saved by Hugging Face's `datasets`, or ``hf:NAME``.
        kind: of the table.
        column: the column with the images.
        start, stop: the rows.
        groups: of a Parquet file, the first row group of these rows and the one after the last.
        split: its name, if the data set has several; else empty.
        skip: rows that the output holds already.
    """

    table: str
    kind: Literal["parquet", "huggingface"]
    column: str
    start: int
    stop: int
    groups: tuple[int, int] = (0, 0)
    split: str = ""
    skip: tuple[int, ...] = ()

    def name(self, row: int) -> str:
        """The name of a row, as an input."""
        return f"{self.table}/{self.split}#{row}" if self.split else f"{self.table}#{row}"


Part: TypeAlias = Named | Rows


def num_inputs(part: Part) -> int:
    return len(part.names) if isinstance(part, Named) else part.stop - part.start - len(part.skip)


def key_of(part: Part) -> str:
    """32 hexadecimal digits: a hash of the part's inputs."""
    names = part.names if isinstance(part, Named) else (part.name(part.start), str(part.stop))
    hashed = blake2b(digest_size=16)
    for name in names:
        hashed.update(ascii(name).encode() + b"\n")
    return hashed.hexdigest()


def named_parts(names: Iterable[tuple[str, str | None]], found: bool, size: int) -> Iterator[Named]:
    """The names, each with its error or None, in parts of about `size`.

    The checksum of a name tells whether a part ends with it, so one name more or less changes one part, not all that follow.
    """
    part, errors = list[str](), list[tuple[str, str]]()
    for name, error in names:
        part.append(name)
        if error is not None:
            errors.append((name, error))
        if crc32(os.fsencode(name)) % size == 0 or len(part) >= 2 * size:
            yield Named(tuple(part), tuple(errors), found)
            part, errors = [], []
    if part:
        yield Named(tuple(part), tuple(errors), found)


def missing(parts: Iterable[Part], done: Container[str], held: Held) -> Iterator[tuple[str, Part]]:
    """The parts that the output does not have, each with its key, without the inputs that other files of the output hold.

    Args:
        done: keys of the parts that are there.
        held: inputs of files whose part is no longer listed, because inputs have changed.
    """
    for part in parts:
        key = key_of(part)
        if key in done:
            continue
        left = without(part, held) if held else part
        if num_inputs(left):
            yield key, left


def without(part: Part, held: Held) -> Part:
    if isinstance(part, Named):
        return replace(part, names=tuple(name for name in part.names if name not in held))
    return replace(part, skip=tuple(row for row in range(part.start, part.stop) if part.name(row) in held))
