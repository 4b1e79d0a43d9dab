"""Quantized model files: exact round trips, equal bytes for equal content, and everything wrong in one named by its tensor."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.models import IMAGE
from support.quantized import changed, quantized
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.network.quantization import Affine, Quantization

FOLDED = {"epsilon": None, "padding": "tensorflow"}
SQUASH = Preprocessing(size=(32, 32), fit="squash", mean=(128 / 255,) * 3, std=(128 / 255,) * 3)
WEIGHT = "layer_3.depthwise.conv.weight"


def model(dtype: str = "int8") -> ModelFile:
    network = mobilenet_v1(0.25, 32, classes=3, **FOLDED)
    tensors, quantization = quantized(network, dtype)
    return ModelFile(network, tensors, tuple("abc"), SQUASH, quantization=quantization)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_round_trip(tmp_path, dtype):
    before = model(dtype)
    modelfile.write(before, tmp_path / "a.safetensors")
    after = modelfile.read(tmp_path / "a.safetensors")
    assert list(after.tensors) == list(before.tensors)
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype == (np.int32 if name.endswith("bias") else dtype)
        np.testing.assert_array_equal(after.tensors[name], tensor)
    assert after.quantization is not None
    assert after.quantization.dtype == dtype
    assert dict(after.quantization.activations) == dict(before.quantization.activations)  # the floats too, bit by bit
    assert dict(after.quantization.zero_points) == dict(before.quantization.zero_points)
    for name, scale in before.quantization.scales.items():
        np.testing.assert_array_equal(after.quantization.scales[name], scale)
    modelfile.write(after, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    size = sum(tensor.nbytes for tensor in before.tensors.values())
    assert (tmp_path / "a.safetensors").stat().st_size < 1.3 * size + 30_000


def test_order_of_mappings_does_not_change_the_bytes(tmp_path):
    one = model()
    turned = Quantization(
        one.quantization.dtype,
        *(dict(reversed(part.items())) for part in (one.quantization.activations, one.quantization.scales,
                                                    one.quantization.zero_points)),
    )  # fmt: skip
    modelfile.write(one, tmp_path / "a.safetensors")
    modelfile.write(replace(one, quantization=turned), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed("activations", "layer_3.depthwise", None), "no activation for 'layer_3.depthwise'"),
        (changed("activations", "layer_99", Affine(1.0, 0)), "activation for 'layer_99', which the network does not have"),
        (changed("activations", "pool", Affine(0.0, 0)), "scale of activation 'pool' must be a float above 0"),
        (changed("activations", "pool", Affine(float("inf"), 0)), "scale of activation 'pool' must be a float above 0"),
        (changed("activations", "pool", Affine(0.1, 0)), "must be a float32's value"),
        (changed("activations", "pool", Affine(0.5, 128)), "zero point of activation 'pool' is 128, must be an int from -128"),
        (changed("activations", "pool", Affine(0.5, 0.5)), "zero point of activation 'pool' is 0.5"),
        (changed("activations", "pool", Affine(0.5, True)), "zero point of activation 'pool' is True"),
        (changed("activations", "pool", Affine("1", 0)), "scale of activation 'pool'"),
        (changed("scales", WEIGHT, None), f"no scale for '{WEIGHT}'"),
        (changed("scales", WEIGHT, np.ones(5, np.float32)), r"is float32\(5,\), must be float32, \(1,\) or \(out,\)"),
        (changed("scales", WEIGHT, np.ones(1, np.float64)), "is float64"),
        (changed("scales", WEIGHT, -np.ones(1, np.float32)), "must be a float above 0"),
        (changed("scales", WEIGHT, np.full(1, 1e9, np.float32)), f"'{WEIGHT}' reaches .* past 32 bits"),
        (changed("zero_points", WEIGHT, None), f"no zero point for '{WEIGHT}'"),
        (changed("zero_points", WEIGHT, -129), f"zero point of weight '{WEIGHT}' is -129"),
    ],
)
def test_quantization_that_does_not_fit(change, words):
    broken = model()
    change(broken)
    with pytest.raises(ModelFileError, match=words):
        replace(broken)


def test_tensors_that_do_not_fit():
    good = model()
    for name, tensor, words in (
        (WEIGHT, good.tensors[WEIGHT].astype(np.float32), "is float32, must be int8"),
        (WEIGHT, good.tensors[WEIGHT].astype(np.uint8), "is uint8, must be int8"),
        ("classifier.bias", good.tensors["classifier.bias"].astype(np.int64), "is int64, must be int32"),
        ("classifier.bias", np.full(3, 2**31 - 1, np.int32), "'classifier.weight' reaches .* past 32 bits"),
    ):
        with pytest.raises(ModelFileError, match=words):
            replace(good, tensors={**good.tensors, name: tensor})
    network = mobilenet_v1(0.25, 32, classes=3)
    with pytest.raises(ModelFileError, match=r"no scale|has batch norm|is float32, must be int8"):
        replace(good, network=network, tensors=random_tensors(network))
    with pytest.raises(ModelFileError, match="is int8, must be float32"):
        replace(good, quantization=None)


def metadata(path, change) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = json.loads(header["__metadata__"]["quantization"])
    header["__metadata__"]["quantization"] = json.dumps(change(entry))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda q: {**q, "dtype": "int4"},
        lambda q: {**q, "dtype": ["int8"]},
        lambda q: {**q, "more": 1},
        lambda q: [q],
        lambda q: None,
        lambda q: 3,
        lambda q: {**q, "activations": [1]},
        lambda q: {**q, "activations": {"input": 3}},
        lambda q: {**q, "activations": {**q["activations"], "input": [1.0]}},
        lambda q: {**q, "activations": {**q["activations"], "input": [None, 0]}},
        lambda q: {**q, "activations": {**q["activations"], "input": ["x", 0]}},
        lambda q: {**q, "activations": {**q["activations"], "input": [[1.0], 0]}},
        lambda q: {**q, "activations": {**q["activations"], "input": [10**400, 0]}},
        lambda q: {**q, "activations": {**q["activations"], "input": [1.0, {}]}},
        lambda q: {**q, "zero_points": {**q["zero_points"], WEIGHT: "0"}},
        lambda q: {**q, "zero_points": []},
    ],
)
def test_hostile_metadata(tmp_path, change):
    path = tmp_path / "m.safetensors"
    modelfile.write(model(), path)
    metadata(path, change)
    with pytest.raises(ModelFileError, match=r"m\.safetensors: .*quanti"):
        modelfile.read(path)


def test_folded_networks_have_biases_and_no_norm():
    for network in (
        mobilenet_v1(epsilon=None),
        mobilenet_v2(epsilon=None),
        ssdlite_mobilenet_v2(epsilon=None),
        deeplabv3_mobilenet_v2(epsilon=None, head_epsilon=None),
    ):
        assert not network.statistics()
        assert not any(".norm." in name for name in network.parameters())
        assert network.description["epsilon"] is None
    with pytest.raises(ValueError, match=r"epsilon 0\.0: must be above 0 and below 1, or None"):
        mobilenet_v1(epsilon=0)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_predictor_runs_integers_and_dequantized_only_when_asked(dtype):
    quantized_model = model(dtype)
    predict = mobilenet.load(quantized_model)
    scale, _ = quantized_model.quantization.activations["classifier"]
    (logits,) = predict.runtime(quantized_model.preprocessing(IMAGE)[None])["classifier"]
    steps = logits / np.float32(scale)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    real = mobilenet.load(quantized_model, backend="dequantized")
    assert (real.runtime.name, real.runtime.precision) == ("native", "fp32")
    (other,) = real.runtime(quantized_model.preprocessing(IMAGE)[None])["classifier"]
    assert not np.array_equal(logits, other)
    np.testing.assert_allclose(logits, other, atol=8 * scale)  # some steps: every layer rounds
    assert quantized_model.dequantized().dequantized().quantization is None
    assert predict(IMAGE).scores.sum() == pytest.approx(1, abs=1e-6)


def test_torch_runs_the_numbers_that_the_integers_stand_for():
    nn = pytest.importorskip("mobilenet.nn")
    theirs, ours = mobilenet.load(model(), nn.executor), mobilenet.load(model(), "dequantized")
    np.testing.assert_allclose(theirs(IMAGE).scores, ours(IMAGE).scores, atol=1e-5)
