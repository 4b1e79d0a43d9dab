"""Speed and memory of the engine and of other runtimes on the same weights and image.

Times are taken in turns, in one process; the memory of each runtime is measured in a process of its own. The other runtimes
come with the extra ``[bench]`` (onnx, onnxruntime, openvino).
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..charts import chart
from ..engine.reference import Reference
from ..errors import MobilenetError, UsageError, printable
from ..network.layers import Network, Resolution, checked_resolution
from . import history
from .peers import Run, load, precisions, unavailable

if TYPE_CHECKING:
    from ..tensors import Floats
    from .integers import IntegerTime

K = TypeVar("K")
MIN_ROUNDS = 10
PAUSE = 0.003  # seconds before each runtime's turn on several threads: lets the others' workers stop spinning


class BenchError(MobilenetError):
    """A runtime failed while it was measured."""


@dataclass(frozen=True)
class Times:
    """What every row says of a runtime.

    Attributes:
        resolution: height and width in pixels.
        median_ms, min_ms, p90_ms: milliseconds for one image.
        peak_rss_delta_bytes: how far the process grew while it ran images, after loading; None if the system does not say.
    """

    engine: str
    precision: str
    threads: int
    resolution: list[int]
    median_ms: float
    min_ms: float
    p90_ms: float
    peak_rss_delta_bytes: int | None


@dataclass(frozen=True)
class EngineTime(Times):
    """A runtime's row; the contract of ``mobilenet bench --json``.

    Attributes:
        max_abs_error: of the first output, against the numpy reference.
    """

    max_abs_error: float


def bench(
    network: Network,
    tensors: Mapping[str, Floats],
    resolution: Resolution | None = None,
    threads: int = 1,
    against: Sequence[str] = ("onnxruntime", "openvino"),
    seconds: float = 5.0,
    memory: bool = True,
    precision: str = "fp32",
) -> list[EngineTime]:
    """Times of the native engine and of the runtimes `against`, in that order.

    Args:
        resolution: of the image, in pixels; default the network's.
        threads: of each runtime.
        seconds: spent on each runtime's timed runs; at least `MIN_ROUNDS` rounds are run.
        memory: measure each runtime's growth, in a process of its own.
        precision: of the engine, "fp32" or "bf16"; others compute in the nearest that they offer (`peers.precisions`).

    Raises:
        UsageError: a runtime is unknown or not installed, or the processor computes no bfloat16.
    """
    names = ["native", *against]
    for name in names:
        if reason := unavailable(name):
            raise UsageError(f"engine {reason}")
    size = checked_resolution(resolution) if resolution is not None else network.resolution
    network = network.at(size)
    image = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    expected = next(iter(Reference(network, tensors)(image).values()))
    rows = [(name, each) for name in names for each in precisions(name, precision)]
    loaders = {row: partial(load, row[0], network, dict(tensors), threads, row[1]) for row in rows}
    runs = {row: loader() for row, loader in loaders.items()}
    errors = {row: float(np.abs(run(image) - expected).max()) for row, run in runs.items()}
    times = interleaved(runs, image, seconds, threads)
    return [
        EngineTime(
            engine=row[0],
            precision=row[1],
            threads=threads,
            resolution=list(size),
            median_ms=1e3 * statistics.median(values),
            min_ms=1e3 * min(values),
            p90_ms=1e3 * float(np.percentile(values, 90)),
            peak_rss_delta_bytes=growth(row[0], loaders[row], size) if memory else None,
            max_abs_error=errors[row],
        )
        for row, values in times.items()
    ]


def interleaved(runs: Mapping[K, Run], image: Floats, seconds: float, threads: int) -> dict[K, list[float]]:
    """Seconds of each call, taken in turns, so that all meet the same noise. Each turn warms up with one call."""
    times: dict[K, list[float]] = {name: [] for name in runs}
    while min(map(len, times.values())) < MIN_ROUNDS or sum(map(sum, times.values())) < seconds * len(runs):
        for name, run in runs.items():
            if threads > 1:
                time.sleep(PAUSE)
            run(image)
            before = time.perf_counter()
            run(image)
            times[name].append(time.perf_counter() - before)
    return times


def growth(name: str, loader: Callable[[], Run], size: tuple[int, int]) -> int | None:
    """Bytes by which a fresh process grows at most while the runtime that `loader` makes, once loaded, runs images of `size`.

    None outside Linux. `loader` is pickled.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        job.write_bytes(pickle.dumps((loader, size)))
        result = subprocess.run([sys.executable, "-m", __name__, str(job)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"engine {name!r} failed in its own process: {result.stderr.strip().splitlines()[-1:]}")
    return int(json.loads(result.stdout.splitlines()[-1]))


def grow(job: Path) -> int:
    """In the child process: the bytes that `growth` returns."""
    loader, size = pickle.loads(job.read_bytes())
    run = loader()
    image = np.ones((1, 3, *size), np.float32)
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # memory that loading freed would hide the growth
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    for _ in range(3):
        run(image)
    return status_bytes("VmHWM") - before


def status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the system does not report {field}")


def conditions(network: Network, resolution: Resolution | None, threads: int) -> str:
    """What is timed, in one line: the network, the image, the threads, the instruction set and the processor."""
    from .. import _core

    height, width = checked_resolution(resolution or network.resolution)
    on = "1 thread" if threads == 1 else f"{threads} threads"
    isa = _core.isa(os.environ.get("MOBILENET_ISA", ""))
    return f"{network.architecture} at {width}x{height}, {on}, {isa}, {history.processor()}"


def save_figure(rows: Sequence[EngineTime | IntegerTime], model: str, path: Path) -> None:
    """Draws latency against memory (.png, .svg or .pdf), with the name of the model; see `charts.chart` for what it raises."""
    growths = [(row.peak_rss_delta_bytes or 0) / 2**20 for row in rows]
    height, width = rows[0].resolution
    threads = "1 thread" if rows[0].threads == 1 else f"{rows[0].threads} threads"
    with chart(path, 7, 5) as figure:
        axes = figure.subplots()
        for row, growth in zip(rows, growths, strict=True):
            named = () if isinstance(row, EngineTime) else (row.file,)
            errors = [[row.median_ms - row.min_ms], [row.p90_ms - row.median_ms]]
            axes.errorbar(growth, row.median_ms, errors, fmt="o", capsize=4)
            axes.annotate(" ".join((row.engine, *named)), (growth, row.median_ms), xytext=(8, 8), textcoords="offset points")
        name = printable(os.path.basename(model))
        axes.set_title(f"{name}, {width} x {height} pixels, {threads}, {rows[0].precision}")
        axes.set_xlabel("growth of the process while it runs, MiB")
        axes.set_ylabel("one image, ms: minimum, median, 90th percentile")
        axes.set_xlim(0, 1.25 * max(*growths, 1.0))  # with room for the names
        axes.set_ylim(0, 1.1 * max(row.p90_ms for row in rows))


def append_rows(rows: Sequence[EngineTime], model: str, checkout: Path) -> Path:
    """Appends the rows, with date, commit, machine and instruction set, to results/bench.jsonl of a checkout."""
    conditions = history.engine_origin(checkout, model)
    return history.append(checkout, "bench", [{**conditions, **asdict(row)} for row in rows])


if __name__ == "__main__":
    print(json.dumps(grow(Path(sys.argv[1]))))
