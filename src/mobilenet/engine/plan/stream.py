"""Stages in which rows stream through a chain of units: each makes the rows that the next one needs, just before it does."""

from __future__ import annotations

from collections.abc import Sequence

from .draft import Draft
from .fuse import BlockUnit, ProductUnit, StemUnit, Unit, residual_of, sources
from .geometry import share
from .steps import Span, Step, Window


def chains(draft: Draft) -> list[list[Unit]]:
    """Consecutive units through which rows stream. The stem always forms a chain with the unit that follows it."""
    groups: list[list[Unit]] = []
    for unit in draft.units:
        if groups and linked(draft, groups[-1][-1], unit):
            groups[-1].append(unit)
        else:
            groups.append([unit])
    return groups


def linked(draft: Draft, before: Unit, unit: Unit) -> bool:
    """Whether rows stream from `before` to `unit`: nothing else reads them, and the tensor between is large."""
    only = set(sources(unit)) == {before.target} and draft.readers.get(before.target) == [unit]
    rows = streams_alone(draft, unit) and streams_alone(draft, before)
    if not (only and rows) or before.target in draft.outputs.values():
        return False
    return isinstance(before, StemUnit) or pixels(draft, before) > draft.style.stream


def streams_alone(draft: Draft, unit: Unit) -> bool:
    """Whether the unit runs in bands of rows rather than whole."""
    return isinstance(unit, StemUnit | BlockUnit | ProductUnit) and pixels(draft, unit) > draft.style.whole


def pixels(draft: Draft, unit: Unit) -> int:
    """Pixels of the unit's output."""
    shape = draft.shapes[unit.layers[-1].name if unit.layers else unit.target]
    return shape.height * shape.width


def band_rows(draft: Draft, unit: Unit) -> int:
    """Output rows that the unit computes at a time."""
    width = draft.shapes[unit.layers[0].name if isinstance(unit, StemUnit) else unit.layers[-1].name].width
    return max(draft.style.band, min(4, draft.style.pixels // width))


def run_chain(draft: Draft, chain: Sequence[Unit]) -> None:
    """One stage: each thread streams its share of the last unit's rows through the whole chain."""
    last = chain[-1]
    draft.tensor(last.target)
    height = draft.shapes[last.target].height
    shares = [share(height, thread, draft.threads) for thread in range(draft.threads)]
    draft.end_stage([stream(draft, chain, rows, t) if rows[0] < rows[1] else [] for t, rows in enumerate(shares)])


def stream(draft: Draft, chain: Sequence[Unit], rows: Span, thread: int) -> list[Step]:
    """Steps that make `rows` of the last unit's tensor, each unit running just far enough ahead of the next."""
    steps: list[Step] = []
    starts = [rows[0]]
    for unit in reversed(chain[1:]):
        starts.insert(0, draft.window(unit).first(starts[0]))
    done, expanded = list(starts), [draft.window(unit).first(y) for unit, y in zip(chain, starts, strict=True)]
    rings: dict[str, int] = {}  # slots that a ring between two units needs
    names = [unit.target if unit is chain[-1] else f"{unit.target}/{thread}" for unit in chain]  # buffers they write

    def reads(index: int, first: int) -> None:
        """The unit reads rows of its source from `first` on: they must not have been overwritten."""
        if index > 0:
            rings[names[index - 1]] = max(rings.get(names[index - 1], 1), done[index - 1] - first)

    def advance(index: int, upto: int) -> None:
        unit, window = chain[index], draft.window(chain[index])
        source = names[index - 1] if index else "" if isinstance(unit, StemUnit) else draft.read(sources(unit)[0])
        height = draft.shapes[sources(unit)[0]].height
        while done[index] < upto:
            y = done[index]
            made = (y, min(y + band_rows(draft, unit), upto))
            need = window.upto(made[1], height)
            residual = residual_of(unit)
            if index:
                advance(index - 1, max(need, made[1]) if residual else need)
                reads(index, expanded[index] if isinstance(unit, BlockUnit) and unit.expand else window.first(y))
                if residual:
                    reads(index, y)
            if residual:
                residual = source if index else draft.read(residual)
            new = (expanded[index], max(expanded[index], need))
            expanded[index] = new[1]
            steps.extend(band(draft, unit, window, source, names[index], residual, new, made, thread))
            done[index] = made[1]

    advance(len(chain) - 1, rows[1])
    for index, unit in enumerate(chain[:-1]):
        shape = draft.shapes[unit.target]
        margins = draft.reading_margins(chain[index + 1], unit.target)
        draft.buffer(names[index], unit.target, shape, rings[names[index]], margins, thread)
    return steps


def band(
    draft: Draft, unit: Unit, window: Window, source: str, target: str, residual: str | None, new: Span, rows: Span, thread: int
) -> list[Step]:
    """Steps for some rows of one unit; `new` are the source rows that a fused block has not expanded yet."""
    match unit:
        case StemUnit():
            return draft.stem(unit, window, target, new, rows, thread, band_rows(draft, unit))
        case ProductUnit():
            panels = (0, draft.panels(unit, unit.conv))
            return draft.product(unit, unit.conv, window, source, target, residual, rows, panels)
        case BlockUnit():
            height = band_rows(draft, unit)
            middle = target if unit.project is None else draft.scratch(f"{unit.target}.depthwise/{thread}", unit, height)
            steps = [draft.depthwise(unit, window, source, middle, new, rows, thread, height, None)]
            if unit.project is not None:
                panels = (0, draft.panels(unit, unit.project))
                steps += draft.product(unit, unit.project, Window(), middle, target, residual, rows, panels)
            return steps
        case _:
            raise AssertionError(f"{type(unit).__name__} runs whole")
