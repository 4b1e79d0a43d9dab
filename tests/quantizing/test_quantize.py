"""Float models to integer models: they run, lose little, and are the same each time; bad input gets one clear error."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.cli import run
from support.images import photo
from support.models import detector, segmenter, toy
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.reference import Reference
from mobilenet.errors import MobilenetError, UsageError
from mobilenet.images.open import ImageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network import grid
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.network.quantization import Affine
from mobilenet.quantizing.draft import draft_of
from mobilenet.quantizing.equalize import equalize
from mobilenet.quantizing.observe import observe
from mobilenet.quantizing.weights import Source, integers


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(6):
        photo(48, 40, seed=seed).save(folder / f"{seed}.png")
    return folder


def narrow() -> ModelFile:
    """Width 0.35, random weights."""
    network = mobilenet_v2(0.35, 64, classes=5)
    return ModelFile(network, random_tensors(network), tuple("abcde"), Preprocessing(size=(64, 64), fit="squash"))


@pytest.mark.parametrize("make", [toy, narrow, detector, segmenter])
def test_every_task_keeps_its_signal(make, images):
    model = make()
    result = mobilenet.quantize(model, images)
    quantized, report = result.model, result.report
    assert quantized.labels == model.labels
    assert quantized.network.task == model.network.task
    assert {layer.name for layer in report.layers} == {
        layer.name for layer in quantized.network.layers if layer.name not in grid.shortcuts(quantized.network)
    }
    for layer in report.layers:
        assert layer.snr_db > 13, layer  # noise of a twentieth of the energy
        assert layer.saturated < 0.02
    x = model.preprocessing(photo(seed=9))[None]
    exact, found = Reference(model.network, model.tensors)(x), mobilenet.load(quantized).runtime(x)
    for name, expected in exact.items():
        noise, signal = ((found[name] - expected) ** 2).mean(), (expected**2).mean()
        assert noise < 0.05 * signal, (name, noise / signal)  # an image that did not calibrate
    before, after = report.weight_bytes
    assert after < 0.4 * before


def test_the_same_bits_each_time(images, tmp_path):
    for name in "ab":
        mobilenet.quantize(toy(), images, num_images=4).save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_equalizing_changes_no_output(images):
    model = narrow()
    draft = draft_of(model)
    inputs = [model.preprocessing(photo(seed=seed))[None] for seed in range(3)]
    before = [Reference(draft.network, draft.tensors())(x)["classifier"] for x in inputs]
    weights = {name: weight.copy() for name, weight in draft.weights.items()}
    observed = observe(draft, inputs)
    scaled = equalize(draft, observed)
    changed = [name for name, weight in draft.weights.items() if not np.array_equal(weight, weights[name])]
    assert len(changed) > 30
    for x, expected in zip(inputs, before, strict=True):
        found = Reference(draft.network, draft.tensors())(x)["classifier"]
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    again = observe(draft, inputs)  # and what it says of the scaled tensors is true
    for name, one in again.items():
        np.testing.assert_allclose(scaled[name].high, one.high, rtol=1e-3, atol=1e-3 * np.abs(one.high).max())


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1.0, 1e6])
@pytest.mark.parametrize("residual", [None, Affine(0.3, 90)])
@pytest.mark.parametrize("result", [None, Affine(0.25, 120)])
def test_weights_of_any_size_obey_the_rules(spread, residual, result):
    """Channels whose weights are 0, tiny or a millionth of their neighbors'."""
    dice = np.random.default_rng(0)
    weight = dice.normal(size=(8, 40, 1, 1)) * np.geomspace(1, max(spread, 1), 8)[:, None, None, None] / max(spread, 1)
    weight[0] *= min(spread, 1)
    bias = dice.normal(size=8)
    source = Source(0.02, np.array([3.0]), np.ones(40), np.zeros(40))
    made = integers(weight, bias, False, source, result, None if result is None else residual)
    assert np.abs(made.weight.astype(int)).max() <= 127
    low, high = grid.sum_bounds(made.weight, made.bias)
    assert low.min() >= -grid.MAX_SUM
    assert high.max() <= grid.MAX_SUM
    error = np.abs(made.weight.reshape(8, 40) * made.step[:, None] - weight.reshape(8, 40)).max(axis=1)
    assert (error <= np.maximum(made.step / 2, 0.4 * np.abs(weight).max(axis=(1, 2, 3))) * 1.001).all()
    if result is not None:
        assert made.multiplier.min() >= 256
        assert made.multiplier.max() <= grid.ONE


def test_a_network_of_extremes(images):
    """Dead channels, a channel a thousand times as strong as the others, biases that saturate everything."""
    model = toy()
    tensors = {name: np.array(tensor) for name, tensor in model.tensors.items()}
    tensors["layer_3.pointwise.conv.weight"][0] = 0
    tensors["layer_3.pointwise.norm.bias"][0] = -5
    tensors["layer_5.pointwise.norm.weight"][1] = 1000
    tensors["layer_7.depthwise.norm.bias"][:] = 300
    tensors["layer_13.pointwise.norm.weight"][:] = 0
    tensors["classifier.bias"][:] = (1e6, -1e6, 0)
    result = mobilenet.quantize(ModelFile(model.network, tensors, model.labels, model.preprocessing), images)
    assert mobilenet.load(result.model)(photo()).top(1)[0].label == "a"


def test_the_command(images, tmp_path):
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    out = tmp_path / "integers.safetensors"
    for label in "abc":
        (tmp_path / "data" / label).mkdir(parents=True)
        photo(seed=ord(label)).save(tmp_path / "data" / label / "x.png")
    common = ("quantize", tmp_path / "toy.safetensors", "--calibration", images, "--out", out)
    text, _ = run(*common, "--images", 3, "--data", tmp_path / "data", "--json")
    report = json.loads(text)
    assert report.keys() == {"images", "weight_bytes", "metrics", "layers", "failed"}
    assert report["images"] == 3
    assert report["metrics"]["before"].keys() == report["metrics"]["after"].keys() == {"top1", "top5"}
    assert report["layers"][0].keys() == {
        "name", "operation", "snr_db", "worst_channels", "saturated", "scale", "zero_point"
    }  # fmt: skip
    assert modelfile.read(out).metrics == report["metrics"]["after"]
    text, _ = run(*common, "--images", 2)
    assert "layer_1.depthwise" in text
    assert "SNR dB" in text
    assert "calibrated with  2 images" in text
    text, _ = run("predict", images / "0.png", "--model", out, "--json")
    assert {p["label"] for p in json.loads(text)[0]["predictions"]} == set("abc")
    text, _ = run("evaluate", "--model", out, "--data", tmp_path / "data", "--json")
    assert json.loads(text)["metrics"] == report["metrics"]["after"]


def test_a_chart(images, tmp_path):
    pytest.importorskip("matplotlib")
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    common = ("quantize", tmp_path / "toy.safetensors", "--calibration", images, "--out", tmp_path / "o.safetensors")
    run(*common, "--images", 1, "--save", tmp_path / "noise.svg")
    assert "signal to noise" in (tmp_path / "noise.svg").read_text()
    (tmp_path / "o.safetensors").unlink()
    _, err = run(*common, "--save", tmp_path / "noise.gif", status=2)
    assert "noise.gif: cannot be drawn" in err
    assert not (tmp_path / "o.safetensors").exists()  # refused before the work


def test_wrong_inputs(images, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no image there by suffix"):
        mobilenet.quantize(toy(), tmp_path / "empty")
    with pytest.raises(ImageError, match="no such file or folder"):
        mobilenet.quantize(toy(), tmp_path / "absent")
    (tmp_path / "empty" / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"no calibration image can be opened; the first: .*broken\.png"):
        mobilenet.quantize(toy(), tmp_path / "empty")
    result = mobilenet.quantize(toy(), [tmp_path / "empty", images], num_images=2)
    assert result.report.images == 1
    assert "broken.png" in result.report.failed[0]
    with pytest.raises(UsageError, match="has integers already"):
        mobilenet.quantize(result.model, images)
    with pytest.raises(UsageError, match="num_images 0: must be an integer of at least 1"):
        mobilenet.quantize(toy(), images, num_images=0)
    model = toy()
    tensors = {**model.tensors, "layer_0.conv.weight": np.full_like(model.tensors["layer_0.conv.weight"], 3e38)}
    with pytest.raises(MobilenetError, match="layer 'layer_0': its folded weights overflow float32"):
        mobilenet.quantize(ModelFile(model.network, tensors, model.labels, model.preprocessing), images)
    model = toy(activation="relu")
    tensors = {**model.tensors, "layer_9.pointwise.norm.bias": np.full_like(model.tensors["layer_9.pointwise.norm.bias"], 3e38)}
    with pytest.raises(MobilenetError, match=r"layer 'layer_1.\..*' overflows float32 on a calibration image"):
        mobilenet.quantize(ModelFile(model.network, tensors, model.labels, model.preprocessing), images)
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    _, err = run("quantize", tmp_path / "toy.safetensors", "--calibration", images, "--out", tmp_path / "o.bin", status=2)
    assert "a model file ends in .safetensors" in err
    _, err = run("quantize", tmp_path / "toy.safetensors", "--calibration", tmp_path / "absent", "--out",
                 tmp_path / "o.safetensors", status=1)  # fmt: skip
    assert "no such file or folder" in err
