"""A network and a picture size become a plan: typed steps on buffers, in the order each thread runs them.

A *unit* (see `fuse`) is what belongs together; a *chain* is consecutive units through which rows stream: each keeps only
the rows its successor still needs. A chain runs in bands of a few output rows; what a band needs from the unit before is
made just then. Small pictures (14 x 14 and below) run *whole* instead, panel by panel of the expanded channels. Every
output is computed by the same arithmetic however rows, bands and threads are cut, so all plans give the same bits.

Stages follow one another with a barrier between; within a stage no thread reads what another writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...network.layers import Conv, Linear, Network, Shape
from .fuse import Block, Join, Pool, PooledProduct, Product, Scale, Stem, Unit, fuse, residual_of, sources
from .geometry import EXPAND_PANEL, PANEL, panels, share, window_of
from .memory import BLOCK, Buffer, place
from .steps import (
    ConcatStep,
    DepthwiseStep,
    EmitStep,
    ExpandDepthwiseStep,
    PadStep,
    Plan,
    PooledProductStep,
    PoolStep,
    ProductStep,
    ResizeStep,
    Span,
    Stage,
    StemStep,
    Step,
    Style,
    SumStep,
    Window,
)

SCALED_ROWS = 2  # rows that a resize makes before they leave


def make_plan(network: Network, resolution: tuple[int, int], threads: int, style: Style) -> Plan:
    """The plan for pictures of `resolution` (height, width) on `threads` threads in `style`."""
    return _Planner(network, resolution, threads, style).plan()


class _Planner:
    """Builds one plan, stage by stage."""

    def __init__(self, network: Network, resolution: tuple[int, int], threads: int, style: Style) -> None:
        self.network, self.threads, self.style = network, threads, style
        self.shapes = network.shapes(resolution)
        self.units = fuse(network)
        self.labels = {unit.target: index for index, unit in enumerate(self.units)}
        self.outputs = {name: network[name].name for name in network.outputs}
        self.readers: dict[str, list[Unit]] = {}
        for unit in self.units:
            for name in set(sources(unit)):
                self.readers.setdefault(name, []).append(unit)
        self.buffers: dict[str, Buffer] = {}
        self.stages: list[Stage] = []
        self.label = 0  # of the chain under way
        self.unpadded: list[tuple[str, int | None]] = []  # buffers of this stage whose columns of zeros are to be written

    def plan(self) -> Plan:
        for chain in self.chains():
            self.label = self.labels[chain[0].target]
            if len(chain) > 1 or self.streams_alone(chain[0]):
                self.run_chain(chain)
            else:
                self.run_whole(chain[0])
            self.emit(chain[-1].target)
        height, width = self.shapes["input"].height, self.shapes["input"].width
        rows = (b.row_floats for b in self.buffers.values())
        zeros = -(-max(width, *rows) // BLOCK) * BLOCK
        placed, floats = place(tuple(self.buffers.values()), zeros)
        return Plan(
            resolution=(height, width),
            threads=self.threads,
            style=self.style,
            labels=(*(unit.target for unit in self.units), "outputs"),
            buffers=placed,
            stages=tuple(self.stages),
            outputs=tuple((name, self.shapes[tensor]) for name, tensor in self.outputs.items()),
            zeros=zeros,
            floats=floats,
        )

    # Geometry

    def window(self, unit: Unit) -> Window:
        """The unit's window on the rows it consumes: of its source, or of its own ring where it expands."""
        conv = unit.depthwise if isinstance(unit, Block) else unit.conv if isinstance(unit, Stem | Product) else None
        return window_of(conv, self.shapes[sources(unit)[0]], self.network.padding)

    def buffer(self, name: str, shape: Shape, slots: int, margins: Span = (0, 0), thread: int | None = None) -> str:
        """A new buffer, alive from this stage on; `read` prolongs it. `thread` owns it, or all do."""
        stage = len(self.stages)
        assert name not in self.buffers, name
        if margins != (0, 0):
            self.unpadded.append((name, thread))
        self.buffers[name] = Buffer(name, *shape, max(1, min(slots, shape.height)), *margins, stage, stage)
        return name

    def read(self, name: str) -> str:
        """Keeps the buffer alive through the stage under way."""
        buffer = self.buffers[name]
        if buffer.last != len(self.stages):
            self.buffers[name] = buffer._replace(last=len(self.stages))
        if buffer.host:
            self.read(buffer.host)
        return name

    def tensor(self, name: str) -> str:
        """A whole tensor, with the padding that its readers' windows need."""
        if name in self.buffers:  # made when its first part was
            return self.read(name)
        shape = self.shapes[name]
        if place := self.place_in_concat(name):
            (host, channel), stage = place, len(self.stages)
            whole = self.buffers[self.tensor(host)]
            sides = whole.left, whole.right
            self.buffers[name] = Buffer(name, *shape, shape.height, *sides, stage, stage, host, channel)
            return name
        wanted = [self.reading_margins(unit, name) for unit in self.readers.get(name, ())]
        left, right = max((m[0] for m in wanted), default=0), max((m[1] for m in wanted), default=0)
        return self.buffer(name, shape, shape.height, (left, right))

    def place_in_concat(self, name: str) -> tuple[str, int] | None:
        """The concatenation and the channel where a tensor can be made in place: alone there, from block to block."""
        readers = self.readers.get(name, ())
        if len(readers) != 1 or not isinstance(join := readers[0], Join) or join.parts.count(name) > 1:
            return None
        channel = self.channel(join, join.parts.index(name))
        ends = self.shapes[name].channels % BLOCK == 0 or join.parts[-1] == name
        return (join.target, channel) if channel % BLOCK == 0 and ends else None

    def channel(self, join: Join, index: int) -> int:
        """The first channel of a part in the whole."""
        return sum(self.shapes[part].channels for part in join.parts[:index])

    def reading_margins(self, unit: Unit, source: str) -> Span:
        conv = unit.depthwise if isinstance(unit, Block) else unit.conv if isinstance(unit, Product) else None
        if (isinstance(unit, Block) and unit.expand) or not isinstance(conv, Conv):
            return 0, 0
        return self.window(unit).margins(self.shapes[source].width, self.shapes[conv.name].width)

    # Chains

    def pixels(self, unit: Unit) -> int:
        shape = self.shapes[unit.layers[-1].name if unit.layers else unit.target]
        return shape.height * shape.width

    def band_rows(self, unit: Unit) -> int:
        """Output rows that the unit computes at a time."""
        width = self.shapes[unit.layers[0].name if isinstance(unit, Stem) else unit.layers[-1].name].width
        return max(self.style.band, min(4, self.style.pixels // width))

    def streams_alone(self, unit: Unit) -> bool:
        """Whether the unit runs in bands of rows rather than whole."""
        return isinstance(unit, Stem | Block | Product) and self.pixels(unit) > self.style.whole

    def chains(self) -> list[list[Unit]]:
        """Consecutive units through which rows stream. The stem is always chained to what follows it."""
        chains: list[list[Unit]] = []
        for unit in self.units:
            if chains and self.linked(chains[-1][-1], unit):
                chains[-1].append(unit)
            else:
                chains.append([unit])
        return chains

    def linked(self, before: Unit, unit: Unit) -> bool:
        only = set(sources(unit)) == {before.target} and self.readers.get(before.target) == [unit]
        rows = self.streams_alone(unit) and self.streams_alone(before)
        if not (only and rows) or before.target in self.outputs.values():
            return False
        stream = self.style.stream
        return isinstance(before, Stem) or (stream is not None and self.pixels(before) > stream)

    def run_chain(self, chain: Sequence[Unit]) -> None:
        """One stage: each thread streams its share of the last unit's rows through the whole chain."""
        last = chain[-1]
        self.tensor(last.target)
        height = self.shapes[last.target].height
        shares = [share(height, thread, self.threads) for thread in range(self.threads)]
        self.end_stage([self.stream(chain, rows, t) if rows[0] < rows[1] else [] for t, rows in enumerate(shares)])

    def stream(self, chain: Sequence[Unit], rows: Span, thread: int) -> list[Step]:
        """Steps that make `rows` of the last unit's tensor, each unit running just far enough ahead of the next."""
        steps: list[Step] = []
        starts = [rows[0]]
        for unit in reversed(chain[1:]):
            starts.insert(0, self.window(unit).first(starts[0]))
        done, expanded = list(starts), [self.window(unit).first(y) for unit, y in zip(chain, starts, strict=True)]
        rings: dict[str, int] = {}  # slots that a ring between two units needs
        names = [unit.target if unit is chain[-1] else f"{unit.target}/{thread}" for unit in chain]  # buffers they write

        def reads(index: int, first: int) -> None:
            """The unit reads rows of its source from `first` on: they must not have been overwritten."""
            if index > 0:
                rings[names[index - 1]] = max(rings.get(names[index - 1], 1), done[index - 1] - first)

        def advance(index: int, upto: int) -> None:
            unit, window = chain[index], self.window(chain[index])
            source = names[index - 1] if index else "" if isinstance(unit, Stem) else self.read(sources(unit)[0])
            height = self.shapes[sources(unit)[0]].height
            while done[index] < upto:
                y = done[index]
                band = (y, min(y + self.band_rows(unit), upto))
                need = window.upto(band[1], height)
                residual = residual_of(unit)
                if index:
                    advance(index - 1, max(need, band[1]) if residual else need)
                    reads(index, expanded[index] if isinstance(unit, Block) and unit.expand else window.first(y))
                    if residual:
                        reads(index, y)
                if residual:
                    residual = source if index else self.read(residual)
                new = (expanded[index], max(expanded[index], need))
                expanded[index] = new[1]
                steps.extend(self.band(unit, window, source, names[index], residual, new, band, thread))
                done[index] = band[1]

        advance(len(chain) - 1, rows[1])
        for index, unit in enumerate(chain[:-1]):
            shape = self.shapes[unit.target]
            margins = self.reading_margins(chain[index + 1], unit.target)
            self.buffer(names[index], shape, rings[names[index]], margins, thread)
        return steps

    def band(self, unit: Unit, window: Window, source: str, target: str, residual: str | None,
             new: Span, rows: Span, thread: int) -> list[Step]:  # fmt: skip
        """Steps for some rows of one unit; `new` are the source rows a fused block has yet to expand."""
        label = self.labels[unit.target]
        if isinstance(unit, Stem):
            return [StemStep(label, unit.conv, window, target, rows)]
        if isinstance(unit, Product):
            return [ProductStep(label, unit.conv, window, source, target, residual, rows, (0, panels(unit, unit.conv)))]
        assert isinstance(unit, Block)
        band = self.band_rows(unit)
        middle = target if unit.project is None else self.scratch(f"{unit.target}.depthwise/{thread}", unit, band)
        steps = [self.depthwise(unit, window, source, middle, new, rows, thread, band, None)]
        if unit.project is not None:
            every = (0, panels(unit, unit.project))
            steps.append(ProductStep(label, unit.project, Window(), middle, target, residual, rows, every))
        return steps

    def scratch(self, name: str, unit: Block, slots: int) -> str:
        """The depthwise convolution's result on its way to the projection."""
        if name not in self.buffers:
            self.buffer(name, self.shapes[unit.depthwise.name], slots)
        return self.read(name)

    def depthwise(self, unit: Block, window: Window, source: str, target: str, new: Span, rows: Span,
                  thread: int, band: int, part: Span | None) -> Step:  # fmt: skip
        """Expansion and depthwise convolution of some rows; of panels `part`, sharing a ring, where that is given."""
        label, before, after = self.labels[unit.target], self.shapes[unit.source], self.shapes[unit.depthwise.name]
        if unit.expand is None:
            blocks = part or (0, -(-after.channels // BLOCK))
            return DepthwiseStep(label, unit.depthwise, window, source, target, rows, blocks)
        ring = f"{unit.target}.ring/{thread}"
        if ring not in self.buffers:
            channels = after.channels if part is None else min(after.channels, EXPAND_PANEL * BLOCK)
            slots = (band - 1) * window.stride + (window.kernel - 1) * window.dilation + 1
            shape = Shape(channels, before.height, before.width)
            self.buffer(ring, shape, slots, window.margins(before.width, after.width), thread)
        every = part or (0, panels(unit, unit.expand))
        return ExpandDepthwiseStep(
            label, unit.expand, unit.depthwise, window, source, self.read(ring), target, new, rows, every
        )

    # Whole pictures

    def run_whole(self, unit: Unit) -> None:
        """Stages of one small unit: channels split among the threads, then the projection's rows or panels."""
        label = self.labels[unit.target]
        target = self.shapes[unit.target]
        for name in sources(unit):
            if name != "input":
                self.read(name)
        if isinstance(unit, Block):
            self.whole_block(unit)
            return
        if isinstance(unit, Scale) and unit.target not in self.readers:
            self.scale_out(unit)
            return
        window = self.window(unit)
        name = self.tensor(unit.target)

        def rows(thread: int) -> Span:
            return share(target.height, thread, self.threads)

        if isinstance(unit, Stem):
            self.each(lambda t: [StemStep(label, unit.conv, window, name, rows(t))])
        elif isinstance(unit, Product):
            self.split_product(unit, unit.conv, window, unit.source, unit.residual)
        elif isinstance(unit, PooledProduct):
            source, count = self.shapes[unit.source], panels(unit, unit.conv)
            shape = Shape(min(unit.conv.out_channels, PANEL * BLOCK), source.height, source.width)
            scratch = [self.buffer(f"{name}.scratch/{t}", shape, source.height) for t in range(self.threads)]
            self.each(lambda t: [
                PooledProductStep(label, unit.conv, unit.source, scratch[t], name, share(count, t, self.threads))
            ])  # fmt: skip
        elif isinstance(unit, Pool):
            blocks = -(-target.channels // BLOCK)
            self.each(lambda t: [PoolStep(label, unit.source, name, share(blocks, t, self.threads))])
        elif isinstance(unit, Scale):
            self.each(lambda t: [ResizeStep(label, unit.corners, unit.source, name, rows(t))])
        elif isinstance(unit, Join):
            copied = [(self.channel(unit, i), part) for i, part in enumerate(unit.parts) if self.buffers[part].host != name]
            if copied:
                self.each(lambda t: [ConcatStep(label, part, name, at, rows(t)) for at, part in copied])
        else:
            self.each(lambda t: [SumStep(label, unit.a, unit.b, name, rows(t))])

    def scale_out(self, unit: Scale) -> None:
        """A stage for a resize that only outputs want: a few rows at a time, which leave at once."""
        label, shape = self.labels[unit.target], self.shapes[unit.target]
        names = [name for name, tensor in self.outputs.items() if tensor == unit.target]

        def steps(thread: int) -> list[Step]:
            first, last = share(shape.height, thread, self.threads)
            band, made = self.buffer(f"{unit.target}/{thread}", shape, SCALED_ROWS), list[Step]()
            for y in range(first, last, SCALED_ROWS):
                rows = (y, min(y + SCALED_ROWS, last))
                made.append(ResizeStep(label, unit.corners, unit.source, band, rows))
                made += [EmitStep(label, band, name, rows) for name in names]
            return made

        self.each(steps)

    def whole_block(self, unit: Block) -> None:
        window, after = self.window(unit), self.shapes[unit.depthwise.name]
        if unit.project is None:
            middle = self.tensor(unit.target)
        else:
            middle = self.scratch(f"{unit.target}.depthwise", unit, after.height)
        count = panels(unit, unit.expand) if unit.expand else -(-after.channels // BLOCK)
        source, rows = self.shapes[unit.source], (0, after.height)
        self.each(lambda t: [
            self.depthwise(unit, window, unit.source, middle, (0, source.height), rows, t, source.height,
                           share(count, t, self.threads))
        ])  # fmt: skip
        if unit.project is not None:
            self.tensor(unit.target)
            self.read(middle)
            if unit.residual:
                self.read(unit.residual)
            self.split_product(unit, unit.project, Window(), middle, unit.residual)

    def split_product(self, unit: Unit, conv: Conv | Linear, window: Window, source: str, residual: str | None) -> None:
        """A stage that shares rows out among the threads, or panels and of those left over rows.

        Each thread reads all weights of its rows, or all pixels for its panels: the smaller of the two is repeated.
        """
        label, count, (_, height, width) = self.labels[unit.target], panels(unit, conv), self.shapes[unit.target]
        by_rows = height >= 2 * self.threads and height * width > conv.out_channels

        def steps(thread: int) -> list[Step]:
            each = 0 if by_rows else count // self.threads
            left = (each * self.threads, count)
            parts = [((0, height), (each * thread, each * (thread + 1)))]
            if height >= 2 * self.threads:
                parts.append((share(height, thread, self.threads), left))
            else:
                first, last = share(count - left[0], thread, self.threads)
                parts.append(((0, height), (left[0] + first, left[0] + last)))
            return [
                ProductStep(label, conv, window, source, unit.target, residual, rows, part)
                for rows, part in parts
                if rows[0] < rows[1] and part[0] < part[1]
            ]

        self.each(steps)

    def each(self, steps: Callable[[int], list[Step]]) -> None:
        """A stage of the steps each thread is given."""
        self.end_stage([steps(thread) for thread in range(self.threads)])

    def end_stage(self, steps: Sequence[Sequence[Step]]) -> None:
        """The stage that each thread's `steps` make, the zeros of its new buffers first."""
        pads: list[list[Step]] = [[] for _ in range(self.threads)]
        for name, owner in self.unpadded:
            slots = self.buffers[name].slots
            for thread in range(self.threads):
                part = share(slots, thread, self.threads) if owner is None else (0, slots if owner == thread else 0)
                if part[0] < part[1]:
                    pads[thread].append(PadStep(self.label, name, part))
        self.unpadded = []
        self.stages.append(tuple((*before, *after) for before, after in zip(pads, steps, strict=True)))

    def emit(self, tensor: str) -> None:
        """A stage that writes the outputs `tensor` is, where they have not left already."""
        names = [name for name, made in self.outputs.items() if made == tensor and tensor in self.buffers]
        if names:
            self.read(tensor)
            label, height = len(self.units), self.shapes[tensor].height
            self.each(lambda t: [EmitStep(label, tensor, name, share(height, t, self.threads)) for name in names])
