"""A plan under construction: tensors, buffers with their lifetimes, and the stages made so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...network.layers import Conv, Linear, Network, Shape
from .fuse import BlockUnit, ConcatUnit, ProductUnit, StemUnit, Unit, fuse, rounded_tensors, sources
from .geometry import panels, share, window_of
from .layout import BF16, F32, TensorLayout
from .memory import Buffer
from .steps import (
    AddStep,
    DepthwiseStep,
    ExpandDepthwiseStep,
    PadStep,
    PixelStep,
    ProductStep,
    Span,
    Stage,
    StemStep,
    Step,
    Style,
    Window,
)

if TYPE_CHECKING:
    from .integers import Integers


class Draft:
    """One plan, built stage by stage."""

    def __init__(
        self,
        network: Network,
        resolution: tuple[int, int],
        threads: int,
        style: Style,
        layout: TensorLayout,
        integers: Integers | None,
    ) -> None:
        self.network, self.threads, self.style, self.layout, self.integers = network, threads, style, layout, integers
        self.shapes = network.shapes(resolution)
        self.units = fuse(network, integers)
        self.rounded = rounded_tensors(network) if layout == BF16 else frozenset[str]()
        self.labels = {unit.target: index for index, unit in enumerate(self.units)}
        self.outputs = {name: network[name].name for name in network.outputs}
        self.readers: dict[str, list[Unit]] = {}
        for unit in self.units:
            for name in set(sources(unit)):
                self.readers.setdefault(name, []).append(unit)
        self.buffers: dict[str, Buffer] = {}
        self.stages: list[Stage] = []
        self.label = 0  # of the chain whose steps are being made
        self.unpadded: list[tuple[str, int | None]] = []  # buffers of this stage whose columns of zeros are not written yet

    def window(self, unit: Unit) -> Window:
        """The unit's window on the rows that it reads: of its source, or of its own ring if it expands."""
        conv: Conv | Linear | None = None
        if isinstance(unit, BlockUnit):
            conv = unit.depthwise
        elif isinstance(unit, StemUnit | ProductUnit):
            conv = unit.conv
        return window_of(conv, self.shapes[sources(unit)[0]], self.network.padding)

    def panels(self, unit: Unit, layer: Conv | Linear) -> int:
        """Panels of `layer`'s packed weights."""
        return panels(unit, layer, self.layout)

    def buffer(
        self, name: str, tensor: str, shape: Shape, slots: int, margins: Span = (0, 0), thread: int | None = None
    ) -> str:
        """A new buffer, for values of `tensor`, that lives in this stage; `read` extends its life. `thread` owns it; None if
        all threads do."""
        stage = len(self.stages)
        assert name not in self.buffers, name
        if margins != (0, 0):
            self.unpadded.append((name, thread))
        layout, zero = self.layout_of(tensor), 0 if self.integers is None else self.integers.zero(tensor)
        slots = max(1, min(slots, shape.height))
        self.buffers[name] = Buffer(name, layout, *shape, slots, *margins, stage, stage, zero=zero)
        return name

    def layout_of(self, tensor: str) -> TensorLayout:
        """How a tensor lies in memory: beside bfloat16 there is float32, for what no product reads."""
        if self.integers is not None:
            return self.integers.layout(tensor)
        return F32 if self.layout == BF16 and tensor not in self.rounded else self.layout

    def read(self, name: str) -> str:
        """Extends the buffer's life to the current stage."""
        buffer = self.buffers[name]
        if buffer.last != len(self.stages):
            self.buffers[name] = buffer._replace(last=len(self.stages))
        if buffer.host:
            self.read(buffer.host)
        return name

    def tensor(self, name: str) -> str:
        """The buffer of a whole tensor, with the padding that its readers' windows need."""
        if name in self.buffers:  # created for the first part of a concatenation
            return self.read(name)
        shape = self.shapes[name]
        if place := self.place_in_concat(name):
            (host, channel), stage = place, len(self.stages)
            whole = self.buffers[self.tensor(host)]
            sides = whole.left, whole.right
            zero = whole.zero
            self.buffers[name] = Buffer(
                name, whole.layout, *shape, shape.height, *sides, stage, stage, host, channel, zero=zero
            )
            return name
        margins = [self.reading_margins(unit, name) for unit in self.readers.get(name, ())]
        left, right = max((m[0] for m in margins), default=0), max((m[1] for m in margins), default=0)
        return self.buffer(name, name, shape, shape.height, (left, right))

    def place_in_concat(self, name: str) -> tuple[str, int] | None:
        """The concatenation, and the channel in it, where a tensor can be computed in place.

        Only the concatenation may read it, once, and it must begin and end at a block of channels.
        """
        readers = self.readers.get(name, ())
        if len(readers) != 1 or (self.integers is not None and name in self.integers.real):
            return None
        concat = readers[0]
        if not isinstance(concat, ConcatUnit) or concat.parts.count(name) > 1:
            return None
        if self.integers is not None and self.integers.activations[name] != self.integers.activations[concat.target]:
            return None
        channel = self.channel(concat, concat.parts.index(name))
        block = self.layout.block
        ends = self.shapes[name].channels % block == 0 or concat.parts[-1] == name
        return (concat.target, channel) if channel % block == 0 and ends else None

    def channel(self, concat: ConcatUnit, index: int) -> int:
        """The channel of a concatenation where a part begins."""
        return sum(self.shapes[part].channels for part in concat.parts[:index])

    def reading_margins(self, unit: Unit, source: str) -> Span:
        """Columns of zeros that `unit` needs left and right of its source."""
        conv = unit.depthwise if isinstance(unit, BlockUnit) else unit.conv if isinstance(unit, ProductUnit) else None
        if (isinstance(unit, BlockUnit) and unit.expand) or not isinstance(conv, Conv):
            return 0, 0
        return self.window(unit).margins(self.shapes[source].width, self.shapes[conv.name].width)

    def scratch(self, name: str, unit: BlockUnit, slots: int) -> str:
        """The depthwise convolution's result on its way to the projection."""
        if name not in self.buffers:
            self.buffer(name, unit.depthwise.name, self.shapes[unit.depthwise.name], slots)
        return self.read(name)

    def depthwise(
        self,
        unit: BlockUnit,
        window: Window,
        source: str,
        target: str,
        new: Span,
        rows: Span,
        thread: int,
        band: int,
        part: Span | None,
    ) -> Step:
        """Expansion and depthwise convolution of some rows: of all panels, or of panels `part`, which then share a ring."""
        label, before, after = self.labels[unit.target], self.shapes[unit.source], self.shapes[unit.depthwise.name]
        if unit.expand is None:
            blocks = part or (0, self.layout.blocks(after.channels))
            return DepthwiseStep(label, unit.depthwise, window, source, target, rows, blocks)
        ring = f"{unit.target}.ring/{thread}"
        if ring not in self.buffers:
            channels = after.channels if part is None else min(after.channels, self.layout.expand_panel * self.layout.block)
            slots = (band - 1) * window.stride + (window.kernel - 1) * window.dilation + 1
            shape = Shape(channels, before.height, before.width)
            self.buffer(ring, unit.expand.name, shape, slots, window.margins(before.width, after.width), thread)
        every = part or (0, self.panels(unit, unit.expand))
        return ExpandDepthwiseStep(
            label, unit.expand, unit.depthwise, window, source, self.read(ring), target, new, rows, every
        )

    def product(self, unit: Unit, conv: Conv | Linear, window: Window, source: str, target: str, residual: str | None,
                rows: Span, panels: Span) -> list[Step]:  # fmt: skip
        """A product of some rows and panels. Where a residual does not go into its sums, it is added to its bytes."""
        label, integers = self.labels[unit.target], self.integers
        if residual is None or integers is None or integers.in_sums:
            return [ProductStep(label, conv, window, source, target, residual, rows, panels)]
        numbers = integers.add((conv.name, integers.shortcuts[conv.name].residual), unit.target)
        product = ProductStep(label, conv, window, source, target, None, rows, panels)
        return [product, AddStep(label, target, residual, target, rows, panels, numbers)]

    def stem(self, unit: StemUnit, window: Window, target: str, new: Span, rows: Span, thread: int, band: int) -> list[Step]:
        """The convolution of the image for some rows. In integers the image becomes bytes first, its rows `new`."""
        label, integers = self.labels[unit.target], self.integers
        if integers is None:
            return [StemStep(label, unit.conv, window, target, rows)]
        image = f"input/{thread}"
        if image not in self.buffers:
            before, after = self.shapes["input"], self.shapes[unit.conv.name]
            slots = (band - 1) * window.stride + (window.kernel - 1) * window.dilation + 1
            self.buffer(image, "input", before, slots, window.margins(before.width, after.width), thread)
        pixels = PixelStep(label, self.read(image), new, integers.image())
        every = (0, self.panels(unit, unit.conv))
        return [pixels, ProductStep(label, unit.conv, window, image, target, None, rows, every)]

    def each(self, steps: Callable[[int], list[Step]]) -> None:
        """A stage with the steps that `steps` returns for each thread."""
        self.end_stage([steps(thread) for thread in range(self.threads)])

    def end_stage(self, steps: Sequence[Sequence[Step]]) -> None:
        """Adds a stage with each thread's `steps`. The zeros beside its new buffers are written first."""
        pads: list[list[Step]] = [[] for _ in range(self.threads)]
        for name, owner in self.unpadded:
            slots = self.buffers[name].slots
            for thread in range(self.threads):
                part = share(slots, thread, self.threads) if owner is None else (0, slots if owner == thread else 0)
                if part[0] < part[1]:
                    pads[thread].append(PadStep(self.label, name, part))
        self.unpadded = []
        self.stages.append(tuple((*before, *after) for before, after in zip(pads, steps, strict=True)))
