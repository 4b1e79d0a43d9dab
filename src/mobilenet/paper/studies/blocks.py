"""Blocks as diagrams: tensors with their channels and the operations between them, read from layers.

MobileNet's blocks come from the networks themselves. The blocks that they are compared with are written down here in the same
layers, one unit of each, as their own papers describe them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...network.cost import operation
from ...network.layers import Activation, Add, Concat, Conv, Layer, Network, Operation, Shape, strided


class Pool(Operation):
    """The mean of each window of 3 x 3."""

    stride: int = 1

    def output(self, shapes: list[Shape]) -> Shape:
        (x,) = shapes
        return Shape(x.channels, strided(x.height, self.stride), strided(x.width, self.stride))


class Separable(Operation):
    """Two separable convolutions in a row, as NASNet has them."""

    kernel: int
    channels: int

    def output(self, shapes: list[Shape]) -> Shape:
        return shapes[0]._replace(channels=self.channels)


Part = Layer | Pool | Separable


class Tensor(NamedTuple):
    """A box of a diagram.

    Attributes:
        linear: no activation comes before it.
        column: its place from left to right, the longest way from an input.
    """

    name: str
    shape: Shape
    linear: bool
    column: int


class Edge(NamedTuple):
    """An arrow: what makes `target` of `source`; "" for an input of a sum or a concatenation."""

    source: str
    target: str
    words: str


class Diagram(NamedTuple):
    title: str
    tensors: tuple[Tensor, ...]
    edges: tuple[Edge, ...]

    def column(self, name: str) -> int:
        """Of the tensor with this name."""
        return next(tensor.column for tensor in self.tensors if tensor.name == name)


def diagram(title: str, inputs: Mapping[str, Shape], parts: Sequence[Part], active: Sequence[str] = ()) -> Diagram:
    """The diagram of some layers that read `inputs`. `active` names the inputs, sums and joins behind an activation."""
    tensors = {name: Tensor(name, shape, name not in active, 0) for name, shape in inputs.items()}
    edges = list[Edge]()
    for part in parts:
        sources = [tensors[name] for name in part.inputs]
        joins = isinstance(part, Add | Concat)
        linear = joins or isinstance(part, Pool) or (isinstance(part, Conv) and part.activation == "linear")
        linear = linear and part.name not in active
        column = 1 + max(source.column for source in sources)
        tensors[part.name] = Tensor(part.name, part.output([source.shape for source in sources]), linear, column)
        edges += (Edge(source.name, part.name, "" if joins else words_of(part)) for source in sources)
    return Diagram(title, tuple(tensors.values()), tuple(edges))


def words_of(part: Part) -> str:
    """The operation on an arrow, its activation below."""
    if isinstance(part, Pool):
        return f"mean 3x3{f' /{part.stride}' if part.stride > 1 else ''}"
    if isinstance(part, Separable):
        return f"separable {part.kernel}x{part.kernel}"
    if not isinstance(part, Conv):
        return operation(part)
    name = operation(part).replace("depthwise", "dwise")
    if part.groups > 1 and not part.depthwise:
        name = f"{part.groups} groups {name.removeprefix('conv ')}"
    shown = {"relu6": "ReLU6", "relu": "ReLU", "linear": "linear"}[part.activation]
    return f"{name}\n{shown}"


def block_diagram(title: str, network: Network, block: str) -> Diagram:
    """A block of a network, at the network's resolution."""
    layers = network.blocks()[block]
    shapes, made = network.shapes(), {layer.name for layer in layers}
    outside = dict.fromkeys(name for layer in layers for name in layer.inputs if name not in made)
    before = [layer for layer in network.layers if layer.name in outside]
    active = [layer.name for layer in before if isinstance(layer, Conv) and layer.activation != "linear"]
    return diagram(title, {name: shapes[name] for name in outside}, layers, active)


def first_block(network: Network, stride: int, has_sum: bool, least: int = 0) -> str:
    """The first block of depthwise and pointwise convolutions of this stride, with a sum or without, of `least` channels."""
    for name, layers in network.blocks().items():
        depthwise = [layer for layer in layers if isinstance(layer, Conv) and layer.depthwise]
        sums = any(isinstance(layer, Add) for layer in layers)
        if depthwise and depthwise[0].stride == stride and sums == has_sum and depthwise[0].in_channels >= least:
            return name
    raise AssertionError(f"no block of stride {stride}")


def conv(name: str, source: str, channels: tuple[int, int], kernel: int = 1, stride: int = 1, groups: int = 1,
         activation: Activation = "relu") -> Conv:  # fmt: skip
    return Conv(name, (source,), *channels, kernel, stride, groups=groups, activation=activation)


def residual_block(wide: int = 256, narrow: int = 64, side: int = 56) -> Diagram:
    """A block of ResNet-50 (arXiv 1512.03385, Figure 5, right)."""
    parts = (
        conv("reduce", "input", (wide, narrow)),
        conv("full", "reduce", (narrow, narrow), 3),
        conv("restore", "full", (narrow, wide), activation="linear"),
        Add("sum", ("input", "restore")),
    )
    return diagram("ResNet", {"input": Shape(wide, side, side)}, parts, ("input", "sum"))


def shufflenet_unit(stride: int, channels: int = 480, groups: int = 3) -> Diagram:
    """A unit of ShuffleNet (arXiv 1707.01083, Figure 2, b and c): the third stage at 1x, behind the second one at stride 2."""
    before, inner = channels // stride, channels // 4
    after, shape = channels if stride == 1 else channels - before, Shape(before, 14 * stride, 14 * stride)
    main = (
        conv("reduce", "input", (before, inner), groups=groups),
        conv("depthwise", "reduce", (inner, inner), 3, stride, inner, "linear"),
        conv("restore", "depthwise", (inner, after), groups=groups, activation="linear"),
    )
    if stride == 1:
        return diagram("ShuffleNet, stride 1", {"input": shape}, (*main, Add("sum", ("input", "restore"))), ("input", "sum"))
    pool = Pool("mean", ("input",), stride)
    parts = (*main, pool, Concat("concat", ("mean", "restore")))
    return diagram("ShuffleNet, stride 2", {"input": shape}, parts, ("input", "concat"))


def nasnet_cell(filters: int = 44, side: int = 28) -> Diagram:
    """The normal cell of NASNet-A (arXiv 1707.07012, Figure 4), the mobile one's first stage; it reads two cells."""
    cell = Shape(6 * filters, side, side)
    parts: tuple[Part, ...] = (
        conv("h", "cell", (cell.channels, filters)),
        conv("p", "cell before", (cell.channels, filters)),
        Separable("h5", ("h",), 5, filters),
        Separable("p3", ("p",), 3, filters),
        Separable("p5", ("p",), 5, filters),
        Separable("q3", ("p",), 3, filters),
        Pool("hm", ("h",)),
        Pool("pm", ("p",)),
        Separable("h3", ("h",), 3, filters),
        Add("one", ("h5", "p3")),
        Add("two", ("p5", "q3")),
        Add("three", ("hm", "p")),
        Add("four", ("pm", "pm")),
        Add("five", ("h3", "h")),
        Concat("concat", ("p", "one", "two", "three", "four", "five")),
    )
    return diagram("NASNet-A, normal cell", {"cell": cell, "cell before": cell}, parts)
