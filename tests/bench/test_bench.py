"""The benchmark: rows as the contract says, honest errors, refusals that name the remedy."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.cli import run
from support.models import toy
from support.weights import random_tensors

from mobilenet import modelfile
from mobilenet.network.mobilenet import mobilenet_v2

pytest.importorskip("mobilenet._core", reason="the native core is not built")
from mobilenet.bench import measure as benching, peers, roofline
from mobilenet.runtimes.backends import planned_bytes

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
        assert asdict(row).keys() == KEYS
        assert row.resolution == [40, 33]
        assert 0 < row.min_ms <= row.median_ms <= row.p90_ms
        assert row.max_abs_error < 1e-3
        assert row.peak_rss_delta_bytes is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not report peaks")
@pytest.mark.parametrize(("resolution", "threads"), [(224, 1), (224, 2), (700, 1)])
def test_growth_is_what_was_planned(resolution, threads):
    network = mobilenet_v2(1.0, resolution=resolution)
    loader = partial(peers.load, "native", network, random_tensors(network), threads)
    growth = benching.growth("native", loader, network.resolution)
    assert growth is not None
    assert 0.85 <= growth / planned_bytes(network, threads) <= 1.15


def test_refusals(monkeypatch):
    with pytest.raises(ValueError, match="no engine is called 'onnxrutime'; nearest: onnxruntime"):
        benching.bench(NETWORK, {}, against=["onnxrutime"])
    with pytest.raises(ValueError, match=r"engine litert: it reads \.tflite only"):
        benching.bench(NETWORK, {}, against=["litert"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else name)
    with pytest.raises(ValueError, match=r"engine openvino: openvino not installed; pip install 'mobilenet\[openvino\]'"):
        benching.bench(NETWORK, random_tensors(NETWORK), against=["openvino"])


def test_torch_takes_part():
    pytest.importorskip("torch")
    rows = benching.bench(NETWORK, random_tensors(NETWORK), against=["torch"], seconds=0.01, memory=False)
    assert rows[1].engine == "torch"
    assert rows[1].max_abs_error < 1e-3


def test_command(tmp_path, monkeypatch):
    model = tmp_path / "toy.safetensors"
    modelfile.write(toy(), model)
    common = ("bench", "--model", model, "--threads", 1, "--seconds", 0.01, "--against", "ncnn")
    out, err = run(*common, "--json")
    (row,) = json.loads(out)
    assert row.keys() == KEYS
    assert (row["engine"], row["precision"], row["threads"], row["resolution"]) == ("native", "fp32", 1, [32, 32])
    assert err.startswith("skipped ncnn: ")
    assert " at 32x32, 1 thread, " in err
    assert "largest error" in run(*common)[0]
    assert "of the best rate" in run("bench", "--model", model, "--layers")[0]
    monkeypatch.chdir(tmp_path)
    assert "not a checkout of mobilenet" in run(*common, "--record", status=2)[1]
    (tmp_path / "results").mkdir()
    (tmp_path / "src" / "mobilenet").mkdir(parents=True)
    run(*common, "--record")
    row = json.loads((tmp_path / "results" / "bench.jsonl").read_text())
    assert row["model"] == str(model)
    assert row.keys() > KEYS
    assert "must be fp32, bf16 or int8" in run("bench", "--precision", "int4", status=2)[1]
    assert "only integers need images" in run("bench", "--calibration", tmp_path, status=2)[1]
    assert "--calibration IMAGES" in run("bench", "--model", model, "--precision", "int8", status=2)[1]
    assert "nearest: openvino" in run(*common[:-1], "openvin", status=2)[1]


def test_figure(tmp_path):
    pytest.importorskip("matplotlib")
    rows = benching.bench(NETWORK, random_tensors(NETWORK), against=[], seconds=0.01, memory=False)
    benching.save_figure(rows, "imagenet", tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"bench\.xyz: cannot be drawn; give a path that ends in \.png, \.svg, \.pdf"):
        benching.save_figure(rows, "imagenet", tmp_path / "bench.xyz")


def test_layer_times():
    rows = roofline.layer_times(NETWORK, random_tensors(NETWORK), rounds=3)
    assert [row.name for row in rows][::19] == ["layer_1", "classifier"]
    assert sum(row.madds for row in rows) == sum(
        layer.madds([NETWORK.shapes()[name] for name in layer.inputs]) for layer in NETWORK.layers
    )
    assert all(0 < row.peak < 1.5 for row in rows)
    assert {row.bound for row in rows} == {"products", "memory"}
    parameters = sum(int(np.prod(shape)) for shape in NETWORK.parameters().values())
    assert sum(row.bytes for row in rows) > 4 * (parameters + 3 * 33 * 33)
