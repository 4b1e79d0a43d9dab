"""The tables of docs/exports.md, for `tables.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markdown_table import markdown

from mobilenet.bench import history
from mobilenet.exports.formats import FORMATS

ROOT = Path(__file__).resolve().parents[1]


def last_cells() -> dict[tuple[str, str, bool], dict[str, dict[str, Any]]]:
    """The last row of every format, precision, whole or not, and model."""
    cells: dict[tuple[str, str, bool], dict[str, dict[str, Any]]] = {}
    for row in history.rows(ROOT, "exports"):
        cells.setdefault((row["format"], row["precision"], row["whole"]), {})[row["model"]] = row
    return cells


def exports() -> str:
    """Every format beside all kinds of models: how many were verified, how far off, how large."""
    rows = []
    for (name, precision, whole), cells in sorted(
        last_cells().items(), key=lambda item: (list(FORMATS).index(item[0][0]), *item[0][1:])
    ):
        proved = [row for row in cells.values() if row["verified"]]
        sizes = (f"{cells[model]['bytes'] / 1e6:.2f}" if cells.get(model, {}).get("bytes") else "" for model in PUBLISHED)
        key = "relative" if precision == "fp32" else "noise"
        worst = max((row[key] for row in proved if row.get(key) is not None), default=None)
        agreement = min((row["agreement"] for row in proved), default=None)
        rows.append((
            f"{FORMATS[name].title}, {precision}{', whole' if whole else ''}", counted(cells, len(proved)),
            "" if worst is None else f"{worst:.1e}", "" if agreement is None else f"{agreement:.1%}", *sizes,
        ))  # fmt: skip
    header = ("", "verified", "worst difference", "least agreement", *(f"`{model}` MB" for model in PUBLISHED))
    row = history.rows(ROOT, "exports")[-1]
    return markdown(header, rows) + (
        "\n\nOf fp32 the largest difference of an output over its largest number, of the others the noise of an output; the "
        f"least share of labels, boxes or pixels that are the engine's, of all models. {row['date']}, {row['commit']}."
    )


def counted(cells: dict[str, dict[str, Any]], num_proved: int) -> str:
    written = sum(bool(row.get("bytes")) and not row["verified"] for row in cells.values())
    return f"{num_proved} of {len(cells)}" + (f"; {written} written" if written else "")


def unverified_exports() -> str:
    """Every cell that was not verified, with the reason; cells of one format and reason together."""
    models: dict[tuple[str, str], list[str]] = {}
    for (name, precision, whole), cells in last_cells().items():
        for model, row in cells.items():
            if not row["verified"]:
                title, reason = FORMATS[name].title, str(row["reason"]).replace("|", "\\|")
                cell = f"`{model}`" if row.get("bytes") else f"{precision}{', whole' if whole else ''}, `{model}`"
                models.setdefault((title, reason), []).append(cell)
    rows = [(title, ", ".join(dict.fromkeys(cells)), reason) for (title, reason), cells in models.items()]
    return markdown(("", "model", "why"), rows) if rows else "None."


PUBLISHED = ("imagenet", "coco", "voc-small")
FUNCTIONS = (exports, unverified_exports)
