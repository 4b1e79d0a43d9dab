"""The measurements in results/ of a checkout: files of JSON lines that are only appended to, each row with its commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from ..errors import UsageError

Row = dict[str, object]
"""A measurement as JSON: numbers, texts, lists and objects of them."""


def origin(checkout: Path) -> Row:
    """The date, the short commit and the processor with which a row begins; no commit if git does not know one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    git = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    return {"date": date.today().isoformat(), "commit": git.stdout.strip(), "processor": processor()}


def engine_origin(checkout: Path, model: str) -> Row:
    """What a row about the engine begins with: its `origin`, the architecture, the instruction set and the model."""
    from .. import _core

    isa = _core.isa(os.environ.get("MOBILENET_ISA", ""))
    return {**origin(checkout), "machine": platform.machine(), "isa": isa, "model": model}


def processor() -> str:
    """What the processor calls itself, or its architecture if the system does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def append(checkout: Path, name: str, rows: Iterable[Mapping[str, object]]) -> Path:
    """Appends `rows` to results/`name`.jsonl of a checkout.

    Raises:
        UsageError: the folder is no checkout.
    """
    if not (checkout / "results").is_dir() or not (checkout / "src" / "mobilenet").is_dir():
        raise UsageError(f"--record in {checkout}: not a checkout of mobilenet; run it at the top of one")
    path = checkout / "results" / f"{name}.jsonl"
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def rows(checkout: Path, name: str) -> list[Row]:
    """The rows of results/`name`.jsonl, oldest first."""
    return [json.loads(line) for line in (checkout / "results" / f"{name}.jsonl").read_text().splitlines()]
