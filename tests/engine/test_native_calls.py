"""How the native engine is called: arguments, budgets, several callers, forks, memoryviews, and what it refuses."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from array import array

import numpy as np
import pytest
from support.networks import custom
from support.weights import images, random_tensors

from mobilenet.network.layers import Conv
from mobilenet.network.mobilenet import mobilenet_v2

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
from mobilenet.engine.native import Native  # noqa: E402

ISAS = _core.isas()
SMALL = {"resolution": 33, "classes": 10}


def test_budget():
    network = mobilenet_v2(0.5, resolution=96, classes=10)
    tensors, x = random_tensors(network), images(network)
    free = Native(network, tensors)
    tight = Native(network, tensors, memory_budget=free.planned_bytes(96) - 1)
    assert tight.planned_bytes(96) < free.planned_bytes(96)
    np.testing.assert_array_equal(tight(x)["classifier"], free(x)["classifier"])
    with pytest.raises(ValueError, match=r"memory_budget 1000: .* needs at least \d+ bytes; raise the budget"):
        Native(network, tensors, memory_budget=1000)(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"threads": 0}, "threads 0: must be 1 to 256"), ({"memory_budget": 0}, "memory_budget 0: must be a number")],
)
def test_arguments(arguments, message):
    network = mobilenet_v2(0.35, **SMALL)
    with pytest.raises(ValueError, match=message):
        Native(network, random_tensors(network), **arguments)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (0, 3, 8, 8), (1, 3, 0, 8)])
def test_images_of_the_wrong_shape(shape):
    network = mobilenet_v2(0.35, **SMALL)
    with pytest.raises(ValueError, match="must be float32"):
        Native(network, random_tensors(network))(np.zeros(shape, np.float32))


def test_what_the_engine_refuses():
    grouped = Conv("a", ("input",), 3, 8, kernel=3), Conv("b", ("a",), 8, 8, kernel=3, groups=2)
    network = custom(grouped, (8, 8), "pytorch", ("b",))
    with pytest.raises(ValueError, match="layer 'b' of custom: groups 2"):
        Native(network, random_tensors(network))


def test_isa_by_environment():
    code = "from mobilenet import _core; print(_core.isa(__import__('os').environ['MOBILENET_ISA']))"
    for isa in ISAS:
        environment = {**os.environ, "MOBILENET_ISA": isa}
        assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == isa
    network = mobilenet_v2(0.35, **SMALL)
    os.environ["MOBILENET_ISA"] = "mmx"
    try:
        with pytest.raises(ValueError, match=r"MOBILENET_ISA 'mmx': no such instruction set .* use one of portable"):
            Native(network, random_tensors(network))
    finally:
        del os.environ["MOBILENET_ISA"]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_model_many_threads(threads):
    network = mobilenet_v2(0.35, resolution=64, classes=10)
    native = Native(network, random_tensors(network), threads=threads)
    x = [images(network, seed=seed) for seed in range(6)]
    expected = [native(image)["classifier"] for image in x]
    failures = []

    def work(index):
        for _ in range(20):
            if not np.array_equal(native(x[index])["classifier"], expected[index]):
                failures.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert len(native._runners) <= len(x)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*use of fork:DeprecationWarning")
def test_fork():
    """A child starts workers of its own; the parent's go on."""
    network = mobilenet_v2(0.35, resolution=64, classes=10)
    native = Native(network, random_tensors(network), threads=2)
    x = images(network)
    expected = native(x)["classifier"]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(native(x)["classifier"]))
    child.start()
    assert receiver.poll(30), "the child hangs"
    np.testing.assert_array_equal(receiver.recv(), expected)
    child.join(30)
    assert child.exitcode == 0
    np.testing.assert_array_equal(native(x)["classifier"], expected)


def test_times_of_steps():
    network = mobilenet_v2(0.35, **SMALL)
    native = Native(network, random_tensors(network))
    seconds = np.zeros(len(native.plan(33).labels))
    native.run(images(network), seconds)
    assert (seconds[:-1] > 0).all()


def test_nan_passes():
    network = mobilenet_v2(0.35, **SMALL)
    assert np.isnan(Native(network, random_tensors(network))(np.full((1, 3, 33, 33), np.nan, np.float32))["classifier"]).all()


def test_memoryviews_do_as_well_as_arrays():
    network = mobilenet_v2(0.35, **SMALL)
    native, x = Native(network, random_tensors(network)), images(network)
    found = native(memoryview(x))
    assert all(isinstance(value, memoryview) for value in found.values())
    for name, value in native(x).items():
        np.testing.assert_array_equal(found[name], value)
    with pytest.raises(ValueError, match="images uint8"):
        native(memoryview(bytes(4)).cast("B", (1, 1, 2, 2)))


def test_weights_are_checked():
    ok = np.ones((8, 4, 1, 1), np.float32)
    for weight, bias in ((ok, np.ones(7, np.float32)), (np.ones((8, 4, 3, 1), np.float32), np.ones(8, np.float32))):
        with pytest.raises(ValueError, match="must"):
            _core.ProductWeights(weight, bias, 2)
    with pytest.raises(ValueError, match="panel_blocks 0"):
        _core.ProductWeights(ok, np.ones(8, np.float32), 0)
    with pytest.raises(ValueError, match="batch normalization: must have one value"):
        _core.ProductWeights(ok, _core.BatchNorm(*np.ones((4, 7), np.float32), 1e-5), 2)
    with pytest.raises(ValueError, match="its parts must be"):
        _core.BatchNorm(*np.ones((3, 8), np.float32), np.ones(7, np.float32), 1e-5)
    with pytest.raises(ValueError, match="levels"):
        _core.planes(bytes(12), array("f", [0] * 12), np.zeros(12, np.float32))
    with pytest.raises(ValueError, match="3 bytes for each pixel"):
        _core.planes(bytes(12), array("f", [0] * 768), np.zeros(9, np.float32))
    with pytest.raises(ValueError, match="depthwise weight"):
        _core.DepthwiseWeights(ok, np.ones(8, np.float32))
    with pytest.raises(ValueError, match="stem's weight"):
        _core.StemWeights(ok, np.ones(8, np.float32))
