"""A network and its weights as a Core ML program, written from the network's description by coremltools' own builder of MIL.

Needs the package `coremltools`; no torch module is made or traced. Tensors are N, C, H, W. Batch normalization is folded into
the weights, and padding stands in the convolutions. With integers the weights are stored as the model file has them, with a
scale for each channel; Core ML makes real numbers of them, and computes with these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..engine.fold import Folded, fold
from ..errors import assert_never
from ..network.grid import GridQuantization, shortcuts
from ..network.layers import (
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Resize,
    Shape,
    padding_around,
)
from .exporter import Content, ExportError

if TYPE_CHECKING:
    from ..tensors import Array, Floats


class Var(Protocol):
    """A value of a MIL program."""

    @property
    def name(self) -> str: ...


class Weights:
    """Weights and biases of a content, as constants of a MIL program: real ones, or integers and their scales."""

    def __init__(self, content: Content) -> None:
        self.model = content.model
        real = self.model.dequantized()
        self.folded: Mapping[str, Folded] = fold(real.network, real.tensors)
        self.integers = content.precision == "int8"
        self.shortcuts = shortcuts(content.network)

    def weight(self, layer: Conv | Linear) -> Floats | Var:
        """Of a layer. The first one of a grid has a factor for each color inside, so its weights stay real."""
        quantization, name = self.model.quantization, f"{layer.prefix}.weight"
        if not self.integers or quantization is None or layer.inputs[0] == "input":
            return np.ascontiguousarray(self.folded[layer.name].weight)
        if isinstance(quantization, GridQuantization):
            scales = quantization.weight_scales(layer, layer.prefix, self.shortcuts.get(layer.name)).astype(np.float32)
            return dequantize(self.model.tensors[name], scales, 0)
        return dequantize(self.model.tensors[name], quantization.scales[name], quantization.zero_points[name])

    def bias(self, layer: Conv | Linear) -> Floats:
        return self.folded[layer.name].bias


def dequantize(integers: Array, scales: Floats, zero_point: int) -> Var:
    """A constant that is stored in integers: (integers - zero point) * scales, a scale for each first index."""
    from coremltools.converters.mil import Builder as mb

    made: Var = mb.constexpr_affine_dequantize(
        quantized_data=np.ascontiguousarray(integers),
        zero_point=integers.dtype.type(zero_point),
        scale=scales if len(scales) > 1 else np.float32(scales[0]),
        axis=np.int32(0),
    )
    return made


def run_network(content: Content, image: Var) -> dict[str, Var]:
    """Writes all layers into the open program; the network's outputs by name.

    Args:
        image: (1, 3, H, W), normalized.

    Raises:
        ExportError: Core ML has no such layer.
    """
    network, weights = content.network, Weights(content)
    shapes = network.shapes()
    values: dict[str, Var] = {"input": image}
    for layer in network.layers:
        values[layer.name] = write(layer, [values[name] for name in layer.inputs], weights, network, shapes)
    return {name: values[network[name].name] for name in network.outputs}


def write(layer: Layer, inputs: list[Var], weights: Weights, network: Network, shapes: Mapping[str, Shape]) -> Var:
    """The layer's operations, and its output."""
    from coremltools.converters.mil import Builder as mb

    name, x = identifier(layer.name), inputs[0]
    made: Var
    match layer:
        case Conv():
            return convolve(layer, x, weights, network, shapes[layer.inputs[0]])
        case Linear():
            flat = mb.reshape(x=x, shape=[1, layer.in_channels], name=f"{name}_flat")
            made = mb.linear(x=flat, weight=weights.weight(layer), bias=weights.bias(layer), name=name)
        case GlobalPool():
            made = mb.reduce_mean(x=x, axes=[2, 3], keep_dims=True, name=name)
        case Add():
            made = mb.add(x=x, y=inputs[1], name=name)
        case Concat():
            made = mb.concat(values=inputs, axis=1, name=name)
        case Resize():
            made = resize(layer, x, shapes[layer.inputs[0]], shapes[layer.name])
        case _:
            assert_never(layer)
    return made


def convolve(layer: Conv, x: Var, weights: Weights, network: Network, source: Shape) -> Var:
    """A convolution with its activation."""
    from coremltools.converters.mil import Builder as mb

    name, linear = identifier(layer.name), layer.activation == "linear"
    (top, bottom), (left, right) = padding_around(layer, source, network.padding)
    made: Var = mb.conv(
        x=x,
        weight=weights.weight(layer),
        bias=weights.bias(layer),
        strides=[layer.stride] * 2,
        dilations=[layer.dilation] * 2,
        groups=layer.groups,
        pad_type="custom",
        pad=[top, bottom, left, right],
        name=name if linear else f"{name}_conv",
    )
    if linear:
        return made
    activation: Callable[..., Var] = mb.relu6 if layer.activation == "relu6" else mb.relu
    return activation(x=made, name=name)


def resize(layer: Resize, x: Var, source: Shape, target: Shape) -> Var:
    from coremltools.converters.mil import Builder as mb

    aligned = layer.corners == "aligned"
    if aligned and any(new == 1 < old for new, old in ((target.height, source.height), (target.width, source.width))):
        raise ExportError(
            f"layer {layer.name!r}: Core ML does not say what a resize of {source.height}x{source.width} to "
            f"{target.height}x{target.width} with aligned corners is; choose a larger resolution"
        )
    made: Var = mb.resize_bilinear(
        x=x,
        target_size_height=target.height,
        target_size_width=target.width,
        sampling_mode="STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS",
        name=identifier(layer.name),
    )
    return made


def identifier(name: str) -> str:
    """A layer's name as MIL allows it: letters, digits and underscores."""
    return name.replace(".", "_").replace("/", "_")
