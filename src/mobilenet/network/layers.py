"""The network as a value: layers with names and inputs, shapes and parameters derived from them.

A `Network` is plain data. The cost ledger, the torch modules, the runtime and the weight readers all walk the same
`layers`, so no second list of channels exists anywhere. Layers do not hold picture sizes: `Network.shapes` derives them.

Names: a layer called ``layer_3.expand`` is the part ``expand`` of the block ``layer_3``; its parameters are
``layer_3.expand.conv.weight`` (out, in / groups, kernel, kernel), ``layer_3.expand.norm.weight`` (out,) and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Literal, NamedTuple

from ..values import Value

Activation = Literal["linear", "relu6", "relu"]
Padding = Literal["tensorflow", "pytorch"]
Corners = Literal["aligned", "half_pixel"]
Task = Literal["classification", "detection", "segmentation", "features"]
Resolution = int | tuple[int, int]

NORM = ("weight", "bias", "running_mean", "running_var")
"""The tensors of a convolution's batch normalisation, ``layer_3.expand.norm.weight`` and on: gamma, beta, mean, variance."""

LARGEST_SIDE = 16384  # pixels; a picture side past this is a mistake more often than a wish


class Shape(NamedTuple):
    """Size of one activation of one picture: channels, rows, columns."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width


class Conv(Value):
    """Convolution, then batch normalisation (or a bias where `epsilon` is None), then the activation."""

    name: str
    inputs: tuple[str]
    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    epsilon: float | None = 1e-5
    activation: Activation = "relu6"

    @property
    def depthwise(self) -> bool:
        return self.groups == self.in_channels == self.out_channels and self.groups > 1

    def output(self, shapes: list[Shape]) -> Shape:
        (x,) = shapes
        return Shape(self.out_channels, strided(x.height, self.stride), strided(x.width, self.stride))

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{self.name}.conv.weight", (self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel)
        if self.epsilon is None:
            yield f"{self.name}.conv.bias", (self.out_channels,)
        else:
            yield f"{self.name}.norm.weight", (self.out_channels,)
            yield f"{self.name}.norm.bias", (self.out_channels,)

    def statistics(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.epsilon is not None:
            yield f"{self.name}.norm.running_mean", (self.out_channels,)
            yield f"{self.name}.norm.running_var", (self.out_channels,)

    def madds(self, shapes: list[Shape]) -> int:
        y = self.output(shapes)
        return y.elements * self.kernel**2 * (self.in_channels // self.groups)


class Add(Value):
    """Sum of two tensors of one shape: the shortcut."""

    name: str
    inputs: tuple[str, str]

    def output(self, shapes: list[Shape]) -> Shape:
        a, b = shapes
        assert a == b, (self.name, a, b)
        return a

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ()

    statistics = parameters

    def madds(self, shapes: list[Shape]) -> int:
        return 0


class GlobalPool(Value):
    """Mean over all rows and columns: (C, H, W) -> (C, 1, 1)."""

    name: str
    inputs: tuple[str]

    def output(self, shapes: list[Shape]) -> Shape:
        return Shape(shapes[0].channels, 1, 1)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ()

    statistics = parameters

    def madds(self, shapes: list[Shape]) -> int:
        return 0


class Linear(Value):
    """Fully connected layer with bias on a pooled tensor: (C, 1, 1) -> (K, 1, 1)."""

    name: str
    inputs: tuple[str]
    in_channels: int
    out_channels: int

    def output(self, shapes: list[Shape]) -> Shape:
        return Shape(self.out_channels, 1, 1)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{self.name}.weight", (self.out_channels, self.in_channels)
        yield f"{self.name}.bias", (self.out_channels,)

    def statistics(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ()

    def madds(self, shapes: list[Shape]) -> int:
        return self.in_channels * self.out_channels


class Concat(Value):
    """Tensors of equal rows and columns joined along their channels, in order."""

    name: str
    inputs: tuple[str, ...]

    def output(self, shapes: list[Shape]) -> Shape:
        assert len({(x.height, x.width) for x in shapes}) == 1, (self.name, shapes)
        return Shape(sum(x.channels for x in shapes), shapes[0].height, shapes[0].width)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ()

    statistics = parameters

    def madds(self, shapes: list[Shape]) -> int:
        return 0


class Resize(Value):
    """The first input, bilinearly, at the rows and columns of the second (``input`` is the picture itself).

    `corners` says which points of the two grids coincide: "aligned" the centres of their corner pixels (TensorFlow's and
    PyTorch's align_corners), "half_pixel" the outer edges of the two pictures. `bilinear_taps` is the arithmetic.
    """

    name: str
    inputs: tuple[str, str]
    corners: Corners = "aligned"

    def output(self, shapes: list[Shape]) -> Shape:
        x, like = shapes
        return Shape(x.channels, like.height, like.width)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ()

    statistics = parameters

    def madds(self, shapes: list[Shape]) -> int:
        return 0


Layer = Conv | Add | GlobalPool | Linear | Concat | Resize
TASKS: dict[str, Task] = {"classifier": "classification", "box_0.predict": "detection", "upsample": "segmentation"}


class Network(Value):
    """A network from picture to outputs.

    `architecture` and `settings` are the builder's name and all its arguments, in JSON's types: the description a model
    file stores. `layers` are in an order that can be run; the picture is the tensor ``input``, 3 channels, RGB.
    """

    architecture: str
    settings: Mapping[str, Any] = field(hash=False)
    layers: tuple[Layer, ...] = field(repr=False)
    resolution: tuple[int, int]
    padding: Padding
    outputs: tuple[str, ...]

    @property
    def description(self) -> dict[str, Any]:
        """What a model file stores: `catalogue.build` makes the same network from it again."""
        return {"architecture": self.architecture, **self.settings}

    @property
    def task(self) -> Task:
        """What its outputs answer: the whole of a head, or else features."""
        return TASKS.get(self.outputs[0], "features")

    def __getitem__(self, name: str) -> Layer:
        """The layer that makes the tensor `name`; a block's name (``layer_18``) means its last layer."""
        for layer in reversed(self.layers):
            if layer.name == name or block_of(layer) == name:
                return layer
        raise ValueError(
            f"no layer or block {name!r} in {self.architecture}; its blocks are {', '.join(self.blocks())}, "
            "and a part is named as in 'layer_3.expand'"
        )

    def blocks(self) -> dict[str, tuple[Layer, ...]]:
        """Layers by block, in order: what memory-efficient inference runs as one operation (section 5.1)."""
        blocks: dict[str, tuple[Layer, ...]] = {}
        for layer in self.layers:
            blocks[block_of(layer)] = (*blocks.get(block_of(layer), ()), layer)
        return blocks

    def shapes(self, resolution: Resolution | None = None) -> dict[str, Shape]:
        """Shape of every tensor, for pictures of `resolution` (an int, or height and width; default: the network's)."""
        height, width = self.resolution if resolution is None else checked_resolution(resolution)
        shapes = {"input": Shape(3, height, width)}
        for layer in self.layers:
            shapes[layer.name] = layer.output([shapes[name] for name in layer.inputs])
        return shapes

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trainable parameter."""
        return {name: shape for layer in self.layers for name, shape in layer.parameters()}

    def statistics(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of batch normalisation's running mean and variance."""
        return {name: shape for layer in self.layers for name, shape in layer.statistics()}

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Everything a model file holds: parameters and running statistics, layer by layer."""
        return {n: s for layer in self.layers for n, s in (*layer.parameters(), *layer.statistics())}

    def last_use(self) -> dict[str, int]:
        """Index of the last layer that reads each tensor; outputs live to the end. A tensor may be dropped after it."""
        last = {name: i for i, layer in enumerate(self.layers) for name in layer.inputs}
        return {**last, **{self[name].name: len(self.layers) for name in self.outputs}}

    def at(self, resolution: Resolution) -> Network:
        """The same network for pictures of another size."""
        height, width = checked_resolution(resolution)
        settings = {**self.settings, "resolution": [height, width]}
        return replace(self, settings=settings, resolution=(height, width))

    def with_classes(self, classes: int) -> Network:
        """The same network with a head for another number of classes."""
        if not is_count(classes):
            raise ValueError(f"classes {classes!r}: must be an int of at least 1")
        if self.task == "features":
            raise ValueError(f"{self.architecture} without a classifier or other head: build it with classes={classes} instead")
        slots, wanted = self.settings["classes"], classes
        if self.task == "detection":  # one slot more, the background
            slots, wanted = slots + 1, wanted + 1

        def widened(layer: Layer) -> Layer:
            if isinstance(layer, (Conv, Linear)) and decides(layer):
                return replace(layer, out_channels=layer.out_channels // slots * wanted)
            return layer

        layers = tuple(widened(layer) for layer in self.layers)
        return replace(self, settings={**self.settings, "classes": classes}, layers=layers)

    def until(self, *taps: str) -> Network:
        """Only what the tensors `taps` need, which become the outputs. Taps are layers or blocks by name."""
        if not taps:
            raise ValueError("no tap given; name at least one layer or block, for example 'layer_18'")
        wanted = {self[tap].name for tap in taps}
        kept: list[Layer] = []
        for layer in reversed(self.layers):
            if layer.name in wanted:
                kept.append(layer)
                wanted.update(layer.inputs)
        return replace(self, layers=tuple(reversed(kept)), outputs=taps)


def block_of(layer: Layer) -> str:
    return layer.name.partition(".")[0]


def decides(layer: Layer) -> bool:
    """Whether a layer's outputs are classes: the classifier, a segmentation's ``logits``, ``class_0.predict`` and on."""
    return layer.name in ("classifier", "logits") or (layer.name.startswith("class_") and layer.name.endswith(".predict"))


def strided(size: int, stride: int) -> int:
    """Output rows (or columns) of a convolution with an odd kernel; the same for both padding styles."""
    return (size - 1) // stride + 1


def padding_amounts(size: int, kernel: int, stride: int, dilation: int, style: Padding) -> tuple[int, int]:
    """Zeros before and after `size` pixels.

    PyTorch's style pads both sides alike. TensorFlow's SAME pads only what the last window needs, the odd zero after:
    at stride 2 an even size gets (0, 1), so the two styles see pictures shifted by a pixel.
    """
    reach = (kernel - 1) * dilation
    if style == "pytorch":
        return reach // 2, reach // 2
    total = max((strided(size, stride) - 1) * stride + reach + 1 - size, 0)
    return total // 2, total - total // 2


def is_count(value: object) -> bool:
    """An int of at least 1; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def checked_resolution(resolution: Resolution) -> tuple[int, int]:
    """(height, width) of an int or a pair; ValueError outside 1 to 16384 pixels."""
    sides = tuple(resolution) if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise ValueError(f"resolution {resolution!r}: must be an int, or height and width as ints; for example 224")
    if any(not 1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"resolution {resolution!r}: sides must be 1 to {LARGEST_SIDE} pixels; for example 224")
    return sides[0], sides[1]
