"""The tables of docs/how-to/cluster.md, for `tables.py`."""

from __future__ import annotations

from pathlib import Path

from markdown_table import markdown

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]


def cluster() -> str:
    """The last kills of a node and of a driver."""
    row = history.rows(ROOT, "cluster")[-1]
    rows = [
        (
            what,
            str(end["parts_before"]),
            f"{end['inputs']:,}",
            f"{end['distinct']:,}",
            str(end["failures"]),
            f"{end['seconds']:.0f}",
        )
        for what, end in (("one of two nodes", row["node_killed"]), ("the driver", row["driver_killed"]))
    ]
    header = ("killed with -9", "parts before", "rows in the output", "different inputs", "failures among them", "s to the end")
    return markdown(header, rows) + (
        f"\n\n{row['images']:,} images, {row['corrupt']} of them damaged, in parts of about {row['part_size']}; "
        f"`{row['model']}`, Ray {row['ray']}, {row['cores']} cores at a load of {row['load']}, {row['date']}. "
        "The seconds include the time until Ray notices the dead node."
    )


def billion() -> str:
    """Images per second and core, and core hours for a billion, from the last record of every model and size."""
    last = {(row["model"], row["megapixels"]): row for row in history.rows(ROOT, "whole") if row["engine"] == "native"}
    rows = []
    for (model, megapixels), row in sorted(last.items()):
        milliseconds = row["median_ms"]
        hours = f"{milliseconds / 3.6 * 1e3:,.0f}"
        rows.append((f"`{model}`", f"{megapixels:g} MP", f"{milliseconds:.1f}", f"{1e3 / milliseconds:.0f}", hours))
    return markdown(("model", "JPEG", "ms", "images/s and core", "core hours for a billion"), rows) + (
        f"\n\nMedians of one thread, from results/whole.jsonl; {row['machine']}, {row['isa']}, {row['date']}. "
        "`mobilenet bench --whole` measures your machine."
    )


FUNCTIONS = (billion, cluster)
