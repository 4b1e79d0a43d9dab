"""The tables of docs/trust.md, docs/fuzzing.md and of docs/engine.md's busy machine, for `tables.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure_trust
from markdown_table import markdown

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]


def trust() -> str:
    """Each finding of the review, its test, what happened before and what happens now."""
    row = history.rows(ROOT, "trust")[-1]
    rows = []
    for finding in measure_trust.FINDINGS:
        files = [each for each in row["files"] if each["finding"] == finding.number]
        now = [finding.now] * bool(finding.now)
        if files:
            seconds, megabytes = (max(each[key] for each in files) for key in ("seconds", "megabytes"))
            count = f"{len(files)} files" if len(files) > 1 else "refused"
            now.append(f"{count}: one line, at most {seconds:.2f} s and {megabytes:.0f} MB")
        rows.append((str(finding.number), finding.what, finding.before, "; ".join(now), f"`tests/{finding.test}`"))
    return markdown(("", "what was tried", "before", "now", "test"), rows) + (
        f"\n\nSeconds of processor time and MB above the process's start, the most of any file. {row['date']}, {row['commit']}."
    )


def hostile_files() -> str:
    """Every aimed file with what refusing it takes."""
    row = history.rows(ROOT, "trust")[-1]
    rows = [
        (f"`{each['file']}`", f"{each['bytes']:,}", each["command"], f"{each['seconds']:.2f}", f"{each['megabytes']:.0f}",
         each["line"].removeprefix("mobilenet: ").replace("|", "\\|").replace("<", "&lt;")[:110] + "...")
        for each in row["files"]
    ]  # fmt: skip
    return markdown(("file", "bytes", "command", "s", "MB", "its line"), rows)


def fuzzing() -> str:
    """All recorded runs of each harness together."""
    rows, total, failures = [], 0, 0
    recorded: dict[str, list[dict[str, Any]]] = {}
    for row in history.rows(ROOT, "fuzz"):
        recorded.setdefault(row["name"], []).append(row)
    for name, runs in recorded.items():
        executions, units = (sum(run[key] for run in runs) for key in ("executions", "units"))
        failed = sum(run["failures"] for run in runs)
        growth = (f"{runs[0]['start'][i]:,} to {max(run['end'][i] for run in runs):,}" for i in (0, 1))
        rows.append((f"`{name}`", f"{executions:,}", *growth, f"{units:,}", str(failed)))
        total, failures = total + executions, failures + failed
    rows.append(("together", f"{total:,}", "", "", "", str(failures)))
    return markdown(("harness", "executions", "edges", "features", "new inputs", "failures"), rows)


def long_use() -> str:
    """The last record of long use and of kills."""
    row, killed, rows = history.rows(ROOT, "soak")[-1], history.rows(ROOT, "kills")[-1], []
    for numbers in ("fp32", "int8"):
        for what, found in row[numbers].items():
            memory, open_files = (f"{before} to {after}" for before, after in (found["megabytes"], found["descriptors"]))
            rows.append((f"{what}, {numbers}", str(found["wrong"]), memory, open_files))
    table = markdown(("", "wrong answers", "MB", "open files"), rows)
    kills = [
        f"`{name}` {each['kills']} times ({each['before_the_end']} before its end)"
        for name, each in killed.items()
        if isinstance(each, dict)
    ]
    left = sum(each["temporaries_left_and_removed"] for each in killed.values() if isinstance(each, dict))
    return (
        f"{table}\n\nMemory of the process's own and open files, before and after. {row['date']}, {row['commit']}.\n\n"
        f"Killed at random moments: {', '.join(kills)}. No file was half written or lost, every run could be continued, and "
        f"the {left} temporaries that the kills left were removed by the next run. {killed['date']}."
    )


def threads() -> str:
    """The last record of 1 and 2 threads beside a process that spins on one core."""
    last, before = dict[tuple[int, str], Any](), dict[tuple[int, str], Any]()
    for row in history.rows(ROOT, "threads"):
        last[row["side"], row["neighbor"]] = row
        if "2 threads before" in row:
            before[row["side"], row["neighbor"]] = row
    sides, rows = sorted({side for side, _ in last}), []
    for neighbor in ("quiet", "other core taken"):
        for name, found, setting in (("before", before, "2 threads before"), ("now", last, "2 threads")):
            ratios = [
                f"{row[setting]['mean_ms'] / row['1 thread']['mean_ms']:.2f}" if row else ""
                for row in (found.get((side, neighbor)) for side in sides)
            ]
            rows.append((f"{neighbor}, {name}", *ratios))
    row = last[sides[0], "other core taken"]
    return markdown(("", *(f"{side} px" for side in sides)), rows) + (
        f"\n\nBefore: threads that meet at barriers. The machine's load was {row['load']:g} ({row['date']}, {row['commit']})."
    )


FUNCTIONS = (fuzzing, hostile_files, long_use, threads, trust)
