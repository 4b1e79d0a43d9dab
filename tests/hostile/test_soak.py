"""Long use: predictions, loads, threads and forks leave memory and file descriptors as they were.

The counts are small; MOBILENET_SOAK=full runs 10,000 predictions, 300 loads, 16 threads and 30 forks and prints the figures.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from support.models import IMAGE, toy

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.native import Native

FULL = os.environ.get("MOBILENET_SOAK") == "full"
PREDICTIONS, LOADS, THREADS, FORKS = (10_000, 300, 16, 30) if FULL else (400, 20, 4, 3)
MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def resources() -> tuple[int, int]:
    """(bytes of memory that are this process's own, open file descriptors)."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))


def assert_flat(what: str, before: tuple[int, int], max_growth: int) -> None:
    after = resources()
    print(f"{what}: memory {before[0] / MEGABYTE:.1f} to {after[0] / MEGABYTE:.1f} MiB, descriptors {before[1]} to {after[1]}")
    assert after[1] <= before[1]
    assert after[0] - before[0] <= max_growth


@pytest.fixture
def path(tmp_path) -> Path:
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    return tmp_path / "toy.safetensors"


def test_predictions(path):
    predictor = mobilenet.load(path, threads=2)
    first = str(predictor(IMAGE))
    for _ in range(50):
        predictor(IMAGE)
    before = resources()
    for i in range(PREDICTIONS):
        result = predictor(IMAGE)
        if i % 100 == 0:
            assert str(result) == first
    assert_flat(f"{PREDICTIONS} predictions", before, 3 * MEGABYTE)


def test_loads(path):
    for _ in range(5):
        mobilenet.load(path, threads=2)(IMAGE)
    before = resources()
    for _ in range(LOADS):
        mobilenet.load(path, threads=2)(IMAGE)
    assert_flat(f"{LOADS} loads", before, 6 * MEGABYTE)


def test_threads_and_forks():
    model = toy()
    native = Native(model.network, model.tensors, threads=2)
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    expected, wrong = native(x)["classifier"].tobytes(), []

    def work() -> None:
        for _ in range(50):
            if native(x)["classifier"].tobytes() != expected:
                wrong.append(1)

    def together() -> None:
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together()
    before = resources()
    together()
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            os._exit(0 if native(x)["classifier"].tobytes() == expected else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert not wrong
    assert_flat(f"{THREADS} threads, {FORKS} forks", before, 24 * MEGABYTE)
