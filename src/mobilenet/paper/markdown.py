"""Sections as one page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import assert_never
from .sections.section import Compared, Figure, Part, Prose, Section, Table
from .words import Notes, compared_cells, headings, plain_cell


def paper_markdown(
    title: str,
    subtitle: str,
    chapters: Sequence[tuple[str, str, Sequence[Section]]],
    place: Callable[[Figure], str] = lambda figure: f"figures/{figure.name}.svg",
) -> str:
    """The page. `place` says where a figure's file is; "" for none: then its sentence stands there alone."""
    lines = [f"# {title}", "", subtitle, ""]
    for name, words, sections in chapters:
        lines += [f"## {name}", "", words, ""]
        for section in sections:
            lines += section_lines(section, place)
    return "\n".join(lines).rstrip() + "\n"


def section_lines(section: Section, place: Callable[[Figure], str]) -> Iterator[str]:
    yield from (f"### {section.title}", "", f"*{section.source}*", "", f"**Claim.** {joined(section.claim)}", "")
    for part in section.parts:
        yield from (*part_lines(part, place), "")
    made = f" Made of {'; '.join(section.rows)}." if section.rows else ""
    yield from (f"**Verdict: {section.verdict.outcome}.** {joined(section.verdict.words)}", "")
    yield from (f"Command: `{section.command}`.{made}", "")


def part_lines(part: Part, place: Callable[[Figure], str]) -> Iterator[str]:
    match part:
        case Prose():
            yield "\n\n".join(map(joined, part.text.strip().split("\n\n")))
        case Table():
            yield from table_lines(part)
        case Figure():
            path = place(part)
            yield from ((f"![{escaped(joined(part.words))}]({path})", "") if path else ())
            yield f"*{part.title}.* {joined(part.words)}"
        case _:
            assert_never(part)


def table_lines(table: Table) -> Iterator[str]:
    yield from (f"**{table.title}.** {joined(table.words)}".rstrip(), "")
    names = [each for name, below in headings(table) for each in ((f"{name}: {below[0]}", *below[1:]) if below else (name,))]
    notes, rows = Notes(), list[list[str]]()
    for row in table.rows:
        cells = list[str]()
        for column, cell in enumerate(row):
            if isinstance(cell, Compared):
                published, ours, change, mark = compared_cells(cell, notes)
                cells += (published, ours, f"{change} ({mark})" if mark else change)
            else:
                cells += (plain_cell(cell), "", "") if table.wide(column) else (plain_cell(cell),)
        rows.append(cells)
    yield line(names)
    columns = [column for column in range(len(table.columns)) for _ in range(3 if table.wide(column) else 1)]
    yield line(["---" if table.textual(column) else "---:" for column in columns])
    yield from map(line, rows)
    if notes.texts:
        yield ""
        yield from (f"{number}. {joined(note)}" for number, note in enumerate(notes.texts, start=1))


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def joined(words: str) -> str:
    """Words of several lines of code as one line."""
    return " ".join(words.split())


def escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("[", "\\[").replace("]", "\\]")
