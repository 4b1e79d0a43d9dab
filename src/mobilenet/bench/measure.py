"""Ours and other runtimes on the same weights and picture: interleaved in one process, memory in a child process each.

Peers get the ONNX graph of `onnx_export`. Every engine is called with the same NCHW float32 array and returns arrays, so
conversions count alike; of several outputs the first counts. Needs the extra `bench` (onnx, onnxruntime, openvino).
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.reference import Reference
from ..errors import unknown_name
from ..network.layers import Network, Resolution, checked_resolution
from ..tensors import built

if TYPE_CHECKING:
    from ..tensors import Floats

Executor = Callable[[Any], Any]
"""The first output for (1, 3, H, W) float32."""

PAUSE = 0.003  # seconds before each engine's turn on several threads: for the others' workers to stop spinning


@dataclass(frozen=True)
class Record:
    """One engine's row; the contract of ``mobilenet bench --json``. Times in milliseconds for one picture.

    `peak_rss_delta_bytes` is how far the process grew while it ran pictures, once loaded; None where the system does not
    say. `max_abs_error` is against the numpy reference.
    """

    engine: str
    precision: str
    threads: int
    resolution: list[int]
    median_ms: float
    min_ms: float
    p90_ms: float
    peak_rss_delta_bytes: int | None
    max_abs_error: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def native(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    from ..engine import backends

    run = backends.native(network, tensors, threads)
    run.planned_bytes(network.resolution)  # plans now, as the others do when they load
    return lambda images: next(iter(run(images).values()))


def onnxruntime(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    import onnxruntime as ort

    from ..export.onnx import to_onnx

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(network, tensors).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"input": images})[0])


def openvino(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    import openvino as ov

    from ..export.onnx import to_onnx

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(to_onnx(network, tensors).SerializeToString(), b""), "CPU", settings)
    requests: list[Any] = []

    def run(images: Floats) -> Floats:
        if not requests:
            requests.append(compiled.create_infer_request())
        requests[0].set_input_tensor(ov.Tensor(images, shared_memory=True))
        requests[0].infer()
        return np.array(requests[0].get_output_tensor(0).data)

    return run


def torch(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    import torch as th

    from ..nn.network import module

    th.set_num_threads(threads)
    net = module(network)
    net.load_arrays(tensors)
    net.eval()

    def run(images: Floats) -> Floats:
        with th.inference_mode():
            result = net(th.from_numpy(images))
        return np.asarray((next(iter(result.values())) if isinstance(result, dict) else result).numpy())

    return run


ENGINES: dict[str, Callable[[Network, Mapping[str, Floats], int], Executor]] = {
    "native": native,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "torch": torch,
}
NEEDS = {"native": (), "onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"), "torch": ("torch",)}
UNABLE = {
    "ncnn": "it reads its own format only, and the converter from ONNX is a program that its package does not bring",
    "litert": "it reads .tflite only, which nothing here writes",
}
PEERS = [name for name in ENGINES if name != "native"]


def skipped(name: str) -> str | None:
    """Why an engine cannot take part, in one line, or None.

    Raises:
        ValueError: no engine is called so; names the nearest.
    """
    if name not in (*ENGINES, *UNABLE):
        raise ValueError(unknown_name("engine", name, (*ENGINES, *UNABLE)))
    if name == "native" and not built():
        return "native: the core was not built; install a C++20 compiler, then reinstall mobilenet"
    if name in UNABLE:
        return f"{name}: {UNABLE[name]}"
    missing = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
    extra = "train" if name == "torch" else "bench"
    return f"{name}: {' and '.join(missing)} not installed; pip install 'mobilenet[{extra}]'" if missing else None


def bench(
    network: Network,
    tensors: Mapping[str, Floats],
    resolution: Resolution | None = None,
    threads: int = 1,
    against: Sequence[str] = ("onnxruntime", "openvino"),
    seconds: float = 5.0,
    memory: bool = True,
) -> list[Record]:
    """Records of the native engine and the engines `against`, in that order.

    Args:
        seconds: spent on each engine's timed runs; at least 10 rounds are run.
        memory: measure each engine's growth, in a process of its own.

    Raises:
        ValueError: an engine that is unknown or not installed.
    """
    names = ["native", *against]
    for name in names:
        if reason := skipped(name):
            raise ValueError(f"engine {reason}")
    size = checked_resolution(resolution) if resolution is not None else network.resolution
    network = network.at(size)
    picture = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    (expected,) = list(Reference(network, tensors)(picture).values())[:1]
    engines = {name: ENGINES[name](network, tensors, threads) for name in names}
    errors = {name: float(np.abs(np.asarray(run(picture)) - expected).max()) for name, run in engines.items()}
    times = interleaved(engines, picture, seconds, threads)
    return [
        Record(
            engine=name,
            precision="fp32",
            threads=threads,
            resolution=list(size),
            median_ms=1e3 * statistics.median(values),
            min_ms=1e3 * min(values),
            p90_ms=1e3 * float(np.percentile(values, 90)),
            peak_rss_delta_bytes=growth(name, network, tensors, threads) if memory else None,
            max_abs_error=errors[name],
        )
        for name, values in times.items()
    ]


def interleaved(engines: Mapping[str, Executor], picture: Floats, seconds: float, threads: int) -> dict[str, list[float]]:
    """Seconds of each call, taken in turns, so that all meet the same noise. Each turn warms up with one call."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    while min(map(len, times.values())) < 10 or sum(map(sum, times.values())) < seconds * len(engines):
        for name, run in engines.items():
            if threads > 1:
                time.sleep(PAUSE)
            run(picture)
            before = time.perf_counter()
            run(picture)
            times[name].append(time.perf_counter() - before)
    return times


def growth(name: str, network: Network, tensors: Mapping[str, Floats], threads: int) -> int | None:
    """Bytes by which a fresh process grows at most while the engine, once loaded, runs pictures."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        job.write_bytes(pickle.dumps((name, network, dict(tensors), threads)))
        result = subprocess.run([sys.executable, "-m", __name__, str(job)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(f"engine {name!r} failed in its own process: {result.stderr.strip().splitlines()[-1:]}")
    return int(json.loads(result.stdout.splitlines()[-1]))


def _grow(job: Path) -> int:
    """In the child process: what `growth` reports."""
    name, network, tensors, threads = pickle.loads(job.read_bytes())
    run = ENGINES[name](network, tensors, threads)
    picture = np.ones((1, 3, *network.resolution), np.float32)
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # what loading left free would hide the growth
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    for _ in range(3):
        run(picture)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the system does not report {field}")


def save_figure(rows: Sequence[Record], path: Path) -> None:
    """Latency against memory as a picture (.png, .svg or .pdf). Needs matplotlib, the extra ``[plot]``."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(f"{path}: drawing needs matplotlib; pip install 'mobilenet[plot]'") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        memory = (row.peak_rss_delta_bytes or 0) / 2**20
        axes.errorbar(memory, row.median_ms, [[row.median_ms - row.min_ms], [row.p90_ms - row.median_ms]], fmt="o", capsize=4)
        axes.annotate(row.engine, (memory, row.median_ms), xytext=(8, 8), textcoords="offset points")
    height, width = rows[0].resolution
    axes.set(xlabel="growth of the process while it runs, MiB", ylabel="one picture, ms: least, median, 90th percentile",
             title=f"{height} x {width} pixels, {rows[0].threads} thread(s), {rows[0].precision}",
             xlim=(0, None), ylim=(0, None))  # fmt: skip
    axes.margins(0.2)
    try:
        figure.savefig(path, dpi=120)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot be drawn ({error}); give a writable path that ends in .png, .svg or .pdf") from error


def append_rows(rows: Sequence[Record], model: str, checkout: Path) -> Path:
    """Appends the rows, with date, commit, machine and instruction set, to results/bench.jsonl of a checkout."""
    import platform
    from datetime import date

    from .. import _core

    if not (checkout / "results").is_dir() or not (checkout / "src" / "mobilenet").is_dir():
        raise ValueError(f"--record in {checkout}: not a checkout of mobilenet; run it at the top of one")
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=checkout, capture_output=True, text=True, check=False)
    where = {"date": date.today().isoformat(), "commit": git.stdout.strip(), "machine": platform.machine(),
             "isa": _core.isa(), "model": model}  # fmt: skip
    path = checkout / "results" / "bench.jsonl"
    with path.open("a") as file:
        file.writelines(json.dumps({**where, **row.to_json()}) + "\n" for row in rows)
    return path


if __name__ == "__main__":
    print(json.dumps(_grow(Path(sys.argv[1]))))
