"""The choice of a runtime: the engine where it is built, the reference with one warning where it is not."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from support.models import PICTURE, toy
from support.quantized import quantized
from support.weights import random_tensors

import mobilenet
from mobilenet.engine import backends as backend
from mobilenet.engine.reference import Reference
from mobilenet.network.cost import cost
from mobilenet.network.mobilenet import mobilenet_v2

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
    assert (loaded.runtime, loaded.executor.threads) == ("native", 2)
    assert isinstance(loaded.executor, engine.Native)
    assert loaded.activation_bytes() == loaded.executor.planned_bytes(32)
    reference = mobilenet.load(model, backend="reference")
    assert reference.runtime == "reference"
    assert reference.activation_bytes() == cost(model.network).layerwise_bytes
    np.testing.assert_allclose(loaded(PICTURE).scores, reference(PICTURE).scores, atol=1e-5)
    budget = loaded.activation_bytes()
    assert mobilenet.load(model, memory_budget=budget).activation_bytes() <= budget
    with pytest.raises(ValueError, match=r"memory_budget 100: .* needs at least"):
        mobilenet.load(model, memory_budget=100)(PICTURE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="the native core was not built"):
        assert mobilenet.load(model).runtime == "reference"


@pytest.mark.parametrize("given", [{"threads": 2}, {"memory_budget": 10**6}])
@pytest.mark.parametrize("backend", ["reference", "dequantized", lambda model: Reference(model.network, model.tensors)])
def test_settings_that_nothing_honours(backend, given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} .*leave it out"):
        mobilenet.load(toy(), backend=backend, **given)


def test_a_quantised_model_runs_on_its_reference():
    network = toy(epsilon=None).network
    tensors, quantization = quantized(network, "int8")
    model = replace(toy(epsilon=None), tensors=tensors, quantization=quantization)
    assert mobilenet.load(model).runtime == "int8 reference"
    with pytest.raises(ValueError, match="threads 2: the numpy reference"):
        mobilenet.load(model, threads=2)
