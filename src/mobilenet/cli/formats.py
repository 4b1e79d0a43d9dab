"""Answers as JSON and CSV on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..errors import printable
from ..predict.rows import CSV_HEADER, to_text

if TYPE_CHECKING:
    from ..predict.work import Entry


class Array:
    """One JSON array, an entry at a time. It is whole after Ctrl-C too.

    Args:
        indent: spaces, or None for an entry on each line.
        with_errors: whether a failure is an entry.
    """

    def __init__(self, indent: int | None, with_errors: bool) -> None:
        self.indent, self.with_errors, self.start = indent, with_errors, "[\n"

    def write(self, entry: Entry) -> None:
        if entry.error is not None and not self.with_errors:
            return
        text = json.dumps(entry.to_json(), indent=self.indent, ensure_ascii=False)
        margin = " " * (self.indent or 0)
        click.echo(self.start + "\n".join(margin + printable(line) for line in text.split("\n")), nl=False)
        self.start = ",\n"

    def close(self, complete: bool) -> None:
        click.echo("[]" if self.start == "[\n" else "\n]")


class Lines:
    """Lines of JSON or CSV."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "csv":
            click.echo(CSV_HEADER, nl=False)

    def write(self, entry: Entry) -> None:
        click.echo(to_text(self.kind, entry), nl=False)

    def close(self, complete: bool) -> None:
        pass
