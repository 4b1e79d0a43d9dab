"""Plans replayed: every row a step reads is there, and no thread touches what another writes in the same stage."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import pytest
from hypothesis import given, settings, strategies as st
from support.networks import STYLES, networks

from mobilenet.engine.plan.budget import best_plan, candidates
from mobilenet.engine.plan.fuse import AddUnit, BlockUnit, PooledProductUnit, ProductUnit, StemUnit, fuse
from mobilenet.engine.plan.geometry import panels
from mobilenet.engine.plan.layout import F32
from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.plan.steps import (
    AddStep,
    ConcatStep,
    DepthwiseStep,
    EmitStep,
    ExpandDepthwiseStep,
    GlobalPoolStep,
    PadStep,
    Plan,
    PooledProductStep,
    ProductStep,
    ResizeStep,
    StemStep,
    Style,
)
from mobilenet.network.layers import Network
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.values import replace


class Replay:
    """Runs a plan on bookkeeping instead of numbers: which row stands in which slot, and which parts of it are made."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self.plan = plan
        self.buffers = {b.name: b for b in plan.buffers}
        self.units = {unit.target: unit for unit in fuse(network)}
        self.rows: dict[tuple[str, int], tuple[int, set[int], int]] = {}  # (buffer, slot): row, parts made, parts in all
        self.padded: set[tuple[str, int]] = set()
        self.emitted: dict[str, list[int]] = defaultdict(list)
        for self.stage, threads in enumerate(plan.stages):
            touched = []
            for steps in threads:
                self.reads: set[tuple[str, int]] = set()
                self.writes: set[tuple[str, int, int]] = set()
                for step in steps:
                    self.run(step)
                touched.append((self.reads, self.writes))
            for (reads, writes), (other_reads, other_writes) in combinations(touched, 2):
                assert not writes & other_writes
                assert not reads & {(b, s) for b, s, _ in other_writes}
                assert not other_reads & {(b, s) for b, s, _ in writes}
        for name, shape in plan.outputs:
            assert sorted(self.emitted[name]) == list(range(shape.height))

    def alive(self, name):
        buffer = self.buffers[name]
        assert buffer.first <= self.stage <= buffer.last, (name, self.stage)
        return buffer

    def write(self, name, rows, parts, count):
        buffer = self.alive(name)
        for y in range(*rows):
            slot = y % buffer.slots
            row, made, _ = self.rows.get((name, slot), (None, set(), count))
            made = made if row == y else set()
            self.rows[name, slot] = y, made | set(range(*parts)), count
            self.writes |= {(name, slot, part) for part in range(*parts)}

    def read(self, name, rows):
        """Rows must stand there complete: of each part too, where parts are made in place."""
        buffer = self.alive(name)
        parts = [part.name for part in self.buffers.values() if part.host == name]
        for part in parts:
            self.read(part, rows)
        if parts and (name, 0) not in self.rows:
            return
        for y in range(max(0, rows[0]), min(buffer.height, rows[1])):
            slot = y % buffer.slots
            row, made, count = self.rows[name, slot]
            assert row == y, f"{name}: row {y} wanted, row {row} stands in its slot"
            assert made == set(range(count)), f"{name}: row {y} is not complete"
            self.reads.add((name, slot))

    def read_window(self, name, window, rows):
        buffer = self.alive(name)
        if window.kernel > 1 and (buffer.left or buffer.right):
            assert {(name, slot) for slot in range(buffer.slots)} <= self.padded
        for y in range(*rows):
            for i in range(window.kernel):
                row = y * window.stride - window.top + i * window.dilation
                self.read(name, (row, row + 1))

    def run(self, step):
        label = self.plan.labels[step.label]
        unit = self.units.get(label)
        match step:
            case PadStep():
                self.alive(step.target)
                self.padded |= {(step.target, slot) for slot in range(*step.slots)}
            case StemStep():
                self.write(step.target, step.rows, (0, 1), 1)
            case ProductStep():
                self.read_window(step.source, step.window, step.rows)
                if step.residual:
                    self.read(step.residual, step.rows)
                self.write(step.target, step.rows, step.panels, panels(unit, step.conv, F32))
            case DepthwiseStep():
                self.read_window(step.source, step.window, step.rows)
                self.write(step.target, step.rows, step.blocks, F32.blocks(step.conv.out_channels))
            case ExpandDepthwiseStep():
                self.read(step.source, step.expanded)
                ring, count = self.alive(step.ring), panels(unit, step.expand, F32)
                if ring.channels < step.expand.out_channels:  # shared by the panels: all it needs is made in this step
                    assert step.expanded == (0, ring.height)
                    assert ring.slots == ring.height
                    self.write(step.ring, step.expanded, (0, 1), 1)
                else:
                    self.write(step.ring, step.expanded, step.panels, count)
                    if step.panels != (0, count):  # each thread has a ring of its own and does its own panels
                        for slot in range(ring.slots):
                            self.rows[step.ring, slot] = self.rows[step.ring, slot][0], set(range(count)), count
                self.read_window(step.ring, step.window, step.rows)
                self.write(step.target, step.rows, step.panels, count)
            case PooledProductStep():
                source = self.alive(step.source)
                self.read(step.source, (0, source.height))
                self.alive(step.scratch)
                self.write(step.target, (0, 1), step.panels, panels(unit, step.conv, F32))
            case GlobalPoolStep():
                self.read(step.source, (0, self.alive(step.source).height))
                self.write(step.target, (0, 1), step.blocks, self.alive(step.target).blocks)
            case AddStep():
                self.read(step.a, step.rows)
                self.read(step.b, step.rows)
                self.write(step.target, step.rows, step.blocks, self.alive(step.target).blocks)
            case ResizeStep():
                self.read(step.source, (0, self.alive(step.source).height))
                self.write(step.target, step.rows, (0, 1), 1)
            case ConcatStep():
                self.read(step.source, step.rows)
                copied = [part for part in unit.parts if self.buffers[part].host != step.target]
                channels = [self.buffers[part].channels for part in unit.parts]
                assert step.channel in {sum(channels[:i]) for i, part in enumerate(unit.parts) if part == step.source}
                part = copied.index(step.source)
                self.write(step.target, step.rows, (part, part + 1), len(copied))
            case EmitStep():
                self.read(step.source, step.rows)
                self.emitted[step.output] += range(*step.rows)


@settings(deadline=None, max_examples=150)
@given(networks(), st.integers(1, 4), STYLES)
def test_replay(network, threads, style):
    plan = make_plan(network, network.resolution, threads, style)
    Replay(network, plan)
    buffers = {b.name: b for b in plan.buffers}
    for a, b in combinations([b for b in plan.buffers if not b.host], 2):
        assert not a.overlaps(b)
    for part in (b for b in plan.buffers if b.host):
        host = buffers[part.host]
        assert host.offset <= part.offset
        assert part.offset + part.bytes <= host.offset + host.bytes
        assert host.first <= part.first
        assert part.last <= host.last
    assert all(plan.zeros <= b.offset and b.offset + b.bytes <= plan.bytes for b in plan.buffers)


def test_a_row_too_few_is_noticed():
    """The replay itself: a ring one slot short must fail."""

    network = mobilenet_v2(resolution=64, classes=None)
    plan = make_plan(network, (64, 64), 1, Style(whole=0, stream=0))
    ring = next(b for b in plan.buffers if b.name == "layer_3.project.ring/0")
    short = replace(plan, buffers=tuple(b._replace(slots=b.slots - 1) if b is ring else b for b in plan.buffers))
    with pytest.raises(AssertionError, match="stands in its slot"):
        Replay(network, short)


def test_fused_blocks():
    units = fuse(mobilenet_v2())
    assert [type(u) for u in units] == [StemUnit, *[BlockUnit] * 17, PooledProductUnit, ProductUnit]
    assert units[1].expand is None
    assert all(u.expand and u.project for u in units[2:18])
    assert sum(u.residual is not None for u in units[1:18]) == 10
    separable = fuse(mobilenet_v1())
    assert [type(u) for u in separable][:2] == [StemUnit, BlockUnit]
    assert all(u.expand is None and u.project for u in separable if isinstance(u, BlockUnit))
    ablation = fuse(mobilenet_v2(shortcut="expansion"))
    assert any(isinstance(u, ProductUnit) and u.residual for u in ablation)
    assert not any(isinstance(u, AddUnit) for u in ablation)


def test_planned_bytes():
    """The issue's limits: 1.5 MB at 224 pixels, 28 MiB at 1024 (12 aimed at), one thread or two."""
    for threads in (1, 2):
        assert best_plan(mobilenet_v2(), (224, 224), threads, None).bytes <= 1_500_000
        assert best_plan(mobilenet_v2(), (1024, 1024), threads, None).bytes <= 12 * 2**20


def test_budget_takes_the_first_that_fits():
    network = mobilenet_v2()
    plans = [make_plan(network, (224, 224), 1, style) for style in candidates((224, 224), 1)]
    smallest = min(plan.bytes for plan in plans)
    assert best_plan(network, (224, 224), 1, smallest).bytes == smallest
    assert best_plan(network, (224, 224), 1, plans[0].bytes) == plans[0]
    second = best_plan(network, (224, 224), 1, plans[0].bytes - 1)
    assert second.bytes < plans[0].bytes
    with pytest.raises(ValueError, match=rf"memory_budget {smallest - 1}: .* at least {smallest} bytes; raise the budget"):
        best_plan(network, (224, 224), 1, smallest - 1)
