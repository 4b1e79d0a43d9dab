"""Flatbuffers walked without a schema package: every offset, count and length is checked before it is used.

A table begins with the distance back to its vtable, which lists where each field stands; a vector begins with its length.
Both are reached only through this reader, which raises `FlatbufferError` for bytes that do not hold what they claim. The schema
bounds the depth of a walk, so offsets that form a circle are not followed round. A forged file may let a thousand tables point
at one long vector; the budget bounds how many bytes all visits together may read.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import MobilenetError

MAX_VISITS = 8  # times the file's size that may be read; honest files stay below 1, forged ones share their vectors


T = TypeVar("T", bound=np.generic)


class FlatbufferError(MobilenetError):
    """Bytes are no sound flatbuffer; the message says what is wrong and at which byte."""


class Flatbuffer:
    """The bytes of a file and how many of them may still be visited."""

    def __init__(self, data: bytes) -> None:
        self.data, self.budget = data, MAX_VISITS * len(data) + 1024

    def number(self, form: str, place: int) -> int:
        """The little-endian integer of struct's `form` at `place`."""
        size = struct.calcsize(form)
        if not 0 <= place <= len(self.data) - size:
            raise FlatbufferError(f"an offset leads to byte {place}, outside its {len(self.data)} bytes")
        self.spend(size)
        value: int = struct.unpack_from("<" + form, self.data, place)[0]
        return value

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise FlatbufferError(f"its tables read over {MAX_VISITS} times its {len(self.data)} bytes")

    def root(self) -> Table:
        return Table(self, self.number("I", 0))

    def block(self, place: int, itemsize: int) -> tuple[int, int]:
        """(first byte, length) of the vector at `place`, proved to lie inside the file."""
        count = self.number("I", place)
        if count * itemsize > len(self.data) - place - 4:
            raise FlatbufferError(f"a vector of {count} items at byte {place} ends outside its {len(self.data)} bytes")
        self.spend(count * itemsize)
        return place + 4, count


class Table:
    """A table at one place of a flatbuffer; fields by their number in the schema, absent ones as their default."""

    def __init__(self, buffer: Flatbuffer, place: int) -> None:
        self.buffer, self.place = buffer, place
        self.vtable = place - buffer.number("i", place)
        self.size = buffer.number("H", self.vtable)

    def field(self, index: int) -> int:
        """The position of field `index`, or 0 if it is absent."""
        slot = 4 + 2 * index
        if slot + 2 > self.size:
            return 0
        offset = self.buffer.number("H", self.vtable + slot)
        return self.place + offset if offset else 0

    def scalar(self, index: int, form: str, default: int = 0) -> int:
        place = self.field(index)
        return self.buffer.number(form, place) if place else default

    def target(self, index: int) -> int:
        """The position that the offset in field `index` leads to, or 0 if it is absent."""
        place = self.field(index)
        return place + self.buffer.number("I", place) if place else 0

    def table(self, index: int) -> Table | None:
        place = self.target(index)
        return Table(self.buffer, place) if place else None

    def tables(self, index: int, limit: int) -> list[Table]:
        """The tables of a vector, at most `limit`."""
        if not (place := self.target(index)):
            return []
        start, count = self.buffer.block(place, 4)
        if count > limit:
            raise FlatbufferError(f"it claims {count} tables in one list, more than {limit}")
        return [Table(self.buffer, at + self.buffer.number("I", at)) for at in range(start, start + 4 * count, 4)]

    def array(self, index: int, dtype: np.dtype[T]) -> NDArray[T]:
        """A vector of numbers as a read-only view of the file; empty if it is absent."""
        if not (place := self.target(index)):
            return np.empty(0, dtype)
        start, count = self.buffer.block(place, dtype.itemsize)
        return np.frombuffer(self.buffer.data, dtype, count, start)

    def text(self, index: int, max_bytes: int) -> str:
        if not (place := self.target(index)):
            return ""
        start, count = self.buffer.block(place, 1)
        if count > max_bytes:
            raise FlatbufferError(f"a name of {count} bytes at byte {place}, more than {max_bytes}")
        try:
            return self.buffer.data[start : start + count].decode()
        except UnicodeDecodeError as error:
            raise FlatbufferError(f"a name at byte {place} is no UTF-8") from error
