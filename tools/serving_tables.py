"""The table of docs/serve.md, for `tables.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markdown_table import markdown

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]


def last(kind: str, *keys: str) -> list[dict[str, Any]]:
    """The last row of each combination of `keys`, sorted by them."""
    rows = {tuple(row[key] for key in keys): row for row in history.rows(ROOT, "serving") if row["kind"] == kind}
    return [rows[key] for key in sorted(rows)]


def serving() -> str:
    """The server under load, beside the same server on another backend, and overloaded."""
    table = markdown(
        ("clients", "backend", "images/s", "median ms", "99th percentile ms", "MB"),
        [
            (
                str(row["clients"]),
                row["backend"],
                f"{row['images_per_second']:.0f}",
                f"{row['p50_ms']:.1f}",
                f"{row['p99_ms']:.0f}",
                f"{row['memory_bytes'] / 1e6:.0f}",
            )
            for row in last("load", "clients", "backend")
        ],
    )
    (row,) = last("overload", "kind")
    first, last_quarter = (row[f"memory_{name}_quarter"] / 1e6 for name in ("first", "last"))
    return (
        f"{table}\n\n`{row['model']}`, photos of about 30 kB; the clients run on the same two cores. {row['clients']} clients "
        f"at once for {row['seconds']:.0f} s: {row['answered']:,} requests answered, {row['refused']:,} refused with 429, "
        f"{row['lost']} lost; memory {first:.1f} MB in the first quarter, {last_quarter:.1f} in the last. {row['date']}, "
        f"{row['commit']}."
    )


FUNCTIONS = (serving,)
