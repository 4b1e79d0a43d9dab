"""Figures as files, and as elements of the page that take its colors."""

from __future__ import annotations

import re

from ..charts import rendered
from .sections.colors import INK, LINE, PAPER, QUIET, SERIES, VARIABLES
from .sections.section import Figure

STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.grid.axis": "both",
    "grid.alpha": 1.0,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "text.parse_math": True,  # the powers of ten at logarithmic axes
    "svg.fonttype": "none",  # letters stay letters: they can be searched, and take the page's font
}
COLOR = re.compile("|".join(VARIABLES), re.IGNORECASE)


def drawn(figure: Figure) -> dict[str, bytes]:
    """The figure as ``svg`` and ``png``; the same bytes whenever it is drawn."""
    from matplotlib.rcsetup import cycler

    style = {**STYLE, "axes.prop_cycle": cycler(color=SERIES), "svg.hashsalt": figure.name}
    return rendered(figure.draw, figure.width, figure.height, ("svg", "png"), style)


def inlined(svg: bytes, name: str) -> str:
    """An SVG file as an element of a page: names of its own, the page's colors, as wide as its place."""
    content = svg.decode()
    content = content[content.index("<svg") :]
    content = re.sub(r"<metadata>.*?</metadata>", "", content, flags=re.DOTALL)
    content = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", content, count=1)
    content = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", content, count=1)
    content = re.sub(r'\bid="', f'id="{name}-', content)
    content = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", content)
    return COLOR.sub(lambda match: f"var({VARIABLES[match[0].lower()]})", content).strip()
