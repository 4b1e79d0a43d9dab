"""A network and its weights as an ONNX graph, written straight from the network's description.

Needs the `onnx` package (`pip install onnx`) and nothing else. Batch normalization is folded into the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.fold import Folded, fold
from ..errors import assert_never
from ..network.layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize, Resolution, Shape, padding_amounts

if TYPE_CHECKING:
    Constant = Callable[[str, Any], str]  # stores an array under a name, and returns the name
    from ..tensors import Floats

OPSET = 18  # the first whose Resize takes rows and columns alone


def to_onnx(
    network: Network, tensors: Mapping[str, Floats], resolution: Resolution | None = None, batch: int | None = 1
) -> Any:
    """An `onnx.ModelProto` from ``input`` (batch, 3, H, W) float32 to the network's outputs by name.

    Args:
        tensors: names and shapes as `Network.tensors` lists them.
        resolution: the image's size (TensorFlow's padding depends on it); default: the network's.
        batch: images at once, or None for any number.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    shapes = network.shapes(resolution)
    folded = fold(network, tensors)
    constants: list[Any] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    nodes: list[Any] = []
    for layer in network.layers:
        nodes += _nodes(network, layer, folded, shapes, constant, helper)

    def value(name: str, tensor: str) -> Any:
        shape = [batch or "N", *shapes[tensor]]
        if tensor != "input" and isinstance(network[tensor], Linear):
            shape = shape[:2]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    outputs = {name: network[name].name for name in network.outputs}
    for name, tensor in outputs.items():
        if name != tensor:  # a block's name stands for its last layer
            nodes.append(helper.make_node("Identity", [tensor], [name], name=f"{name}/output"))
    graph = helper.make_graph(
        nodes,
        network.architecture,
        [value("input", "input")],
        [value(name, tensor) for name, tensor in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mobilenet")
    model.ir_version = 8  # what opset 18 came with; older runtimes refuse newer numbers
    checker.check_model(model)
    return model


def _nodes(
    network: Network, layer: Layer, folded: Mapping[str, Folded], shapes: Mapping[str, Shape], constant: Constant, helper: Any
) -> list[Any]:
    """The layer as ONNX nodes; the last one makes the tensor of the layer's name."""
    name, inputs = layer.name, list(layer.inputs)
    match layer:
        case Add():
            return [helper.make_node("Add", inputs, [name], name=name)]
        case GlobalPool():
            return [helper.make_node("GlobalAveragePool", inputs, [name], name=name)]
        case Concat():
            return [helper.make_node("Concat", inputs, [name], name=name, axis=1)]
        case Resize():
            mode = "align_corners" if layer.corners == "aligned" else "half_pixel"
            size = constant(f"{name}.size", np.array(shapes[name][1:], np.int64))
            attributes = {"mode": "linear", "axes": [2, 3], "coordinate_transformation_mode": mode}
            return [helper.make_node("Resize", [inputs[0], "", "", size], [name], name=name, **attributes)]
        case Linear():
            flat, parameters = f"{name}/flat", parameters_of(name, folded, constant)
            return [
                helper.make_node("Flatten", inputs, [flat], name=flat, axis=1),
                helper.make_node("Gemm", [flat, *parameters], [name], name=name, transB=1),
            ]
        case Conv():
            return _convolution(network, layer, parameters_of(name, folded, constant), shapes, constant, helper)
        case _:
            assert_never(layer)


def parameters_of(name: str, folded: Mapping[str, Folded], constant: Constant) -> list[str]:
    """Weight and bias of a layer as constants, by name."""
    weight, bias = folded[name]
    return [constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]


def _convolution(
    network: Network, layer: Conv, parameters: list[str], shapes: Mapping[str, Shape], constant: Constant, helper: Any
) -> list[Any]:
    name, inputs = layer.name, list(layer.inputs)
    source = shapes[inputs[0]]
    (top, bottom), (left, right) = (
        padding_amounts(side, layer.kernel, layer.stride, layer.dilation, network.padding)
        for side in (source.height, source.width)
    )
    linear = layer.activation == "linear"
    raw = name if linear else f"{name}/conv"
    nodes = [helper.make_node("Conv", [*inputs, *parameters], [raw], name=raw, kernel_shape=[layer.kernel] * 2,
                              strides=[layer.stride] * 2, dilations=[layer.dilation] * 2, group=layer.groups,
                              pads=[top, left, bottom, right])]  # fmt: skip
    if layer.activation == "relu":
        nodes.append(helper.make_node("Relu", [raw], [name], name=name))
    elif not linear:
        limits = [constant(f"{name}.{which}", np.array(v, np.float32)) for which, v in (("low", 0), ("high", 6))]
        nodes.append(helper.make_node("Clip", [raw, *limits], [name], name=name))
    return nodes
