"""MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) as rows, and the rows as networks.

Channel arithmetic, padding, the atrous rule and the last convolution follow the released TensorFlow-slim code; where
another implementation differs (PyTorch's padding, timm's deeper variants), an argument says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..settings import Rules
from ..values import Value
from .layers import (
    MAX_CHANNELS,
    Activation,
    Add,
    Architecture,
    Conv,
    GlobalPool,
    Heads,
    Layer,
    Linear,
    Network,
    Padding,
    Resolution,
    builder,
)

if TYPE_CHECKING:
    from dataclasses import KW_ONLY

Shortcut = Literal["bottleneck", "expansion", "none"]
Convolution = Literal["separable", "full"]


class Row(NamedTuple):
    """A line of MobileNetV2's Table 2: expansion, output channels, repeats, stride of the first repeat."""

    t: int | float
    c: int
    n: int
    s: int


class SeparableRow(NamedTuple):
    """A pair of lines of MobileNetV1's Table 1: stride of the depthwise convolution, output channels of the pointwise."""

    s: int
    c: int


MOBILENET_V2 = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)
"""Table 2. It sums to 17 blocks; the text's "19 residual bottleneck layers" counts the two plain convolutions too."""

MOBILENET_V1 = (
    SeparableRow(1, 64),
    SeparableRow(2, 128),
    SeparableRow(1, 128),
    SeparableRow(2, 256),
    SeparableRow(1, 256),
    SeparableRow(2, 512),
    *(SeparableRow(1, 512),) * 5,
    SeparableRow(2, 1024),
    SeparableRow(1, 1024),
)
"""Table 1. The paper prints stride 2 for the last depthwise convolution at 7 x 7; the released code has 1."""

MOBILENET_V1_SHALLOW = MOBILENET_V1[:6] + MOBILENET_V1[11:]
"""MobileNetV1's Table 5: without the five 14 x 14 x 512 layers."""

STEM_CHANNELS, LAST_CHANNELS = 32, 1280
MAX_BLOCKS = 256  # so that a forged description cannot ask for all memory


def make_divisible(channels: float, divisor: int = 8, minimum: int = 8) -> int:
    """The nearest multiple of `divisor`, never below `minimum` nor more than 10% below `channels` (TensorFlow-slim)."""
    rounded = max(minimum, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def repeats(rows: Sequence[Row], depth: float, fix_ends: bool) -> list[int]:
    """Blocks of each row under the depth multiplier: rounded up, the first and last row left alone by `fix_ends` (timm)."""
    ends = (0, len(rows) - 1) if fix_ends else ()
    return [row.n if i in ends else math.ceil(row.n * depth) for i, row in enumerate(rows)]


class Atrous:
    """Keeps the total stride at or below `output_stride` (DeepLab, TensorFlow-slim).

    Past the limit a stride becomes 1, the layer itself runs at the rate so far, and the layers after it at that rate
    times the stride.
    """

    def __init__(self, output_stride: int, stride: int) -> None:
        self.output_stride, self.stride, self.rate = output_stride, stride, 1

    def step(self, stride: int) -> tuple[int, int]:
        """(stride, dilation) for a layer that asks for `stride`."""
        if self.stride < self.output_stride:
            self.stride *= stride
            return stride, 1
        rate, self.rate = self.rate, self.rate * stride
        return 1, rate


class Stack:
    """A network's layers in the making: each method appends one and returns the name of its tensor."""

    def __init__(self, epsilon: float | None, activation: Activation, layers: Sequence[Layer] = ()) -> None:
        self.epsilon, self.activation = epsilon, activation
        self.layers = list(layers)

    def conv(
        self,
        name: str,
        source: str,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> str:
        geometry = (kernel, stride, dilation, groups)
        self.layers.append(
            Conv(name, (source,), in_channels, out_channels, *geometry, self.epsilon, activation or self.activation)
        )
        return name

    def depthwise(self, name: str, source: str, channels: int, stride: int = 1, dilation: int = 1) -> str:
        """A 3x3 convolution of each channel by itself."""
        return self.conv(name, source, channels, channels, 3, stride, dilation, groups=channels)

    def predictor(self, name: str, source: str, in_channels: int, out_channels: int, kernel: int = 1) -> str:
        """A convolution with a bias and nothing behind it."""
        self.layers.append(Conv(name, (source,), in_channels, out_channels, kernel, epsilon=None, activation="linear"))
        return name

    def append(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name


class Wide(Value):
    """A block's expanded tensor, which the next block may add to its own."""

    name: str
    channels: int


class Classifier(Architecture):
    """What both families share; see `MobileNetV2` for the arguments."""

    width: float = 1.0
    resolution: Resolution = 224
    classes: int | None = 1000
    output_stride: int = 32
    padding: Padding = "pytorch"
    epsilon: float | None = 1e-5
    _: KW_ONLY
    activation: Activation = "relu6"
    min_depth: int = 8

    def rules(self) -> Rules:
        yield from super().rules()
        yield "output_stride", self.output_stride in (8, 16, 32), "8, 16 or 32; for example 32"
        yield "activation", self.activation != "linear", "'relu6' or 'relu'; for example 'relu6'"

    def finish(self, stack: Stack, x: str, channels: int) -> Network:
        """The network with pooling and a classifier on the tensor `x`, or without them if `classes` is None."""
        if self.classes is None:
            return Network(self, tuple(stack.layers), (x,))
        pooled = stack.append(GlobalPool("pool", (x,)))
        x = stack.append(Linear("classifier", (pooled,), channels, self.classes))
        return Network(self, tuple(stack.layers), (x,), "classification", Heads((x,)))


class MobileNetV2(Classifier):
    """MobileNetV2, Table 2 of arXiv 1801.04381.

    Blocks are named as TensorFlow-slim numbers them: ``layer_1`` the stem, ``layer_2`` to ``layer_18`` the bottlenecks
    with parts ``expand``, ``depthwise``, ``project`` (and ``add``), ``layer_19`` the last convolution, then ``pool`` and
    ``classifier``.

    Args:
        width: multiplier of all channels, above 0 and up to 8; the paper uses 0.35 to 1.4. The last convolution follows
            it only above 1, unless `scale_last`.
        resolution: side of the image in pixels, or height and width, 1 to 16384.
        classes: outputs of the classifier (count a background class in), or None for the network up to the last
            convolution.
        output_stride: 8, 16 or 32; below 32 later strides become dilations.
        padding: "pytorch" (symmetric) or "tensorflow" (SAME).
        epsilon: of batch normalization; 1e-5 in PyTorch's family, 1e-3 in TensorFlow's. None for a network whose batch
            normalization is folded already: every convolution has a bias instead.
        depth: multiplier of the repeats of each row, rounded up.
        fix_ends: keep the stem at 32 channels, the last convolution at 1280, and the repeats of the first and last row
            (timm's 110d and 120d: width 1.1 and 1.2, depth 1.2 and 1.4).
        scale_last: let the last convolution shrink below width 1 too (TensorFlow's default, without
            "finegrain_classification_mode").
        expansion: replaces every expansion factor above 1 of the rows (section 6.4 and Figure 6 use 6), at least 1.
        projection: activation after the projection; "linear" is the paper's, "relu6" its ablation (Figure 6a).
        shortcut: "bottleneck" adds a block's input to its output; "expansion" adds the expanded tensor of a block to that
            of the next one, at the same ten places; "none" adds nothing (Figure 6b).
        activation: of the expansion and depthwise convolutions, "relu6" or "relu".
        divisible_by: channel counts that `width` scales are rounded to a multiple of it.
        min_depth: the least that a scaled channel count can be.
        rows: (t, c, n, s) of Table 2.

    Raises:
        UsageError: an argument is outside its range; the message has the value, the rule and an example.
    """

    _: KW_ONLY
    depth: float = 1.0
    fix_ends: bool = False
    scale_last: bool = False
    expansion: float | None = None
    projection: Activation = "linear"
    shortcut: Shortcut = "bottleneck"
    divisible_by: int = 8
    rows: tuple[Row, ...] = MOBILENET_V2

    noun = "mobilenet_v2"

    def rules(self) -> Rules:
        yield from super().rules()
        yield "depth", 0 < self.depth <= 8, "above 0 and at most 8; for example 1.0"
        yield "expansion", self.expansion is None or 1 <= self.expansion <= 64, "1 to 64, or None; for example 6"
        yield "divisible_by", 1 <= self.divisible_by <= MAX_CHANNELS, f"at least 1, at most {MAX_CHANNELS}; for example 8"
        in_range = all(1 <= r.t <= 64 and 1 <= r.c <= MAX_CHANNELS and r.n >= 1 and r.s in (1, 2) for r in self.rows)
        blocks = sum(row.n for row in self.rows)
        yield (
            "rows",
            in_range and 0 < blocks <= MAX_BLOCKS,
            (
                f"(t of 1 to 64, c up to {MAX_CHANNELS}, n >= 1, s of 1 or 2), at most {MAX_BLOCKS} blocks; "
                "for example the default, Table 2"
            ),
        )

    def scaled(self, channels: float) -> int:
        return make_divisible(channels * self.width, self.divisible_by, self.min_depth)

    def build(self) -> Network:
        """The network of these settings."""
        stack, atrous = Stack(self.epsilon, self.activation), Atrous(self.output_stride, stride=2)
        channels = STEM_CHANNELS if self.fix_ends else self.scaled(STEM_CHANNELS)
        x = stack.conv("layer_1", "input", 3, channels, 3, 2)
        number, wide = 1, None
        for row, n in zip(self.rows, repeats(self.rows, self.depth, self.fix_ends), strict=True):
            for repeat in range(n):
                number += 1
                stride = row.s if repeat == 0 else 1
                x, wide = self.bottleneck(stack, f"layer_{number}", x, channels, row, atrous.step(stride), wide)
                channels = self.scaled(row.c)
        last = self.scaled(LAST_CHANNELS) if not self.fix_ends and (self.width > 1 or self.scale_last) else LAST_CHANNELS
        x = stack.conv(f"layer_{number + 1}", x, channels, last)
        return self.finish(stack, x, last)

    def bottleneck(
        self, stack: Stack, block: str, x: str, channels: int, row: Row, step: tuple[int, int], before: Wide | None
    ) -> tuple[str, Wide | None]:
        """The block's output, and its expanded tensor if the next block may add it (`before` is the last block's)."""
        (stride, dilation), after = step, self.scaled(row.c)
        t = row.t if self.expansion is None or row.t == 1 else self.expansion
        h, inner, wide = x, channels, None
        if t != 1:
            inner = make_divisible(channels * t, self.divisible_by, self.min_depth)
            h = stack.conv(f"{block}.expand", x, channels, inner)
            if self.shortcut == "expansion" and before is not None and before.channels == inner:
                h = stack.append(Add(f"{block}.add", (before.name, h)))
            wide = Wide(h, inner)
        h = stack.depthwise(f"{block}.depthwise", h, inner, stride, dilation)
        h = stack.conv(f"{block}.project", h, inner, after, activation=self.projection)
        residual = stride == 1 and channels == after
        if self.shortcut == "bottleneck" and residual:
            h = stack.append(Add(f"{block}.add", (x, h)))
        return h, wide if residual else None


class MobileNetV1(Classifier):
    """MobileNetV1, Table 1 of arXiv 1704.04861.

    Blocks are named as TensorFlow-slim numbers them: ``layer_0`` the stem, ``layer_1`` to ``layer_13`` the separable
    convolutions with parts ``depthwise`` and ``pointwise``, then ``pool`` and ``classifier``.

    Args:
        width, resolution, classes, output_stride, padding, epsilon, min_depth: as for `mobilenet_v2`.
        convolution: "separable", or "full" for 3x3 convolutions throughout (Table 4, "Conv MobileNet").
        activation: "relu6" (TensorFlow-slim) or "relu" (the paper).
        divisible_by: None cuts `width` times channels down to an integer (TensorFlow-slim); a number rounds as
            MobileNetV2 does (timm uses 8).
        rows: (s, c) of Table 1; `MOBILENET_V1_SHALLOW` is the shallow network of Table 5.

    Raises:
        UsageError: an argument is outside its range; the message has the value, the rule and an example.
    """

    _: KW_ONLY
    convolution: Convolution = "separable"
    divisible_by: int | None = None
    rows: tuple[SeparableRow, ...] = MOBILENET_V1

    noun = "mobilenet_v1"

    def rules(self) -> Rules:
        yield from super().rules()
        divisor = self.divisible_by
        yield "divisible_by", divisor is None or 1 <= divisor <= MAX_CHANNELS, f"None or 1 to {MAX_CHANNELS}; for example None"
        in_range = all(r.s in (1, 2) and 1 <= r.c <= MAX_CHANNELS for r in self.rows)
        yield (
            "rows",
            in_range and 0 < len(self.rows) <= MAX_BLOCKS,
            (f"(s of 1 or 2, c up to {MAX_CHANNELS}), at most {MAX_BLOCKS}; for example the default, Table 1"),
        )

    def scaled(self, channels: int) -> int:
        if self.divisible_by is None:
            return max(int(channels * self.width), self.min_depth)
        return make_divisible(channels * self.width, self.divisible_by, self.min_depth)

    def build(self) -> Network:
        """The network of these settings."""
        stack, atrous = Stack(self.epsilon, self.activation), Atrous(self.output_stride, stride=2)
        channels = self.scaled(STEM_CHANNELS)
        x = stack.conv("layer_0", "input", 3, channels, 3, 2)
        for number, row in enumerate(self.rows, start=1):
            block, after = f"layer_{number}", self.scaled(row.c)
            stride, dilation = atrous.step(row.s)
            if self.convolution == "full":
                x = stack.conv(block, x, channels, after, 3, stride, dilation)
            else:
                x = stack.depthwise(f"{block}.depthwise", x, channels, stride, dilation)
                x = stack.conv(f"{block}.pointwise", x, channels, after)
            channels = after
        return self.finish(stack, x, channels)


mobilenet_v2 = builder(MobileNetV2)
mobilenet_v1 = builder(MobileNetV1)
