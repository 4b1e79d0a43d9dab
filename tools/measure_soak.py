"""Long use of a float and of an integer model: what it leaves in memory and in file descriptors. Appends to results/soak.jsonl.

    python tools/measure_soak.py [--predictions 10000] [--loads 300] [--threads 16] [--forks 30] [--dry]

tests/hostile/test_soak.py holds the same with small counts. Linux only.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mobilenet
from mobilenet import modelfile

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 2**20
IMAGE = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
RUNS = 50  # of each thread


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    """A small classifier as float and as integers, in files."""
    sys.path[:0] = [str(ROOT / "tests")]
    from support.models import toy

    model = toy()
    modelfile.write(model, folder / "fp32.safetensors")
    IMAGE.save(folder / "image.png")
    mobilenet.quantize(model, folder / "image.png").save(folder / "int8.safetensors")
    for numbers in ("fp32", "int8"):
        yield numbers, folder / f"{numbers}.safetensors"


def resources() -> tuple[int, int]:
    """(bytes of memory that are this process's own, open file descriptors)."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))


def figures(wrong: int, work: Callable[[], int]) -> dict[str, Any]:
    """What `work`, which returns the number of wrong answers, costs."""
    before, start = resources(), time.perf_counter()
    wrong += work()
    seconds, after = time.perf_counter() - start, resources()
    return {
        "wrong": wrong,
        "seconds": round(seconds, 1),
        "megabytes": [round(memory / MEGABYTE, 1) for memory, _ in (before, after)],
        "descriptors": [before[1], after[1]],
    }


def predictions(path: Path, count: int) -> dict[str, Any]:
    """One predictor, asked again and again."""
    predictor = mobilenet.load(path, threads=2)
    first = predictor(IMAGE)
    for _ in range(50):
        predictor(IMAGE)
    return figures(0, lambda: sum(predictor(IMAGE) != first for _ in range(count)))


def loads(path: Path, count: int) -> dict[str, Any]:
    """A predictor made, asked and dropped, again and again."""
    first = mobilenet.load(path, threads=2)(IMAGE)
    for _ in range(5):
        mobilenet.load(path, threads=2)(IMAGE)
    return figures(0, lambda: sum(mobilenet.load(path, threads=2)(IMAGE) != first for _ in range(count)))


def threads_and_forks(path: Path, threads: int, forks: int) -> dict[str, Any]:
    """One runtime in many threads at once, then in children that are forked after that."""
    runtime = mobilenet.load(path, threads=2).runtime
    height, width = modelfile.read(path).preprocessing.size
    x = np.random.default_rng(0).standard_normal((1, 3, height, width)).astype(np.float32)
    expected = answer(runtime, x)

    def together() -> int:
        wrong: list[int] = []

        def work() -> None:
            wrong.extend(1 for _ in range(RUNS) if answer(runtime, x) != expected)

        started = [threading.Thread(target=work) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        return len(wrong)

    def work() -> int:
        wrong = together()
        for _ in range(forks):
            child = os.fork()
            if child == 0:
                os._exit(answer(runtime, x) != expected)
            wrong += os.waitpid(child, 0)[1] != 0
        return wrong

    return figures(together(), work)


def answer(runtime: Callable[[Any], Any], x: Any) -> bytes:
    return b"".join(bytes(memoryview(value)) for value in runtime(x).values())


def measured(path: Path, counts: argparse.Namespace) -> dict[str, dict[str, Any]]:
    return {
        f"{counts.predictions:,} predictions": predictions(path, counts.predictions),
        f"{counts.loads:,} loads": loads(path, counts.loads),
        f"{counts.threads} threads, {counts.forks} forks": threads_and_forks(path, counts.threads, counts.forks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("predictions", 10_000), ("loads", 300), ("threads", 16), ("forks", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dry", action="store_true", help="only print")
    counts = parser.parse_args()
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    row: dict[str, Any] = {"date": datetime.date.today().isoformat(), "commit": commit, "machine": platform.machine()}
    with tempfile.TemporaryDirectory() as folder:
        for numbers, path in models(Path(folder)):
            row[numbers] = measured(path, counts)
            print(numbers, json.dumps(row[numbers], indent=1), flush=True)
    if not counts.dry:
        with (ROOT / "results" / "soak.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
