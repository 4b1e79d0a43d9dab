"""Networks as TensorFlow's exported graphs hold them: their operations, matched with a `Network` by names and by wires.

A TFLite or tfjs graph becomes `Part`s, one for each operation that computes something; batch norm, bias and activation are
part of their convolution, reshapes and the like are seen through. Names say which layer a convolution is; then every layer's
inputs, geometry and activation are checked against the graph, so a file with the right shapes and other wires is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from ..network.layers import Activation, Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize
from .layouts import Layout, LayoutError

Key = int | str
Kind = Literal["conv", "add", "mean", "resize", "concat"]
KINDS: dict[type, Kind] = {Conv: "conv", Linear: "conv", Add: "add", GlobalPool: "mean", Resize: "resize", Concat: "concat"}
PREFIXES = ("FeatureExtractor/", "MobilenetV1/MobilenetV1/")  # of whole models around the network


@dataclass(frozen=True)
class Part:
    """One operation of a graph.

    Attributes:
        kind: what it computes.
        name: of a convolution the scope of its variables, of the others their output's.
        inputs, output: its tensors, by the graph's own keys.
        weight: (out, in / groups, kernel, kernel) of a convolution; integers where the graph is quantised.
        bias: (out,), or None where the graph adds it elsewhere.
        stride, dilation, activation: of a convolution; `same` where it pads as TensorFlow's SAME.
        corners: of a resize.
    """

    kind: Kind
    name: str
    inputs: tuple[Key, ...]
    output: Key
    weight: NDArray[Any] | None = field(default=None, repr=False)
    bias: NDArray[Any] | None = field(default=None, repr=False)
    stride: int = 1
    dilation: int = 1
    activation: Activation = "linear"
    same: bool = True
    depthwise: bool = False
    corners: str = ""


@dataclass(frozen=True)
class Wiring:
    """A graph as parts, the picture's key, and its height and width."""

    parts: tuple[Part, ...]
    picture: Key
    resolution: tuple[int, int]

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Weights and biases as a layout names them: ``<scope>.weight``, ``<scope>.bias``."""
        found: dict[str, NDArray[Any]] = {}
        for part in self.parts:
            if part.weight is not None and part.bias is not None:
                if f"{part.name}.weight" in found:
                    raise LayoutError(f"two convolutions are called {part.name!r}; the graph is no network of this family")
                found[f"{part.name}.weight"], found[f"{part.name}.bias"] = part.weight, part.bias
        return found

    @property
    def output_stride(self) -> int:
        """Pixels of the picture for one of the last map: the product of the strides, which stand in one chain."""
        return math.prod(part.stride for part in self.parts)


def scope(name: str) -> str:
    """The first of the names that a converter joins, less the variable's own: ``MobilenetV2/Conv/Conv2D_Fold;...``."""
    name = name.partition(";")[0]
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    head, _, tail = name.rpartition("/")
    for middle in ("/BatchNorm", "/batch_norm"):
        head = head.removesuffix(middle)
    return head or tail


def wires(layout: Layout, network: Network, wiring: Wiring, source: str) -> dict[str, Key]:
    """The graph's tensor for ``input`` and each layer of `network`; LayoutError where a wire or an option is another."""
    places = {layer.name: place.conv for layer, place in layout.places(network)}
    convolutions = {part.name: part for part in wiring.parts if part.kind == "conv"}
    keys: dict[str, Key] = {"input": wiring.picture}
    used: set[int] = set()
    for layer in network.layers:
        inputs = tuple(keys[name] for name in (layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs))
        named = isinstance(layer, (Conv, Linear))
        candidates = (convolutions[places[layer.name]],) if named else wiring.parts
        part = next((p for p in candidates if p.kind == KINDS[type(layer)] and same_inputs(p, inputs)), None)
        if part is None:
            wanted = f"{layer.name!r} from {' and '.join(layer.inputs)}"
            raise LayoutError(f"{source}: nothing computes {wanted} as {network.architecture} does")
        if wrong := differs(layer, part, network):
            raise LayoutError(f"{source}: {part.name!r}, which is {layer.name!r}, {wrong}")
        used.add(id(part))
        keys[layer.name] = part.output
    if left := [part.name for part in wiring.parts if id(part) not in used]:
        raise LayoutError(f"{source}: {left[0]!r} has no place in {network.architecture}")
    return keys


def same_inputs(part: Part, inputs: tuple[Key, ...]) -> bool:
    if part.kind == "add":
        return sorted(map(str, part.inputs)) == sorted(map(str, inputs))
    return part.inputs == inputs


def differs(layer: Layer, part: Part, network: Network) -> str:
    """What is other in the graph than in the layer, or nothing."""
    if isinstance(layer, Resize):
        return "" if part.corners == layer.corners else f"has corners {part.corners}, must be {layer.corners}"
    if isinstance(layer, Linear):
        return "" if part.activation == "linear" else f"has the activation {part.activation}, must be linear"
    if isinstance(layer, Conv):
        found = (part.stride, part.dilation, part.activation, part.depthwise)
        must = (layer.stride, layer.dilation, layer.activation, layer.depthwise)
        names = ("stride", "dilation", "activation", "depthwise")
        for name, have, want in zip(names, found, must, strict=True):
            if have != want:
                return f"has {name} {have}, must be {want}"
        if layer.kernel > 1 and not part.same:
            return "pads by VALID, must by SAME"
    return ""
