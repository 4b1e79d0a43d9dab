"""A network and its weights as a LiteRT model (a ``.tflite`` file), written straight from the network's description.

Needs the package `flatbuffers` and nothing else. Tensors are N, H, W, C. Batch normalization is folded into the weights, ReLU
and ReLU6 are part of their convolution. A convolution pads by SAME where that is the network's own padding, else a PAD stands
before it. In 16 bits the weights are stored as float16, and a DEQUANTIZE makes float32 of each, as TensorFlow's converter does;
depthwise weights and biases stay float32: they are 2 % of the bytes, and rounding them would make most of the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..engine.fold import fold
from ..errors import assert_never
from ..network.layers import (
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    PaddingAmounts,
    Resize,
    Resolution,
    Shape,
    padding_around,
)
from .litert_graph import (
    Code,
    Graph,
    Tensor,
    concatenation_options,
    convolution_options,
    mean_options,
    resize_options,
)

if TYPE_CHECKING:
    from ..tensors import Array, Floats

Weights = Literal["fp32", "fp16"]


class FloatWriter:
    """Writes a network in float32, layer by layer.

    Args:
        tensors: names and shapes as `Network.tensors` lists them.
        resolution: height and width of the image (padding depends on it); default: the network's.
        batch: images at once, or None for any number.
        weights: how they are stored.
    """

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Floats],
        resolution: Resolution | None = None,
        batch: int | None = 1,
        weights: Weights = "fp32",
    ) -> None:
        self.network, self.batch, self.weights = network, batch, weights
        self.shapes, self.folded = network.shapes(resolution), fold(network, tensors)
        self.graph = Graph()
        self.values: dict[str, Tensor] = {}

    def image(self) -> Tensor:
        """The input: normalized, (batch, H, W, 3) float32."""
        return self.graph.tensor("input", sides(self.shapes["input"], self.batch))

    def run(self, image: Tensor) -> dict[str, Tensor]:
        """Writes all layers. The network's outputs by name."""
        self.values["input"] = image
        for layer in self.network.layers:
            self.values[layer.name] = self.write(layer)
        return named_outputs(self.graph, self.network, self.values)

    def write(self, layer: Layer) -> Tensor:
        """The layer's operators, and its output."""
        graph, name = self.graph, layer.name
        inputs = [self.values[source] for source in layer.inputs]
        output = graph.tensor(name, sides(self.shapes[name], self.batch, isinstance(layer, Linear)))
        match layer:
            case Add():
                return graph.then("ADD", inputs, output)
            case Concat():
                return graph.then("CONCATENATION", inputs, output, concatenation_options(3))
            case GlobalPool():
                axes = graph.constant("axes", np.array([1, 2], np.int32))
                return graph.then("MEAN", [inputs[0], axes], output, mean_options(keep_sides=True))
            case Resize():
                return resize(graph, layer, inputs[0], output, self.shapes[name])
            case Linear():
                return graph.then("FULLY_CONNECTED", [inputs[0], *self.parameters(layer)], output)
            case Conv():
                return convolve(graph, self.network, layer, inputs[0], self.parameters(layer), output, self.shapes)
            case _:
                assert_never(layer)

    def parameters(self, layer: Conv | Linear) -> list[Tensor]:
        """Weight and bias as constants."""
        weight, bias = self.folded[layer.name]
        weight = arranged(layer, weight)
        if self.weights == "fp16" and not (isinstance(layer, Conv) and layer.depthwise):
            stored = half(self.graph, f"{layer.name}/weight", weight)
        else:
            stored = self.graph.constant(f"{layer.name}/weight", weight)
        return [stored, self.graph.constant(f"{layer.name}/bias", bias)]


def half(graph: Graph, name: str, value: Floats) -> Tensor:
    """A constant in float16, and the float32 that a DEQUANTIZE makes of it. Values past float16's range take its largest."""
    largest = np.float32(np.finfo(np.float16).max)
    stored = graph.constant(f"{name}/half", np.clip(value, -largest, largest).astype(np.float16))
    return graph.then("DEQUANTIZE", [stored], graph.tensor(name, value.shape), version=3)


def sides(shape: Shape, batch: int | None, flat: bool = False) -> tuple[int | None, ...]:
    """N, H, W, C of a tensor, or N, C of a linear layer's."""
    return (batch, shape.channels) if flat else (batch, shape.height, shape.width, shape.channels)


def arranged(layer: Conv | Linear, weight: Array) -> Array:
    """A weight in LiteRT's order: out, H, W, in; 1, H, W, channels of a depthwise convolution; out, in of a linear layer."""
    if isinstance(layer, Linear):
        return weight
    return weight.transpose(1, 2, 3, 0) if layer.depthwise else weight.transpose(0, 2, 3, 1)


def convolve(
    graph: Graph,
    network: Network,
    layer: Conv,
    source: Tensor,
    parameters: list[Tensor],
    output: Tensor,
    shapes: Mapping[str, Shape],
    padded: bool = False,
) -> Tensor:
    """A convolution with its activation, after a PAD where SAME is not the network's padding. `padded`: it has its zeros."""
    amounts, same = (padding_around(layer, shapes[layer.inputs[0]], style) for style in (network.padding, "tensorflow"))
    valid = padded or amounts != same
    if valid and not padded and any(map(any, amounts)):
        source = pad(graph, f"{layer.name}/padded", source, amounts)
    options = convolution_options(layer.depthwise, layer.stride, layer.dilation, layer.activation, valid)
    code: Code = "DEPTHWISE_CONV_2D" if layer.depthwise else "CONV_2D"
    return graph.then(code, [source, *parameters], output, options, version=2 if layer.depthwise else 1)


def pad(graph: Graph, name: str, source: Tensor, amounts: PaddingAmounts) -> Tensor:
    """Zeros (of a quantized tensor: its zero point) around rows and columns."""
    batch, height, width, channels = source.shape
    assert height is not None
    assert width is not None
    grown = (batch, height + sum(amounts[0]), width + sum(amounts[1]), channels)
    table = graph.constant("padding", np.array([[0, 0], *amounts, [0, 0]], np.int32))
    return graph.then("PAD", [source, table], graph.tensor(name, grown, source.type, source.scale))


def resize(graph: Graph, layer: Resize, source: Tensor, output: Tensor, shape: Shape) -> Tensor:
    size = graph.constant("size", np.array([shape.height, shape.width], np.int32))
    return graph.then("RESIZE_BILINEAR", [source, size], output, resize_options(layer.corners), version=3)


def named_outputs(graph: Graph, network: Network, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's outputs by name. A block's name stands for its last layer, whose tensor then takes the block's name."""
    outputs = {}
    for name in network.outputs:
        tensor = values[network[name].name]
        graph.rename(tensor, name)
        outputs[name] = tensor
    return outputs


def to_litert(
    network: Network,
    tensors: Mapping[str, Floats],
    resolution: Resolution | None = None,
    batch: int | None = 1,
    weights: Weights = "fp32",
) -> bytes:
    """The bytes of a ``.tflite`` file from ``input`` (batch, H, W, 3) float32 to the network's outputs by name, N, H, W, C.

    Args:
        tensors: names and shapes as `Network.tensors` lists them.
        resolution: the image's size (padding depends on it); default: the network's.
        batch: images at once, or None for any number: `resize_tensor_input` then sets it.
        weights: how they are stored, "fp32" or "fp16".
    """
    writer = FloatWriter(network, tensors, resolution, batch, weights)
    image = writer.image()
    outputs = writer.run(image)
    return writer.graph.file([image], list(outputs.values()), f"mobilenet {network.architecture}")
