"""What a plan is made of: windows, typed steps, and the plan itself. Data only; `plan` makes it, `engine` compiles it.

A step computes some rows of one buffer from rows of others, which it names; native/steps.h is its mirror image.
"""

from __future__ import annotations

from typing import NamedTuple

from ...network.layers import Conv, Corners, Linear, Shape
from .layout import Layout
from .memory import Buffer

Span = tuple[int, int]  # from, to: rows, panels or blocks


class Window(NamedTuple):
    """How a convolution looks at its source."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    top: int = 0
    left: int = 0

    def first(self, y: int) -> int:
        """First source row that output row `y` sees, inside the picture."""
        return max(0, y * self.stride - self.top)

    def upto(self, y: int, height: int) -> int:
        """One past the last source row that the output rows before `y` see."""
        return max(0, min(height, (y - 1) * self.stride - self.top + (self.kernel - 1) * self.dilation + 1))

    def margins(self, source: int, target: int) -> Span:
        """Columns of zeros that `source` columns need left and right, for `target` columns of output."""
        last = (target - 1) * self.stride - self.left + (self.kernel - 1) * self.dilation
        return self.left, max(0, last - source + 1)


class PadStep(NamedTuple):
    """Zeros left and right of a buffer's rows in some slots."""

    label: int
    target: str
    slots: Span


class StemStep(NamedTuple):
    label: int
    conv: Conv
    window: Window
    target: str
    rows: Span


class ProductStep(NamedTuple):
    label: int
    conv: Conv | Linear
    window: Window
    source: str
    target: str
    residual: str | None
    rows: Span
    panels: Span


class DepthwiseStep(NamedTuple):
    label: int
    conv: Conv
    window: Window
    source: str
    target: str
    rows: Span
    blocks: Span


class ExpandDepthwiseStep(NamedTuple):
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


class PooledProductStep(NamedTuple):
    label: int
    conv: Conv
    source: str
    scratch: str
    target: str
    panels: Span


class GlobalPoolStep(NamedTuple):
    label: int
    source: str
    target: str
    blocks: Span


class AddStep(NamedTuple):
    label: int
    a: str
    b: str
    target: str
    rows: Span


class ResizeStep(NamedTuple):
    label: int
    corners: Corners
    source: str
    target: str
    rows: Span


class ConcatStep(NamedTuple):
    """All channels of a buffer become those of another from `channel` on."""

    label: int
    source: str
    target: str
    channel: int
    rows: Span


class EmitStep(NamedTuple):
    """Rows of a buffer become rows of an output, channels first."""

    label: int
    source: str
    output: str
    rows: Span


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
)
Stage = tuple[tuple[Step, ...], ...]  # steps of each thread


class Style(NamedTuple):
    """Choices that change speed and memory, never a bit of the result."""

    band: int = 2  # output rows of a fused block's band, at least
    pixels: int = 224  # or as many rows as make so many pixels, where rows are short; at most 4
    whole: int = 196  # output pixels up to which a unit runs whole
    stream: int | None = 12000  # rows stream on through tensors of more pixels than this; None: a block is a chain


class Plan(NamedTuple):
    """Everything a run needs to know but the weights. `stages` hold `threads` lists of steps each."""

    resolution: tuple[int, int]
    threads: int
    style: Style
    layout: Layout
    labels: tuple[str, ...]  # one for each unit, then one for writing the outputs
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[tuple[str, Shape], ...]
    zeros: int  # bytes at the arena's start that stay zero
    bytes: int  # of the arena: what the engine allocates for activations; the image and the outputs are the caller's
