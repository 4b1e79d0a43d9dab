"""Fuzzes one target with Atheris: python fuzz/drive.py TARGET WORK [options of libFuzzer] [folders of inputs]

A failure does not end the run: its input is stored under WORK/failures once for each place in the code, and counted.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "fuzz"))
# Atheris instruments what Python's own finder finds; that of an editable installation serves for the native core alone.
sys.path.insert(0, str(ROOT / "src"))
editable = [finder for finder in sys.meta_path if hasattr(finder, "known_source_files")]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in editable] + editable
MAX_SECONDS = 10  # of one input; honest ones take milliseconds
MAX_GROWTH = 400 * 2**20  # bytes by which one input may raise the process's peak
JSON = ("description", "recipe", "coco", "tfjs", "index")
VALUES = (None, True, -1, 0, 1, 0.5, 2**31, 2**63, 10**400, 1e308, float("inf"), float("nan"), "", "a", "\x1b[31m\n", "\ud800",
          "1" * 5000, "x" * 5000, [], {}, [[[]]], {"kind": "a"}, [1, 2], ["a"] * 50)  # fmt: skip


def mutated_json(data: bytes, max_size: int, seed: int) -> bytes:
    """JSON with one value, key or item changed, two times of three; otherwise libFuzzer's own mutation."""
    choice = random.Random(seed)
    head, mark, tail = data.partition(b"\n\0SHARD\0\n")
    try:
        root = json.loads(head) if choice.random() < 0.67 else None
    except (ValueError, RecursionError):
        root = None
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        if isinstance(value, (dict, list)):
            for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
                places.append((value, key))
                collect(item)

    collect(root)
    if not places:
        return atheris.Mutate(data, max_size)
    owner, key = choice.choice(places)
    other_owner, other_key = choice.choice(places)
    match choice.randrange(5):
        case 0:
            del owner[key]
        case 1 if isinstance(owner, dict):
            owner[choice.choice(["a", "kind", "", "x" * 2000, str(other_key)])] = owner.pop(key)
        case 1 | 2:
            owner[key] = copy.deepcopy(other_owner[other_key])
        case 3 if type(owner[key]) in (int, float):
            owner[key] += choice.choice([-1, 1, 0.5, -(10**6), 10**6])
        case _:
            owner[key] = choice.choice(VALUES)
    changed = json.dumps(root).encode() + mark + tail
    return changed if len(changed) <= max_size else atheris.Mutate(data, max_size)


def main() -> None:
    name, work, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["mobilenet", "tarfile", "zipfile", "csv", "html", "_markupbase", "json"]):
        import targets

        target = targets.named(name)
        with tempfile.TemporaryDirectory() as folder:  # imports that a reader does when it is first called
            accepted = [targets.check(target, seed, Path(folder)) for seed in target.seeds()]
    print(f"{name}: {sum(accepted)} of {len(accepted)} seeds are accepted", file=sys.stderr)
    failures, known = Path(work) / "failures" / name, set[str]()
    failures.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    scratch = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def fail(data: bytes, place: str, report: str) -> None:
        if place not in known:
            known.add(place)
            path = failures / hashlib.sha256(data).hexdigest()[:16]
            path.write_bytes(data)
            print(f"FAILURE {name} {path}\n{report}", file=sys.stderr, flush=True)

    def one_input(data: bytes) -> None:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            targets.check(target, data, Path(scratch.name))
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            fail(data, f"{type(error).__name__} {frame.filename}:{frame.lineno}", traceback.format_exc(limit=-6))
        seconds = time.process_time() - start
        if seconds > MAX_SECONDS:
            fail(data, "time", f"took {seconds:.1f} s")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if grown > MAX_GROWTH:
            fail(data, "memory", f"raised the peak by {grown / 2**20:.0f} MiB")

    mutator = {"custom_mutator": mutated_json} if name in JSON else {}
    atheris.Setup([sys.argv[0], *options], one_input, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
