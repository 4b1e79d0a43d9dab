"""What a section of the paper's page is: a value of text, tables and figures, with a verdict.

How it looks is not decided here: `paper.html` and `paper.markdown` show the same value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ...errors import MobilenetError
from .printed import agree, difference, value

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

LONG = 24  # characters of a cell that may stand on several lines
WORD = re.compile(r"[A-Za-z]{3}")
Outcome = Literal["holds", "holds in part", "does not hold", "open"]
Row = Mapping[str, object]
"""One measurement of results/, as JSON."""


class PaperError(MobilenetError):
    """Recorded rows cannot be read, or the page cannot be made of them."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs between tables and figures, divided by empty lines. `code` stands between backticks."""

    text: str


@dataclass(frozen=True)
class Compared:
    """A published number beside ours.

    Attributes:
        published: as the paper prints it: ``3.4M``, ``0.35B``, ``94.86 %``; "" if it prints none.
        ours: the same in whole units: 3_504_872 for ``3.4M``, 94.857 for ``94.86 %``; None if it cannot be derived.
        why: what explains the difference; shown only if there is one.
        last: what the last digit that counts is worth, for a number that was printed with zeros at its end: 1e8 for ``15300M``.
    """

    published: str
    ours: float | None
    why: str = ""
    last: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether our number, rounded or cut off, is what the paper prints."""
        return bool(self.published) and self.ours is not None and agree(self.published, self.ours, self.last)

    @property
    def difference(self) -> float | None:
        """Ours divided by the published number, minus 1."""
        return None if self.ours is None or not self.published else difference(self.published, self.ours)


Cell = str | int | float | Compared
"""Text, a count, a number of three digits after the point, or two numbers with their difference."""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first column names the row.

    Attributes:
        columns: a column of `Compared` cells becomes three: the paper's, ours, and the difference.
        words: a sentence on how to read it, and in which units.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: str = ""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.title

    def compared(self) -> Iterator[tuple[str, str, Compared]]:
        """(row, column, cell) of every pair of a published number and ours."""
        for row in self.rows:
            for column, cell in zip(self.columns, row, strict=True):
                if isinstance(cell, Compared) and cell.published:
                    yield str(row[0]), column, cell

    def textual(self, column: int) -> bool:
        """Whether a column holds words, or lists; a size such as 7 x 7 x 320 is a number."""
        cells = [row[column] for row in self.rows]
        return column == 0 or any(isinstance(cell, str) and (len(cell) > LONG or bool(WORD.search(cell))) for cell in cells)

    def wide(self, column: int) -> bool:
        """Whether a column holds pairs."""
        return any(isinstance(row[column], Compared) for row in self.rows)


@dataclass(frozen=True)
class Figure:
    """A picture that code draws.

    Attributes:
        name: of its files, ``figures/NAME.svg`` and ``.png``; unique on the page.
        words: a sentence that says what is seen, also for those who cannot see it.
        draw: draws on an empty figure of matplotlib with the colors of `colors`, which the page changes at night. It must set
            the names and units of all axes.
        width, height: in inches.
    """

    name: str
    title: str
    words: str
    draw: Callable[[Canvas], None]
    width: float = 7.0
    height: float = 4.2


Part = Prose | Table | Figure


@dataclass(frozen=True)
class Verdict:
    """Whether the claim holds here, and a plain sentence of why."""

    outcome: Outcome
    words: str


@dataclass(frozen=True)
class Section:
    """A claim of a paper, and what we found.

    Attributes:
        name: on the command line, ``mobilenet paper NAME``.
        source: where the claim stands, for example "MobileNetV2, section 6.1, Table 4".
        claim: what the paper says, in our words.
        rows: which recorded rows it was made of, for example "results/paper_blocks.jsonl, rows 1 to 12".
    """

    name: str
    title: str
    source: str
    claim: str
    parts: tuple[Part, ...]
    verdict: Verdict
    rows: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return f"mobilenet paper {self.name} --out out/paper"

    def tables(self) -> Iterator[Table]:
        yield from (part for part in self.parts if isinstance(part, Table))

    def figures(self) -> Iterator[Figure]:
        yield from (part for part in self.parts if isinstance(part, Figure))


@dataclass(frozen=True)
class Material:
    """What sections are made of, beside computation.

    Attributes:
        results: a folder of recorded rows, ``results/`` of a checkout.
        data: a data set to measure on, Imagenette's folder; None if there is none.
        say: tells the user what takes long.
    """

    results: Path = Path("results")
    data: Path | None = None
    say: Callable[[str], None] = field(default=print)

    def rows(self, name: str) -> list[Row]:
        """The rows of ``NAME.jsonl`` in the folder, oldest first; none without such a file. PaperError if it is damaged."""
        path = self.results / f"{name}.jsonl"
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise PaperError(f"{path}: cannot be read ({error}); take the file of the repository") from error


class Maker(Protocol):
    """A module of a section.

    It may also have ``record(material) -> None``, which measures or trains what `make` reads, and appends it as rows to the
    folder of results. It is called unless ``--quick``, before `make`; after a kill it goes on where it was.
    """

    def make(self, material: Material) -> Section: ...


def counted(*tables: Table) -> Verdict:
    """The verdict on tables of numbers: how many of the printed ones are ours, rounded or cut off."""
    cells = [cell for table in tables for _, _, cell in table.compared()]
    found = sum(cell.agrees for cell in cells)
    missing = sum(cell.ours is None for cell in cells)
    unexplained = sum(not cell.agrees and cell.ours is not None and not cell.why for cell in cells)
    words = f"{found} of {len(cells)} printed numbers are ours, rounded or cut off."
    if missing:
        words += f" {missing} cannot be derived; the notes say what is missing."
    if found + missing < len(cells):
        explained = len(cells) - found - missing - unexplained
        words += f" {explained} {verb(explained)} for a reason that the notes give." if explained else ""
        words += f" {unexplained} {verb(unexplained)} without a known reason." if unexplained else ""
    outcome: Outcome = "holds" if found == len(cells) else "holds in part" if found else "does not hold"
    return Verdict(outcome, words)


def verb(count: int) -> str:
    return "differs" if count == 1 else "differ"


def because(words: str, holds: bool) -> str:
    """The reason of a difference, if it can be seen to hold in the numbers; else the admission that it does not.

    So a page of another network does not repeat the reasons of the paper's.
    """
    return words if holds else "The reason that holds for the paper's network does not hold for this one."


__all__ = [
    "Cell", "Compared", "Figure", "Maker", "Material", "Outcome", "PaperError", "Part", "Prose", "Row", "Section", "Table",
    "Verdict", "because", "counted", "value",
]  # fmt: skip
