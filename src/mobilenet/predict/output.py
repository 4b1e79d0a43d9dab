"""The file of ``mobilenet predict --output`` in every format.

JSON and CSV lines grow in place. A JSON array and Parquet are whole files: their answers are kept as JSON lines in
``FILE.part`` until the last is there; then the file is made from them in one step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from ..errors import MobilenetError, UsageError
from ..files import WriteError
from .held import Held, LineFile, refuse_existing
from .rows import Row, RowError, read_row, row_of
from .settings_file import Setting, keep_settings
from .work import Entry

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""Images of one row group of a Parquet file, and the most that are in memory while it is made."""


class Output:
    """Where answers go, and which inputs it holds already.

    Args:
        settings: of the options that change answers; see `settings_file.keep_settings`.

    Raises:
        UsageError: the file is there already and `resume` is false; the format has no file; pyarrow is not installed; a
            setting is another one than that of the answers in it.
        MobilenetError: with `resume`, the file holds something else.
    """

    def __init__(self, path: str, kind: str, resume: bool, settings: Mapping[str, Setting] | None = None) -> None:
        if kind == "table":
            raise UsageError(f"--output {path}: a table is for reading; give --format jsonl, csv, json or parquet")
        if kind == "parquet":
            import_pyarrow()
        self.path, self.kind, self.held = path, kind, Held()
        self.whole = kind in ("json", "parquet")
        self.growing = f"{path}.part" if self.whole else path
        if not resume:
            refuse_existing({path, self.growing})
        if self.whole and os.path.exists(path):
            for row in read_whole(path, kind):
                self.held.add(row.input, row.failed, row.frame)
            drop_if_merged(self.growing, self.held)
        self.lines = LineFile(self.growing, "jsonl" if self.whole else kind, self.held)
        if settings is not None:
            try:
                keep_settings(path, settings, begins=not self.held)
            except BaseException:
                self.lines.close()
                raise

    def write(self, entry: Entry) -> None:
        self.lines.write(entry)

    @property
    def num_written(self) -> int:
        """Answers that this run has added to the file."""
        return self.lines.num_written

    def close(self, complete: bool) -> None:
        """With `complete` a whole file is made; else its answers stay in ``FILE.part``."""
        self.lines.close()
        if not (self.whole and complete):
            return
        folder, name = os.path.split(self.path)
        temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
        try:
            with open(temporary, "xb") as file:
                (write_json if self.kind == "json" else write_parquet)(file, self.path, self.growing)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            os.unlink(self.growing)
        except OSError as error:
            reason = f"{self.path}: cannot be written ({error.strerror}); the answers are in {self.growing}"
            raise WriteError(f"{reason}; make room, then go on with --resume") from error
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def drop_if_merged(growing: str, held: Held) -> None:
    """Removes a ``FILE.part`` whose answers the whole file holds: the run before was killed between two steps."""
    with suppress(FileNotFoundError), open(growing, "rb") as file:
        first = file.readline()
        with suppress(RowError):  # LineFile says what it is
            if first.endswith(b"\n") and held.holds(read_row("jsonl", first)):
                os.unlink(growing)


def read_whole(path: str, kind: str) -> Iterator[Row]:
    """Every answer in a JSON array or Parquet file that `Output` made."""
    try:
        if kind == "json":
            for entry in json_entries(path):
                yield row_of(entry)
        else:
            import pyarrow.parquet as parquet

            with parquet.ParquetFile(path) as file:
                if not file.schema_arrow.equals(parquet_schema()):
                    raise ValueError("other columns")
                for batch in file.iter_batches(ROWS, columns=["input", "error", "frame"]):
                    for entry in batch.to_pylist():
                        yield Row(entry["input"], 1, entry["error"] is not None, entry["frame"])
    except Exception as error:  # pyarrow raises errors of its own kinds too
        raise MobilenetError(f"{path}: no answers of mobilenet predict as {kind}; give --output another name") from error


def json_entries(path: str) -> Iterator[dict[str, Any]]:
    """The entries of a JSON array with one on each line, as `write_json` makes it. Raises ValueError for anything else."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() not in ("[", "]", "[]"):
                entry = json.loads(line.strip().removesuffix(","))
                if not isinstance(entry, dict):
                    raise ValueError("not an entry")
                yield entry


def write_json(file: IO[bytes], before: str, lines: str) -> None:
    """A JSON array with one entry on each line: those of the array `before`, if it is there, and of the file `lines`."""
    start = b"[\n"
    for source in (before, lines):
        if os.path.exists(source):
            with open(source, "rb") as rows:
                for row in rows:
                    content = row.strip()
                    if content not in (b"[", b"]", b"[]"):
                        file.write(start + content.removesuffix(b","))
                        start = b",\n"
    file.write(b"[]\n" if start == b"[\n" else b"\n]\n")


def write_parquet(file: IO[bytes], before: str, lines: str) -> None:
    """One row for each image, in row groups: those of the Parquet file `before`, if it is there, and of the file `lines`."""
    import pyarrow.parquet as parquet

    with parquet.ParquetWriter(file, parquet_schema(), compression="zstd") as writer:
        if os.path.exists(before):
            with parquet.ParquetFile(before) as old:
                for batch in old.iter_batches(ROWS):
                    writer.write_batch(batch)
        with open(lines, "rb") as source:
            write_rows(writer, map(json.loads, source))


def write_rows(writer: pa.parquet.ParquetWriter, entries: Iterable[dict[str, Any]]) -> None:
    """Adds entries of JSON to a Parquet file."""
    pyarrow, schema = import_pyarrow(), parquet_schema()
    rows = map(parquet_row, entries)
    while batch := list(islice(rows, ROWS)):
        writer.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema))


def parquet_row(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of JSON whose texts can be encoded: a file's name need not be UTF-8."""
    names: dict[str, Any] = {key: encodable(entry[key]) for key in ("input", "mask", "error") if key in entry}
    predictions = [
        {**each, **{key: encodable(each[key]) for key in ("label", "id") if key in each}}
        for each in entry.get("predictions", ())
    ]
    return {**entry, **names, "predictions": predictions}


def encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def parquet_schema() -> pa.Schema:
    pyarrow = import_pyarrow()
    prediction = pyarrow.struct(
        [
            ("label", pyarrow.string()),
            ("index", pyarrow.int32()),
            ("id", pyarrow.string()),
            ("score", pyarrow.float64()),
            ("box", pyarrow.list_(pyarrow.float64(), 4)),
            ("share", pyarrow.float64()),
        ]
    )
    texts = [(name, pyarrow.string()) for name in ("mask", "error")]
    places = [("frame", pyarrow.int64()), ("time", pyarrow.float64())]
    names = [("input", pyarrow.string()), ("task", pyarrow.string())]
    return pyarrow.schema([*names, ("predictions", pyarrow.list_(prediction)), *texts, *places])


def import_pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError("--format parquet: needs pyarrow; pip install 'mobilenet[parquet]', or choose jsonl") from error
    return pyarrow
