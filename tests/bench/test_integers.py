"""The benchmark of integers: every file of every runtime is a row, answers are compared with the floats'."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.cli import run
from support.grid import gridded
from support.images import photo
from support.models import detector, segmenter, toy

import mobilenet
from mobilenet import modelfile
from mobilenet.errors import UsageError
from mobilenet.network.mobilenet import mobilenet_v2

pytest.importorskip("mobilenet._core", reason="the native core is not built")
from mobilenet.bench import integer_peers, integers, measure, roofline
from mobilenet.runtimes.backends import planned_bytes
from mobilenet.values import replace

KEYS = {
    "engine", "file", "precision", "threads", "resolution", "median_ms", "min_ms", "p90_ms", "peak_rss_delta_bytes",
    "planned_bytes", "max_abs_error", "agreement", "images",
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """More than calibrate."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(70):
        photo(40, 40, seed=seed).save(folder / f"{seed:02}.png")
    return folder


@pytest.mark.filterwarnings("ignore")  # of other libraries' quantizers
def test_rows(images):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    said = []
    rows = integers.bench_integers(
        "toy", toy(), str(images), against=("onnxruntime", "openvino"), seconds=0, memory=False, say=said.append
    )
    files = ["QDQ", "QDQ, additions rounded", "its own quantization"]
    nncf = importlib.util.find_spec("nncf") is not None
    expected = [("native", "model file"), *(("onnxruntime", file) for file in files)]
    expected += [("openvino", file) for file in files[: 3 if nncf else 2]]
    assert [(row.engine, row.file) for row in rows] == expected
    assert nncf or "pip install nncf" in said[-1]
    for row in rows:
        assert asdict(row).keys() == KEYS
        assert (row.precision, row.resolution, row.images) == ("int8", [32, 32], 6)
        assert 0 < row.min_ms <= row.median_ms <= row.p90_ms
        assert row.agreement >= 5 / 6
        assert 0 < row.max_abs_error < 0.5
        assert (row.planned_bytes is not None) == (row.engine == "native")


@pytest.mark.parametrize("make", [detector, segmenter])
def test_other_tasks(make, images):
    pytest.importorskip("onnxruntime")
    model = mobilenet.quantize(make(), images, num_images=4).model
    said = []
    rows = integers.bench_integers("toy", model, None, against=("onnxruntime",), seconds=0, memory=False, say=said.append)
    assert [row.file for row in rows] == ["model file", "QDQ", "QDQ, additions rounded"]
    assert said == ["left out onnxruntime's own quantization: it needs --calibration IMAGES"]
    for row in rows:
        assert row.agreement > 0.8
        assert row.images == 0


def test_command(images, tmp_path):
    model = tmp_path / "integers.safetensors"
    mobilenet.quantize(toy(), images, num_images=4).save(model)
    common = ("bench", "--model", model, "--precision", "int8", "--threads", 1, "--seconds", 0)
    out, err = run(*common, "--against", "litert", "--json")
    (row,) = json.loads(out)
    assert row.keys() == KEYS
    assert "no integer file of this network is published" in err
    assert "of the best rate" in run(*common, "--layers")[0]
    cost = json.loads(run("cost", model, "--json")[0])
    assert cost["precision"] == "int8"
    assert cost["memory"]["planned_bytes"] == row["planned_bytes"]
    assert "nearest: onnxruntime" in run(*common, "--against", "onnxruntme", status=2)[1]


def test_layers(images):
    model = mobilenet.quantize(toy(), images, num_images=4).model
    rows = roofline.layer_times_of_integers(model, rounds=3)
    shapes = model.network.shapes()
    assert sum(row.madds for row in rows) == sum(x.madds([shapes[name] for name in x.inputs]) for x in model.network.layers)
    weights = sum(np.asarray(model.tensors[name]).size for name in model.network.tensors() if name.endswith("weight"))
    assert sum(row.bytes for row in rows) > weights + 3 * 32 * 32


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not report peaks")
def test_growth_is_what_was_planned(tmp_path):
    network = mobilenet_v2(0.35, 160, classes=5, epsilon=None)
    tensors, quantization = gridded(network)
    model = replace(toy(), network=network, labels=tuple("abcde"), tensors=tensors, quantization=quantization)
    modelfile.write(model, tmp_path / "model.safetensors")
    loader = partial(integer_peers.load, "native", str(tmp_path / "model.safetensors"), 1, "classifier")
    growth, planned = measure.growth("native", loader, (160, 160)), planned_bytes(network, 1, quantization)
    assert 0.85 * planned <= growth <= 1.15 * planned + 200_000


def test_litert_on_a_published_file():
    pytest.importorskip("ai_edge_litert")
    from mobilenet.zoo import carriers, published

    name = "coral/mobilenet_v1_0.25_128_quant"
    if not carriers.is_cached(published.find(name)):
        pytest.skip("the published file is not in the cache")
    assert integer_peers.published_file(name, toy().network) == name
    model = mobilenet.load(name).model
    rows = integers.bench_integers(name, model, None, against=("litert", "onnxruntime"), seconds=0, memory=False)
    assert [row.engine for row in rows] == ["native", "litert"]  # TensorFlow's integers are no graph of ours


def test_refusals(monkeypatch):
    with pytest.raises(UsageError, match="toy has floats; give --calibration IMAGES"):
        integers.bench_integers("toy", toy())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="engine litert: ai_edge_litert not installed"):
        integers.bench_integers("toy", toy(), against=("litert",))
