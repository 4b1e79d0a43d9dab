"""Sections as one static page of HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import assert_never
from ..pages.markup import page, scrolled, text
from .sections.section import Cell, Compared, Figure, Part, Prose, Section, Table
from .words import Notes, compared_cells, headings, plain_cell

TIMES, UNIT = re.compile(r"(?<=\d) x (?=\d)"), re.compile(r"(?<=\d) %")
CODE = re.compile(r"`([^`]+)`")
PIXELS_MIN, PIXELS_MAX = 60, 112  # of an inch of a figure on a narrow and on a wide screen


def paper_page(title: str, subtitle: str, chapters: Sequence[tuple[str, str, Sequence[Section]]], drawings: Mapping[str, str],
               footer: str) -> bytes:  # fmt: skip
    """The page.

    Args:
        chapters: title, words and sections of each.
        drawings: the SVG of every figure by its name, as an element of HTML.
    """
    pieces = [contents(chapters)]
    for name, words, sections in chapters:
        pieces.append(f"<h2 class='chapter'>{text(name)}</h2>\n<p>{inline(words)}</p>")
        pieces += (section_html(section, drawings) for section in sections)
    return page(title, subtitle, pieces, footer)


def contents(chapters: Sequence[tuple[str, str, Sequence[Section]]]) -> str:
    """Links to all sections, each with its verdict."""
    lists = []
    for name, _, sections in chapters:
        items = "".join(f"<li><a href='#{text(s.name)}'>{spaced(s.title)}</a> {badge(s)}</li>" for s in sections)
        lists.append(f"<div><h3>{text(name)}</h3><ul>{items}</ul></div>")
    return f"<nav class='contents' aria-label='Contents'>{''.join(lists)}</nav>"


def badge(section: Section) -> str:
    outcome = section.verdict.outcome
    return f"<span class='badge {outcome.replace(' ', '-')}'>{text(outcome)}</span>"


def section_html(section: Section, drawings: Mapping[str, str]) -> str:
    parts = "\n".join(part_html(part, drawings) for part in section.parts)
    rows = f"<br>Made of {text('; '.join(section.rows))}." if section.rows else ""
    return (
        f"<section id='{text(section.name)}'>\n<h2>{spaced(section.title)}</h2>\n"
        f"<p class='quiet'>{text(section.source)}</p>\n<p><b>Claim.</b> {inline(section.claim)}</p>\n{parts}\n"
        f"<p class='verdict'>{badge(section)} {inline(section.verdict.words)}</p>\n"
        f"<p class='quiet made'><code>{text(section.command)}</code>{rows}</p>\n</section>"
    )


def part_html(part: Part, drawings: Mapping[str, str]) -> str:
    match part:
        case Prose():
            return "\n".join(f"<p>{inline(paragraph)}</p>" for paragraph in part.text.strip().split("\n\n"))
        case Table():
            return table_html(part)
        case Figure():
            return figure_html(part, drawings[part.name])
        case _:
            assert_never(part)


def inline(words: str) -> str:
    """Text of a paragraph; what stands between backticks is code."""
    return CODE.sub(r"<code>\1</code>", spaced(" ".join(words.split())))


def spaced(words: str) -> str:
    """Text in which 3 x 3 and 95 % are not broken over two lines."""
    return UNIT.sub("&nbsp;%", TIMES.sub("&nbsp;\u00d7&nbsp;", text(words)))


def table_html(table: Table) -> str:
    upper, lower = list[str](), list[str]()
    for column, (name, below) in enumerate(headings(table)):
        kind = " class='name'" if table.textual(column) else ""
        if below:
            upper.append(f"<th scope='colgroup' colspan='{len(below)}' class='group'>{text(name)}</th>")
            lower += (f"<th scope='col'{first(i)}>{text(each)}</th>" for i, each in enumerate(below))
        else:
            upper.append(f"<th scope='col' rowspan='2'{kind}>{text(name)}</th>")
    second = f"<tr>{''.join(lower)}</tr>" if lower else ""
    notes = Notes()
    rows = "".join(f"<tr>{''.join(cells(row, table, notes))}</tr>\n" for row in table.rows)
    head = "".join(upper) if lower else "".join(upper).replace(" rowspan='2'", "")
    body = f"<table><thead><tr>{head}</tr>{second}</thead>\n<tbody>\n{rows}</tbody></table>"
    words = f"<p class='quiet'>{inline(table.words)}</p>" if table.words else ""
    items = "".join(f"<li>{inline(note)}</li>" for note in notes.texts)
    listed = f"<ol class='notes'>{items}</ol>" if items else ""
    return f"<div class='titled'><h3>{spaced(table.title)}</h3>{words}{scrolled(body, table.title)}{listed}</div>"


def first(index: int) -> str:
    return " class='first'" if index == 0 else ""


def cells(row: Sequence[Cell], table: Table, notes: Notes) -> list[str]:
    found = list[str]()
    for column, cell in enumerate(row):
        if isinstance(cell, Compared):
            published, ours, change, mark = compared_cells(cell, notes)
            sup = f" <sup>{mark}</sup>" if mark else ""
            kind = "same" if cell.agrees else "other"
            found.append(
                f"<td class='first'>{text(published)}</td><td>{text(ours)}</td><td class='{kind}'>{text(change)}{sup}</td>"
            )
        elif table.wide(column):
            found.append(f"<td class='first'>{spaced(plain_cell(cell))}</td><td></td><td></td>")
        else:
            kind = " class='name'" if table.textual(column) else ""
            found.append(f"<td{kind}>{spaced(plain_cell(cell))}</td>")
    return found


def figure_html(figure: Figure, svg: str) -> str:
    style = f"min-width:{figure.width * PIXELS_MIN:.0f}px;max-width:{figure.width * PIXELS_MAX:.0f}px"
    drawing = scrolled(
        f"<div class='drawing' role='img' aria-label='{text(figure.words)}' style='{style}'>{svg}</div>", figure.title
    )
    return (
        f"<figure class='drawn'><h3>{text(figure.title)}</h3>{drawing}<figcaption>{inline(figure.words)}</figcaption></figure>"
    )
