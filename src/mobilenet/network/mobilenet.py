"""MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) as rows, and the rows as networks.

Channel arithmetic, padding, the atrous rule and the last convolution follow the released TensorFlow-slim code; where
another implementation differs (PyTorch's padding, timm's deeper variants), an argument says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from .layers import (
    Activation,
    Add,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Padding,
    Resolution,
    checked_resolution,
    is_count,
)

Shortcut = Literal["bottleneck", "expansion", "none"]
Convolution = Literal["separable", "full"]


class Row(NamedTuple):
    """A line of MobileNetV2's Table 2: expansion, output channels, repeats, stride of the first repeat."""

    t: float
    c: int
    n: int
    s: int


class SeparableRow(NamedTuple):
    """A pair of lines of MobileNetV1's Table 1: stride of the depthwise convolution, output channels of the pointwise."""

    s: int
    c: int


AnyRow = TypeVar("AnyRow", Row, SeparableRow)

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
MOST_BLOCKS, MOST_CHANNELS = 256, 8192  # so that a forged description cannot ask for all memory


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


def mobilenet_v2(
    width: float = 1.0,
    resolution: Resolution = 224,
    classes: int | None = 1000,
    output_stride: int = 32,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    depth: float = 1.0,
    fix_ends: bool = False,
    scale_last: bool = False,
    expansion: float | None = None,
    projection: Activation = "linear",
    shortcut: Shortcut = "bottleneck",
    activation: Activation = "relu6",
    divisible_by: int = 8,
    min_depth: int = 8,
    rows: Sequence[Sequence[float]] = MOBILENET_V2,
) -> Network:
    """MobileNetV2, Table 2 of arXiv 1801.04381.

    Blocks are named as TensorFlow-slim numbers them: ``layer_1`` the stem, ``layer_2`` to ``layer_18`` the bottlenecks
    with parts ``expand``, ``depthwise``, ``project`` (and ``add``), ``layer_19`` the last convolution, then ``pool`` and
    ``classifier``.

    Args:
        width: multiplier of all channels, above 0 and up to 8; the paper uses 0.35 to 1.4. The last convolution only
            follows it above 1, unless `scale_last`.
        resolution: side of the picture in pixels, or height and width, 1 to 16384.
        classes: outputs of the classifier (count a background class in), or None for the network up to the last
            convolution.
        output_stride: 8, 16 or 32; below 32 later strides become dilations.
        padding: "pytorch" (symmetric) or "tensorflow" (SAME).
        epsilon: of batch normalisation; 1e-5 in PyTorch's family, 1e-3 in TensorFlow's. None for a network whose batch
            norm is folded already: every convolution has a bias instead.
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
        divisible_by, min_depth: every channel count is a multiple of the one and at least the other.
        rows: (t, c, n, s) of Table 2.

    Raises:
        ValueError: an argument outside its range, naming value, rule and remedy.
    """
    settings: dict[str, Any] = dict(locals())
    table = parsed(rows, Row)
    settings["rows"] = [list(row) for row in table]
    check_common(settings)
    check(0 < depth <= 8, "depth", depth, "must be above 0 and at most 8", "1.0")
    check(expansion is None or 1 <= expansion <= 64, "expansion", expansion, "must be 1 to 64, or None", "6")
    check(projection in get_args(Activation), "projection", projection, "must be 'linear', 'relu6' or 'relu'", "'linear'")
    check(shortcut in get_args(Shortcut), "shortcut", shortcut, f"must be one of {get_args(Shortcut)}", "'bottleneck'")
    check(is_count(divisible_by), "divisible_by", divisible_by, "must be at least 1", "8")
    check(all(1 <= r.t <= 64 and 1 <= r.c <= MOST_CHANNELS and r.n >= 1 and r.s in (1, 2) for r in table)
          and 0 < sum(r.n for r in table) <= MOST_BLOCKS, "rows", rows,
          f"must be (t of 1 to 64, c up to {MOST_CHANNELS}, n >= 1, s of 1 or 2), at most {MOST_BLOCKS} blocks",
          "the default, Table 2")  # fmt: skip

    def scaled(channels: float) -> int:
        return make_divisible(channels * width, divisible_by, min_depth)

    layers: list[Layer] = []

    def conv(name: str, source: str, before: int, after: int, act: Activation, **geometry: int) -> str:
        layers.append(Conv(name, (source,), before, after, **geometry, epsilon=epsilon, activation=act))
        return name

    atrous = Atrous(output_stride, stride=2)
    channels = STEM_CHANNELS if fix_ends else scaled(STEM_CHANNELS)
    x = conv("layer_1", "input", 3, channels, activation, kernel=3, stride=2)
    number, expanded = 1, None  # `expanded`: the last block's expanded tensor and its channels, where it may be added
    for row, n in zip(table, repeats(table, depth, fix_ends), strict=True):
        for repeat in range(n):
            number += 1
            block = f"layer_{number}"
            t = row.t if expansion is None or row.t == 1 else expansion
            stride, dilation = atrous.step(row.s if repeat == 0 else 1)
            after, inner = scaled(row.c), make_divisible(channels * t, divisible_by, min_depth)
            residual = stride == 1 and channels == after
            h = x
            if t == 1:
                inner, wide = channels, None
            else:
                h = conv(f"{block}.expand", x, channels, inner, activation)
                if shortcut == "expansion" and expanded is not None and expanded[1] == inner:
                    layers.append(Add(f"{block}.add", (expanded[0], h)))
                    h = f"{block}.add"
                wide = (h, inner)
            h = conv(f"{block}.depthwise", h, inner, inner, activation,
                     kernel=3, stride=stride, dilation=dilation, groups=inner)  # fmt: skip
            h = conv(f"{block}.project", h, inner, after, projection)
            if shortcut == "bottleneck" and residual:
                layers.append(Add(f"{block}.add", (x, h)))
                h = f"{block}.add"
            expanded = wide if residual else None
            x, channels = h, after

    last = LAST_CHANNELS
    if not fix_ends and (width > 1 or scale_last):
        last = scaled(LAST_CHANNELS)
    x = conv(f"layer_{number + 1}", x, channels, last, activation)
    return finished("mobilenet_v2", settings, layers, x, last)


def mobilenet_v1(
    width: float = 1.0,
    resolution: Resolution = 224,
    classes: int | None = 1000,
    output_stride: int = 32,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    convolution: Convolution = "separable",
    activation: Activation = "relu6",
    divisible_by: int | None = None,
    min_depth: int = 8,
    rows: Sequence[Sequence[int]] = MOBILENET_V1,
) -> Network:
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
        ValueError: an argument outside its range, naming value, rule and remedy.
    """
    settings: dict[str, Any] = dict(locals())
    table = parsed(rows, SeparableRow)
    settings["rows"] = [list(row) for row in table]
    check_common(settings)
    check(convolution in get_args(Convolution), "convolution", convolution, f"must be one of {get_args(Convolution)}",
          "'separable'")  # fmt: skip
    check(divisible_by is None or is_count(divisible_by), "divisible_by", divisible_by, "must be None or at least 1", "None")
    check(all(r.s in (1, 2) and 1 <= r.c <= MOST_CHANNELS for r in table) and 0 < len(table) <= MOST_BLOCKS, "rows", rows,
          f"must be (s of 1 or 2, c up to {MOST_CHANNELS}), at most {MOST_BLOCKS}", "the default, Table 1")  # fmt: skip

    def scaled(channels: int) -> int:
        if divisible_by is None:
            return max(int(channels * width), min_depth)
        return make_divisible(channels * width, divisible_by, min_depth)

    atrous = Atrous(output_stride, stride=2)
    channels = scaled(STEM_CHANNELS)
    layers: list[Layer] = [Conv("layer_0", ("input",), 3, channels, kernel=3, stride=2, epsilon=epsilon, activation=activation)]
    x = "layer_0"
    for number, row in enumerate(table, start=1):
        block, after = f"layer_{number}", scaled(row.c)
        stride, dilation = atrous.step(row.s)
        if convolution == "full":
            layers.append(Conv(block, (x,), channels, after, 3, stride, dilation, 1, epsilon, activation))
            x = block
        else:
            layers += (
                Conv(f"{block}.depthwise", (x,), channels, channels, 3, stride, dilation, channels, epsilon, activation),
                Conv(f"{block}.pointwise", (f"{block}.depthwise",), channels, after, epsilon=epsilon, activation=activation),
            )
            x = f"{block}.pointwise"
        channels = after
    return finished("mobilenet_v1", settings, layers, x, channels)


def finished(name: str, settings: dict[str, Any], layers: list[Layer], x: str, channels: int) -> Network:
    """Pooling and classifier on `x` where classes are asked for, and the value around it all."""
    resolution = checked_resolution(settings["resolution"])
    if settings["classes"] is not None:
        layers += GlobalPool("pool", (x,)), Linear("classifier", ("pool",), channels, settings["classes"])
        x = "classifier"
    settings = {**settings, "resolution": list(resolution)}
    return Network(name, settings, tuple(layers), resolution, settings["padding"], (x,))


def parsed(rows: Sequence[Sequence[Any]], kind: type[AnyRow]) -> list[AnyRow]:
    try:
        return [kind(*row) for row in rows]
    except TypeError as error:
        raise ValueError(f"rows {rows!r:.80}: each must be ({', '.join(kind._fields)}); for example the default") from error


def check_common(s: dict[str, Any]) -> None:
    """The arguments both families share."""
    check(0 < s["width"] <= 8, "width", s["width"], "must be above 0 and at most 8", "1.0")
    check(s["classes"] is None or is_count(s["classes"]), "classes", s["classes"],
          "must be at least 1, or None for no classifier", "1000")  # fmt: skip
    check(s["output_stride"] in (8, 16, 32), "output_stride", s["output_stride"], "must be 8, 16 or 32", "32")
    check(s["padding"] in get_args(Padding), "padding", s["padding"], f"must be one of {get_args(Padding)}", "'pytorch'")
    check(s["activation"] in ("relu6", "relu"), "activation", s["activation"], "must be 'relu6' or 'relu'", "'relu6'")
    check_epsilon("epsilon", s["epsilon"])
    check(is_count(s["min_depth"]), "min_depth", s["min_depth"], "must be at least 1", "8")


def check_epsilon(name: str, epsilon: float | None) -> None:
    check(epsilon is None or 0 < epsilon < 1, name, epsilon, "must be above 0 and below 1, or None for folded", "1e-5")


def check(holds: bool, name: str, value: object, rule: str, example: str) -> None:
    if not holds:
        raise ValueError(f"{name} {value!r}: {rule}; for example {example}")
