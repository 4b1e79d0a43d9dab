"""The reader of TFLite files: what it reads, and that no bytes whatever make it fail in another way than with TFLiteError."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from support.quantized import quantized
from support.tflite_writer import Model, Scalar, Table, flatbuffer, write

from mobilenet.convert.readers import tflite
from mobilenet.convert.readers.tflite import TFLiteError, parse_tflite, read_tflite
from mobilenet.network.mobilenet import mobilenet_v1

NETWORK = mobilenet_v1(0.25, 32, classes=2, epsilon=None, padding="tensorflow", rows=((1, 64), (2, 128)))


@pytest.fixture(scope="module")
def content() -> bytes:
    return write(NETWORK, *quantized(NETWORK, "int8"))[0]


def test_tensors_operators_and_options(content):
    tensors, quantization = quantized(NETWORK, "int8")
    graph = parse_tflite(content, "toy")
    assert [op.code for op in graph.operators] == ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D"] * 2, "MEAN", "CONV_2D"]
    stem, depthwise = graph.operators[0], graph.operators[3]
    assert stem.options == {
        "padding": "same",
        "stride_w": 2,
        "stride_h": 2,
        "activation": "relu6",
        "dilation_w": 1,
        "dilation_h": 1,
    }
    assert depthwise.options["depth_multiplier"] == 1
    assert depthwise.options["stride_h"] == 2
    weight, bias = (graph.tensors[i] for i in depthwise.inputs[1:])
    assert (weight.shape, weight.dtype, weight.axis, bias.dtype) == ((1, 3, 3, 16), np.int8, 3, np.int32)
    np.testing.assert_array_equal(weight.data[0].transpose(2, 0, 1), tensors["layer_2.depthwise.conv.weight"][:, 0])
    np.testing.assert_array_equal(weight.scale, quantization.scales["layer_2.depthwise.conv.weight"])
    np.testing.assert_array_equal(bias.data, tensors["layer_2.depthwise.conv.bias"])
    image = graph.tensors[graph.inputs[0]]
    assert (image.shape, image.data) == ((1, 32, 32, 3), None)
    assert (image.scale[0], image.zero_point[0]) == quantization.activations["input"]
    with pytest.raises(ValueError, match="read-only"):
        weight.data[0, 0, 0, 0] = 1


def test_files(tmp_path, content):
    (tmp_path / "toy.tflite").write_bytes(content)
    assert len(read_tflite(tmp_path / "toy.tflite").tensors) == len(parse_tflite(content, "toy").tensors)
    with pytest.raises(FileNotFoundError):
        read_tflite(tmp_path / "other.tflite")
    with pytest.raises(TFLiteError, match="not a regular file"):
        read_tflite(tmp_path)


def test_truncated_anywhere(content):
    for length in [*range(0, 600), *range(600, len(content), 97)]:
        with pytest.raises(TFLiteError):
            parse_tflite(content[:length], "toy")


def structure(content: bytes, monkeypatch) -> list[int]:
    """The bytes that say how the file is built: all that the reader interprets."""
    touched: set[int] = set()
    plain = tflite.Flatbuffer.number

    def watched(self, form, place):
        touched.update(range(place, min(place + 4, len(content))))
        return plain(self, form, place)

    with monkeypatch.context() as patch:
        patch.setattr(tflite.Flatbuffer, "number", watched)
        parse_tflite(content, "toy")
    return sorted(touched)


def test_flipped_bytes(content, monkeypatch):
    places, generator = structure(content, monkeypatch), np.random.default_rng(0)
    refused = []
    for _ in range(1500):
        damaged = bytearray(content)
        for place in generator.choice(places, generator.integers(1, 4)):
            damaged[place] = generator.choice([0, 1, 127, 128, 255, generator.integers(0, 256)])
        try:
            parse_tflite(bytes(damaged), "toy")
        except TFLiteError as error:
            refused.append(str(error))
    assert len(refused) > 800
    for message in refused:
        assert message.startswith("toy: no sound TFLite model: ")
        assert "\n" not in message
        assert len(message) < 600


def test_shared_vectors_do_not_multiply():
    """Ten thousand tensors that all point to one long list of scales: refused, with little memory."""
    model = Model()
    model.tensor("x", (1, 50_000), "int8", np.full(50_000, 0.5), axis=1)
    tensor = model.tensors[0]
    many = bytearray(flatbuffer(Table({0: Scalar("I", 3), 2: [Table({0: [tensor] + [Table({7: Scalar("b", 0)})] * 9_999})],
                                       4: model.buffers})))  # fmt: skip
    graph = tflite.Flatbuffer(bytes(many)).root().tables(2, 10)[0]
    start, count = graph.buffer.block(graph.target(0), 4)
    first = start + int.from_bytes(many[start : start + 4], "little")
    for at in range(start, start + 4 * count, 4):
        many[at : at + 4] = (first - at).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(TFLiteError, match="its tables read over 8 times"):
        parse_tflite(bytes(many), "bomb")
    assert tracemalloc.get_traced_memory()[1] < 4 * len(many)
    tracemalloc.stop()


def model_of(operators, tensors=3, inputs=(0,), outputs=(2,), **change) -> bytes:
    model = Model()
    for i in range(tensors):
        model.tensor(f"t{i}", (1, 2, 2, 3), "int8", 0.5)
    for code, ins, out in operators:
        model.operator(code, ins, out, Table({0: Scalar("b", change.get("activation", 0))}))
    return model.content(list(inputs), list(outputs))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (model_of([("ADD", [0, 2], 1), ("ADD", [0, 1], 2)]), "reads 't2' before it is made"),  # a circle
        (model_of([("ADD", [0, 0], 1), ("ADD", [0, 0], 1)]), "makes 't1' a second time"),
        (model_of([("ADD", [0, 0], 0)]), "makes 't0' a second time"),
        (model_of([("ADD", [0, 0], 1)]), "output 't2' is never made"),
        (model_of([("ADD", [0, 0], 2)], inputs=(0, 0)), "is a constant or named twice"),
        (model_of([("ADD", [0, 9], 2)]), r"names tensors \[0, 9\] of 3"),
        (model_of([("ADD", [0, 0], 2)], activation=77), "has activation 77"),
        (flatbuffer(Table({0: Scalar("I", 4)})), "schema version 4"),
        (flatbuffer(Table({0: Scalar("I", 3)})), "0 subgraphs"),
        (flatbuffer(Table({0: Scalar("I", 3)}), b"TFL2"), "no mark TFL3"),
    ],
)
def test_what_no_network_can_be(content, words):
    with pytest.raises(TFLiteError, match=words):
        parse_tflite(content, "toy")


def tensor_of(*arguments, **options) -> bytes:
    model = Model()
    model.tensor(*arguments, **options)
    return model.content([], [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tensor_of("w", (2, 3), "int8", 0.0), "no positive number"),
        (tensor_of("w", (2, 3), "int8", np.nan), "no positive number"),
        (tensor_of("w", (2, 3), "int8", [1, 2, 3, 4], axis=1), "has 4 scales, 4 zero points, axis 1"),
        (tensor_of("w", (2, 3), "int8", [1, 2], axis=7), "axis 7"),
        (tensor_of("w", (2, 3), "int8", 1, 2**40), "past 32 bits"),
        (tensor_of("w", (2, 3), "int8", data=np.zeros(5, np.int8)), "has 5 bytes of data"),
        (tensor_of("w", (-1, 3), "int8"), "claims the shape"),
        (tensor_of("w", (2**20, 2**20), "int8"), "claims 1099511627776 elements"),
        (tensor_of("w" * 9000, (1,), "int8"), "a name of 9000 bytes"),
    ],
)
def test_tensors_that_are_none(content, words):
    with pytest.raises(TFLiteError, match=words):
        parse_tflite(content, "toy")
