"""The colors of figures. The page replaces each by its own variable, so that a figure can be read by day and by night."""

from __future__ import annotations

PAPER, PANEL, INK, QUIET, LINE = "#ffffff", "#f5f6f8", "#1b1f24", "#59626d", "#d5dae0"
"""The ground, a box on it, letters, quiet letters, thin lines."""

BLUE, ORANGE, GREEN, PURPLE, YELLOW, PINK = SERIES = ("#2060b4", "#c2571a", "#2f7d4f", "#8a4fb0", "#a8841a", "#b03060")
"""Colors of what is compared, in this order."""

VARIABLES = {
    PAPER: "--paper", PANEL: "--panel", INK: "--ink", QUIET: "--quiet", LINE: "--line",
    **{color: f"--c{number}" for number, color in enumerate(SERIES)},
}  # fmt: skip
"""The variable of the page's style sheet for each."""
