"""Model files of our own integer networks: exact round trips, and everything wrong in one named by its tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.grid import gridded
from support.quantized import changed

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.reference import Reference
from mobilenet.engine.reference_grid import GridReference
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network import grid
from mobilenet.network.grid import GridQuantization
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.network.quantization import Affine

SQUASH = Preprocessing(size=(32, 32), fit="squash")
EXPAND, ADDED, CLASSIFIER = "layer_3.expand.conv.weight", "layer_4.project.conv.weight", "classifier.weight"


def model(classes: int = 3) -> ModelFile:
    rows = ((1, 8, 1, 1), (3, 8, 2, 2))
    network = mobilenet_v2(0.1, 32, classes=classes, rows=rows, epsilon=None)
    tensors, quantization = gridded(network)
    return ModelFile(network, tensors, tuple("abc"), SQUASH, quantization=quantization)


def test_round_trip(tmp_path):
    before = model()
    modelfile.write(before, tmp_path / "a.safetensors")
    after = modelfile.read(tmp_path / "a.safetensors")
    assert isinstance(after.quantization, GridQuantization)
    assert after.quantization.pixels == before.quantization.pixels
    assert dict(after.quantization.activations) == dict(before.quantization.activations)
    for part in ("multipliers", "scales"):
        one, other = getattr(before.quantization, part), getattr(after.quantization, part)
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.dtype == other[name].dtype
            np.testing.assert_array_equal(array, other[name])
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(after.tensors[name], tensor)
    modelfile.write(after, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_is_made_of_the_layers():
    quantized = model()
    assert grid.shortcuts(quantized.network) == {
        "layer_2.project": ("layer_2.add", "layer_1"),
        "layer_4.project": ("layer_4.add", "layer_3.project"),
    }
    assert grid.real_outputs(quantized.network) == {"classifier"}
    assert "layer_4.project" not in grid.byte_tensors(quantized.network)
    segmenter = deeplabv3_mobilenet_v2(0.5, 33, classes=2, epsilon=None, head_epsilon=None)
    assert grid.real_outputs(segmenter) == {"upsample"}
    assert "logits" in grid.byte_tensors(segmenter)
    backbone = mobilenet_v1(0.25, 32, classes=None, epsilon=None)
    assert not grid.real_outputs(backbone)


def test_the_dequantized_twin_agrees():
    quantized = model()
    x = quantized.preprocessing(mobilenet_image())[None]
    integers = GridReference(quantized.network, quantized.tensors, quantized.quantization)(x)["classifier"]
    real = quantized.dequantized()
    assert real.quantization is None
    floats = Reference(real.network, real.tensors)(x)["classifier"]
    assert np.abs(integers - floats).max() < 0.1 * np.abs(floats).max()


def mobilenet_image():
    from PIL import Image

    return Image.effect_mandelbrot((40, 36), (-2, -1.5, 1, 1.5), 60).convert("RGB")


def test_load_runs_it(tmp_path):
    path = tmp_path / "m.safetensors"
    modelfile.write(model(), path)
    for backend, precision in (("native", "int8"), ("reference", "int8"), ("dequantized", "fp32")):
        predict = mobilenet.load(path, backend)
        assert predict.runtime.precision == precision
        assert predict(mobilenet_image()).top(1)[0].score > 0


def multiplied(name: str, value: int):
    def change(quantized: ModelFile) -> None:
        quantized.quantization.multipliers[name] = np.full_like(quantized.quantization.multipliers[name], value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed("activations", "layer_3.expand", None), "no activation for 'layer_3.expand'"),
        (changed("activations", "layer_4.project", Affine(1.0, 0)), "activation for 'layer_4.project', which has no place"),
        (changed("activations", "pool", Affine(0.0, 0)), "scale of activation 'pool' is 0.0, must be"),
        (changed("activations", "pool", Affine(float("nan"), 0)), "scale of activation 'pool' is nan, must be"),
        (changed("activations", "pool", Affine(1e38, 0)), "scale of activation 'pool' is 1e"),
        (changed("activations", "pool", Affine(0.1, 0)), "must be a float32's value"),
        (changed("activations", "pool", Affine(2.0**-99, 0)), "must be from a quarter to 256 times that of its input"),
        (changed("activations", "pool", Affine(0.5, 256)), "zero point of activation 'pool' is 256, must be an int from 0"),
        (changed("activations", "pool", Affine(0.5, -1)), "zero point of activation 'pool' is -1"),
        (changed("activations", "pool", Affine(0.5, True)), "zero point of activation 'pool' is True"),
        (changed("multipliers", EXPAND, None), f"no multiplier for '{EXPAND}'"),
        (changed("multipliers", CLASSIFIER, np.ones(3, np.int32)), f"multiplier for '{CLASSIFIER}', which has no place"),
        (changed("multipliers", EXPAND, np.ones(1, np.int32)), r"is int32\(1,\), must be int32\(24,\)"),
        (changed("multipliers", EXPAND, np.ones(24, np.int64)), r"is int64\(24,\), must be int32\(24,\)"),
        (multiplied(EXPAND, 0), f"a multiplier of '{EXPAND}' is 0, must be from 1 to 4194304"),
        (multiplied(EXPAND, -5), f"a multiplier of '{EXPAND}' is -5, must be"),
        (multiplied(EXPAND, 2**22 + 1), f"a multiplier of '{EXPAND}' is 4194305, must be"),
        (multiplied(ADDED, 1), "'layer_4.add' multiplies 'layer_3.project' by .*, must be from 1 to 32767"),
        (changed("scales", CLASSIFIER, None), f"no scale for '{CLASSIFIER}'"),
        (changed("scales", CLASSIFIER, np.full(3, np.nan, np.float32)), f"scale of '{CLASSIFIER}' must be above 0"),
        (changed("scales", CLASSIFIER, np.full(3, -1, np.float32)), f"scale of '{CLASSIFIER}' must be above 0"),
        (changed("scales", CLASSIFIER, np.ones(2, np.float32)), r"is float32\(2,\), must be float32\(3,\)"),
        (changed("scales", EXPAND, np.ones(24, np.float32)), f"scale for '{EXPAND}', which has no place"),
    ],
)
def test_quantization_that_does_not_fit(change, words):
    broken = model()
    change(broken)
    with pytest.raises(ModelFileError, match=words):
        replace(broken)


def test_tensors_that_do_not_fit():
    good = model()
    weight, bias = good.tensors[EXPAND], good.tensors["classifier.bias"]
    for name, tensor, words in (
        (EXPAND, weight.astype(np.float32), "is float32, must be int8"),
        (EXPAND, np.full_like(weight, -128), f"'{EXPAND}' holds -128"),
        ("classifier.bias", bias.astype(np.int64), "is int64, must be int32"),
        ("classifier.bias", np.full_like(bias, 2**24), "sums of 'classifier.weight' reach .*, must stay below 2"),
        ("classifier.bias", np.full_like(bias, -(2**31)), "sums of 'classifier.weight' reach .*, must stay below 2"),
    ):
        with pytest.raises(ModelFileError, match=words):
            replace(good, tensors={**good.tensors, name: tensor})
    with pytest.raises(ModelFileError, match="do not undo the preprocessing"):
        replace(good, preprocessing=replace(SQUASH, mean=(0.5, 0.5, 0.5)))
    with pytest.raises(ModelFileError, match="is int8, must be float32"):
        replace(good, quantization=None)
