"""The output: a folder with one file for each part."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from ..errors import MobilenetError, UsageError, short_repr
from ..files import remove_leftovers
from ..predict.held import Held
from ..predict.output import ROWS, import_pyarrow, parquet_schema, write_rows
from ..predict.rows import json_line, read_row
from ..predict.settings_file import Setting, as_bytes, compare_settings, settings_in
from ..predict.work import Entry
from ..values import Value
from .stores import Stores, reason

Kind = Literal["jsonl", "parquet"]
BEFORE = "part-"
SETTINGS = "_settings.json"
"""What the parts are made with. Readers of a folder of Parquet files pass over names with this beginning."""


class Folder(Value):
    """Where the rows go.

    Attributes:
        location: path or address.
        kind: of the files, "parquet" or "jsonl".
    """

    location: str
    kind: Kind
    stores: Stores

    def file_name(self, key: str) -> str:
        return f"{BEFORE}{key}.{self.kind}"

    def write(self, key: str, entries: Iterable[Entry]) -> tuple[int, int]:
        """Writes a part, whole or not at all. Returns its numbers of answers and failures. Raises WriteError."""
        rows, num_failed = list[Entry](), 0
        for entry in entries:
            rows.append(entry)
            num_failed += entry.error is not None
        self.stores.write(self.location, self.file_name(key), encoded(rows, self.kind))
        return len(rows) - num_failed, num_failed

    def prepare(self, resume: bool) -> set[str]:
        """Makes the folder. Returns the keys of the parts that it holds.

        Raises UsageError if the folder has files and `resume` is false, or holds anything but parts of this kind; WriteError.
        """
        from pyarrow import fs

        place = self.stores.at(self.location)
        try:
            place.filesystem.create_dir(place.path, recursive=True)
            entries = place.filesystem.get_file_info(fs.FileSelector(place.path))
        except Exception as error:  # of pyarrow, fsspec or the store
            raise UsageError(f"--output {self.location}: no folder can be made there ({reason(error)}); check it") from error
        if place.filesystem.type_name == "local":
            remove_leftovers(place.path)
        names = [entry.base_name for entry in entries if not entry.base_name.startswith((".", "_"))]
        if names and not resume:
            raise UsageError(f"--output {self.location}: is there already; give --resume to go on with it, or another name")
        suffix = f".{self.kind}"
        for name in names:
            if not (name.startswith(BEFORE) and name.endswith(suffix)):
                raise UsageError(
                    f"--output {self.location}: holds {short_repr(name)}, which is no part as {self.kind}; give another name"
                )
        return {name.removeprefix(BEFORE).removesuffix(suffix) for name in names}

    def keep_settings(self, settings: Mapping[str, Setting], begins: bool) -> None:
        """Writes what the parts are made with, where the output begins; else compares. See `predict.settings_file`.

        Raises UsageError for another setting than that of the parts; MobilenetError; WriteError.
        """
        if begins:
            self.stores.write(self.location, SETTINGS, as_bytes(settings))
            return
        place = self.stores.at(self.location)
        path = f"{place.path}/{SETTINGS}"
        if not place.filesystem.get_file_info(path).is_file:
            return
        try:
            with place.filesystem.open_input_file(path) as file:
                before = settings_in(file.read())
        except Exception as error:  # of pyarrow, fsspec, the store or the content
            name = f"{self.location}/{SETTINGS}"
            raise MobilenetError(
                f"{name}: holds no settings ({reason(error)}); remove it to go on without a comparison"
            ) from error
        compare_settings(self.location, before, settings)

    def has(self, key: str) -> bool:
        """Whether this machine sees a part."""
        from pyarrow import fs

        place = self.stores.at(self.location)
        found = place.filesystem.get_file_info(f"{place.path}/{self.file_name(key)}")
        return bool(found.type == fs.FileType.File)

    def held(self, keys: Iterable[str]) -> Held:
        """The inputs of some parts. Raises MobilenetError for a file that `write` did not write."""
        held = Held()
        for key in keys:
            try:
                for name, failed in self._inputs(key):
                    held.add(name, failed)
            except Exception as error:  # pyarrow raises errors of its own kinds too
                name = f"{self.location}/{self.file_name(key)}"
                raise MobilenetError(f"{name}: holds no answers ({reason(error)}); give --output another name") from error
        return held

    def _inputs(self, key: str) -> Iterator[tuple[str, bool]]:
        from pyarrow import parquet

        place = self.stores.at(self.location)
        with place.filesystem.open_input_file(f"{place.path}/{self.file_name(key)}") as file:
            if self.kind == "jsonl":
                for line in io.BytesIO(file.read()):
                    row = read_row("jsonl", line)
                    yield row.input, row.failed
                return
            with parquet.ParquetFile(file) as table:
                for batch in table.iter_batches(ROWS, columns=["input", "error"]):
                    for entry in batch.to_pylist():
                        yield entry["input"], entry["error"] is not None


def encoded(rows: Iterable[Entry], kind: Kind) -> bytes:
    """The content of a part's file: the rows of ``--format jsonl`` or ``parquet``."""
    if kind == "jsonl":
        return "".join(json_line(entry) + "\n" for entry in rows).encode()
    from pyarrow import parquet

    import_pyarrow()
    file = io.BytesIO()
    with parquet.ParquetWriter(file, parquet_schema(), compression="zstd") as writer:
        write_rows(writer, (json.loads(json_line(entry)) for entry in rows))
    return file.getvalue()
