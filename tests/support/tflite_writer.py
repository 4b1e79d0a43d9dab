"""Quantised networks written as TFLite files, for tests: a flatbuffer from nested values, and a network as its operators."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobilenet.convert import slim
from mobilenet.network.layers import Add, Concat, Conv, GlobalPool, Linear, Network, Resize
from mobilenet.network.quantization import Quantization, weighted

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
CODES = {"ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "RESIZE_BILINEAR": 23,
         "MEAN": 40, "QUANTIZE": 114}  # fmt: skip
OPTIONS = {"ADD": 11, "AVERAGE_POOL_2D": 5, "CONCATENATION": 10, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "RESIZE_BILINEAR": 15,
           "MEAN": 27, "QUANTIZE": 0}  # fmt: skip
ACTIVATIONS = {"linear": 0, "relu": 1, "relu6": 3}


@dataclass
class Scalar:
    form: str
    value: Any


class Table(dict):
    """Field number -> Scalar, Table, list of Tables, array, or text."""


def flatbuffer(root: Table, mark: bytes = b"TFL3") -> bytes:
    out = bytearray(4) + mark

    def align(size: int, ahead: int = 0) -> None:
        out.extend(bytes(-(len(out) + ahead) % size))

    def write(value: Any) -> int:
        if isinstance(value, str):
            value = np.frombuffer(value.encode() + b"\0", np.uint8)
            return vector(value, len(value) - 1)
        if isinstance(value, np.ndarray):
            return vector(value, value.size)
        if isinstance(value, list):
            align(4)
            place = len(out)
            out.extend(struct.pack("<I", len(value)) + bytes(4 * len(value)))
            for i, item in enumerate(value):
                patch(place + 4 + 4 * i, write(item))
            return place
        fields = {number: item for number, item in value.items() if item is not None}
        sizes = {n: struct.calcsize(item.form) if isinstance(item, Scalar) else 4 for n, item in fields.items()}
        count, offsets, end = max(fields, default=-1) + 1, {}, 4
        for number, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
            end += -(end + (4 if size == 8 else 0)) % size if size == 8 else -end % size
            offsets[number], end = end, end + size
        align(8)
        vtable = len(out)
        out.extend(struct.pack(f"<HH{count}H", 4 + 2 * count, end, *(offsets.get(i, 0) for i in range(count))))
        align(8, 4)
        place = len(out)
        out.extend(struct.pack("<i", place - vtable) + bytes(end - 4))
        for number, item in fields.items():
            if isinstance(item, Scalar):
                struct.pack_into("<" + item.form, out, place + offsets[number], item.value)
        for number, item in fields.items():
            if not isinstance(item, Scalar):
                patch(place + offsets[number], write(item))
        return place

    def vector(array: np.ndarray, count: int) -> int:
        align(16, 4)
        place = len(out)
        out.extend(struct.pack("<I", count) + array.tobytes())
        return place

    def patch(place: int, target: int) -> None:
        struct.pack_into("<I", out, place, target - place)

    patch(0, write(root))
    return bytes(out)


class Model:
    """Tensors and operators as they are added, then the bytes of the file."""

    def __init__(self) -> None:
        self.tensors: list[Table] = []
        self.buffers: list[Table] = [Table()]
        self.operators: list[Table] = []
        self.codes: list[str] = []

    def tensor(self, name: str, shape, dtype: str, scale=None, zero_point=0, axis: int = 0, data=None) -> int:
        quantization = None
        if scale is not None:
            scale = np.atleast_1d(np.asarray(scale, np.float32))
            points = np.full(len(scale), zero_point, np.int64)
            quantization = Table({2: scale, 3: points, 6: Scalar("i", axis)})
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(Table({0: np.ascontiguousarray(data).view(np.uint8).reshape(-1)}))
        self.tensors.append(Table({0: np.array(shape, np.int32), 1: Scalar("b", TYPES[dtype]), 2: Scalar("I", buffer), 3: name,
                                   4: quantization}))  # fmt: skip
        return len(self.tensors) - 1

    def operator(self, code: str, inputs: list[int], output: int, options: Table | None = None) -> int:
        if code not in self.codes:
            self.codes.append(code)
        self.operators.append(Table({0: Scalar("I", self.codes.index(code)), 1: np.array(inputs, np.int32),
                                     2: np.array([output], np.int32), 3: Scalar("B", OPTIONS[code]), 4: options}))  # fmt: skip
        return output

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        codes = [Table({0: Scalar("b", CODES[c]), 2: Scalar("i", 3), 3: Scalar("i", CODES[c])}) for c in self.codes]
        graph = Table({0: self.tensors, 1: np.array(inputs, np.int32), 2: np.array(outputs, np.int32), 3: self.operators})
        return flatbuffer(Table({0: Scalar("I", 3), 1: codes, 2: [graph], 4: self.buffers}))


def write(network: Network, tensors: dict[str, np.ndarray], quantization: Quantization) -> tuple[bytes, dict[str, int]]:
    """A TFLite file of a quantized network in TensorFlow-slim's names, and the tensor that holds each layer's output."""
    model, shapes, at = Model(), network.shapes(), {}
    scope = slim.v1_scope if network.architecture.endswith("v1") else slim.v2_scope

    def activation(name: str) -> int:
        channels, height, width = shapes[name]
        affine = quantization.activations[name]
        return model.tensor(f"out/{name}", (1, height, width, channels), quantization.dtype, affine.scale, affine.zero_point)

    stems = {layer.name: stem for layer, stem in weighted(network)}
    at["input"] = activation("input")
    for layer in network.layers:
        inputs = [at[name] for name in layer.inputs]
        if isinstance(layer, (Conv, Linear)):
            inputs += parameters(model, layer, stems[layer.name], scope, tensors, quantization)
            code = "DEPTHWISE_CONV_2D" if isinstance(layer, Conv) and layer.depthwise else "CONV_2D"
            options = convolution_options(layer, code)
        elif isinstance(layer, Add):
            code, options = "ADD", Table({0: Scalar("b", 0)})
        elif isinstance(layer, Concat):
            code, options = "CONCATENATION", Table({0: Scalar("i", 3), 1: Scalar("b", 0)})
            result = quantization.activations[layer.name]
            for i, name in enumerate(layer.inputs):
                if quantization.activations[name] != result:
                    channels, height, width = shapes[name]
                    same = model.tensor(f"requantized/{name}", (1, height, width, channels), quantization.dtype, *result)
                    inputs[i] = model.operator("QUANTIZE", [inputs[i]], same)
        elif isinstance(layer, Resize):
            _, height, width = shapes[layer.name]
            size = np.array([height, width], np.int32)
            inputs[1] = model.tensor(f"size/{layer.name}", (2,), "int32", data=size)
            aligned = layer.corners == "aligned"
            code, options = "RESIZE_BILINEAR", Table({2: Scalar("?", aligned), 3: Scalar("?", not aligned)})
        else:
            assert isinstance(layer, GlobalPool)
            source, result = (quantization.activations[name] for name in (layer.inputs[0], layer.name))
            _, height, width = shapes[layer.inputs[0]]
            if source == result:
                code = "AVERAGE_POOL_2D"
                numbers = (1, 1, 1, width, height, 0)  # VALID, strides, filter, linear
                options = Table({i: Scalar("b" if i in (0, 5) else "i", n) for i, n in enumerate(numbers)})
            else:
                code, options = "MEAN", Table({0: Scalar("?", True)})
                inputs.append(model.tensor(f"axes/{layer.name}", (2,), "int32", data=np.array([1, 2], np.int32)))
        at[layer.name] = model.operator(code, inputs, activation(layer.name), options)
    return model.content([at["input"]], [at[network[name].name] for name in network.outputs]), at


def parameters(model: Model, layer, stem: str, scope, tensors, quantization: Quantization) -> list[int]:
    weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]
    depthwise = isinstance(layer, Conv) and layer.depthwise
    stored = weight.reshape(*weight.shape, 1, 1) if weight.ndim == 2 else weight
    stored = stored.transpose(1, 2, 3, 0) if depthwise else stored.transpose(0, 2, 3, 1)
    scale = quantization.scales[f"{stem}.weight"]
    block, _, part = layer.name.partition(".")
    name = scope(block, part)
    bias_scale = scale.astype(np.float64) * quantization.activations[layer.inputs[0]].scale
    return [
        model.tensor(f"{name}/weights;and/more", stored.shape, quantization.dtype, scale,
                     quantization.zero_points[f"{stem}.weight"], 3 if depthwise and len(scale) > 1 else 0, stored),
        model.tensor(f"{name}/bias", bias.shape, "int32", bias_scale, data=bias),
    ]  # fmt: skip


def convolution_options(layer: Conv | Linear, code: str) -> Table:
    if isinstance(layer, Linear):
        return Table({0: Scalar("b", 0), 1: Scalar("i", 1), 2: Scalar("i", 1), 3: Scalar("b", 0)})
    act, rate = Scalar("b", ACTIVATIONS[layer.activation]), Scalar("i", layer.dilation)
    options = {0: Scalar("b", 0), 1: Scalar("i", layer.stride), 2: Scalar("i", layer.stride)}
    if code == "CONV_2D":
        return Table({**options, 3: act, 4: rate, 5: rate})
    return Table({**options, 3: Scalar("i", 1), 4: act, 5: rate, 6: rate})
