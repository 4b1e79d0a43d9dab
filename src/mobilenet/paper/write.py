"""The page and its files in a folder: ``index.html``, ``paper.md``, ``paper.json`` and ``figures/``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from ..charts import check_chart
from ..files import WriteError, write_atomically
from ..pages.report import PAGE, check_folder
from .contents import chosen, maker
from .drawings import drawn, inlined
from .html import paper_page
from .markdown import paper_markdown
from .sections.section import Cell, Compared, Material, Section

TITLE = "MobileNet, the papers given back"
SUBTITLE = (
    "What MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) claim, the number they print, the number made "
    "here, and what differs and why. Everything on this page is computed by this project's code, or read from a recorded run."
)
Chapters = list[tuple[str, str, Sequence[Section]]]


def make_chapters(names: Sequence[str], material: Material, quick: bool = True) -> Chapters:
    """The sections of these names, or all, made. Unless `quick` their trainings and measurements run first.

    Raises:
        UsageError: an unknown name.
        PaperError: recorded rows cannot be read.
    """
    chapters: Chapters = []
    for chapter in chosen(names):
        sections = []
        for name in chapter.sections:
            module, begin = maker(name), time.perf_counter()
            if not quick and (record := getattr(module, "record", None)) is not None:
                record(material)
            sections.append(module.make(material))
            material.say(f"{name}: {sections[-1].verdict.outcome} ({time.perf_counter() - begin:.1f} s)")
        chapters.append((chapter.title, chapter.words, sections))
    return chapters


def write_paper(folder: Path, names: Sequence[str], material: Material, quick: bool = True) -> Path:
    """Makes the sections and writes the page; its path.

    Raises:
        UsageError: an unknown name; matplotlib is missing; the folder holds another page.
        WriteError: the folder cannot be written.
        PaperError: recorded rows cannot be read.
    """
    chosen(names)
    check_folder(folder, "--out")
    check_chart(folder / "figure.svg")
    chapters = make_chapters(names, material, quick)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    drawings = {}
    for section in (section for *_, sections in chapters for section in sections):
        for figure in section.figures():
            files = drawn(figure)
            for suffix, content in files.items():
                write_atomically(folder / "figures" / f"{figure.name}.{suffix}", content)
            drawings[figure.name] = inlined(files["svg"], figure.name)
    write_atomically(folder / "paper.json", (json.dumps(to_json(chapters), indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(folder / "paper.md", paper_markdown(TITLE, SUBTITLE, chapters).encode())
    write_atomically(folder / PAGE, paper_page(TITLE, SUBTITLE, chapters, drawings, "Made by mobilenet paper."))
    return folder / PAGE


def to_json(chapters: Chapters) -> list[dict[str, object]]:
    """All sections with their numbers, for programs."""
    return [section_json(section, chapter) for chapter, _, sections in chapters for section in sections]


def section_json(section: Section, chapter: str) -> dict[str, object]:
    return {
        "name": section.name,
        "chapter": chapter,
        "title": section.title,
        "source": section.source,
        "claim": section.claim,
        "outcome": section.verdict.outcome,
        "verdict": section.verdict.words,
        "command": section.command,
        "rows": list(section.rows),
        "figures": [figure.name for figure in section.figures()],
        "tables": [
            {
                "title": table.title,
                "columns": list(table.columns),
                "rows": [[cell_json(cell) for cell in row] for row in table.rows],
            }
            for table in section.tables()
        ],
    }


def cell_json(cell: Cell) -> object:
    if not isinstance(cell, Compared):
        return cell
    return {
        "published": cell.published,
        "ours": cell.ours,
        "difference": cell.difference,
        "agrees": cell.agrees,
        "why": cell.why,
    }
