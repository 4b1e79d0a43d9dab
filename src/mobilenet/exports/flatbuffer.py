"""Flatbuffers written from plain values: tables are mappings from a field's number to its value.

The package ``flatbuffers`` writes the bytes; this module only walks the values, children first, as the format wants. The field
numbers of a schema stand where its tables are made. The same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..tensors import Array

Form = Literal["bool", "int8", "uint8", "int32", "uint32", "float32"]
DATA_ALIGNMENT = 16  # bytes; TensorFlow's schema asks for it, so that tensors can be mapped


class Builder(Protocol):
    """What is used of ``flatbuffers.Builder``, which brings no types."""

    def StartObject(self, numfields: int) -> None: ...
    def EndObject(self) -> int: ...
    def PrependSlot(self, flags: object, o: int, x: float, d: float | None) -> None: ...
    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None: ...
    def CreateString(self, s: str) -> int: ...
    def CreateByteVector(self, x: bytes) -> int: ...
    def CreateNumpyVector(self, x: Array) -> int: ...
    def StartVector(self, elem_size: int, num_elems: int, alignment: int) -> int: ...
    def PrependUOffsetTRelative(self, off: int) -> None: ...
    def EndVector(self) -> int: ...
    def Prep(self, size: int, additional_bytes: int) -> None: ...


class Scalar(NamedTuple):
    """A number in a table, of the schema's type."""

    form: Form
    value: float


def int8(value: int) -> Scalar:
    """A byte with a sign, as enumerations are stored."""
    return Scalar("int8", value)


def uint8(value: int) -> Scalar:
    """A byte, as the kinds of unions are stored."""
    return Scalar("uint8", value)


def int32(value: int) -> Scalar:
    return Scalar("int32", value)


def uint32(value: int) -> Scalar:
    return Scalar("uint32", value)


def float32(value: float) -> Scalar:
    return Scalar("float32", value)


def boolean(value: bool) -> Scalar:
    return Scalar("bool", value)


Table = Mapping[int, "Value"]
"""A table: field numbers of the schema and their values. What is None or missing takes the schema's default."""

Value = Scalar | str | bytes | NDArray[np.generic] | list[Table] | list[str] | Table | None
"""A field: a number, a text, raw data, a vector of numbers, a vector of tables or texts, a table, or nothing."""


def serialize(root: Table, mark: bytes) -> bytes:
    """The file of a table and of all that hangs on it; `mark` are the four bytes that name the schema."""
    import flatbuffers

    builder = flatbuffers.Builder(size_of(root) + 4096)
    builder.Finish(table(builder, root), file_identifier=mark)
    return bytes(builder.Output())


def size_of(value: Value) -> int:
    """About how many bytes a value takes, so that the builder need not grow by copying."""
    match value:
        case bytes() | str():
            return len(value) + 32
        case np.ndarray():
            return value.nbytes + 32
        case list():
            return sum(map(size_of, value)) + 32
        case Mapping():
            return sum(map(size_of, value.values())) + 64
        case _:
            return 8


def table(builder: Builder, fields: Table) -> int:
    """Writes a table after what it points at; its place in the buffer."""
    places = {number: offset(builder, value) for number, value in fields.items() if not isinstance(value, Scalar | None)}
    builder.StartObject(max(fields, default=-1) + 1)
    for number in sorted(fields):
        value = fields[number]
        if isinstance(value, Scalar):
            builder.PrependSlot(flags(value.form), number, value.value, None)
        elif value is not None:
            builder.PrependUOffsetTRelativeSlot(number, places[number], 0)
    return builder.EndObject()


def offset(builder: Builder, value: str | bytes | Array | list[Table] | list[str] | Table) -> int:
    """Writes what a field points at; its place."""
    match value:
        case str():
            return builder.CreateString(value)
        case bytes():
            builder.Prep(DATA_ALIGNMENT, len(value))  # pads, so that the data's first byte is aligned once they are written
            return builder.CreateByteVector(value)
        case np.ndarray():
            return builder.CreateNumpyVector(value)
        case list():
            places = [offset(builder, item) for item in value]
            builder.StartVector(4, len(places), 4)
            for place in reversed(places):
                builder.PrependUOffsetTRelative(place)
            return builder.EndVector()
        case _:
            return table(builder, value)


def flags(form: Form) -> object:
    """The package's name for a type of number."""
    from flatbuffers import number_types

    return {
        "bool": number_types.BoolFlags,
        "int8": number_types.Int8Flags,
        "uint8": number_types.Uint8Flags,
        "int32": number_types.Int32Flags,
        "uint32": number_types.Uint32Flags,
        "float32": number_types.Float32Flags,
    }[form]
