"""Hostile programs: whatever the bytes say, the core refuses them or stays inside its arena.

Under the address sanitizer (`make sanitize`) a step outside a buffer would end the run.
"""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.weights import random_tensors

from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.plan.program import pack_program
from mobilenet.engine.plan.steps import (
    AddStep,
    ConcatStep,
    DepthwiseStep,
    EmitStep,
    ExpandDepthwiseStep,
    GlobalPoolStep,
    PadStep,
    PooledProductStep,
    ProductStep,
    ResizeStep,
    StemStep,
    Style,
    Window,
)
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v2

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
from support.programs import Draft  # noqa: E402

from mobilenet.engine.native import pack  # noqa: E402

NUMBERS = st.one_of(st.integers(-2, 40), st.integers(-(2**31), 2**31 - 1))
SPAN = st.tuples(NUMBERS, NUMBERS)
SMALL = st.one_of(st.integers(0, 5), NUMBERS)
ROWS = st.one_of(st.just((0, 9)), st.just((3, 5)), SPAN)
PANELS, BLOCKS = st.one_of(st.just((0, 1)), SPAN), st.one_of(st.just((0, 2)), SPAN)
ONE, MARGIN = st.one_of(st.just(1), st.just(2), NUMBERS), st.one_of(st.integers(0, 1), NUMBERS)
WINDOW = st.builds(
    Window, kernel=st.one_of(st.sampled_from([1, 3]), NUMBERS), stride=ONE, dilation=ONE, top=MARGIN, left=MARGIN
)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_programs_of_random_numbers(data):
    draw = data.draw
    draft = Draft(9, 9, draw(st.integers(1, 2)), draw(st.integers(4000, 40000)) // 16 * 64, 16 * 20 * 4)
    product = [
        draft.conv(_core.ProductWeights(ones(20, c, k, k), ones(20), 2), 20, c, k) for c, k in ((20, 1), (20, 3), (7, 1))
    ]
    expand = [draft.conv(_core.ProductWeights(ones(20, c, 1, 1), ones(20), 3), 20, c) for c in (20, 7)]
    depthwise = [draft.conv(_core.DepthwiseWeights(ones(20, 1, k, k), ones(20)), 20, 20, k, 20) for k in (1, 3)]
    stem = draft.conv(_core.StemWeights(ones(20, 3, 3, 3), ones(20)), 20, 3, 3)
    output = draft.output(20, 9, 9)

    def kept(undo) -> bool:
        """Whether the core takes what was just added; otherwise takes it back."""
        try:
            draft.compile()
        except (ValueError, struct.error):
            undo()
            return False
        return True

    for _ in range(draw(st.integers(1, 6))):
        width = draw(st.sampled_from([9, 9, 5, 40]))
        draft.buffer(
            draw(st.sampled_from([20, 20, 7])), 9, width, draw(st.integers(1, 9)), draw(st.integers(0, 2)),
            draw(st.integers(0, 2)), offset=64 * draw(st.integers(0, 300)),
        )  # fmt: skip
        kept(draft.buffers.pop)
    names = [b.name for b in draft.buffers]
    if not names:
        return
    for _ in range(draw(st.integers(1, 8))):
        thread = draw(st.integers(0, draft.threads - 1))
        source, target, third = (draw(st.sampled_from(names)) for _ in range(3))
        window, rows = draw(WINDOW), draw(ROWS)
        residual = draw(st.sampled_from([None, third]))
        match draw(st.integers(0, 10)):
            case 0:
                step = StemStep(0, stem, window, target, rows)
            case 1:
                step = ProductStep(0, draw(st.sampled_from(product)), window, source, target, residual, rows, draw(PANELS))
            case 2:
                step = DepthwiseStep(0, draw(st.sampled_from(depthwise)), window, source, target, rows, draw(BLOCKS))
            case 3:
                step = ExpandDepthwiseStep(0, draw(st.sampled_from(expand)), depthwise[1], window, source, third, target,
                                           draw(ROWS), rows, draw(PANELS))  # fmt: skip
            case 4:
                step = PooledProductStep(0, product[0], source, third, target, draw(PANELS))
            case 5:
                step = GlobalPoolStep(0, source, target, draw(BLOCKS))
            case 6:
                step = AddStep(0, source, third, target, rows, draw(BLOCKS))
            case 7:
                step = ResizeStep(0, draw(st.sampled_from(["aligned", "half_pixel"])), source, target, rows)
            case 8:
                step = ConcatStep(0, source, target, draw(SMALL), rows)
            case 9:
                step = EmitStep(0, source, output, rows)
            case _:
                step = PadStep(0, target, rows)
        draft.add(step, thread)
        kept(draft.steps[thread].pop)
    _core.Runner(draft.threads).run(draft.compile(), ones(1, 3, 9, 9), [np.zeros((1, 20, 9, 9), np.float32)])


PLANNED = {
    "classifier": mobilenet_v2(0.35, resolution=20, classes=5),
    "segmenter": deeplabv3_mobilenet_v2(0.35, resolution=(18, 17), classes=3, aspp="full"),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PLANNED)
def test_programs_with_changed_bytes(name, threads):
    """Words changed, put in and taken out. What is not refused runs inside the arena, whatever the numbers are then worth."""
    network, generator = PLANNED[name], random.Random(f"{name} {threads}")
    weights = pack(network, random_tensors(network), _core.isa())
    plan = make_plan(network, network.resolution, threads, Style())
    sound = pack_program(plan)
    refused = 0
    for _ in range(400):
        changed, at = bytearray(sound), 4 * generator.randrange(len(sound) // 4)
        match generator.randrange(4):
            case 0:
                del changed[at : at + 4 * generator.randint(1, 3)]
            case 1:
                changed[at:at] = generator.randbytes(4)
            case _:
                (old,) = struct.unpack_from("<i", changed, at)
                new = generator.choice([old + 1, old - 1, old + 16, 0, 1, 2, -1, 2**31 - 1, -(2**31), old ^ 1 << 20])
                struct.pack_into("<i", changed, at, max(-(2**31), min(new, 2**31 - 1)))
        try:
            program = _core.Program(bytes(changed), weights)
        except ValueError:
            refused += 1
            continue
        height, width = (program.height, program.width)
        outputs = [np.empty((1, *shape), np.float32) for shape in program.outputs]
        try:
            _core.Runner(program.threads).run(program, np.ones((1, 3, height, width), np.float32), outputs)
        except MemoryError:  # an arena of terabytes
            refused += 1
    assert refused > 100
