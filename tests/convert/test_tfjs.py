"""tfjs graph models: a small one written here, read and converted; and everything wrong in one refused by name."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weights import random_tensors

from mobilenet.convert import slim
from mobilenet.convert.convert import convert
from mobilenet.convert.naming import LayoutError
from mobilenet.convert.readers.tfjs import TfjsError, read_tfjs
from mobilenet.convert.tfjs_wiring import RESIZED_TO
from mobilenet.engine.reference import Reference
from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.network.layers import Add, Conv

NETWORK = ssdlite_mobilenet_v2(0.25, 64, classes=2, padding="tensorflow", epsilon=1e-3)
TENSORS = random_tensors(NETWORK)


class Written:
    """The nodes and constants of a network as TensorFlow's optimizer leaves them: some batch norm folded, some not."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, np.ndarray] = {}

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append({"op": op, "name": name, "input": list(inputs), "attr": attributes})
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = value
        return self.node("Const", name)

    def convolution(self, layer: Conv, at: dict[str, str], summed: bool) -> str:
        block, _, part = layer.name.partition(".")
        name, stem = slim.v2_scope(block, part), layer.name
        if name.startswith("MobilenetV2"):
            name = f"FeatureExtractor/{name}"
        weight, same = (
            TENSORS[f"{stem}.conv.weight"],
            {"s": list(b"SAME") if layer.stride == 1 else base64.b64encode(b"SAME").decode()},
        )
        strides = {"list": {"i": ["1", str(layer.stride), str(layer.stride), "1"]}}
        source, op = at[layer.inputs[0]], "DepthwiseConv2dNative" if layer.depthwise else "Conv2D"
        stored = weight.transpose(2, 3, 0, 1) if layer.depthwise else weight.transpose(2, 3, 1, 0)
        attributes = {"strides": strides, "padding": same}
        if layer.epsilon is None:
            x = self.node(op, f"{name}/Conv2D", source, self.constant(f"{name}/weights", stored), **attributes)
            return self.node("BiasAdd", f"{name}/BiasAdd", x, self.constant(f"{name}/biases", TENSORS[f"{stem}.conv.bias"]))
        gamma, beta, mean, var = (TENSORS[f"{stem}.norm.{p}"] for p in ("weight", "bias", "running_mean", "running_var"))
        scale = (gamma / np.sqrt(var + layer.epsilon)).astype(np.float32)
        shift = (beta - mean * scale).astype(np.float32)
        if name.startswith("BoxPredictor"):  # nothing folded
            x = self.node(op, f"{name}/depthwise", source, self.constant(f"{name}/depthwise_weights", stored), **attributes)
            parts = [self.constant(f"{name}/BatchNorm/{key}", value) for key, value in
                     (("gamma", gamma), ("beta", beta), ("moving_mean", mean), ("moving_variance", var))]  # fmt: skip
            x = self.node("FusedBatchNorm", f"{name}/BatchNorm/Fused", x, *parts, epsilon={"f": layer.epsilon})
        elif layer.depthwise:  # a scale apart
            x = self.node(op, f"{name}/depthwise", source, self.constant(f"{name}/depthwise_weights", stored), **attributes)
            x = self.node("Mul", f"{name}/BatchNorm/mul_1", x, self.constant(f"{name}/BatchNorm/mul", scale))
            x = self.node("Add", f"{name}/BatchNorm/add_1", x, self.constant(f"{name}/BatchNorm/sub", shift))
        else:  # the scale in the weights
            merged = self.constant(f"{name}/Conv2D/merged_input", stored * scale)
            x = self.node(op, f"{name}/BatchNorm/mul_1", source, merged, **attributes)
            bias = self.constant(f"{name}/BatchNorm/sub", shift)
            if summed:
                return x
            x = self.node("Add", f"{name}/BatchNorm/add_1", bias, x)
        return x if layer.activation == "linear" else self.node("Relu6", f"{name}/Relu6", x)

    def model(self) -> tuple[dict[str, Any], bytes]:
        kinds = {"f": "float32", "i": "int32"}
        weights = [{"name": n, "shape": list(a.shape), "dtype": kinds[a.dtype.kind]} for n, a in self.constants.items()]
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in self.constants.values())
        manifest = [{"paths": ["shard1", "shard2"], "weights": weights}]
        return {"modelTopology": {"node": self.nodes}, "weightsManifest": manifest}, content


def written() -> tuple[dict[str, Any], bytes]:
    graph = Written()
    graph.constant(RESIZED_TO, np.array([64, 64], np.int32))
    at = {"input": graph.node("Sub", "Preprocessor/sub", graph.node("Placeholder", "image_tensor"))}
    summed = {name for layer in NETWORK.layers if isinstance(layer, Add) for name in layer.inputs[1:]}
    for layer in NETWORK.layers:
        if isinstance(layer, Add):  # the optimizer adds the shortcut first, the bias then
            block = at[layer.inputs[1]].rpartition("/BatchNorm")[0]
            x = graph.node("AddN", f"{block}/leaf", at[layer.inputs[1]], at[layer.inputs[0]])
            at[layer.name] = graph.node("Add", f"{block}/rewritten", f"{block}/BatchNorm/sub", x)
        else:
            at[layer.name] = graph.convolution(layer, at, layer.name in summed)
    graph.node("ConcatV2", "concat", *(f"{at[name]}:0" for name in NETWORK.outputs))
    return graph.model()


def save(folder: Path, model: Any, content: bytes) -> Path:
    (folder / "model.json").write_text(model if isinstance(model, str) else json.dumps(model))
    (folder / "shard1").write_bytes(content[:1000])
    (folder / "shard2").write_bytes(content[1000:])
    return folder / "model.json"


@pytest.fixture(scope="module")
def good():
    return written()


def test_a_detector_converts(tmp_path, good):
    model = convert(save(tmp_path, *good), labels=("a", "b")).model
    assert model.network.architecture == "ssdlite_mobilenet_v2"
    assert (model.network.settings.width, model.network.settings.epsilon, model.network.resolution) == (
        0.25,
        None,
        (64, 64),
    )
    assert model.decoding is not None
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    found, expected = Reference(model.network, model.tensors)(x), Reference(NETWORK, TENSORS)(x)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-5 * np.abs(values).max() + 1e-6)


def test_weights_are_the_files_own(tmp_path, good):
    graph = read_tfjs(save(tmp_path, *good))
    scope = "FeatureExtractor/MobilenetV2/expanded_conv/depthwise/depthwise_weights"
    np.testing.assert_array_equal(
        graph.weights[scope][..., 0].transpose(2, 0, 1), TENSORS["layer_2.depthwise.conv.weight"][:, 0]
    )
    assert graph.nodes["concat"].inputs[0].startswith("BoxPredictor_0/")


def weight(model: Any, end: str) -> dict[str, Any]:
    return next(w for w in model["weightsManifest"][0]["weights"] if w["name"].endswith(end))


def node(model: Any, end: str) -> dict[str, Any]:
    return next(n for n in model["modelTopology"]["node"] if n["name"].endswith(end))


BROKEN = [
    (lambda m: m["weightsManifest"][0].update(paths=["../shard1"]), "must be plain names"),
    (lambda m: m["weightsManifest"][0].update(paths=["/etc/hostname"]), "must be plain names"),
    (lambda m: m["weightsManifest"][0].update(paths=[".."]), "must be plain names"),
    (lambda m: m["weightsManifest"][0].update(paths=[""]), "must be plain names"),
    (lambda m: m["weightsManifest"][0].update(paths=["shard1"]), "its shards hold 1000 bytes"),
    (lambda m: m["weightsManifest"][0].update(paths=["shard1", "shard2", "shard1"]), "names a shard twice"),
    (lambda m: m["weightsManifest"][0].update(paths=["nothing"]), "shard 'nothing' cannot be read whole"),
    (
        lambda m: m["weightsManifest"][0]["weights"].append(dict(m["weightsManifest"][0]["weights"][0])),
        "has no name of its own",
    ),
    (lambda m: weight(m, "biases").update(dtype="float16"), "is 'float16' of shape"),
    (lambda m: weight(m, "biases").update(shape=[2**31]), "of shape"),
    (lambda m: weight(m, "biases").update(shape=[2**20, 2**20]), "past the limit max_tensor_bytes"),
    (lambda m: weight(m, "biases").update(shape=[True]), "of shape"),
    (lambda m: weight(m, "biases").update(quantization={"dtype": "uint8"}), "is quantized in its shard"),
    (lambda m: m["modelTopology"]["node"].append(m["modelTopology"]["node"][0]), "two nodes are called"),
    (lambda m: node(m, "concat")["input"].append("nowhere"), "reads 'nowhere', which is not there"),
    (lambda m: node(m, "concat").update(input=[3]), "no list of names"),
    (lambda m: m.pop("modelTopology"), "no sound tfjs graph model"),
    (lambda m: m.update(weightsManifest={}), "a list of at most"),
    (lambda m: m.update(weightsManifest=[3]), "a list of at most"),
]


@pytest.mark.parametrize(("breaks", "words"), BROKEN)
def test_broken_files(tmp_path, good, breaks, words):
    model = copy.deepcopy(good[0])
    breaks(model)
    with pytest.raises(TfjsError, match=words) as caught:
        read_tfjs(save(tmp_path, model, good[1]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"modelTopology": null}', "[" * 100_000, '{"a":' * 50_000, "\xff\xfe{", "NaN"]
)
def test_text_that_is_no_model(tmp_path, text):
    with pytest.raises(TfjsError):
        read_tfjs(save(tmp_path, text, b""))


WRONG = [
    (lambda m: node(m, "expanded_conv_3/depthwise/depthwise")["attr"]["strides"]["list"].update(i=["1", "1", "1", "1"]),
     "'layer_5.depthwise', has stride 1, must be 2"),
    (lambda m: node(m, "expanded_conv/depthwise/depthwise")["attr"].update(padding={"s": "VkFMSUQ="}), "pads by VALID"),
    (lambda m: node(m, "Conv/Relu6").update(op="Relu"), "'layer_1', has activation relu, must be relu6"),
    (lambda m: node(m, "expanded_conv_1/expand/BatchNorm/mul_1")["input"].__setitem__(0, "Preprocessor/sub"),
     "nothing computes 'layer_3"),
    (lambda m: weight(m, "BoxPredictor_2/ClassPredictor/biases").update(name="other"), "has no bias"),
    (lambda m: node(m, "BoxPredictor_0/BoxEncodingPredictor_depthwise/BatchNorm/Fused")["attr"].update(epsilon={"f": -1}),
     "has epsilon -1, must be above 0"),
    (lambda m: weight(m, RESIZED_TO).update(name="other"), "says the image's size"),
    (lambda m: node(m, "Conv/BatchNorm/mul_1")["attr"]["strides"]["list"].update(i=["x"] * 4), "that are no integers"),
    (lambda m: node(m, "Conv/BatchNorm/mul_1")["attr"]["strides"]["list"].update(i=["2"]), "must be four integers above 0"),
    (lambda m: node(m, "Conv/BatchNorm/mul_1")["attr"]["padding"].update(s=3000000000000), "is no text"),
    (lambda m: node(m, "Conv/BatchNorm/mul_1")["attr"].update(padding=None), "is no text"),
]  # fmt: skip


@pytest.mark.parametrize(("breaks", "words"), WRONG)
def test_graphs_that_are_another_network(tmp_path, good, breaks, words):
    model = copy.deepcopy(good[0])
    breaks(model)
    with pytest.raises(LayoutError, match=words):
        convert(save(tmp_path, model, good[1]), labels=("a", "b"))


def test_any_value_replaced_by_any_other(tmp_path, good):
    """Every kind of value put at random places of the JSON: a model or one ValueError, nothing else."""
    generator, text = np.random.default_rng(0), json.dumps(good[0])
    values = [None, True, -1, 0, 3, 1e300, "", "x", [], {}, [[]], "9" * 30]
    for _ in range(60):
        model = json.loads(text)
        for _ in range(2):
            place: Any = model
            while isinstance(place, (dict, list)) and place:
                keys = list(place) if isinstance(place, dict) else range(len(place))
                key = keys[int(generator.integers(len(keys)))]
                if not isinstance(place[key], (dict, list)) or generator.random() < 0.1:
                    place[key] = values[int(generator.integers(len(values)))]
                    break
                place = place[key]
        try:
            convert(save(tmp_path, model, good[1]), labels=("a", "b"))
        except ValueError as error:
            assert type(error) is not ValueError  # noqa: PT017
