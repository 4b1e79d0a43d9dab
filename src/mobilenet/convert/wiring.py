"""TensorFlow's exported graphs as operations that are matched with a `Network`, by their names and by their wires.

A TFLite or tfjs graph becomes `GraphOp`s, one for each operation that computes something; batch norm, bias and activation
belong to their convolution, and reshapes and the like are skipped. Names say which layer a convolution is. Then every layer's
inputs, geometry and activation are checked against the graph, so a file with the right shapes and other wires is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ..errors import assert_never
from ..network.layers import Activation, Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize
from .naming import Array, LayoutError, SourceLayout

Key = int | str
"""A tensor of a graph: its index in TFLite, its name in tfjs."""

Kind = Literal["conv", "add", "mean", "resize", "concat"]
PREFIXES = ("FeatureExtractor/", "MobilenetV1/MobilenetV1/")  # of whole models around the network


@dataclass(frozen=True)
class GraphOp:
    """One operation of a graph.

    Attributes:
        kind: what it computes.
        name: the scope of a convolution's variables; the output's name of any other operation.
        inputs, output: its tensors, by the graph's own keys.
        weight: (out, in / groups, kernel, kernel) of a convolution; integers if the graph is quantized.
        bias: (out,), or None if the graph adds it elsewhere.
        stride, dilation, activation: of a convolution.
        same: whether a convolution pads as TensorFlow's SAME.
        corners: of a resize.
    """

    kind: Kind
    name: str
    inputs: tuple[Key, ...]
    output: Key
    weight: Array | None = field(default=None, repr=False)
    bias: Array | None = field(default=None, repr=False)
    stride: int = 1
    dilation: int = 1
    activation: Activation = "linear"
    same: bool = True
    depthwise: bool = False
    corners: str = ""


@dataclass(frozen=True)
class Wiring:
    """A graph as operations, the key of its image, and the image's height and width."""

    operations: tuple[GraphOp, ...]
    image: Key
    resolution: tuple[int, int]

    def tensors(self) -> dict[str, Array]:
        """Weights and biases as a layout names them: ``<scope>.weight``, ``<scope>.bias``."""
        tensors: dict[str, Array] = {}
        for op in self.operations:
            if op.weight is not None and op.bias is not None:
                if f"{op.name}.weight" in tensors:
                    raise LayoutError(f"two convolutions are called {op.name!r}; the graph is no network of this family")
                tensors[f"{op.name}.weight"], tensors[f"{op.name}.bias"] = op.weight, op.bias
        return tensors

    @property
    def output_stride(self) -> int:
        """Pixels of the image for one pixel of the last map: the product of the strides, which stand in one chain."""
        return math.prod(op.stride for op in self.operations)


def scope(name: str) -> str:
    """The scope of a tensor: ``MobilenetV2/Conv`` of ``MobilenetV2/Conv/Conv2D_Fold;...``. Converters join several names by
    semicolons; the first one counts, without the variable's own part."""
    name = name.partition(";")[0]
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    head, _, tail = name.rpartition("/")
    for middle in ("/BatchNorm", "/batch_norm"):
        head = head.removesuffix(middle)
    return head or tail


def match_wires(layout: SourceLayout, network: Network, wiring: Wiring, source: str) -> dict[str, Key]:
    """The graph's tensor for ``input`` and for the output of each layer of `network`.

    Raises:
        LayoutError: a wire or an option differs, or an operation is no layer of the network.
    """
    places = {layer.name: place.conv for layer, place in layout.places(network)}
    convolutions = {op.name: op for op in wiring.operations if op.kind == "conv"}
    keys: dict[str, Key] = {"input": wiring.image}
    matched: set[int] = set()
    for layer in network.layers:
        inputs = tuple(keys[name] for name in (layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs))
        named = isinstance(layer, (Conv, Linear))
        candidates = (convolutions[places[layer.name]],) if named else wiring.operations
        kind = kind_of(layer)
        op = next((op for op in candidates if op.kind == kind and same_inputs(op, inputs)), None)
        if op is None:
            expected = f"{layer.name!r} from {' and '.join(layer.inputs)}"
            raise LayoutError(f"{source}: nothing computes {expected} as {network.architecture} does")
        if difference := option_difference(layer, op):
            raise LayoutError(f"{source}: {op.name!r}, which is {layer.name!r}, {difference}")
        matched.add(id(op))
        keys[layer.name] = op.output
    if unmatched := [op.name for op in wiring.operations if id(op) not in matched]:
        raise LayoutError(f"{source}: {unmatched[0]!r} has no place in {network.architecture}")
    return keys


def kind_of(layer: Layer) -> Kind:
    match layer:
        case Conv() | Linear():
            return "conv"
        case Add():
            return "add"
        case GlobalPool():
            return "mean"
        case Resize():
            return "resize"
        case Concat():
            return "concat"
        case _:
            assert_never(layer)


def same_inputs(op: GraphOp, inputs: tuple[Key, ...]) -> bool:
    if op.kind == "add":
        return sorted(map(str, op.inputs)) == sorted(map(str, inputs))
    return op.inputs == inputs


def option_difference(layer: Layer, op: GraphOp) -> str:
    """The first option in which the operation differs from the layer, in words, or nothing."""
    match layer:
        case Resize():
            return "" if op.corners == layer.corners else f"has corners {op.corners}, must be {layer.corners}"
        case Linear():
            return "" if op.activation == "linear" else f"has the activation {op.activation}, must be linear"
        case Conv():
            for name in ("stride", "dilation", "activation", "depthwise"):
                if (value := getattr(op, name)) != (expected := getattr(layer, name)):
                    return f"has {name} {value}, must be {expected}"
            return "pads by VALID, must pad by SAME" if layer.kernel > 1 and not op.same else ""
        case Add() | GlobalPool() | Concat():
            return ""
        case _:
            assert_never(layer)
