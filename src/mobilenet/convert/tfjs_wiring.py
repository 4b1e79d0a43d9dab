"""tfjs graphs as parts of a network: each convolution takes in the scale, batch norm, bias and activation behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Activation
from .layouts import LayoutError
from .readers.tfjs import Node, TfjsError, TfjsGraph, integers, number, text
from .wiring import Part, Wiring, scope

ACTIVATIONS: dict[str, Activation] = {"Relu": "relu", "Relu6": "relu6"}
ADDITIONS = ("Add", "AddV2", "BiasAdd")
RESIZED_TO = "Preprocessor/map/while/ResizeImage/stack"  # the object detection API's own constant: height, width
Reals = NDArray[np.float64]


def tfjs_wiring(graph: TfjsGraph, source: str) -> Wiring:
    """The parts of a tfjs graph. What comes before the first convolution and after the last is the predictor's own work."""
    try:
        return wiring_of(graph)
    except (TfjsError, LayoutError) as error:
        raise LayoutError(f"{source}: {error}") from error


def wiring_of(graph: TfjsGraph) -> Wiring:
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    parts, sums = list[Part](), list[Node]()
    for node in graph.nodes.values():
        if node.op in ("Conv2D", "DepthwiseConv2dNative"):
            parts.append(convolution(node, graph, readers))
        elif node.op == "AddN" and len(node.inputs) == 2:
            sums.append(node)
    for node in sums:
        following = readers.get(node.name, [])
        if len(following) == 1 and (bias := addend(following[0], graph)):
            parts = with_bias(parts, node, graph.weights[bias])
            parts.append(Part("add", node.name, node.inputs, following[0].name))
        else:
            parts.append(Part("add", node.name, node.inputs, node.name))
    if bare := [part.name for part in parts if part.weight is not None and part.bias is None]:
        raise LayoutError(f"convolution {bare[0]!r} has no bias; no network of this family has that")
    made = {part.output for part in parts}
    pictures = {name for part in parts for name in part.inputs if name not in made}
    if len(pictures) != 1:
        raise LayoutError(f"convolutions start from {len(pictures)} tensors, a network from one picture")
    size = graph.weights.get(RESIZED_TO)
    if size is None or size.shape != (2,) or size.dtype.kind != "i":
        raise LayoutError(f"no constant {RESIZED_TO!r} says the picture's size; give a resolution of the object detection API")
    return Wiring(tuple(parts), pictures.pop(), (int(size[0]), int(size[1])))


def with_bias(parts: list[Part], node: Node, bias: NDArray[Any]) -> list[Part]:
    """TensorFlow's optimiser adds a shortcut to a convolution first and its bias then: back to where it belongs."""
    without = [part for part in parts if part.output in node.inputs and part.weight is not None and part.bias is None]
    fits = [part for part in without if part.weight is not None and bias.shape == part.weight.shape[:1]]
    if len(fits) != 1 or len(without) != 1 or bias.dtype != np.float32:
        raise LayoutError(f"{node.name!r}: a bias {bias.shape} behind the sum, and {len(without)} convolutions without one")
    return [replace(part, bias=bias) if part is without[0] else part for part in parts]


def addend(node: Node, graph: TfjsGraph) -> str | None:
    """The constant that `node` adds to something, if that is what it does."""
    if node.op not in ADDITIONS or len(node.inputs) != 2:
        return None
    constants = [name for name in node.inputs if name in graph.weights]
    return constants[0] if len(constants) == 1 else None


def convolution(node: Node, graph: TfjsGraph, readers: Mapping[str, list[Node]]) -> Part:
    """The convolution `node` with what follows it, folded in double precision and rounded once."""
    depthwise = node.op == "DepthwiseConv2dNative"
    strides, dilations = integers(node, "strides", 1), integers(node, "dilations", 1)
    kernel = constant(node, 1, graph).astype(np.float64)
    if kernel.ndim != 4 or len(node.inputs) != 2 or len({*strides[1:3]}) != 1 or len({*dilations[1:3]}) != 1:
        raise LayoutError(
            f"{node.name!r}: strides {strides}, dilations {dilations}, weights {kernel.shape} fit no convolution here"
        )
    if depthwise and kernel.shape[3] != 1:
        raise LayoutError(f"{node.name!r}: {kernel.shape[3]} outputs for each channel; no network of this family has that")
    weight = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    channels, last = len(weight), node
    activation: Activation = "linear"
    scale, bias, has_bias = np.ones(channels), np.zeros(channels), False
    while len(following := readers.get(last.name, [])) == 1:
        step = following[0]
        if step.op in ACTIVATIONS:
            activation, last = ACTIVATIONS[step.op], step
            break
        if step.op == "Mul" and is_constant(step, graph):
            factor = per_channel(step, 1, graph, channels)
            scale, bias = scale * factor, bias * factor
        elif added := addend(step, graph):
            bias, has_bias = bias + per_channel(step, step.inputs.index(added), graph, channels), True
        elif step.op.startswith("FusedBatchNorm"):
            gamma, beta, mean, variance = (per_channel(step, i, graph, channels) for i in (1, 2, 3, 4))
            if (variance < 0).any():
                raise LayoutError(f"{step.name!r}: a negative variance; the file is damaged")
            factor = gamma / np.sqrt(variance + number(step, "epsilon"))
            scale, bias, has_bias = scale * factor, (bias - mean) * factor + beta, True
        else:
            break
        last = step
    folded = (weight * scale[:, None, None, None]).astype(np.float32)
    shift = bias.astype(np.float32) if has_bias else None
    name = scope(node.inputs[1].removesuffix("/merged_input"))
    return Part("conv", name, node.inputs[:1], last.name, folded, shift, strides[1], dilations[1], activation,
                text(node, "padding") == "SAME", depthwise)  # fmt: skip


def is_constant(node: Node, graph: TfjsGraph) -> bool:
    return len(node.inputs) == 2 and node.inputs[1] in graph.weights


def constant(node: Node, index: int, graph: TfjsGraph) -> NDArray[Any]:
    name = node.inputs[index] if index < len(node.inputs) else ""
    if name not in graph.weights or graph.weights[name].dtype != np.float32:
        raise LayoutError(f"{node.name!r}: its input {index} {name!r} is no constant of floats")
    return graph.weights[name]


def per_channel(node: Node, index: int, graph: TfjsGraph, channels: int) -> Reals:
    values = constant(node, index, graph).astype(np.float64)
    if values.shape != (channels,):
        raise LayoutError(f"{node.inputs[index]!r} is {values.shape}, must be {(channels,)}")
    return values
