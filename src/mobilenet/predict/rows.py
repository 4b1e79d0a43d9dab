"""Answers as text: lines of JSON, and lines of CSV."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any, NamedTuple

from ..errors import MobilenetError, printable
from .work import Entry

FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula, which may run programs and send what other cells hold."""

COLUMNS = (
    "input", "task", "predictions", "label", "index", "id", "score", "x0", "y0", "x1", "y1", "share", "mask", "error",
    "frame", "time",
)  # fmt: skip
"""Of CSV: one line for each prediction, and one for an image without. `predictions` is their number for the image, `frame`
and `time` are of videos only."""


class RowError(MobilenetError):
    """A line that this module did not write."""


class Row(NamedTuple):
    """A line that was read back: its input, the number of that input's lines, whether it is a failure, and the frame of a
    video."""

    input: str
    num_lines: int
    failed: bool
    frame: int | None = None


def json_line(entry: Entry) -> str:
    """One line of JSON that is safe for a terminal, without its end."""
    return printable(json.dumps(entry.to_json(), ensure_ascii=False))


def csv_lines(entry: Entry) -> str:
    """One or more whole lines. What cannot be printed is escaped as in JSON, so no value has a line's end in it; no
    spreadsheet takes a text for a formula."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shared = [as_cell(entry.input), entry.task, str(len(entry.predictions))]
    place = ["" if value is None else repr(value) for value in (entry.frame, entry.time)]
    end = [as_cell(entry.mask or ""), as_cell(entry.error or ""), *place]
    if not entry.predictions:
        writer.writerow([*shared, *[""] * 9, *end])
    for prediction in entry.predictions:
        known = prediction.to_dict()
        box = [repr(side) for side in known.get("box") or ()] or [""] * 4
        values = [
            as_cell(prediction.label),
            prediction.index,
            as_cell(known.get("id", "")),
            repr(prediction.score),
            *box,
            known.get("share", ""),
        ]
        writer.writerow([*shared, *values, *end])
    return text.getvalue()


def row_of(entry: Any) -> Row:
    """The row of an entry of JSON. Raises KeyError or TypeError if it is none."""
    name = entry["input"]
    if not isinstance(name, str):
        raise TypeError("an input is a text")
    frame = entry.get("frame")
    if not (frame is None or isinstance(frame, int)):
        raise TypeError("a frame is a number")
    return Row(name, 1, "error" in entry, frame)


def as_cell(text: str) -> str:
    """`text` as it is printed; with an apostrophe before it, which spreadsheets do not show, if it began like a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def from_cell(cell: str) -> str:
    """The reverse of `as_cell`, except for characters that cannot be printed."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell


CSV_HEADER = ",".join(COLUMNS) + "\n"


def read_row(kind: str, line: bytes) -> Row:
    """A line of ``jsonl`` or ``csv``. Raises RowError if neither `json_line` nor `csv_lines` wrote it."""
    try:
        text = line.decode("utf-8").rstrip("\n")
        if kind == "jsonl":
            return row_of(json.loads(text))
        (values,) = csv.reader([text], strict=True)
        row = dict(zip(COLUMNS, values, strict=True))
        return Row(
            from_cell(row["input"]),
            max(int(row["predictions"]), 1),
            bool(row["error"]),
            int(row["frame"]) if row["frame"] else None,
        )
    except (ValueError, KeyError, TypeError, csv.Error, RecursionError) as error:
        raise RowError(f"{line[:40]!r}: no answer of mobilenet predict") from error


def may_be_cut(kind: str, start: bytes) -> bool:
    """Whether bytes without a line's end can be the beginning of a line that was written here."""
    known = (CSV_HEADER if kind == "csv" else '{"input": "').encode()
    return start.startswith(known[: len(start)])


def to_text(kind: str, entry: Entry) -> str:
    """The lines of an answer in the format `kind`, with their ends."""
    return json_line(entry) + "\n" if kind == "jsonl" else csv_lines(entry)
