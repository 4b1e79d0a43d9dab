"""Cells of tables as text, the same in HTML and Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from ..pages.markup import DASH
from .sections.section import Cell, Compared, Table

FEW = 30  # a count below it differs by so many, not by so many percent
PAIR = ("paper", "ours", "difference")


class Notes:
    """The reasons below a table, each once, with its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, why: str) -> str:
        """The number of a reason; "" if there is none."""
        if not why:
            return ""
        if why not in self.texts:
            self.texts.append(why)
        return str(self.texts.index(why) + 1)


def headings(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each column's name, and the names below it if it has pairs."""
    for column, name in enumerate(table.columns):
        yield name, PAIR if table.wide(column) else ()


def compared_cells(cell: Compared, notes: Notes) -> tuple[str, str, str, str]:
    """The paper's number, ours, the difference, and the number of the note."""
    ours = DASH if cell.ours is None else plain_number(cell.ours) + (" %" if cell.published.endswith("%") else "")
    mark = "" if cell.agrees else notes.mark(cell.why)
    return cell.published or DASH, ours, change(cell), mark


def change(cell: Compared) -> str:
    """The difference in words: "same" if it is only rounding."""
    if cell.difference is None:
        return DASH
    if cell.agrees:
        return "same"
    if isinstance(cell.ours, int) and cell.published.isdecimal() and int(cell.published) < FEW:
        return f"{cell.ours - int(cell.published):+}"
    digits = 1 if abs(cell.difference) >= 0.0095 else 2
    return f"{cell.difference * 100:+.{digits}f} %"


def plain_cell(cell: Cell) -> str:
    assert not isinstance(cell, Compared)
    return cell if isinstance(cell, str) else plain_number(cell)


def plain_number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.3f}"
