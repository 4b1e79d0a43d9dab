"""tfjs graphs as operations of a network: each convolution absorbs the scale, batch norm, bias and activation behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Activation
from .naming import Array, LayoutError
from .readers.tfjs import Node, TfjsError, TfjsGraph, integers, number, text
from .wiring import GraphOp, Wiring, scope

ACTIVATIONS: dict[str, Activation] = {"Relu": "relu", "Relu6": "relu6"}
ADDITIONS = ("Add", "AddV2", "BiasAdd")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
MAX_TAIL = 8  # nodes that one convolution absorbs; the published graphs have up to 3
RESIZED_TO = "Preprocessor/map/while/ResizeImage/stack"  # the object detection API's own constant: height, width

Readers = Mapping[str, list[Node]]
"""The nodes that read a node's output, by its name."""


def tfjs_wiring(graph: TfjsGraph, source: str) -> Wiring:
    """The operations of a tfjs graph from the first convolution to the last; what stands around them the predictor does."""
    try:
        return wiring_of(graph)
    except (TfjsError, LayoutError) as error:
        raise LayoutError(f"{source}: {error}") from error


def wiring_of(graph: TfjsGraph) -> Wiring:
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    nodes = [node for node in graph.nodes.values() if node.op in CONVOLUTIONS]
    kernels = [node.inputs[1] for node in nodes if len(node.inputs) > 1]
    if len(set(kernels)) < len(kernels):  # each would keep a folded copy
        raise LayoutError("two convolutions read the same weights; no network of this family has that")
    convolutions = [convolution(node, graph, readers) for node in nodes]
    by_output = {op.output: op for op in convolutions}
    additions = []
    for node in graph.nodes.values():
        if node.op == "AddN" and len(node.inputs) == 2:
            following = readers.get(node.name, [])
            output = node.name
            if len(following) == 1 and (bias := addend(following[0], graph)):
                op = with_bias(by_output, node, graph.weights[bias])
                by_output[op.output], output = op, following[0].name
            additions.append(GraphOp("add", node.name, node.inputs, output))
    operations = (*(by_output[op.output] for op in convolutions), *additions)
    if bare := [op.name for op in operations if op.weight is not None and op.bias is None]:
        raise LayoutError(f"convolution {bare[0]!r} has no bias; no network of this family has that")
    outputs = {op.output for op in operations}
    images = {name for op in operations for name in op.inputs if name not in outputs}
    if len(images) != 1:
        raise LayoutError(f"convolutions start from {len(images)} tensors, a network from one image")
    size = graph.weights.get(RESIZED_TO)
    if size is None or size.shape != (2,) or size.dtype.kind != "i":
        raise LayoutError(f"no constant {RESIZED_TO!r} says the image's size; give a resolution of the object detection API")
    return Wiring(operations, images.pop(), (int(size[0]), int(size[1])))


def with_bias(by_output: Mapping[str | int, GraphOp], node: Node, bias: Array) -> GraphOp:
    """The convolution that the bias behind the sum `node` belongs to, with it.

    TensorFlow's graph optimizer adds a shortcut to a convolution first and the convolution's bias after it.
    """
    bare = [op for name in dict.fromkeys(node.inputs) if (op := by_output.get(name)) and op.bias is None]
    if len(bare) != 1 or bare[0].weight is None or bias.shape != bare[0].weight.shape[:1] or bias.dtype != np.float32:
        raise LayoutError(f"{node.name!r}: a bias {bias.shape} behind the sum, and {len(bare)} convolutions without one")
    return replace(bare[0], bias=bias)


def addend(node: Node, graph: TfjsGraph) -> str | None:
    """The name of the constant that `node` adds to something, or None if it does something else."""
    if node.op not in ADDITIONS or len(node.inputs) != 2:
        return None
    constants = [name for name in node.inputs if name in graph.weights]
    return constants[0] if len(constants) == 1 else None


def convolution(node: Node, graph: TfjsGraph, readers: Readers) -> GraphOp:
    """The convolution `node` with its tail, folded in double precision and rounded once."""
    depthwise = node.op == "DepthwiseConv2dNative"
    strides, dilations = integers(node, "strides", 1), integers(node, "dilations", 1)
    kernel = constant(node, 1, graph)
    if kernel.ndim != 4 or len(node.inputs) != 2 or len({*strides[1:3]}) != 1 or len({*dilations[1:3]}) != 1:
        raise LayoutError(
            f"{node.name!r}: strides {strides}, dilations {dilations}, weights {kernel.shape} fit no convolution here"
        )
    if not kernel.size:  # with a side of 0 the others may claim any number of channels
        raise LayoutError(f"{node.name!r}: weights {kernel.shape} have no elements")
    if depthwise and kernel.shape[3] != 1:
        raise LayoutError(f"{node.name!r}: {kernel.shape[3]} outputs for each channel; no network of this family has that")
    weight = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    tail = tail_of(node, len(weight), graph, readers)
    with np.errstate(over="ignore"):
        folded = (weight.astype(np.float64) * tail.scale[:, None, None, None]).astype(np.float32)
        bias = tail.bias.astype(np.float32)
    if not (np.isfinite(folded).all() and np.isfinite(bias).all()):
        raise LayoutError(f"{node.name!r}: its weights are not finite after folding; the file is damaged")
    return GraphOp(
        "conv",
        scope(node.inputs[1].removesuffix("/merged_input")),
        node.inputs[:1],
        tail.output,
        folded,
        bias if tail.has_bias else None,
        strides[1],
        dilations[1],
        tail.activation,
        same=text(node, "padding") == "SAME",
        depthwise=depthwise,
    )


@dataclass
class Tail:
    """What follows a convolution: its output times `scale`, (channels,), plus `bias`, (channels,), then the activation."""

    output: str
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    has_bias: bool = False
    activation: Activation = "linear"


def tail_of(node: Node, channels: int, graph: TfjsGraph, readers: Readers) -> Tail:
    """The nodes behind a convolution, up to its activation or to the first node of another kind.

    Nodes may form a circle; the limit ends it.
    """
    tail = Tail(node.name, np.ones(channels), np.zeros(channels))
    for _ in range(MAX_TAIL + 1):
        following = readers.get(tail.output, [])
        if len(following) != 1:
            return tail
        (step,) = following
        if step.op in ACTIVATIONS:
            tail.activation, tail.output = ACTIVATIONS[step.op], step.name
            return tail
        if step.op == "Mul" and len(step.inputs) == 2 and step.inputs[1] in graph.weights:
            factor = per_channel(step, 1, graph, channels)
            tail.scale, tail.bias = tail.scale * factor, tail.bias * factor
        elif name := addend(step, graph):
            tail.bias, tail.has_bias = tail.bias + per_channel(step, step.inputs.index(name), graph, channels), True
        elif step.op.startswith("FusedBatchNorm"):
            gamma, beta, mean, variance = (per_channel(step, i, graph, channels) for i in (1, 2, 3, 4))
            if (variance < 0).any():
                raise LayoutError(f"{step.name!r}: a negative variance; the file is damaged")
            factor = gamma / np.sqrt(variance + number(step, "epsilon"))
            tail.scale, tail.bias, tail.has_bias = tail.scale * factor, (tail.bias - mean) * factor + beta, True
        else:
            return tail
        tail.output = step.name
    raise LayoutError(f"{node.name!r}: over {MAX_TAIL} nodes scale and shift its output; no network of this family has that")


def constant(node: Node, index: int, graph: TfjsGraph) -> Array:
    name = node.inputs[index] if index < len(node.inputs) else ""
    if name not in graph.weights or graph.weights[name].dtype != np.float32:
        raise LayoutError(f"{node.name!r}: its input {index} {name!r} is no constant of floats")
    return graph.weights[name]


def per_channel(node: Node, index: int, graph: TfjsGraph, channels: int) -> NDArray[np.float64]:
    values = constant(node, index, graph)
    if values.shape != (channels,):
        raise LayoutError(f"{node.inputs[index]!r} is {values.shape}, must be {(channels,)}")
    return values.astype(np.float64)
