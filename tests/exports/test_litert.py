"""LiteRT files: networks in LiteRT's interpreter, integers in its reference kernels, whole models beside `predict`."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.grid import gridded
from support.integer_networks import NETWORKS
from support.models import detector, segmenter, toy
from support.quantized import quantized
from support.weights import images, random_tensors, tolerance

import mobilenet
from mobilenet.engine.reference import Reference
from mobilenet.engine.reference_grid import GridReference
from mobilenet.engine.reference_int8 import Int8Reference
from mobilenet.errors import UsageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.layers import Conv, Linear
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.values import replace

pytest.importorskip("flatbuffers")
pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from mobilenet.exports import litert
from mobilenet.exports.litert import to_litert
from mobilenet.exports.litert_file import litert_file
from mobilenet.exports.litert_integers import to_litert_integers

REFERENCE_KERNELS = OpResolverType.BUILTIN_REF
FASTEST = OpResolverType.AUTO  # XNNPACK


def run(content: bytes, x: np.ndarray, kernels: OpResolverType = FASTEST) -> dict[str, np.ndarray]:
    """The outputs by name for (N, 3, H, W) or (N, H, W, 3) uint8; real maps as (N, C, H, W)."""
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    (source,) = interpreter.get_input_details()
    x = x if x.dtype == np.uint8 else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    if len(x) > 1:
        interpreter.resize_tensor_input(source["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    found = {each["name"]: interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()}
    return {name: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for name, value in found.items()}


def depthwise(layer) -> bool:
    return isinstance(layer, Conv) and layer.depthwise


def networks():
    """Those of the tests of integers, and three with what exports get wrong: odd classes, odd sides, a width of 0.35."""
    return {
        **NETWORKS,
        "odd classes": mobilenet_v2(0.5, 32, classes=37),
        "odd sides": mobilenet_v2(0.35, (47, 33), classes=10, padding="tensorflow"),
        "v1 with norm": mobilenet_v1(0.5, 33, classes=10),
    }


@pytest.mark.parametrize("name", networks())
def test_floats(name):
    network = networks()[name]
    tensors, x = random_tensors(network), images(network, 2)
    expected = Reference(network, tensors)(x)
    content = to_litert(network, tensors, batch=None)
    assert content == to_litert(network, tensors, batch=None)
    found = run(content, x)
    assert list(found) == list(expected)
    for output, value in expected.items():
        bound = 10 * tolerance(network, float(np.abs(value).max()))  # XNNPACK sums in another order, and multiplies first
        np.testing.assert_allclose(found[output], value, rtol=0, atol=bound)


@pytest.mark.parametrize("name", ["v2", "ssdlite", "deeplab"])
def test_half_precision_is_that_of_rounded_weights(name):
    """The file computes in float32 what the engine computes with weights rounded to float16: nothing else is rounded."""
    network = NETWORKS[name]
    tensors, x = random_tensors(network), images(network)
    products = {f"{each.prefix}.weight" for each in network.layers if isinstance(each, Linear | Conv) and not depthwise(each)}
    rounded = {key: value.astype(np.float16).astype(np.float32) if key in products else value for key, value in tensors.items()}
    content = to_litert(network, tensors, weights="fp16")
    assert len(content) < 0.6 * len(to_litert(network, tensors))
    for output, value in Reference(network, rounded)(x).items():
        bound = 10 * tolerance(network, float(np.abs(value).max()))
        np.testing.assert_allclose(run(content, x)[output], value, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_published_integers_are_those_of_the_reference_kernels(name, dtype):
    network = NETWORKS[name]
    tensors, quantization = quantized(network, dtype)
    x = images(network)
    found = run(to_litert_integers(network, tensors, quantization), x, REFERENCE_KERNELS)
    for output, value in Int8Reference(network, tensors, quantization)(x).items():
        np.testing.assert_array_equal(found[output], value)


@pytest.mark.parametrize("name", ["v1", "ssdlite"])
def test_integers_of_our_own(name):
    """Without shortcuts and resizes LiteRT's sums are ours. XNNPACK multiplies them by a float32, which is the multiplier to
    within 2^-23: a byte may differ if it lies so near to a half, and none does here. What is left are a float's roundings of
    the real outputs."""
    network = NETWORKS[name]
    tensors, quantization = gridded(network)
    x = images(network)
    found = run(to_litert_integers(network, tensors, quantization), x)
    for output, value in GridReference(network, tensors, quantization)(x).items():
        np.testing.assert_allclose(found[output], value, rtol=0, atol=1e-6 * np.abs(value).max())


@pytest.mark.parametrize("name", ["v2", "tensorflow", "deeplab", "half pixel"])
def test_integers_of_our_own_where_they_are_rounded_otherwise(name):
    """A shortcut is rounded once more, a resize has other weights: most of the noise of the integers themselves, no more."""
    network = NETWORKS[name]
    tensors, quantization = gridded(network)
    x = images(network)
    found = run(to_litert_integers(network, tensors, quantization), x)
    exact = Reference(network, quantization.dequantized(network, tensors))(x)
    for output, value in GridReference(network, tensors, quantization)(x).items():
        noise = np.sqrt(np.mean((value - exact[output]) ** 2))
        difference = np.sqrt(np.mean((found[output] - value) ** 2))
        assert difference <= 1.5 * noise + 1e-6 * np.abs(value).max()


def test_the_schema_reads_the_file():
    """By the code that TensorFlow generates from its schema: names, signature, labels, the options of every operator."""
    model = toy(5)
    content = litert_file(model, batch=None)
    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = read.subgraphs
    (signature,) = read.signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [end.name for end in (*signature.inputs, *signature.outputs)] == [b"input", b"classifier"]
    assert list(graph.tensors[graph.inputs[0]].shapeSignature) == [-1, 32, 32, 3]
    stored = {tensor.name.decode(): tensor for tensor in graph.tensors}
    weight = read.buffers[stored["layer_0/weight"].buffer].data
    folded = litert.fold(model.network, model.tensors)["layer_0"].weight
    np.testing.assert_array_equal(np.frombuffer(bytes(weight), np.float32), folded.transpose(0, 2, 3, 1).ravel())
    convolution = next(op for op in graph.operators if isinstance(op.builtinOptions, schema.DepthwiseConv2DOptionsT))
    assert convolution.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU6
    names = [entry.name for entry in read.metadata]
    assert names == [b"TFLITE_METADATA", b"MOBILENET"]
    buffer = bytes(read.buffers[read.metadata[0].buffer].data)
    assert buffer[4:8] == b"M001"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().split() == list(model.labels)


def test_data_is_aligned_to_16_bytes():
    content = to_litert(NETWORKS["v1"], random_tensors(NETWORKS["v1"]))
    read = schema.Model.GetRootAs(content, 0)
    for index in range(read.BuffersLength()):
        data = read.Buffers(index).DataAsNumpy()
        if isinstance(data, np.ndarray):
            assert (data.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data) % 16 == 0


IMAGE = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)


def test_whole_classifier():
    model = toy(7)
    found = run(litert_file(model, whole=True), IMAGE[None])
    expected = mobilenet.load(model, backend="reference")(Image.fromarray(IMAGE))
    np.testing.assert_allclose(found["probabilities"][0], expected.scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("anchors", ["tensorflow", "torchvision"])
def test_whole_detector(anchors):
    """The boxes, classes and scores of `predict`. Boxes of random weights reach past the image, so they are compared after
    cutting, with an NMS that drops none."""
    model = detector(3, anchors=anchors)
    decoding = replace(model.decoding, iou=1.0, threshold=0.1, max_detections=50, max_candidates=None)
    model = replace(model, decoding=decoding)
    pixels = np.random.default_rng(3).integers(0, 256, (33, 33, 3), np.uint8)
    found = run(litert_file(model, whole=True), pixels[None])
    expected = mobilenet.load(model, backend="reference")(Image.fromarray(pixels))
    count = int(found["count"][0])
    boxes = np.clip(found["boxes"][0, :count, [1, 0, 3, 2]].T * 33, 0, 33)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    count = min(int(kept.sum()), len(expected))
    assert count > 20
    np.testing.assert_allclose(found["scores"][0, : len(kept)][kept][:count], expected.scores[:count], rtol=1e-4)
    np.testing.assert_allclose(boxes[kept][:count], expected.boxes[:count], atol=1e-3)
    np.testing.assert_array_equal(found["classes"][0, : len(kept)][kept][:count], expected.classes[:count])


def test_whole_segmenter():
    model = segmenter()
    pixels = np.random.default_rng(3).integers(0, 256, (33, 33, 3), np.uint8)
    found = run(litert_file(model, whole=True), pixels[None])["mask"]
    expected = mobilenet.load(model, backend="reference")(Image.fromarray(pixels)).mask
    assert found.dtype == np.uint8
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found[0], expected)


def test_whole_integers_read_the_pixels_themselves():
    """The frame of constants around the image is the padding of the network alone, for every color."""
    for name in ("v1", "tensorflow"):
        network = NETWORKS[name]
        tensors, quantization = gridded(network)
        preprocessing = Preprocessing(size=network.resolution, fit="squash")
        model = ModelFile(network, tensors, tuple("abcdefghij"), preprocessing, quantization=quantization)
        pixels = np.random.default_rng(3).integers(0, 256, (*network.resolution, 3), np.uint8)
        alone = run(litert_file(model, "int8"), preprocessing(Image.fromarray(pixels))[None])["classifier"][0]
        powers = np.exp(alone - alone.max())
        whole = run(litert_file(model, "int8", whole=True), pixels[None])["probabilities"][0]
        np.testing.assert_allclose(whole, powers / powers.sum(), rtol=1e-5)


def test_a_transposed_kernel_is_seen(monkeypatch):
    """The comparison with the reference is sharp enough to see rows and columns of kernels exchanged."""
    network = NETWORKS["v1"]
    tensors, x = random_tensors(network), images(network)
    expected = Reference(network, tensors)(x)["classifier"]
    right = litert.arranged
    monkeypatch.setattr(
        litert, "arranged", lambda layer, weight: right(layer, weight.swapaxes(-1, -2) if weight.ndim == 4 else weight)
    )
    difference = np.abs(run(to_litert(network, tensors), x)["classifier"] - expected).max()
    assert difference > 100 * tolerance(network, float(np.abs(expected).max()))


def test_what_the_format_cannot_hold():
    with pytest.raises(UsageError, match="mobilenet quantize"):
        litert_file(toy(), "int8")
    with pytest.raises(UsageError, match="batch of any size"):
        litert_file(toy(), whole=True, batch=None)
    with pytest.raises(UsageError, match="without a head"):
        litert_file(toy(None), whole=True)
