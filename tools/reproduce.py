"""Writes docs/reproduce.md: the paper's page without figures, computed and read from results/. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from mobilenet.paper.markdown import paper_markdown
from mobilenet.paper.sections.section import Material
from mobilenet.paper.write import Chapters, make_chapters

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reproduce.md"
TITLE = "The papers, reproduced"
HEAD = (
    "What the papers on MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) claim, the numbers they print, ours, "
    "and why the two differ. `python tools/reproduce.py` writes this page. With the extra `[plot]`, "
    "`mobilenet paper --quick --out out/paper` makes it with all figures, as HTML and Markdown; without `--quick` its "
    "trainings run first. [Add a section](how-to/paper.md) says how it grows."
)


def document(chapters: Chapters) -> str:
    """The page as Markdown; a figure is its sentence, and the command draws it."""
    return paper_markdown(TITLE, HEAD, chapters, lambda figure: "")


if __name__ == "__main__":
    content = document(make_chapters([], Material(ROOT / "results", say=lambda line: None)))
    if "--check" not in sys.argv:
        PAGE.write_text(content, "utf-8")
    elif PAGE.read_text("utf-8") != content:
        sys.exit("docs/reproduce.md is not what the sections say; run python tools/reproduce.py")
