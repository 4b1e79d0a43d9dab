"""The runtimes that a benchmark compares, and why one cannot take part.

Every runtime is called with the same (1, 3, H, W) float32 array and returns an array, so conversions count alike; of several
outputs the first counts. Other libraries run as `runtimes.others` makes them, whose table is also the one to extend.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError, unknown_name
from ..network.layers import Network
from ..runtimes import backends, others

if TYPE_CHECKING:
    from ..tensors import Floats

Run = Callable[["Floats"], "Floats"]
"""(1, 3, H, W) float32 to the first output."""

PEERS = list(others.OTHERS)
UNABLE = {
    "ncnn": "it reads its own format only; mobilenet export MODEL --to ncnn times it beside the engine",
    "litert": "it reads .tflite only; mobilenet export MODEL --to litert times it beside the engine",
}


HINTS = ("fp16", "bf16")
"""OpenVINO's precisions of 16 bits: in each it computes what is faster so, and keeps float32 elsewhere."""


def precisions(name: str, precision: str) -> tuple[str, ...]:
    """What a runtime computes in, beside the engine in `precision`: the nearest that it offers, each a row."""
    if precision == "fp32" or name == "native":
        return (precision,)
    return HINTS if name == "openvino" else ("fp32",)


def load(name: str, network: Network, tensors: Mapping[str, Floats], threads: int, precision: str = "fp32") -> Run:
    """A runtime that has planned or compiled the network for its resolution."""
    if name == "openvino" and precision != "fp32":
        from ..runtimes.openvino_runtime import OpenVino

        runtime: backends.Runtime = OpenVino(network, tensors, threads, precision=precision)
    elif precision == "bf16":
        runtime = backends.native(network, tensors, threads, bf16=True)
    else:
        runtime = backends.in_floats(name, network, tensors, threads)
    runtime.planned_bytes(network.resolution)  # the engine plans now, as the others do when they are made
    return lambda images: np.asarray(next(iter(runtime(images).values())))


def unavailable(name: str) -> str | None:
    """Why a runtime cannot take part, in one line, or None.

    Raises:
        UsageError: no runtime has this name; names the nearest.
    """
    if name in UNABLE:
        return f"{name}: {UNABLE[name]}"
    if name not in ("native", *PEERS):
        raise UsageError(unknown_name("engine", name, ("native", *PEERS, *UNABLE)))
    if name == "native" and importlib.util.find_spec("mobilenet._core") is None:
        return "native: the core was not built; install a C++20 compiler, then reinstall mobilenet"
    return None if name == "native" else others.missing(name)
