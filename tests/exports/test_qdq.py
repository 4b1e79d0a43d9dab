"""The QDQ graph: every layer by itself against the reference, whole networks in ONNX Runtime and OpenVINO."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from support.grid import gridded
from support.integer_networks import NETWORKS

import mobilenet
from mobilenet.engine.reference_grid import GridReference
from mobilenet.images.open import open_image
from mobilenet.network import grid
from mobilenet.network.layers import Add, Resize

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from mobilenet.exports.qdq import to_qdq  # noqa: E402

MAGNITUDE = 31
"""Of the weights: ONNX Runtime's kernels for processors without VNNI saturate the sum of two products of a byte at 2^15."""


@cache
def case(name):
    """The network's integers, an image and what the reference makes of it: real numbers, and the bytes of every layer."""
    network = NETWORKS[name]
    tensors, quantization = gridded(network, magnitude=MAGNITUDE)
    x = np.random.default_rng(5).standard_normal((1, 3, *network.resolution)).astype(np.float32)
    reference = GridReference(network, tensors, quantization)
    return network, tensors, quantization, x, reference(x), reference.integers(reference.pixels(x), keep=True)


def cut(model, names):
    """The graph in which every layer reads given bytes: its own become outputs, ``<layer>/found``."""
    cut_names = {f"{name}/bytes" for name in names}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] in cut_names:
            name = node.output[0]
            node.output[0] = name.replace("/bytes", "/found")
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
            model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UINT8, None))
    return model


@pytest.mark.parametrize("round_shortcuts", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_by_itself(name, round_shortcuts):
    network, tensors, quantization, x, expected, layers = case(name)
    names = grid.byte_tensors(network)
    model = cut(to_qdq(network, tensors, quantization, round_shortcuts=round_shortcuts), names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run([f"{name}/found" for name in names], {"input": x, **{f"{n}/bytes": layers[n] for n in names}})
    rounded_twice = {shortcut.add for shortcut in grid.shortcuts(network).values()} if round_shortcuts else set()
    for layer, value in zip(names, found, strict=True):
        difference = np.abs(value.astype(int) - layers[layer].reshape(value.shape))
        assert difference.max() <= 1, layer  # two roundings of half a step, or one that a float's precision turned
        coarse = isinstance(network[layer], Add | Resize) and layer not in grid.shortcuts(network)  # factors of 14 and 8 bits
        if layer not in rounded_twice and not coarse:
            assert (difference > 0).mean() < 0.002, layer
    outputs = session.run(list(expected), {"input": x, **{f"{n}/bytes": layers[n] for n in names}})
    for (output, wanted), value in zip(expected.items(), outputs, strict=True):
        layer = network[output]
        scale = np.abs(wanted).max() / 256 if isinstance(layer, Resize) else 0  # weights of 8 bits
        scale += 0 if layer.name in grid.real_outputs(network) else quantization.activations[layer.name].scale * 1.001
        np.testing.assert_allclose(value, wanted, rtol=0, atol=scale + 1e-5 * np.abs(wanted).max(), err_msg=output)


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize("name", ["v1", "ssdlite", "deeplab", "ssd"])
def test_whole_networks_in_onnx_runtime(name, batch):
    """Where nothing may differ but a float's precision, and where a resize and shortcuts may."""
    network, tensors, quantization, x, expected, _ = case(name)
    model = to_qdq(network, tensors, quantization, batch=batch).SerializeToString()
    session = onnxruntime.InferenceSession(model)
    assert [output.name for output in session.get_outputs()] == list(expected)
    images = x if batch else np.concatenate([x, x[:, :, ::-1]])
    for value, wanted in zip(session.run(None, {"input": images}), expected.values(), strict=True):
        exact = name in ("v1", "ssdlite")
        assert noise(value[:1], wanted) < (1e-6 if exact else 0.05), name


@pytest.mark.parametrize("name", ["v1", "ssdlite", "deeplab"])
def test_whole_networks_in_openvino(name):
    pytest.importorskip("openvino")
    from mobilenet.exports.openvino_file import core

    network, tensors, quantization, x, expected, _ = case(name)
    compiled = core().compile_model(core().read_model(to_qdq(network, tensors, quantization).SerializeToString(), b""), "CPU")
    for value, wanted in zip(compiled(x).values(), expected.values(), strict=True):
        assert noise(value, wanted) < (0.001 if name == "v1" else 0.05), name


def noise(found, expected) -> float:
    """The energy of the difference, in that of what was expected."""
    return float(((found - expected) ** 2).mean() / (expected**2).mean())


def test_a_real_model(imagenet, shared):
    """Two computations in integers that round a few bytes otherwise are as far apart as each is from the floats: some 20 dB."""
    pytest.importorskip("openvino")
    from mobilenet.exports.openvino_file import core

    photos = sorted((shared / "data" / "imagenet100").glob("*/*"))
    model = mobilenet.quantize(imagenet, photos[1::12]).model
    network, tensors, quantization = model.network, model.tensors, model.quantization
    images = np.concatenate([model.preprocessing.batch(open_image(path)) for path in photos[::9]])
    expected = mobilenet.load(model).runtime(images)["classifier"]
    graph = to_qdq(network, tensors, quantization, batch=None).SerializeToString()
    for found in (
        onnxruntime.InferenceSession(graph).run(None, {"input": images})[0],
        next(iter(core().compile_model(core().read_model(graph, b""), "CPU")(images).values())),
    ):
        assert noise(found, expected) < 0.02
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).sum() >= len(images) - 1
