"""The benchmark: rows as the contract says, honest errors, refusals that name the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import random_tensors

from mobilenet.architecture import mobilenet_v2

pytest.importorskip("mobilenet.runtime._core", reason="the native core is not built")
from mobilenet import bench as benching
from mobilenet.runtime.backend import planned_bytes

NETWORK = mobilenet_v2(0.35, resolution=33, classes=10)
KEYS = {
    "engine",
    "precision",
    "threads",
    "resolution",
    "median_ms",
    "min_ms",
    "p90_ms",
    "peak_rss_delta_bytes",
    "max_abs_error",
}


def test_rows():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    rows = benching.bench(NETWORK, random_tensors(NETWORK), (40, 33), against=["onnxruntime"], seconds=0.05, memory=False)
    assert [row.engine for row in rows] == ["native", "onnxruntime"]
    for row in rows:
        assert row.to_json().keys() == KEYS
        assert row.resolution == [40, 33]
        assert 0 < row.min_ms <= row.median_ms <= row.p90_ms
        assert row.max_abs_error < 1e-3
        assert row.peak_rss_delta_bytes is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not report peaks")
def test_growth_is_what_was_planned():
    """At a size where the plan outweighs code and stacks."""
    network = mobilenet_v2(1.0, resolution=700)
    growth = benching.growth("native", network, random_tensors(network), 1)
    assert growth is not None
    assert 0.85 <= growth / planned_bytes(network) <= 1.15


def test_refusals(monkeypatch):
    with pytest.raises(ValueError, match="engine 'tflite': must be one of native, onnxruntime"):
        benching.bench(NETWORK, {}, against=["tflite"])

    def missing(*arguments):
        raise ImportError("No module named 'openvino'")

    monkeypatch.setitem(benching.ENGINES, "openvino", missing)
    with pytest.raises(ValueError, match=r"engine 'openvino' is not installed .* pip install 'mobilenet\[bench\]'"):
        benching.bench(NETWORK, random_tensors(NETWORK), against=["openvino"])


def test_layer_times():
    rows = benching.layer_times(NETWORK, random_tensors(NETWORK), rounds=3)
    assert [row.name for row in rows][::19] == ["layer_1", "classifier"]
    assert sum(row.madds for row in rows) == sum(
        layer.madds([NETWORK.shapes()[name] for name in layer.inputs]) for layer in NETWORK.layers
    )
    assert all(0 < row.peak < 1.5 for row in rows[:-1])
