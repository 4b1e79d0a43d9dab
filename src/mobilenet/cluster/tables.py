"""Images in tables: Parquet files with a column of images or of their names, and Hugging Face's data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..data.huggingface import HUB, IMAGE_COLUMNS, load_saved
from ..errors import UsageError, short_repr
from ..images.open import ImageError
from .parts import Named, Part, Rows, named_parts
from .stores import Stores, reason

if TYPE_CHECKING:
    from pyarrow import DataType, Schema
    from pyarrow.parquet import ParquetFile

SUFFIX = ".parquet"
NAME_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "url", "uri")
"""Text columns that may hold names of images. The first that a table has is taken."""
BATCH = 16
"""Rows that are read at once."""


class Table(Protocol):
    """A data set of Hugging Face's library."""

    features: Iterable[str]

    def __len__(self) -> int: ...
    def __getitem__(self, row: int) -> Mapping[str, object]: ...
    def cast_column(self, column: str, kind: object) -> Table: ...


class Cell(NamedTuple):
    """An image of a table: its bytes, or where it is, or why there is none."""

    name: str
    content: bytes | None = None
    place: str | None = None
    error: ImageError | None = None


def is_table(item: str) -> bool:
    """Whether an input is a Parquet file, or a folder or pattern of such. The suffix tells, which in an address stands before
    the options."""
    return (item.partition("?")[0] if "://" in item else item).rstrip("/").lower().endswith(SUFFIX)


def is_dataset(item: str) -> bool:
    """Whether an input is ``hf:NAME``, or a folder that Hugging Face's `datasets` saved."""
    if item.startswith(HUB):
        return "://" not in item
    return any(os.path.isfile(os.path.join(item, name)) for name in ("dataset_info.json", "dataset_dict.json"))


def parquet_parts(item: str, stores: Stores, column: str | None, size: int) -> Iterator[Part]:
    """The parts of Parquet files. A column of images gives rows, whole row groups of about `size`; one of names gives files.

    Raises UsageError for a file without such a column.
    """
    empty = True
    for name in stores.files(item, lambda name: name.lower().endswith(SUFFIX)):
        empty = False
        try:
            with parquet_file(name, stores) as file:
                chosen, of_names = chosen_column(name, file.schema_arrow, column)
                if of_names:
                    yield from named_parts(names_of(file, name, chosen), found=False, size=size)
                else:
                    yield from row_groups(file, name, chosen, size)
        except ImageError as error:
            yield Named((name,), ((name, str(error)),))
    if empty:
        yield Named((item,), ((item, f"{item!r}: no Parquet file there; check it"),))


def row_groups(file: ParquetFile, name: str, column: str, size: int) -> Iterator[Rows]:
    first = start = stop = 0
    for group in range(file.num_row_groups):
        stop += file.metadata.row_group(group).num_rows
        if stop - start >= size or group + 1 == file.num_row_groups:
            if stop > start:
                yield Rows(name, "parquet", column, start, stop, (first, group + 1))
            first, start = group + 1, stop


def names_of(file: ParquetFile, name: str, column: str) -> Iterator[tuple[str, str | None]]:
    """The names in a text column, each with None, or with an error if the cell is empty."""
    row = 0
    for batch in file.iter_batches(10_000, columns=[column]):
        for value in batch.column(0).to_pylist():
            yield (value, None) if value else (f"{name}#{row}", f"{name}#{row}: the column {column} is empty")
            row += 1


def chosen_column(name: str, schema: Schema, column: str | None) -> tuple[str, bool]:
    """The column with the images, and whether it has their names instead. Raises UsageError."""
    from pyarrow import types

    names = [field.name for field in schema if types.is_string(field.type) or types.is_large_string(field.type)]
    images = [field.name for field in schema if holds_images(field.type)]
    if column is not None:
        if column in names or column in images:
            return column, column in names
        raise UsageError(f"{name}: no column {column!r} of images or names; it has {listed(schema.names)}")
    if len(images) == 1 or (images and images[0] in IMAGE_COLUMNS):
        return images[0], False
    known = [each for each in NAME_COLUMNS if each in names]
    if images or not known:
        raise UsageError(f"{name}: which column holds the images? give --column; it has {listed(schema.names)}")
    return known[0], True


def listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def holds_images(kind: DataType) -> bool:
    """Whether a column of this type can hold images: bytes, or Hugging Face's pair of bytes and a path."""
    from pyarrow import types

    if types.is_struct(kind):
        return "bytes" in [kind.field(number).name for number in range(kind.num_fields)]
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def dataset_parts(source: str, column: str | None, size: int) -> Iterator[Rows]:
    """Rows of each split of a data set. Raises UsageError for one without a column of images."""
    _, tables = loaded(source)
    for split, table in tables.items():
        columns = list(table.features)
        chosen = column if column in columns else next((name for name in IMAGE_COLUMNS if name in columns), None)
        if chosen is None or column not in (None, chosen):
            raise UsageError(f"{source}: which column holds the images? give --column; it has {listed(columns)}")
        for start in range(0, len(table), size):
            yield Rows(source, "huggingface", chosen, start, min(start + size, len(table)), split=split)


@lru_cache(1)
def loaded(source: str) -> tuple[object, dict[str, Table]]:
    """The library's type of images as they are stored, and the tables by split."""
    datasets, found = load_saved(source)
    return datasets.Image(decode=False), dict(found) if hasattr(found, "keys") else {"": found}


def cells(rows: Rows, stores: Stores) -> Iterator[Cell]:
    """The images of some rows. Raises MobilenetError if the table can no longer be read."""
    skip = frozenset(rows.skip)
    values = parquet_values(rows, stores) if rows.kind == "parquet" else dataset_values(rows)
    for row, value in enumerate(values, rows.start):
        if row not in skip:
            yield cell(rows.name(row), value)


def parquet_values(rows: Rows, stores: Stores) -> Iterator[object]:
    with parquet_file(rows.table, stores) as file:
        for batch in file.iter_batches(BATCH, row_groups=list(range(*rows.groups)), columns=[rows.column]):
            yield from batch.column(0).to_pylist()


def dataset_values(rows: Rows) -> Iterator[object]:
    stored, tables = loaded(rows.table)
    table = tables[rows.split].cast_column(rows.column, stored)
    for row in range(rows.start, rows.stop):
        yield table[row][rows.column]


def cell(name: str, value: object) -> Cell:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        value = path if content is None else content
    match value:
        case bytes():
            return Cell(name, content=value)
        case str():
            return Cell(name, place=value)
        case None:
            return Cell(name, error=ImageError(f"{name}: the table has no image there"))
        case _:
            return Cell(name, error=ImageError(f"{name}: {short_repr(value)} is no image"))


@contextmanager
def parquet_file(name: str, stores: Stores) -> Iterator[ParquetFile]:
    """Raises ImageError if the file cannot be opened or read."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    place = stores.at(name)
    try:
        with place.filesystem.open_input_file(place.path) as source, ParquetFile(source) as file:
            yield file
    except (ArrowException, OSError) as error:
        raise ImageError(f"{name}: cannot be read as Parquet ({reason(error)}); write it again") from error
