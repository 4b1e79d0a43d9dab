"""Integer networks as LiteRT models: LiteRT's own quantization, with the scales, zero points and integers of the model file.

A published TensorFlow model becomes what it was: its arithmetic is that of LiteRT's reference kernels. A network of our own
(`network.grid`) becomes int8: an activation q becomes q - 128, each output channel of a weight has its scale, and sums are the
same integers. What differs then: LiteRT rounds the multiplier of a sum to float32 or 31 bits; it rounds a convolution before an
addition reads it, where the grid rounds both together; it blends a resize with other weights. Real outputs, which the grid
never rounds, come from the same integer weights in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from ..errors import assert_never
from ..network.grid import GridQuantization, real_outputs, shortcuts
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
    padding_around,
)
from ..network.quantization import Affine, Quantization
from .litert import arranged, convolve, named_outputs, pad, resize, sides
from .litert_graph import Code, Graph, Scale, Tensor, concatenation_options, mean_options, pool_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tensors import Array, Floats

Type = Literal["int8", "uint8"]
PIXEL_STEPS: tuple[Code, Code] = ("MUL", "ADD")  # from a real image to its pixels
ORIGIN = 128
"""What LiteRT's int8 lies below the bytes of our own networks."""


class Parameters(NamedTuple):
    """Weight and bias of a layer as LiteRT has them: weight (out, in / groups, k, k) or (out, in), bias (out,) int32."""

    weight: Array
    weight_scales: Floats
    zero_point: int
    bias: NDArray[np.int32]
    bias_scales: Floats


class Scheme(Protocol):
    """What the two kinds of quantized networks say about each layer."""

    @property
    def type(self) -> Type: ...

    @property
    def real(self) -> frozenset[str]:
        """The layers whose outputs are real numbers."""

    def scale(self, layer: str) -> Scale:
        """Of the layer's output, which is no real one."""

    def parameters(self, layer: Conv | Linear) -> Parameters: ...


class Published:
    """The scheme of a TensorFlow model."""

    real: frozenset[str] = frozenset()

    def __init__(self, network: Network, tensors: Mapping[str, Array], quantization: Quantization) -> None:
        self.tensors, self.quantization, self.type = tensors, quantization, quantization.dtype

    def scale(self, layer: str) -> Scale:
        scale, zero_point = self.quantization.activations[layer]
        return Scale([scale], zero_point)

    def parameters(self, layer: Conv | Linear) -> Parameters:
        name = f"{layer.prefix}.weight"
        scales = self.quantization.scales[name]
        source = np.float32(self.quantization.activations[layer.inputs[0]].scale)
        zero_point, bias = self.quantization.zero_points[name], self.tensors[f"{layer.prefix}.bias"]
        return Parameters(self.tensors[name], scales, zero_point, bias.astype(np.int32), scales * source)


class Grid:
    """The scheme of a network of our own. The image counts as pixels: its scale is 1, and pixel 0 is -128."""

    type: Type = "int8"

    def __init__(self, network: Network, tensors: Mapping[str, Array], quantization: GridQuantization) -> None:
        self.tensors, self.quantization, self.real = tensors, quantization, real_outputs(network)
        self.shortcuts = shortcuts(network)

    def affine(self, layer: str) -> Affine:
        return Affine(1.0, 0) if layer == "input" else self.quantization.target(layer, self.shortcuts.get(layer))

    def scale(self, layer: str) -> Scale:
        scale, zero_point = self.affine(layer)
        return Scale([scale], zero_point - ORIGIN)

    def parameters(self, layer: Conv | Linear) -> Parameters:
        """The bias without the zero point that the grid folds in: LiteRT subtracts zero points itself."""
        stem = layer.prefix
        weight, bias = self.tensors[f"{stem}.weight"], self.tensors[f"{stem}.bias"].astype(np.int64)
        source, zero_point = self.affine(layer.inputs[0])
        bias = bias + zero_point * weight.astype(np.int64).reshape(len(weight), -1).sum(axis=1)
        exact = self.quantization.weight_scales(layer, stem, self.shortcuts.get(layer.name))
        scales = exact.astype(np.float32)
        return Parameters(weight, scales, 0, bias.astype(np.int32), (exact * source).astype(np.float32))


class IntegerWriter:
    """Writes a quantized network, layer by layer; arguments as for `to_litert_integers`."""

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Array],
        quantization: Quantization | GridQuantization,
        resolution: Resolution | None = None,
        batch: int | None = 1,
    ) -> None:
        self.network, self.batch, self.quantization = network, batch, quantization
        self.shapes = network.shapes(resolution)
        self.scheme: Scheme
        if isinstance(quantization, GridQuantization):
            self.scheme = Grid(network, tensors, quantization)
        else:
            self.scheme = Published(network, tensors, quantization)
        self.of_pixels = isinstance(quantization, GridQuantization)  # whose image is counted in pixels
        self.graph = Graph()
        self.values: dict[str, Tensor] = {}

    def image(self) -> Tensor:
        """The input: normalized, (batch, H, W, 3) float32."""
        return self.graph.tensor("input", sides(self.shapes["input"], self.batch))

    def run(self, image: Tensor) -> dict[str, Tensor]:
        """Writes all layers on `image`: float32 and normalized, or uint8 as it was decoded.

        Returns the network's outputs by name, float32.
        """
        self.values["input"] = image
        if not self.of_pixels:
            self.values["input"] = self.integers(image, "input")
        for layer in self.network.layers:
            self.values[layer.name] = self.write(layer)
        outputs = {self.network[name].name for name in self.network.outputs} - self.scheme.real
        real = {name: self.dequantize(self.values[name], f"{name}/real") for name in outputs if name in self.values}
        ordered = {name: real[name] for name in self.values if name in real}
        for name in ordered:  # the tensor of bytes gives its name to the real numbers
            self.graph.rename(self.values[name], f"{name}/integers")
        return named_outputs(self.graph, self.network, {**self.values, **ordered})

    def integers(self, image: Tensor, name: str) -> Tensor:
        """The image as the integers that a convolution reads, from real numbers or from integers of the same scale."""
        if image.type == self.scheme.type:
            return image
        made = self.graph.tensor(f"{name}/integers", image.shape, self.scheme.type, self.scheme.scale("input"))
        return self.graph.then("QUANTIZE", [image], made)

    def pixels(self, layer: Conv) -> Tensor:
        """The image with the zeros that `layer` reads around it, as the integers of a grid.

        A grid's zero differs from color to color, but a tensor has one zero point. So real zeros are put around a real image,
        and rows and columns of constants around one of bytes.
        """
        graph, image, name = self.graph, self.values["input"], f"{layer.name}/pixels"
        amounts = padding_around(layer, self.shapes["input"], self.network.padding)
        if image.type == "uint8":
            return self.framed(self.integers(image, name), amounts, name)
        assert isinstance(self.quantization, GridQuantization)
        if any(map(any, amounts)):
            image = pad(graph, f"{name}/padded", image, amounts)
        for code, part, values in zip(PIXEL_STEPS, ("factor", "offset"), self.quantization.pixels, strict=True):
            by = graph.constant(f"{name}/{part}", np.array(values, np.float32))
            image = graph.then(code, [image, by], graph.tensor(f"{name}/after_{part}", image.shape))
        return self.integers(image, name)

    def framed(self, image: Tensor, amounts: PaddingAmounts, name: str) -> Tensor:
        """One image of integers with a frame of the colors' zeros."""
        assert isinstance(self.quantization, GridQuantization)
        colors = np.array(self.quantization.pixels.zero_points) - ORIGIN
        for axis, (before, after) in ((1, amounts[0]), (2, amounts[1])):
            sides = [1, *map(int, image.shape[1:])]  # type: ignore[arg-type]
            parts = [image]
            for count, place in ((before, 0), (after, len(parts))):
                if count:
                    sides[axis] = count
                    strip = np.broadcast_to(colors.astype(np.int8), sides)
                    parts.insert(place if place == 0 else len(parts), self.graph.constant(f"{name}/frame", strip, image.scale))
            if len(parts) > 1:
                sides[axis] = int(image.shape[axis] or 0) + before + after
                made = self.graph.tensor(f"{name}/framed", sides, image.type, image.scale)
                image = self.graph.then("CONCATENATION", parts, made, concatenation_options(axis))
        return image

    def tensor(self, name: str, layer: Layer) -> Tensor:
        """A tensor of integers for the layer's output."""
        return self.graph.tensor(name, self.sides(layer), self.scheme.type, self.scheme.scale(layer.name))

    def sides(self, layer: Layer) -> tuple[int | None, ...]:
        return sides(self.shapes[layer.name], self.batch, isinstance(layer, Linear))

    def write(self, layer: Layer) -> Tensor:
        """The layer's operators, and its output."""
        graph, name = self.graph, layer.name
        inputs = [self.values[source] for source in layer.inputs]
        if self.of_pixels and isinstance(layer, Conv) and layer.inputs[0] == "input":
            inputs = [self.pixels(layer)]
        if name in self.scheme.real:
            return self.write_real(layer, inputs)
        output = self.tensor(name, layer)
        match layer:
            case Add():
                return graph.then("ADD", inputs, output)
            case Concat():
                parts = [self.rescaled(each, name, output) for each in inputs]
                return graph.then("CONCATENATION", parts, output, concatenation_options(3))
            case GlobalPool() if inputs[0].scale == output.scale and not self.of_pixels:  # TensorFlow 1 pools on one scale
                source = self.shapes[layer.inputs[0]]
                return graph.then("AVERAGE_POOL_2D", inputs, output, pool_options(source.height, source.width))
            case GlobalPool():
                axes = graph.constant("axes", np.array([1, 2], np.int32))
                return graph.then("MEAN", [inputs[0], axes], output, mean_options(keep_sides=True))
            case Resize():
                same = graph.tensor(f"{name}/resized", self.sides(layer), self.scheme.type, inputs[0].scale)
                resize(graph, layer, inputs[0], same, self.shapes[name])
                return self.rescaled(same, name, output)
            case Linear():
                return graph.then("FULLY_CONNECTED", [inputs[0], *self.parameters(layer)], output, version=4)
            case Conv():
                parameters = self.parameters(layer)
                return convolve(graph, self.network, layer, inputs[0], parameters, output, self.shapes, self.is_padded(layer))
            case _:
                assert_never(layer)

    def is_padded(self, layer: Conv) -> bool:
        """Whether the layer's input has its zeros already."""
        return layer.inputs[0] == "input" and self.of_pixels

    def write_real(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        """A layer whose output is real: in float32, from the integer weights."""
        graph, name = self.graph, layer.name
        source = self.dequantize(inputs[0], f"{name}/input")
        output = graph.tensor(name, self.sides(layer))
        match layer:
            case Resize():
                return resize(graph, layer, source, output, self.shapes[name])
            case Linear():
                return graph.then("FULLY_CONNECTED", [source, *self.parameters(layer, real=True)], output)
            case Conv():
                parameters = self.parameters(layer, real=True)
                return convolve(graph, self.network, layer, source, parameters, output, self.shapes, self.is_padded(layer))
            case Add() | Concat() | GlobalPool():
                raise AssertionError(f"{name} is no real output")
            case _:
                assert_never(layer)

    def dequantize(self, source: Tensor, name: str) -> Tensor:
        return self.graph.then("DEQUANTIZE", [source], self.graph.tensor(name, source.shape), version=2)

    def rescaled(self, source: Tensor, name: str, output: Tensor) -> Tensor:
        """The same real numbers on the scale of `output`."""
        if source.scale == output.scale:
            return source
        made = self.graph.tensor(f"{name}/rescaled", source.shape, output.type, output.scale)
        return self.graph.then("QUANTIZE", [source], made)

    def parameters(self, layer: Conv | Linear, real: bool = False) -> list[Tensor]:
        """Weight and bias as constants; of a real layer as float32, the weight from its integers."""
        graph, name = self.graph, layer.name
        weight, scales, zero_point, bias, bias_scales = self.scheme.parameters(layer)
        depthwise = isinstance(layer, Conv) and layer.depthwise
        scale = Scale(scales, zero_point, axis=3 if depthwise and len(scales) > 1 else 0)
        integers = f"{name}/weight/integers" if real else f"{name}/weight"
        stored = graph.constant(integers, arranged(layer, weight), scale)
        if not real:
            return [stored, graph.constant(f"{name}/bias", bias, Scale(bias_scales, 0))]
        made = graph.tensor(f"{name}/weight", stored.shape)
        graph.operator("DEQUANTIZE", [stored], [made], version=5 if len(scales) > 1 else 2)
        return [made, graph.constant(f"{name}/bias", (bias * bias_scales.astype(np.float64)).astype(np.float32))]


def to_litert_integers(
    network: Network,
    tensors: Mapping[str, Array],
    quantization: Quantization | GridQuantization,
    resolution: Resolution | None = None,
    batch: int | None = 1,
) -> bytes:
    """The bytes of a ``.tflite`` file from ``input`` (batch, H, W, 3) float32 to the network's outputs by name, float32.

    Args:
        tensors, quantization: of a model file.
        resolution, batch: as for `to_litert`.
    """
    writer = IntegerWriter(network, tensors, quantization, resolution, batch)
    image = writer.image()
    outputs = writer.run(image)
    return writer.graph.file([image], list(outputs.values()), f"mobilenet {network.architecture}")
