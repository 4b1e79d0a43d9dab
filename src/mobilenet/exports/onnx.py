"""A network and its weights as an ONNX graph, written straight from the network's description.

Needs the `onnx` package (`pip install onnx`) and nothing else. Batch normalization is folded into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.fold import Folded, fold
from ..errors import assert_never
from ..network.layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize, Resolution, padding_around

if TYPE_CHECKING:
    import onnx

    from ..tensors import Floats

OPSET = 18


def to_onnx(
    network: Network, tensors: Mapping[str, Floats], resolution: Resolution | None = None, batch: int | None = 1
) -> onnx.ModelProto:
    """An `onnx.ModelProto` from ``input`` (batch, 3, H, W) float32 to the network's outputs by name.

    Args:
        tensors: names and shapes as `Network.tensors` lists them.
        resolution: the image's size (TensorFlow's padding depends on it); default: the network's.
        batch: images at once, or None for any number.
    """
    graph, folded = Graph(network, resolution, batch), fold(network, tensors)
    for layer in network.layers:
        write(graph, layer, folded)
    return graph.model()


def write(graph: Graph, layer: Layer, folded: Mapping[str, Folded]) -> None:
    """The layer as ONNX nodes; the last one makes the tensor of the layer's name."""
    name, inputs = layer.name, list(layer.inputs)
    match layer:
        case Add():
            graph.node("Add", inputs, name)
        case GlobalPool():
            graph.node("GlobalAveragePool", inputs, name)
        case Concat():
            graph.node("Concat", inputs, name, axis=1)
        case Resize():
            graph.resize(layer, name)
        case Linear():
            flat = graph.node("Flatten", inputs, f"{name}/flat", axis=1)
            graph.node("Gemm", [flat, *parameters_of(name, folded, graph)], name, transB=1)
        case Conv():
            linear = layer.activation == "linear"
            raw = graph.convolve(layer, inputs[0], parameters_of(name, folded, graph), name if linear else f"{name}/conv")
            if not linear:
                graph.activate(layer, raw, name)
        case _:
            assert_never(layer)


def parameters_of(name: str, folded: Mapping[str, Folded], graph: Graph) -> list[str]:
    """Weight and bias of a layer as constants, by name."""
    weight, bias = folded[name]
    return [graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)]


class Nodes:
    """ONNX nodes and constants that grow one by one. A tensor is its name, and a method returns that of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output


class Graph(Nodes):
    """A network's graph.

    Args:
        resolution, batch: as for `to_onnx`.
    """

    def __init__(self, network: Network, resolution: Resolution | None, batch: int | None) -> None:
        super().__init__()
        self.network, self.batch, self.shapes = network, batch, network.shapes(resolution)

    def pads(self, layer: Conv) -> list[int]:
        """Zeros before rows and columns, then behind them."""
        (top, bottom), (left, right) = padding_around(layer, self.shapes[layer.inputs[0]], self.network.padding)
        return [top, left, bottom, right]

    def pad(self, layer: Conv, output: str) -> str:
        """The input of `layer` with zeros around it."""
        top, left, bottom, right = self.pads(layer)
        amounts = self.constant(f"{output}/amounts", np.array([0, 0, top, left, 0, 0, bottom, right]))
        return self.node("Pad", [layer.inputs[0], amounts], output)

    def convolve(self, layer: Conv, source: str, parameters: list[str], output: str, padded: bool = False) -> str:
        """The convolution without its activation. `padded` says that the source has its zeros already."""
        return self.node(
            "Conv",
            [source, *parameters],
            output,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            dilations=[layer.dilation] * 2,
            group=layer.groups,
            pads=[0] * 4 if padded else self.pads(layer),
        )

    def activate(self, layer: Conv, source: str, output: str) -> str:
        """The activation of a layer that has one."""
        if layer.activation == "relu":
            return self.node("Relu", [source], output)
        limits = [self.constant(f"{layer.name}.{which}", np.float32(v)) for which, v in (("low", 0), ("high", 6))]
        return self.node("Clip", [source, *limits], output)

    def resize(self, layer: Resize, output: str) -> str:
        """All four dimensions are given: ONNX Runtime 1.31 breaks a resize of some axes where it reorders quantized tensors."""
        mode = "align_corners" if layer.corners == "aligned" else "half_pixel"
        source, shape = self.shapes[layer.inputs[0]], self.shapes[layer.name]
        if self.batch:
            inputs = ["", self.constant(f"{layer.name}.size", np.array([self.batch, *shape], np.int64))]
        else:  # factors, a unit larger, because the sides are rounded down
            factors = np.nextafter(np.array(shape[1:], np.float32) / np.array(source[1:], np.float32), np.float32(np.inf))
            inputs = [self.constant(f"{layer.name}.factors", np.array([1, 1, *factors], np.float32))]
        return self.node("Resize", [layer.inputs[0], "", *inputs], output, mode="linear", coordinate_transformation_mode=mode)

    def model(self) -> onnx.ModelProto:
        """The graph with the network's outputs by name, checked."""
        from onnx import checker, helper

        outputs = {name: self.network[name].name for name in self.network.outputs}
        for name, tensor in outputs.items():
            if name != tensor:  # a block's name stands for its last layer
                self.nodes.append(helper.make_node("Identity", [tensor], [name], name=f"{name}/output"))
        graph = helper.make_graph(
            self.nodes,
            self.network.architecture,
            [self.value("input", "input")],
            [self.value(name, tensor) for name, tensor in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mobilenet")
        model.ir_version = 8  # what the opset came with; older runtimes refuse newer numbers
        checker.check_model(model)
        return model

    def value(self, name: str, tensor: str) -> onnx.ValueInfoProto:
        """The name, type and shape of an input or output."""
        from onnx import TensorProto, helper

        shape = [self.batch or "N", *self.shapes[tensor]]
        if tensor != "input" and isinstance(self.network[tensor], Linear):
            shape = shape[:2]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
