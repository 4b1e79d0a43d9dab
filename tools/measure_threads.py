"""Whether a second thread pays: 1 and 2 threads in turns, on a quiet machine and beside a process that spins on one core.

Each setting is a process of its own, started anew `--restarts` times, and all take turns. Appends a row for each size and
setting to results/threads.jsonl. ``--before FOLDER`` adds the package in FOLDER (a copy of ``src/mobilenet`` with its
built ``_core``), to compare with other code:

    python tools/measure_threads.py [--sides 224 513] [--rounds 4] [--restarts 5] [--before FOLDER] [--dry]

On Linux it asks for a scheduler group of its own with the highest weight (which takes root), so that other programs hardly
count; even so, on a machine that others use, compare the minima of the quiet rows and the means of the busy ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 0.5  # of each turn: several of the pool's trials

WORKER = """
import json, sys, time
folder, threads, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if folder:
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "known_source_files")]
    sys.path.insert(0, folder)
import numpy as np
import mobilenet
assert mobilenet.__file__.startswith(folder), mobilenet.__file__
run = mobilenet.load("imagenet", threads=threads).runtime
image = np.random.default_rng(0).standard_normal((1, 3, side, side), np.float32)
for _ in range(5):
    run(image)
print("ready", flush=True)
for line in sys.stdin:
    times = []
    end = time.perf_counter() + float(line)
    while (start := time.perf_counter()) < end:
        run(image)
        times.append(1e3 * (time.perf_counter() - start))
    print(json.dumps(times), flush=True)
"""


def own_group() -> bool:
    """Moves this process and its children to a scheduler group of the highest weight; whether that was possible."""
    with contextlib.suppress(OSError):
        os.setsid()
        Path("/proc/self/autogroup").write_text("-20")
        return True
    return False


@contextlib.contextmanager
def neighbor(core: int | None) -> Iterator[None]:
    """A process that spins on `core`, or none."""
    if core is None:
        yield
        return
    spinning = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


def ask(worker: subprocess.Popen[str], line: str) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    if line:
        print(line, file=worker.stdin, flush=True)
    return worker.stdout.readline()


def measure(settings: dict[str, tuple[str, int]], side: int, core: int | None, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of the runs of each setting: a folder ("" for this package) and a number of threads."""
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WORKER, folder, str(threads), str(side)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (folder, threads) in settings.items()
    }
    times: dict[str, list[float]] = {name: [] for name in settings}
    try:
        for worker in workers.values():
            if ask(worker, "").strip() != "ready":
                raise SystemExit("a process failed")
        with neighbor(core):
            for number in range(rounds):
                for name in list(workers)[:: -1 if number % 2 else 1]:
                    times[name] += json.loads(ask(workers[name], str(SECONDS)))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return times


def summary(runs: list[list[float]]) -> dict[str, Any]:
    """Of the runs of all restarts."""
    values = sorted(value for run in runs for value in run)
    return {
        "runs": len(values),
        "min_ms": round(values[0], 3),
        "median_of_mins_ms": round(statistics.median(min(run) for run in runs), 3),
        "p10_ms": round(values[len(values) // 10], 3),
        "median_ms": round(statistics.median(values), 3),
        "mean_ms": round(statistics.mean(values), 3),
        "p90_ms": round(values[len(values) * 9 // 10], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 513])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--before", default="")
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    settings = {"1 thread": ("", 1), "2 threads": ("", 2)}
    if arguments.before:
        settings["2 threads before"] = (os.path.abspath(arguments.before), 2)
    group = own_group()
    cores = sorted(os.sched_getaffinity(0))[:2]
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    for side in arguments.sides:
        for name, core in (("quiet", None), ("other core taken", cores[-1])):
            load = os.getloadavg()[0]
            results = [measure(settings, side, core, arguments.rounds) for _ in range(arguments.restarts)]
            row: dict[str, Any] = {
                "date": time.strftime("%Y-%m-%d"),
                "commit": commit,
                "machine": platform.machine(),
                "cores": len(os.sched_getaffinity(0)),
                "load": round(load, 1),
                "own_scheduler_group": group,
                "model": "imagenet",
                "side": side,
                "neighbor": name,
                **{setting: summary([result[setting] for result in results]) for setting in settings},
            }
            print(json.dumps(row))
            if not arguments.dry:
                with open(ROOT / "results" / "threads.jsonl", "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
