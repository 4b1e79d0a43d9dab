"""Answers as text: lines of JSON, and lines of CSV."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import NamedTuple

from ..errors import MobilenetError, printable
from .work import Entry

COLUMNS = ("input", "task", "predictions", "label", "index", "id", "score", "x0", "y0", "x1", "y1", "share", "mask", "error")
"""Of CSV: one line for each prediction, and one for an image that has none. `predictions` is their number for the image."""


class RowError(MobilenetError):
    """A line is no answer that was written here."""


class Row(NamedTuple):
    """What matters of a line that was read again: the input, of how many lines it is one, and whether it is a failure."""

    input: str
    num_lines: int
    failed: bool


def json_line(entry: Entry) -> str:
    """One line of JSON that is safe for a terminal, without its end."""
    return printable(json.dumps(entry.to_json(), ensure_ascii=False))


def csv_lines(entry: Entry) -> str:
    """One or more whole lines. What cannot be printed is escaped as in JSON, so no value has a line's end in it."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shared = [printable(entry.input), entry.task, str(len(entry.predictions))]
    end = [printable(entry.mask or ""), entry.error or ""]
    if not entry.predictions:
        writer.writerow([*shared, *[""] * 9, *end])
    for prediction in entry.predictions:
        known = prediction.to_dict()
        box = [repr(side) for side in known.get("box") or ()] or [""] * 4
        values = [
            printable(prediction.label),
            prediction.index,
            printable(known.get("id", "")),
            repr(prediction.score),
            *box,
            known.get("share", ""),
        ]
        writer.writerow([*shared, *values, *end])
    return text.getvalue()


CSV_HEADER = ",".join(COLUMNS) + "\n"


def read_row(kind: str, line: bytes) -> Row:
    """A line of ``jsonl`` or ``csv``. Raises RowError if it is none that `json_line` or `csv_lines` wrote."""
    try:
        text = line.decode("utf-8").rstrip("\n")
        if kind == "jsonl":
            content = json.loads(text)
            return Row(str(content["input"]), 1, "error" in content)
        (values,) = csv.reader([text], strict=True)
        row = dict(zip(COLUMNS, values, strict=True))
        return Row(row["input"], max(int(row["predictions"]), 1), bool(row["error"]))
    except (ValueError, KeyError, TypeError, csv.Error, RecursionError) as error:
        raise RowError(f"{line[:40]!r}: no answer of mobilenet predict") from error


def to_text(kind: str, entry: Entry) -> str:
    """The lines of an answer in the format `kind`, with their ends."""
    return json_line(entry) + "\n" if kind == "jsonl" else csv_lines(entry)
