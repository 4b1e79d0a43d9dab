"""Ours and other runtimes on the same weights and picture: interleaved in one process, memory in a child process each.

Peers get the ONNX graph of `onnx_export`. Every engine is called with the same NCHW float32 array and returns arrays, so
conversions count alike. Needs the extra `bench` (onnx, onnxruntime, openvino).
"""

from __future__ import annotations

import ctypes
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
from typing import Any

import numpy as np

from .network import Network, Resolution, checked_resolution
from .runtime.fold import Floats
from .runtime.reference import Reference

Executor = Callable[[Floats], Floats]
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
    from .runtime.engine import Native

    run = Native(network, tensors, threads)
    run.plan(network.resolution)  # as the others do when they load
    return lambda images: next(iter(run(images).values()))


def onnxruntime(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    import onnxruntime as ort

    from .onnx_export import to_onnx

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(network, tensors).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"input": images})[0])


def openvino(network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    import openvino as ov

    from .onnx_export import to_onnx

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


ENGINES: dict[str, Callable[[Network, Mapping[str, Floats], int], Executor]] = {
    "native": native,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


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
        if name not in ENGINES:
            raise ValueError(f"engine {name!r}: must be one of {', '.join(ENGINES)}")
    size = checked_resolution(resolution) if resolution is not None else network.resolution
    network = network.at(size)
    picture = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    (expected,) = list(Reference(network, tensors)(picture).values())[:1]
    engines = {name: _load(name, network, tensors, threads) for name in names}
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


def _load(name: str, network: Network, tensors: Mapping[str, Floats], threads: int) -> Executor:
    try:
        return ENGINES[name](network, tensors, threads)
    except ImportError as error:
        raise ValueError(f"engine {name!r} is not installed ({error}); pip install 'mobilenet[bench]'") from error


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


@dataclass(frozen=True)
class LayerTime:
    """One fused unit's time beside what this machine could do: `peak` is the fraction of the products' best rate."""

    name: str
    milliseconds: float
    madds: int
    peak: float


def layer_times(
    network: Network, tensors: Mapping[str, Floats], resolution: Resolution | None = None, rounds: int = 50
) -> list[LayerTime]:
    """Our time for each fused unit on one thread (the median of `rounds`), and the last row for writing the outputs."""
    from .runtime.engine import Native
    from .runtime.fuse import fuse

    size = checked_resolution(resolution) if resolution is not None else network.resolution
    network = network.at(size)
    engine, best, shapes = Native(network, tensors), product_rate(), network.shapes()
    picture = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    labels = engine.plan(size).labels
    times = np.zeros((rounds, len(labels)))
    for row in times:
        engine.run(picture, row)
    madds = [sum(x.madds([shapes[name] for name in x.inputs]) for x in unit.layers) for unit in fuse(network)] + [0]
    medians = np.median(times, axis=0)
    return [
        LayerTime(name, 1e3 * float(t), count, count / (float(t) * best) if t else 0.0)
        for name, t, count in zip(labels, medians, madds, strict=True)
    ]


def product_rate(seconds: float = 0.2) -> float:
    """Multiply-adds a second of this machine's best case: a product whose operands stay in the first-level cache."""
    from .runtime import _core

    pixels, inputs, outputs = 96, 64, 48
    weights = _core.ProductWeights(np.ones((outputs, inputs), np.float32), np.ones(outputs, np.float32), 3)
    program = _core.Program("", 1, 1, 1, (inputs + outputs) * pixels, 0)
    source = program.buffer(offset=0, channels=inputs, height=1, width=pixels, slots=1)
    target = program.buffer(offset=inputs * pixels, channels=outputs, height=1, width=pixels, slots=1)
    repeats = 500
    for _ in range(repeats):
        program.product(_core.Place(0, 0), weights=weights, window=_core.Window(), source=source, target=target,
                        rows=(0, 1), panels=(0, 1), range=(0.0, 6.0))  # fmt: skip
    runner, image, best = _core.Runner(1), np.zeros((1, 3, 1, 1), np.float32), float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter()
        runner.run(program, image, [])
        best = min(best, time.perf_counter() - before)
    return repeats * pixels * inputs * outputs / best


if __name__ == "__main__":
    print(json.dumps(_grow(Path(sys.argv[1]))))
