"""Files of integer models that break a rule of their arithmetic: each is refused when it is loaded, in one short line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.grid import gridded
from support.hostile import assert_refusal, outcomes
from support.models import detector, toy
from support.quantized import quantized

import mobilenet
from mobilenet import modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import MULTIPLIER, SCALE, ModelFile
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.tasks.results import OutputError
from mobilenet.tensorfile import read_safetensors, to_safetensors
from mobilenet.values import replace

NETWORK = mobilenet_v2(0.1, 32, classes=3, rows=((1, 8, 1, 1), (3, 8, 2, 2)), epsilon=None)
EXPAND, PROJECT, CLASSIFIER = "layer_3.expand.conv.weight", "layer_4.project.conv.weight", "classifier.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return written(tmp_path_factory, *gridded(NETWORK))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """With TensorFlow's arithmetic."""
    return written(tmp_path_factory, *quantized(NETWORK, "uint8"))


def written(tmp_path_factory, tensors, quantization) -> Path:
    preprocessing = Preprocessing(size=(32, 32), fit="squash")
    model = ModelFile(NETWORK, tensors, tuple("abc"), preprocessing, quantization=quantization)
    path = tmp_path_factory.mktemp("integers") / "good.safetensors"
    modelfile.write(model, path)
    Image.new("RGB", (8, 8)).save(path.parent / "x.png")
    return path


def filled(name: str, value: float):
    def change(tensors, metadata) -> None:
        tensors[name] = np.full_like(tensors[name], value)

    return change


def without(name: str):
    def change(tensors, metadata) -> None:
        del tensors[name]

    return change


def shaped(name: str, array: np.ndarray):
    def change(tensors, metadata) -> None:
        tensors[name] = array

    return change


def described(path: tuple[str, ...], value: object):
    def change(tensors, metadata) -> None:
        data = json.loads(metadata["quantization"])
        place = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        metadata["quantization"] = json.dumps(data)

    return change


def deep(tensors, metadata) -> None:
    metadata["quantization"] = '{"scheme": "grid", "pixels": ' + "[" * 100_000 + "]" * 100_000 + "}"


CASES = [
    (filled(EXPAND + MULTIPLIER, 0), f"a multiplier of '{EXPAND}' is 0, must be from 1 to 4194304"),
    (filled(EXPAND + MULTIPLIER, -1), f"a multiplier of '{EXPAND}' is -1"),
    (filled(EXPAND + MULTIPLIER, 2**31 - 1), f"a multiplier of '{EXPAND}' is 2147483647"),
    (filled(PROJECT + MULTIPLIER, 1), "'layer_4.add' multiplies 'layer_3.project' by "),
    (filled("classifier.bias", 2**24), "must stay below 2^24"),
    (filled("layer_3.expand.conv.bias", -(2**31)), "must stay below 2^24"),
    (filled(EXPAND, -128), f"'{EXPAND}' holds -128"),
    (filled(CLASSIFIER + SCALE, np.nan), f"the scale of '{CLASSIFIER}' must be above 0 and finite"),
    (filled(CLASSIFIER + SCALE, np.inf), f"the scale of '{CLASSIFIER}' must be above 0 and finite"),
    (filled(CLASSIFIER + SCALE, 0), f"the scale of '{CLASSIFIER}' must be above 0 and finite"),
    (without(EXPAND + MULTIPLIER), f"no multiplier for '{EXPAND}'"),
    (without(CLASSIFIER + SCALE), f"no scale for '{CLASSIFIER}'"),
    (without(EXPAND), f"no tensor '{EXPAND}'"),
    (shaped(EXPAND + MULTIPLIER, np.ones(23, np.int32)), "is int32(23,), must be int32(24,)"),
    (shaped(EXPAND + MULTIPLIER, np.ones(24, np.float32)), "is float32(24,), must be int32(24,)"),
    (shaped(EXPAND + MULTIPLIER, np.ones((), np.int32)), "is int32(), must be int32(24,)"),
    (shaped(EXPAND, np.ones((24, 8, 3, 3), np.int8)), "must be (24, 8, 1, 1)"),
    (shaped(EXPAND, np.ones((24, 8, 1, 1), np.float32)), "is float32, must be int8"),
    (shaped("evil" + MULTIPLIER, np.ones(1, np.int32)), "multiplier for 'evil', which has no place"),
    (described(("scheme",), "gird"), "must be 'grid'"),
    (described(("pixels",), [[1, 1, 1]]), "pixels"),
    (described(("pixels",), [[0, 1, 1], [0, 0, 0]]), "pixels.factor 0.0"),
    (described(("pixels",), [[1, 1, 1], [0, 0, 256]]), "pixels.offset 256.0"),
    (described(("pixels",), [[1, 1, 1], [0, 0, 0]]), "do not undo the preprocessing"),
    (described(("activations", "layer_1"), [float("nan"), 0]), "quantization"),
    (described(("activations", "layer_1"), [1e-300, 0]), "scale of activation 'layer_1'"),
    (described(("activations", "layer_1"), [0.5, 256]), "zero point of activation 'layer_1' is 256"),
    (described(("activations", "layer_1"), [0.5, -1]), "zero point of activation 'layer_1' is -1"),
    (described(("activations", "layer_1"), [10**400, 0]), "quantization"),
    (described(("activations", "layer_99"), [0.5, 0]), "activation for 'layer_99'"),
    (described(("activations",), []), "activations"),
    (described(("more",), 1), "more"),
    (deep, "max_json_depth"),
]


TINY = float(np.float32(1e-30))
PUBLISHED = [
    (filled(EXPAND + SCALE, np.nan), "the scale of weight"),
    (filled(EXPAND + SCALE, np.inf), "the scale of weight"),
    (filled(EXPAND + SCALE, -1), "the scale of weight"),
    (filled(EXPAND + SCALE, 0), "the scale of weight"),
    (filled(EXPAND + SCALE, 1e30), "past 32 bits"),
    (filled("layer_3.expand.conv.bias", 2**31 - 1), "past 32 bits"),
    (filled("layer_3.expand.conv.bias", -(2**31)), "past 32 bits"),
    (shaped(EXPAND, np.ones((24, 8, 1, 1), np.int8)), "must be uint8"),
    (shaped(EXPAND, np.ones((24, 8, 3, 3), np.uint8)), "must be (24, 8, 1, 1)"),
    (shaped(EXPAND + SCALE, np.ones(23, np.float32)), "must be float32, (1,) or (out,)"),
    (shaped(EXPAND + SCALE, np.ones((), np.float32)), "must be float32, (1,) or (out,)"),
    (shaped(EXPAND + MULTIPLIER, np.ones(24, np.int32)), "a multiplier for"),
    (without(EXPAND + SCALE), "no scale for"),
    (described(("dtype",), "int16"), "dtype"),
    (described(("dtype",), "int8"), "int8"),
    (described(("zero_points", EXPAND), 256), "zero point of weight"),
    (described(("zero_points", EXPAND), -1), "zero point of weight"),
    (described(("zero_points", "evil"), 0), "evil"),
    (described(("activations", "layer_1"), [0.5, 256]), "zero point of activation 'layer_1'"),
    (described(("activations", "layer_1"), [TINY, 0]), "layer_"),
    (described(("activations", "layer_4.add"), [TINY, 0]), "too small beside those of its inputs"),
    (described(("activations", "input"), [0.0, 0]), "scale of activation 'input'"),
    (described(("activations",), []), "activations"),
]


def test_each_is_refused(good):
    refused(good, CASES)


def test_each_with_tensorflows_arithmetic_is_refused(published):
    refused(published, PUBLISHED)


def refused(good, cases):
    folder, commands = good.parent, []
    for number, (change, _) in enumerate(cases):
        tensors, metadata = read_safetensors(good)
        arrays, texts = {name: np.array(tensors[name]) for name in tensors}, dict(metadata)
        change(arrays, texts)
        texts.pop("checksum", None)
        texts.pop("sha256", None)
        path = folder / f"{number}.safetensors"
        names = sorted(arrays, key=lambda name: arrays[name].itemsize, reverse=True)
        path.write_bytes(to_safetensors(arrays, texts, names))
        commands.append(("predict", folder / "x.png", "--model", path))
    results = outcomes(commands)
    assert len(results) == len(cases)
    for (_, words), result in zip(cases, results, strict=True):
        assert_refusal(words, result)


@pytest.mark.parametrize("kind", ["good", "published"])
def test_every_changed_byte_is_seen(kind, request, tmp_path):
    """Beyond the checksum, which finds accidents: with a checksum of its own the file must load, or be refused by a rule."""
    good, dice = request.getfixturevalue(kind), np.random.default_rng(0)
    tensors, metadata = read_safetensors(good)
    texts = {key: text for key, text in metadata.items() if key not in ("checksum", "sha256")}
    loaded = 0
    for _ in range(60):
        arrays = {name: np.array(tensors[name]) for name in tensors}
        name = sorted(arrays)[dice.integers(len(arrays))]
        flat = arrays[name].reshape(-1).view(np.uint8)
        flat[dice.integers(flat.size)] ^= 1 << dice.integers(8)
        path = tmp_path / "m.safetensors"
        path.write_bytes(to_safetensors(arrays, texts, sorted(arrays, key=lambda n: arrays[n].itemsize, reverse=True)))
        refusal = ""
        try:
            assert modelfile.read(path).quantization is not None
            loaded += 1
        except modelfile.ModelFileError as error:
            refusal = str(error)
        assert not refusal or str(path) in refusal
    assert 0 < loaded < 60


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("make", [toy, detector])
def test_scales_that_overflow(make, backend, tmp_path):
    """Finite scales may still make outputs that are not: one error for the image, no warning of numpy."""
    Image.linear_gradient("L").resize((48, 40)).convert("RGB").save(tmp_path / "i.png")
    model = mobilenet.quantize(make(), tmp_path / "i.png").model
    scales = {name: np.full_like(values, 3e38) for name, values in model.quantization.scales.items()}
    modelfile.write(
        replace(model, quantization=dataclasses.replace(model.quantization, scales=scales)), tmp_path / "m.safetensors"
    )
    with pytest.raises(OutputError, match="holds NaN or infinity: the weights overflow on this image"):
        mobilenet.load(tmp_path / "m.safetensors", backend=backend)(tmp_path / "i.png")
