"""Stages of one small unit that runs whole: channels are split among the threads, then rows or panels of a projection."""

from __future__ import annotations

from ...errors import assert_never
from ...network.layers import Conv, Linear, Shape
from .draft import Draft
from .fuse import (
    AddUnit,
    BlockUnit,
    ConcatUnit,
    GlobalPoolUnit,
    PooledProductUnit,
    ProductUnit,
    ResizeUnit,
    StemUnit,
    Unit,
    sources,
)
from .geometry import share
from .steps import (
    AddStep,
    ConcatStep,
    EmitStep,
    GlobalPoolStep,
    PooledProductStep,
    ResizeStep,
    Span,
    Step,
    Window,
)

RESIZED_ROWS = 2  # rows that a resize makes before they are written to the output


def run_whole(draft: Draft, unit: Unit) -> None:
    """Stages of one small unit."""
    label = draft.labels[unit.target]
    target = draft.shapes[unit.target]
    for name in sources(unit):
        if name != "input":
            draft.read(name)

    def rows(thread: int) -> Span:
        return share(target.height, thread, draft.threads)

    window, name = draft.window(unit), unit.target
    match unit:
        case BlockUnit():
            whole_block(draft, unit)
        case StemUnit():
            draft.tensor(name)
            height = draft.shapes["input"].height

            def stem(thread: int) -> list[Step]:
                first, last = rows(thread)
                new = (window.first(first), window.upto(last, height))
                return draft.stem(unit, window, name, new, (first, last), thread, target.height) if first < last else []

            draft.each(stem)
        case ProductUnit():
            draft.tensor(name)
            split_product(draft, unit, unit.conv, window, unit.source, unit.residual)
        case PooledProductUnit():
            pooled_product(draft, unit)
        case GlobalPoolUnit():
            draft.tensor(name)
            blocks = draft.layout.blocks(target.channels)
            mean = draft.integers.mean(unit.source, name, pixels(draft.shapes[unit.source])) if draft.integers else ()
            draft.each(lambda t: [GlobalPoolStep(label, unit.source, name, share(blocks, t, draft.threads), mean)])
        case ResizeUnit() if name not in draft.readers:
            resize_out(draft, unit)
        case ResizeUnit():
            draft.tensor(name)
            numbers = draft.integers.resize(unit.source, name) if draft.integers else ()
            draft.each(lambda t: [ResizeStep(label, unit.corners, unit.source, name, rows(t), numbers)])
        case ConcatUnit():
            draft.tensor(name)
            copied = [
                (draft.channel(unit, i), part, draft.integers.concat(part, name) if draft.integers else ())
                for i, part in enumerate(unit.parts)
                if draft.buffers[part].host != name
            ]
            if copied:
                draft.each(lambda t: [ConcatStep(label, part, name, at, rows(t), scale) for at, part, scale in copied])
        case AddUnit():
            draft.tensor(name)
            factors = draft.integers.add((unit.a, unit.b), name) if draft.integers else ()
            every = (0, draft.layout.blocks(target.channels))
            draft.each(lambda t: [AddStep(label, unit.a, unit.b, name, rows(t), every, factors)])
        case _:
            assert_never(unit)


def pooled_product(draft: Draft, unit: PooledProductUnit) -> None:
    """A stage that shares the product's panels among the threads."""
    label, name, source = draft.labels[unit.target], draft.tensor(unit.target), draft.shapes[unit.source]
    shape = Shape(min(unit.conv.out_channels, draft.layout.panel * draft.layout.block), source.height, source.width)
    scratch = [draft.buffer(f"{name}.scratch/{t}", unit.conv.name, shape, source.height) for t in range(draft.threads)]
    shares = [share(draft.panels(unit, unit.conv), t, draft.threads) for t in range(draft.threads)]
    mean = draft.integers.mean(unit.conv.name, name, pixels(source)) if draft.integers else ()
    draft.each(lambda t: [PooledProductStep(label, unit.conv, unit.source, scratch[t], name, shares[t], mean)])


def pixels(shape: Shape) -> int:
    return shape.height * shape.width


def resize_out(draft: Draft, unit: ResizeUnit) -> None:
    """A stage for a resize that only outputs read: a few rows at a time, which are written to the outputs at once."""
    label, shape = draft.labels[unit.target], draft.shapes[unit.target]
    names = [name for name, tensor in draft.outputs.items() if tensor == unit.target]
    numbers = draft.integers.resize(unit.source, unit.target) if draft.integers else ()
    real = draft.integers.emit(unit.target) if draft.integers else ()

    def steps(thread: int) -> list[Step]:
        first, last = share(shape.height, thread, draft.threads)
        band, made = draft.buffer(f"{unit.target}/{thread}", unit.target, shape, RESIZED_ROWS), list[Step]()
        for y in range(first, last, RESIZED_ROWS):
            rows = (y, min(y + RESIZED_ROWS, last))
            made.append(ResizeStep(label, unit.corners, unit.source, band, rows, numbers))
            made += [EmitStep(label, band, name, rows, real) for name in names]
        return made

    draft.each(steps)


def whole_block(draft: Draft, unit: BlockUnit) -> None:
    window, after = draft.window(unit), draft.shapes[unit.depthwise.name]
    if unit.project is None:
        middle = draft.tensor(unit.target)
    else:
        middle = draft.scratch(f"{unit.target}.depthwise", unit, after.height)
    count = draft.panels(unit, unit.expand) if unit.expand else draft.layout.blocks(after.channels)
    source, rows = draft.shapes[unit.source], (0, after.height)
    draft.each(
        lambda t: [
            draft.depthwise(
                unit, window, unit.source, middle, (0, source.height), rows, t, source.height, share(count, t, draft.threads)
            )
        ]
    )
    if unit.project is not None:
        draft.tensor(unit.target)
        draft.read(middle)
        if unit.residual:
            draft.read(unit.residual)
        split_product(draft, unit, unit.project, Window(), middle, unit.residual)


def split_product(draft: Draft, unit: Unit, conv: Conv | Linear, window: Window, source: str, residual: str | None) -> None:
    """A stage that divides rows among the threads, or panels, and then the rows of the panels that are left over.

    A thread reads all weights for its rows, or all pixels for its panels: the smaller of the two is what all threads read.
    """
    count, (_, height, width) = draft.panels(unit, conv), draft.shapes[unit.target]
    by_rows = height >= 2 * draft.threads and height * width > conv.out_channels

    def steps(thread: int) -> list[Step]:
        each = 0 if by_rows else count // draft.threads
        left = (each * draft.threads, count)
        parts = [((0, height), (each * thread, each * (thread + 1)))]
        if height >= 2 * draft.threads:
            parts.append((share(height, thread, draft.threads), left))
        else:
            first, last = share(count - left[0], thread, draft.threads)
            parts.append(((0, height), (left[0] + first, left[0] + last)))
        return [
            step
            for rows, part in parts
            if rows[0] < rows[1] and part[0] < part[1]
            for step in draft.product(unit, conv, window, source, unit.target, residual, rows, part)
        ]

    draft.each(steps)
