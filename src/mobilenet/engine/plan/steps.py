"""The parts of a plan: windows, typed steps, and the plan itself. Only data: `plan` makes it, `program` packs it into bytes.

A step computes some rows of one buffer from rows of others, which it names. native/core/program_file.cc reads its fields in the
order declared here; docs/program.md lists them.
"""

from __future__ import annotations

from typing import NamedTuple

from ...network.layers import Conv, Corners, Linear, Shape
from ...values import Value
from .layout import TensorLayout
from .memory import Buffer

Span = tuple[int, int]  # from, to: rows, panels or blocks
Words = tuple[int, ...]  # what a step of an integer network takes from its quantization (`Integers`); empty in float32


class Window(NamedTuple):
    """The pixels of its source that a convolution reads for one output pixel."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    top: int = 0
    left: int = 0

    def first(self, y: int) -> int:
        """The first source row that output row `y` reads."""
        return max(0, y * self.stride - self.top)

    def upto(self, y: int, height: int) -> int:
        """One past the last source row that the output rows before `y` read."""
        return max(0, min(height, (y - 1) * self.stride - self.top + (self.kernel - 1) * self.dilation + 1))

    def margins(self, source: int, target: int) -> Span:
        """Columns of zeros that are needed left and right of `source` columns, for `target` columns of output."""
        last = (target - 1) * self.stride - self.left + (self.kernel - 1) * self.dilation
        return self.left, max(0, last - source + 1)


class PadStep(Value):
    """Writes the zeros left and right of a buffer's rows in some slots."""

    label: int
    target: str
    slots: Span


class StemStep(Value):
    """A full convolution of the image."""

    label: int
    conv: Conv
    window: Window
    target: str
    rows: Span


class PixelStep(Value):
    """Rows of the image as bytes: RNE(x * factor + offset) for each color."""

    label: int
    target: str
    rows: Span
    numbers: Words


class ProductStep(Value):
    """A 1x1 or full convolution, or a linear layer; `residual` is added after the activation."""

    label: int
    conv: Conv | Linear
    window: Window
    source: str
    target: str
    residual: str | None
    rows: Span
    panels: Span


class DepthwiseStep(Value):
    """A depthwise convolution of some rows and blocks of channels."""

    label: int
    conv: Conv
    window: Window
    source: str
    target: str
    rows: Span
    blocks: Span


class ExpandDepthwiseStep(Value):
    """Panel by panel: expands rows `expanded` into `ring`, then runs the depthwise convolution on it."""

    label: int
    expand: Conv
    depthwise: Conv
    window: Window
    source: str
    ring: str
    target: str
    expanded: Span
    rows: Span
    panels: Span


class PooledProductStep(Value):
    """A 1x1 convolution panel by panel in `scratch`, and the mean of each panel."""

    label: int
    conv: Conv
    source: str
    scratch: str
    target: str
    panels: Span
    numbers: Words = ()


class GlobalPoolStep(Value):
    """The mean over the image."""

    label: int
    source: str
    target: str
    blocks: Span
    numbers: Words = ()


class AddStep(Value):
    """The sum of two tensors; `target` may be one of them."""

    label: int
    a: str
    b: str
    target: str
    rows: Span
    blocks: Span
    numbers: Words = ()


class ResizeStep(Value):
    """A bilinear resize to the size of `target`."""

    label: int
    corners: Corners
    source: str
    target: str
    rows: Span
    numbers: Words = ()


class ConcatStep(Value):
    """Copies all channels of a buffer to another one, from its channel `channel` on."""

    label: int
    source: str
    target: str
    channel: int
    rows: Span
    numbers: Words = ()


class EmitStep(Value):
    """Copies rows of a buffer to rows of an output, channels first."""

    label: int
    source: str
    output: str
    rows: Span
    numbers: Words = ()


Step = (
    PadStep
    | StemStep
    | ProductStep
    | DepthwiseStep
    | ExpandDepthwiseStep
    | PooledProductStep
    | GlobalPoolStep
    | AddStep
    | ResizeStep
    | ConcatStep
    | EmitStep
    | PixelStep
)
Stage = tuple[tuple[Step, ...], ...]  # steps of each thread


class Style(Value):
    """Choices that change speed and memory, never a bit of the result."""

    band: int = 2  # output rows of a fused block's band, at least
    pixels: int = 224  # a band has pixels // width rows, but at least `band`, and at most 4 unless `band` is more
    whole: int = 196  # output pixels up to which a unit runs whole
    stream: int = 12000  # rows stream through tensors of more pixels than this


class Plan(Value):
    """Everything a run needs to know but the weights. `stages` hold `threads` lists of steps each."""

    resolution: tuple[int, int]
    threads: int
    style: Style
    layout: TensorLayout
    labels: tuple[str, ...]  # one for each unit, then one for writing the outputs
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[tuple[str, Shape], ...]
    zeros: int  # bytes at the arena's start that stay zero
    borders: tuple[tuple[int, int], ...]  # behind them: four bytes and how many are filled with them
    bytes: int  # of the arena: what the engine allocates for activations; the image and the outputs are the caller's
