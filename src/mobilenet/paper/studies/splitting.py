"""Splits measured: bytes and time of torch and of the engine for each number of parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...bench.history import Row
from ...engine.native import Native
from ...engine.plan.steps import Style
from ...network.layers import Network
from .splits import WHOLE, random_tensors, split_network, split_tensors

if TYPE_CHECKING:
    from ...tensors import Floats

ROUNDS = 40
SPLITS = (1, 2, 3, 4, 5, 6, 8)


def measure(network: Network, rounds: int = ROUNDS) -> list[Row]:
    """A row for each runtime and number of parts, measured in turns: the least time of `rounds`, on one thread.

    `network` must have folded batch normalization. Needs the extra ``[train]``.
    """
    tensors, height, width = random_tensors(network), *network.resolution
    images = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
    runs, found = dict[tuple[str, int], Callable[[], object]](), list[Row]()
    planned = dict[tuple[str, int], int]()
    for t in SPLITS:
        split, arrays = split_network(network, t), split_tensors(network, tensors, t)
        runs["torch", t], planned["torch", t] = torch_run(split, arrays, images)
        runs["engine", t], planned["engine", t] = engine_run(split, arrays, images, WHOLE)
    runs["bands", 1], planned["bands", 1] = engine_run(network, tensors, images, None)
    least = dict.fromkeys(runs, np.inf)
    for _ in range(rounds):
        for key, run in runs.items():
            begin = time.perf_counter()
            run()
            least[key] = min(least[key], time.perf_counter() - begin)
    for runtime, t in runs:
        row: Row = {"runtime": runtime, "t": t, "bytes": planned[runtime, t], "ms": round(float(least[runtime, t]) * 1e3, 3)}
        found.append({**row, "rounds": rounds, "threads": 1, "load": round(os.getloadavg()[0], 1)})
    return found


def engine_run(
    network: Network, tensors: dict[str, Floats], images: Floats, style: Style | None
) -> tuple[Callable[[], object], int]:
    """The engine on one thread, and the bytes that its plan allocates."""
    native = Native(network, tensors, style=style)
    return lambda: native(images), native.planned_bytes(network.resolution)


def torch_run(network: Network, tensors: dict[str, Floats], images: Floats) -> tuple[Callable[[], object], int]:
    """torch on one thread, and the most bytes that it had allocated at a time, the image included."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from ...nn.network import module

    torch.set_num_threads(1)
    net = module(network, dropout=0.0)
    net.load_arrays(tensors)
    net.eval()
    x = torch.from_numpy(images)

    def run() -> object:
        with torch.inference_mode():
            return net(x)

    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    changes = [event.nbytes() for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return run, images.nbytes + int(np.cumsum(changes).max())
