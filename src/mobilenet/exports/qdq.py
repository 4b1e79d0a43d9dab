"""An integer network of our own as an ONNX graph in QDQ form, which runtimes compute in integers.

Every tensor of bytes stands between QuantizeLinear and DequantizeLinear; weights and biases are integers behind
DequantizeLinear. All integers, scales and zero points are those of the model file. The graph says the same as the rules of
docs/numerics.md but for a resize, which it blends in floats, and for the rounding of values that lie within a float's precision
of a half. How a runtime then computes it is its own choice. Needs the `onnx` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import assert_never
from ..network.grid import ONE, GridQuantization, limits, real_outputs, shortcuts
from ..network.layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize, Resolution
from ..network.quantization import Affine, weighted
from .onnx import Graph

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from ..tensors import Array


def to_qdq(
    network: Network,
    tensors: Mapping[str, Array],
    quantization: GridQuantization,
    resolution: Resolution | None = None,
    batch: int | None = 1,
    round_shortcuts: bool = False,
) -> onnx.ModelProto:
    """An `onnx.ModelProto` from ``input`` (batch, 3, H, W) float32 to the network's outputs by name, float32.

    Args:
        tensors, quantization: of a model file of ours.
        resolution: the image's size (TensorFlow's padding depends on it); default: the network's.
        batch: images at once, or None for any number.
        round_shortcuts: round a convolution before an addition reads it, to the addition's own scale. The grid rounds both
            together. ONNX Runtime needs it to compute such convolutions in integers, and is a third faster with it.
    """
    writer = _Writer(network, tensors, quantization, Graph(network, resolution, batch), round_shortcuts)
    for layer in network.layers:
        writer.write(layer)
    return writer.graph.model()


class _Writer:
    """Writes layer after layer; the tensor of a layer's name holds its real numbers."""

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Array],
        quantization: GridQuantization,
        graph: Graph,
        round_shortcuts: bool,
    ) -> None:
        self.network, self.tensors, self.quantization, self.graph = network, tensors, quantization, graph
        self.round_shortcuts = round_shortcuts
        self.shortcuts, self.real = shortcuts(network), real_outputs(network)
        self.stems = {layer.name: stem for layer, stem in weighted(network)}

    def write(self, layer: Layer) -> None:
        name, inputs, graph = layer.name, list(layer.inputs), self.graph
        stays_real = name in self.real or (name in self.shortcuts and not self.round_shortcuts)
        raw = name if stays_real else f"{name}/real"
        match layer:
            case Conv():
                graph.convolve(layer, self.read(layer, inputs[0]), self.parameters(layer), raw, padded=inputs[0] == "input")
            case Linear():
                source = self.bytes(inputs[0] + "/flat", self.flat(layer), self.quantization.activations[inputs[0]])
                graph.node("Gemm", [source, *self.parameters(layer)], raw, transB=1)
            case Add():
                graph.node("Add", [self.residual(layer, source) for source in inputs], raw)
            case Concat():
                graph.node("Concat", inputs, raw, axis=1)
            case Resize():
                graph.resize(layer, raw)
            case GlobalPool():
                graph.node("GlobalAveragePool", inputs, raw)
            case _:
                assert_never(layer)
        if not stays_real:
            result = self.quantization.target(name, self.shortcuts.get(name))
            self.bytes(name, self.clipped(layer, raw, result), result)

    def read(self, layer: Conv, source: str) -> str:
        """The real numbers that a convolution reads. Those of the image are pixels; padding is the pixel of real 0."""
        if source != "input":
            return source
        graph, name = self.graph, f"{layer.name}/pixels"
        factor, offset = (np.array(part, np.float32)[:, None, None] for part in self.quantization.pixels)
        x = graph.pad(layer, f"{name}/padded")
        x = graph.node("Mul", [x, graph.constant(f"{name}/factor", factor)], f"{name}/scaled")
        x = graph.node("Add", [x, graph.constant(f"{name}/offset", offset)], f"{name}/real")
        return self.bytes(name, x, Affine(1.0, 0))

    def residual(self, layer: Add, source: str) -> str:
        """What an addition reads: a residual has the scale that its integer multiplier stands for, channel by channel."""
        conv = next((conv for conv, shortcut in self.shortcuts.items() if shortcut == (layer.name, source)), None)
        if conv is None or self.round_shortcuts:
            return source
        quantization, graph, name = self.quantization, self.graph, f"{layer.name}/residual"
        residual, result = quantization.activations[source], quantization.activations[layer.name]
        weight = f"{self.stems[conv]}.weight"
        exact = quantization.residual_multipliers(weight, residual, result) * quantization.multipliers[weight].astype(
            np.float64
        )
        scale = (exact * (result.scale / ONE)).astype(np.float32)
        numbers = [
            graph.constant(f"{name}/scale", scale),
            graph.constant(f"{name}/zero_point", np.full(len(scale), residual.zero_point, np.uint8)),
        ]
        return graph.node("DequantizeLinear", [f"{source}/bytes", *numbers], name, axis=1)

    def flat(self, layer: Linear) -> str:
        return self.graph.node("Flatten", [layer.inputs[0]], f"{layer.inputs[0]}/rows", axis=1)

    def clipped(self, layer: Layer, raw: str, result: Affine) -> str:
        """The activation's limits, where those of a byte are not narrower already."""
        if not isinstance(layer, Conv) or limits(layer.activation, result) == (0, 255):
            return raw
        return self.graph.activate(layer, raw, f"{layer.name}/active")

    def bytes(self, name: str, source: str, affine: Affine) -> str:
        """Real numbers `source` rounded to bytes and back; the result is called `name`."""
        graph = self.graph
        numbers = [
            graph.constant(f"{name}/scale", np.float32(affine.scale)),
            graph.constant(f"{name}/zero_point", np.uint8(affine.zero_point)),
        ]
        graph.node("QuantizeLinear", [source, *numbers], f"{name}/bytes")
        return graph.node("DequantizeLinear", [f"{name}/bytes", *numbers], name)

    def parameters(self, layer: Conv | Linear) -> list[str]:
        """Weight and bias as real numbers from their integers. The bias has no zero point folded in, as ONNX wants it."""
        stem, quantization = self.stems[layer.name], self.quantization
        weight, bias = self.tensors[f"{stem}.weight"], self.tensors[f"{stem}.bias"].astype(np.int64)
        scale, source = quantization.weight_scales(layer, stem, self.shortcuts.get(layer.name)), 1.0
        if layer.inputs[0] != "input":
            source, zero_point = quantization.activations[layer.inputs[0]]
            bias += weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64) * zero_point
        return [
            self.integers(f"{stem}.weight", weight, scale),
            self.integers(f"{stem}.bias", bias.astype(np.int32), scale * source),
        ]

    def integers(self, name: str, values: Array, scale: NDArray[np.float64]) -> str:
        graph = self.graph
        inputs = [
            graph.constant(f"{name}/integers", values),
            graph.constant(f"{name}/scale", scale.astype(np.float32)),
            graph.constant(f"{name}/zero_point", np.zeros(len(scale), values.dtype)),
        ]
        return graph.node("DequantizeLinear", inputs, name, axis=0)
