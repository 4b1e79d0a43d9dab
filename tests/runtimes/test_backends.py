"""The choice of a runtime: the engine where it is built, the reference with one warning where it is not."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from support.grid import gridded
from support.models import IMAGE, toy
from support.quantized import quantized
from support.weights import random_tensors

import mobilenet
from mobilenet.engine.reference import Reference
from mobilenet.errors import UsageError
from mobilenet.network.cost import cost
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.runtimes import backends as backend

NETWORK = mobilenet_v2(0.35, resolution=33, classes=10)


def test_without_the_core(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="the native core was not built .* Install a C"):
        run = backend.native(NETWORK, random_tensors(NETWORK))
    assert isinstance(run, Reference)


def test_with_the_core():
    engine = pytest.importorskip("mobilenet.engine.native")
    run = backend.native(NETWORK, random_tensors(NETWORK), threads=2)
    assert isinstance(run, engine.Native)
    assert run(np.zeros((1, 3, 33, 33), np.float32))["classifier"].shape == (1, 10)
    assert backend.planned_bytes(NETWORK, threads=2) == run.planned_bytes(33)


def test_load_runs_on_the_engine(monkeypatch):
    engine = pytest.importorskip("mobilenet.engine.native")
    model = toy()
    loaded = mobilenet.load(model, threads=2)
    assert (loaded.runtime.name, loaded.runtime.threads) == ("native", 2)
    assert isinstance(loaded.runtime, engine.Native)
    assert loaded.activation_bytes() == loaded.runtime.planned_bytes(32)
    reference = mobilenet.load(model, backend="reference")
    assert reference.runtime.name == "reference"
    assert reference.activation_bytes() == cost(model.network).layerwise_bytes
    np.testing.assert_allclose(loaded(IMAGE).scores, reference(IMAGE).scores, atol=1e-5)
    budget = loaded.activation_bytes()
    assert mobilenet.load(model, memory_budget=budget).activation_bytes() <= budget
    with pytest.raises(ValueError, match=r"memory_budget 100: .* needs at least"):
        mobilenet.load(model, memory_budget=100)(IMAGE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="the native core was not built"):
        assert mobilenet.load(model).runtime.name == "reference"


@pytest.mark.parametrize("given", [{"threads": 2}, {"memory_budget": 10**6}])
@pytest.mark.parametrize("backend", ["reference", lambda model: Reference(model.network, model.tensors)])
def test_settings_that_nothing_honors(backend, given, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with pytest.raises(ValueError, match=f"{next(iter(given))} .*leave it out"):
        mobilenet.load(toy(), backend=backend, **given)


@pytest.mark.parametrize("value", [0, -1, "2", 2.0, True])
@pytest.mark.parametrize("name", ["threads", "memory_budget"])
@pytest.mark.parametrize("chosen", ["native", "reference", lambda model: Reference(model.network, model.tensors)])
def test_counts_are_integers_of_at_least_one(chosen, name, value):
    with pytest.raises(UsageError, match=rf"^{name} {re.escape(repr(value))}: must be an integer of at least 1, or None"):
        mobilenet.load(toy(), backend=chosen, **{name: value})


def test_more_threads_than_cores_are_warned_of(monkeypatch):
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    monkeypatch.setattr(backend, "available_cores", lambda: 2)
    with pytest.warns(RuntimeWarning, match="3 threads on 2 cores wait for each other; 2 would be faster"):
        assert mobilenet.load(toy(), threads=3).runtime.threads == 3
    mobilenet.load(toy(), threads=2)  # a warning would be an error here


def test_few_images_run_on_one_thread():
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    counts = [
        backend.choose(toy(), num_images=count).threads
        for count in (backend.MAX_IMAGES_ON_ONE_THREAD, backend.MAX_IMAGES_ON_ONE_THREAD + 1, None)
    ]
    assert counts == [1, backend.available_cores(), backend.available_cores()]
    assert backend.choose(toy(), threads=3, num_images=1).threads == 3


@pytest.mark.parametrize(
    ("name", "threads", "limit"), [("native", None, "1"), ("native", 3, "3"), ("reference", None, None), ("torch", 2, "2")]
)
def test_the_threads_of_numpy(name, threads, limit, monkeypatch):
    """One beside the engine, which has threads of its own; else as many as asked for, which a numpy backend then accepts."""
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    for variable in backend.NUMPY_THREADS:
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    backend.limit_numpy(name, threads)
    assert [os.environ.get(variable) for variable in backend.NUMPY_THREADS] == [limit] * 4
    if threads is not None:
        assert backend.choose(toy(), "reference", threads).name == "reference"


def test_a_callers_own_function_is_a_runtime():
    model = toy()
    reference = Reference(model.network, model.tensors)
    assert backend.as_runtime(model.network, reference) is reference
    runtime = mobilenet.load(model, backend=lambda model: reference.__call__).runtime
    assert (runtime.name, runtime.precision, runtime.threads) == ("custom", "fp32", None)
    assert runtime.planned_bytes(32) == reference.planned_bytes(32) == cost(model.network).layerwise_bytes


@pytest.mark.parametrize("made", [gridded, lambda network: quantized(network, "int8")], ids=["our own", "published"])
def test_a_quantized_model_runs_on_the_engine_in_its_integers(made, monkeypatch):
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    for variable in backend.NUMPY_THREADS:
        monkeypatch.delenv(variable, raising=False)
    network = toy(epsilon=None).network
    tensors, quantization = made(network)
    model = replace(toy(epsilon=None), tensors=tensors, quantization=quantization)
    runtime = backend.choose(model, threads=2)
    assert (runtime.name, runtime.precision, runtime.threads) == ("native", "int8", 2)
    runtime = backend.choose(model, "reference")
    assert (runtime.name, runtime.precision) == ("int8 reference", "int8")
    runtime = backend.choose(model, "dequantized")
    assert (runtime.name, runtime.precision) == ("native", "fp32")
    with pytest.raises(ValueError, match="threads 2: the numpy reference"):
        backend.choose(model, "reference", threads=2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="the native core was not built"):
        assert backend.choose(model).name == "int8 reference"


def test_the_precision_is_what_a_runtime_computes_in(monkeypatch):
    model = toy()
    tensors, quantization = gridded(toy(epsilon=None).network)
    integers = replace(toy(epsilon=None), tensors=tensors, quantization=quantization)
    assert backend.choose(model, "reference", precision="bf16").name == "bf16 reference"
    assert backend.choose(model, "reference", precision="fp32").precision == "fp32"
    assert backend.choose(integers, "reference", precision="int8").precision == "int8"
    for given, chosen, precision, message in (
        (model, "native", "fp16", "precision 'fp16': must be fp32, bf16 or int8"),
        (model, "native", "int8", "precision int8: this model has floats; quantize it first"),
        (integers, "native", "bf16", "precision bf16: this model has integers; choose the backend dequantized too"),
        (model, "torch", "bf16", "precision bf16: the backend torch computes in fp32 here; choose native"),
        (model, lambda model: lambda images: {}, "bf16", "precision bf16: the backend a caller's own computes in fp32 here"),
    ):
        with pytest.raises(UsageError, match=message):
            backend.choose(given, chosen, precision=precision)
    monkeypatch.setenv("MOBILENET_ISA", "portable")
    predict = mobilenet.load(model, precision="bf16")
    assert (predict.runtime.name, predict.runtime.precision) == ("native", "bf16")
    assert predict(IMAGE)[0].label == mobilenet.load(model)(IMAGE)[0].label
