"""A network as a value: layers with names and inputs; shapes and parameters are derived from them.

A `Network` is plain data. The cost ledger, the torch modules, the engine and the converters all walk the same `layers`, so
the channels are listed nowhere else. Layers hold no image sizes: `Network.shapes` derives them.

Names: the layer ``layer_3.expand`` is the part ``expand`` of the block ``layer_3``; its parameters are
``layer_3.expand.conv.weight`` (out, in / groups, kernel, kernel), ``layer_3.expand.norm.weight`` (out,) and so on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec

from ..errors import UsageError, short_repr
from ..settings import Rules, Settings
from ..values import Value, field, replace

P = ParamSpec("P")
Activation = Literal["linear", "relu6", "relu"]
Padding = Literal["tensorflow", "pytorch"]
Corners = Literal["aligned", "half_pixel"]
Task = Literal["classification", "detection", "segmentation", "features"]
Resolution = int | tuple[int, int]

NORM = ("weight", "bias", "running_mean", "running_var")
"""The tensors of a convolution's batch normalization, ``layer_3.expand.norm.weight`` and on: gamma, beta, mean, variance."""

MAX_SIDE = 16384  # pixels; a longer image side is more likely a mistake than intended
MAX_CHANNELS, MAX_CLASSES = 8192, 2**20  # so that a forged description cannot ask for all memory


class Shape(NamedTuple):
    """Size of one activation of one image: channels, rows, columns."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width


class Operation(Value):
    """What all layers have: a name, the tensors they read, and no parameters or multiply-adds unless they say so.

    Each layer also has `output`: the shape of its output, from the shapes of its inputs.
    """

    name: str
    inputs: tuple[str, ...]

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every trainable parameter."""
        yield from ()

    def statistics(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of batch normalization's running mean and variance."""
        yield from ()

    def madds(self, shapes: list[Shape]) -> int:
        """Multiply-adds for one image, from the shapes of the inputs."""
        return 0


class Conv(Operation):
    """Convolution, then batch normalization (or a bias if `epsilon` is None), then the activation."""

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    epsilon: float | None = 1e-5
    activation: Activation = "relu6"

    @property
    def prefix(self) -> str:
        """How the names of its weight and bias start."""
        return f"{self.name}.conv"

    @property
    def depthwise(self) -> bool:
        return self.groups == self.in_channels == self.out_channels and self.groups > 1

    def output(self, shapes: list[Shape]) -> Shape:
        (x,) = shapes
        return Shape(self.out_channels, strided(x.height, self.stride), strided(x.width, self.stride))

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{self.prefix}.weight", (self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel)
        if self.epsilon is None:
            yield f"{self.prefix}.bias", (self.out_channels,)
        else:
            yield f"{self.name}.norm.weight", (self.out_channels,)
            yield f"{self.name}.norm.bias", (self.out_channels,)

    def statistics(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.epsilon is not None:
            yield f"{self.name}.norm.running_mean", (self.out_channels,)
            yield f"{self.name}.norm.running_var", (self.out_channels,)

    def madds(self, shapes: list[Shape]) -> int:
        return self.output(shapes).elements * self.kernel**2 * (self.in_channels // self.groups)


class Add(Operation):
    """Sum of two tensors of one shape: the shortcut."""

    def output(self, shapes: list[Shape]) -> Shape:
        a, b = shapes
        assert a == b, (self.name, a, b)
        return a


class GlobalPool(Operation):
    """Mean over all rows and columns: (C, H, W) -> (C, 1, 1)."""

    def output(self, shapes: list[Shape]) -> Shape:
        return Shape(shapes[0].channels, 1, 1)


class Linear(Operation):
    """Fully connected layer with bias on a pooled tensor: (C, 1, 1) -> (K, 1, 1)."""

    in_channels: int
    out_channels: int

    @property
    def prefix(self) -> str:
        """How the names of its weight and bias start."""
        return self.name

    def output(self, shapes: list[Shape]) -> Shape:
        return Shape(self.out_channels, 1, 1)

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{self.prefix}.weight", (self.out_channels, self.in_channels)
        yield f"{self.prefix}.bias", (self.out_channels,)

    def madds(self, shapes: list[Shape]) -> int:
        return self.in_channels * self.out_channels


class Concat(Operation):
    """Tensors of equal rows and columns joined along their channels, in order."""

    def output(self, shapes: list[Shape]) -> Shape:
        assert len({(x.height, x.width) for x in shapes}) == 1, (self.name, shapes)
        return Shape(sum(x.channels for x in shapes), shapes[0].height, shapes[0].width)


class Resize(Operation):
    """The first input, bilinearly, at the rows and columns of the second (``input`` is the image itself).

    `corners` says which points of the two grids coincide: "aligned" the centers of their corner pixels (TensorFlow's and
    PyTorch's align_corners), "half_pixel" the outer edges of the two images. `images.bilinear.bilinear_taps` is the
    arithmetic.
    """

    corners: Corners = "aligned"

    def output(self, shapes: list[Shape]) -> Shape:
        x, like = shapes
        return Shape(x.channels, like.height, like.width)


Layer = Conv | Add | GlobalPool | Linear | Concat | Resize


class Heads(Value):
    """The layers that make a network's answers, by name.

    Attributes:
        classes: the layers whose outputs are classes: the classifier, the logits of a segmenter, or of a detector one
            predictor for each map.
        boxes: a detector's predictors of box codes, in the order of `classes`.
        added: all layers that a detector adds to its backbone: extra maps and predictors.
    """

    classes: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


class Architecture(Settings, ABC):
    """The settings of one family; `build` makes the network. A model file stores them as the network's description."""

    if TYPE_CHECKING:  # every family has these fields, in its own order and with its own defaults

        @property
        def width(self) -> float: ...
        @property
        def resolution(self) -> Resolution: ...
        @property
        def classes(self) -> int | None: ...
        @property
        def padding(self) -> Padding: ...
        @property
        def epsilon(self) -> float | None: ...
        @property
        def min_depth(self) -> int: ...

    def __post_init__(self) -> None:
        self.__dict__["resolution"] = checked_resolution(self.resolution)
        super().__post_init__()

    def rules(self) -> Rules:
        yield "width", 0 < self.width <= 8, "above 0 and at most 8; for example 1.0"
        classes = self.classes
        yield "classes", classes is None or 1 <= classes <= MAX_CLASSES, f"at least 1, at most {MAX_CLASSES}; for example 1000"
        yield "epsilon", valid_epsilon(self.epsilon), EPSILON_RULE
        yield "min_depth", 1 <= self.min_depth <= MAX_CHANNELS, f"at least 1, at most {MAX_CHANNELS}; for example 8"

    def changed(self, **changes: Any) -> Architecture:
        """The same settings but for these fields."""
        return type(self)(**{**vars(self), **changes})

    @abstractmethod
    def build(self) -> Network:
        """The network of these settings."""


def builder(settings: Callable[P, Architecture]) -> Callable[P, Network]:
    """The public function of a family: the same arguments as the family's settings, and the network of them."""

    @wraps(settings, updated=())
    def build(*args: P.args, **kwargs: P.kwargs) -> Network:
        return settings(*args, **kwargs).build()

    build.__name__ = build.__qualname__ = str(getattr(settings, "noun", ""))
    return build


class Network(Value):
    """A network from image to outputs.

    Attributes:
        settings: of the family that built it.
        layers: in an order that can be run; the image is the tensor ``input``, 3 channels, RGB.
        outputs: layers or blocks by name.
        task: what the outputs answer; "features" if they are not the whole of a head.
        heads: the layers that make the answers.
    """

    settings: Architecture
    layers: tuple[Layer, ...] = field(repr=False)
    outputs: tuple[str, ...]
    task: Task = "features"
    heads: Heads = field(default=Heads(), repr=False)

    @property
    def architecture(self) -> str:
        """The family's name, for example ``mobilenet_v2``."""
        return self.settings.noun

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of the image, in pixels."""
        return checked_resolution(self.settings.resolution)

    @property
    def padding(self) -> Padding:
        return self.settings.padding

    @property
    def description(self) -> dict[str, object]:
        """What a model file stores: `catalog.build` makes the same network from it again."""
        return {"architecture": self.architecture, **self.settings.to_json()}

    def __getitem__(self, name: str) -> Layer:
        """The layer that makes the tensor `name`; a block's name (``layer_18``) means its last layer."""
        for layer in reversed(self.layers):
            if layer.name == name or block_of(layer) == name:
                return layer
        raise UsageError(
            f"no layer or block {short_repr(name)} in {self.architecture}; its blocks are {', '.join(self.blocks())}, "
            "and a part is named as in 'layer_3.expand'"
        )

    def blocks(self) -> dict[str, tuple[Layer, ...]]:
        """Layers by block, in order: what memory-efficient inference runs as one operation (section 5.1)."""
        blocks: dict[str, tuple[Layer, ...]] = {}
        for layer in self.layers:
            blocks[block_of(layer)] = (*blocks.get(block_of(layer), ()), layer)
        return blocks

    def shapes(self, resolution: Resolution | None = None) -> dict[str, Shape]:
        """Shape of every tensor, for images of `resolution` (an int, or height and width; default: the network's)."""
        height, width = self.resolution if resolution is None else checked_resolution(resolution)
        shapes = {"input": Shape(3, height, width)}
        for layer in self.layers:
            shapes[layer.name] = layer.output([shapes[name] for name in layer.inputs])
        return shapes

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trainable parameter."""
        return {name: shape for layer in self.layers for name, shape in layer.parameters()}

    def statistics(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of batch normalization's running mean and variance."""
        return {name: shape for layer in self.layers for name, shape in layer.statistics()}

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Everything a model file holds: parameters and running statistics, layer by layer."""
        return {n: s for layer in self.layers for n, s in (*layer.parameters(), *layer.statistics())}

    def last_use(self) -> dict[str, int]:
        """Index of the last layer that reads each tensor; outputs live to the end. A tensor may be dropped after it."""
        last = {name: i for i, layer in enumerate(self.layers) for name in layer.inputs}
        return {**last, **{self[name].name: len(self.layers) for name in self.outputs}}

    def at(self, resolution: Resolution) -> Network:
        """The same network for images of another size."""
        return replace(self, settings=self.settings.changed(resolution=checked_resolution(resolution)))

    def with_classes(self, classes: int) -> Network:
        """The same network with a head for another number of classes."""
        if self.task == "features":
            raise UsageError(f"{self.architecture} without a classifier or other head: build it with classes={classes} instead")
        return self.settings.changed(classes=classes).build()

    def until(self, *taps: str) -> Network:
        """Only what the tensors `taps` need, which become the outputs. Taps are layers or blocks by name."""
        if not taps:
            raise UsageError("no tap given; name at least one layer or block, for example 'layer_18'")
        needed = {self[tap].name for tap in taps}
        layers: list[Layer] = []
        for layer in reversed(self.layers):
            if layer.name in needed:
                layers.append(layer)
                needed.update(layer.inputs)
        task = self.task if taps == self.outputs else "features"
        return replace(self, layers=tuple(reversed(layers)), outputs=taps, task=task)


def block_of(layer: Layer) -> str:
    return layer.name.partition(".")[0]


def output_shape(layer: Layer, shape: Shape) -> tuple[int, ...]:
    """The shape of a network's output for one image, as runtimes give it: (K,) of a linear layer, else (C, H, W)."""
    return (shape.channels,) if isinstance(layer, Linear) else tuple(shape)


def strided(size: int, stride: int) -> int:
    """Output rows (or columns) of a convolution with an odd kernel; the same for both padding styles."""
    return (size - 1) // stride + 1


def padding_amounts(size: int, kernel: int, stride: int, dilation: int, style: Padding) -> tuple[int, int]:
    """Zeros before and after `size` pixels.

    PyTorch's style pads both sides alike. TensorFlow's SAME pads only what the last window needs, the odd zero after:
    at stride 2 an even size gets (0, 1), so the two styles see images shifted by a pixel.
    """
    reach = (kernel - 1) * dilation
    if style == "pytorch":
        return reach // 2, reach // 2
    total = max((strided(size, stride) - 1) * stride + reach + 1 - size, 0)
    return total // 2, total - total // 2


PaddingAmounts = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and below, left and right."""


def padding_around(layer: Conv, source: Shape, style: Padding) -> PaddingAmounts:
    """The zeros around the layer's input."""
    rows = padding_amounts(source.height, layer.kernel, layer.stride, layer.dilation, style)
    return rows, padding_amounts(source.width, layer.kernel, layer.stride, layer.dilation, style)


EPSILON_RULE = "above 0 and below 1, or None for folded; for example 1e-5"


def valid_epsilon(epsilon: float | None) -> bool:
    return epsilon is None or 0 < epsilon < 1


def checked_resolution(resolution: Resolution) -> tuple[int, int]:
    """(height, width) of an int or a pair; UsageError outside 1 to 16384 pixels."""
    sides = tuple(resolution) if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise UsageError(f"resolution {short_repr(resolution)}: must be an int, or height and width as ints; for example 224")
    if any(not 1 <= side <= MAX_SIDE for side in sides):
        raise UsageError(f"resolution {short_repr(resolution)}: sides must be 1 to {MAX_SIDE} pixels; for example 224")
    return sides[0], sides[1]
