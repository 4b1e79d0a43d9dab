"""The choice of a runtime: the engine where it is built, the reference with one warning where it is not."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from conftest import random_tensors

from mobilenet.architecture import mobilenet_v2
from mobilenet.runtime import backend
from mobilenet.runtime.reference import Reference

NETWORK = mobilenet_v2(0.35, resolution=33, classes=10)


def test_without_the_core(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="the native core was not built .* Install a C"):
        run = backend.native(NETWORK, random_tensors(NETWORK))
    assert isinstance(run, Reference)


def test_with_the_core():
    engine = pytest.importorskip("mobilenet.runtime.engine")
    run = backend.native(NETWORK, random_tensors(NETWORK), threads=2)
    assert isinstance(run, engine.Native)
    assert run(np.zeros((1, 3, 33, 33), np.float32))["classifier"].shape == (1, 10)
    assert backend.planned_bytes(NETWORK, threads=2) == run.planned_bytes(33)
