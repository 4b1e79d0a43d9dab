"""The arena's planner: buffers that live at the same time never overlap, whatever their sizes and lives."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, strategies as st

from mobilenet.engine.plan.layout import F32, U8
from mobilenet.engine.plan.memory import LINE, Buffer, aligned, place


def least(wanted: list[Buffer]) -> int:
    """Bytes alive at the worst stage: no placement can do with fewer."""
    stages = {b.first for b in wanted}
    return max((sum(b.bytes for b in wanted if b.first <= s <= b.last) for s in stages), default=0)


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    made = []
    for index in range(draw(st.integers(0, 30))):
        height, first = draw(st.integers(1, 40)), draw(st.integers(0, 20))
        made.append(
            Buffer(
                name=str(index),
                layout=draw(st.sampled_from([F32, U8])),
                channels=draw(st.integers(1, 100)),
                height=height,
                width=draw(st.integers(1, 40)),
                slots=draw(st.integers(1, height)),
                left=draw(st.integers(0, 3)),
                right=draw(st.integers(0, 3)),
                first=first,
                last=first + draw(st.integers(0, 20)),
            )
        )
    return made


@given(buffers(), st.integers(0, 10))
def test_no_overlap(wanted, start):
    placed, end = place(wanted, start * LINE)
    assert [b.name for b in placed] == [b.name for b in wanted]
    for a, b in combinations(placed, 2):
        assert not a.overlaps(b), (a, b)
    assert all(b.offset >= start * LINE and b.offset % LINE == 0 and b.offset + b.bytes <= end for b in placed)
    assert end - start * LINE >= least(wanted)
    assert end - start * LINE <= sum(aligned(b.bytes) for b in wanted)


@given(buffers())
def test_order_does_not_matter(wanted):
    forward, end = place(wanted, 0)
    backward, again = place(wanted[::-1], 0)
    assert end == again
    assert set(forward) == set(backward)


def test_lives_that_do_not_meet_share_ground():
    a = Buffer("a", F32, 16, 8, 8, 8, first=0, last=1)
    b = Buffer("b", F32, 16, 8, 8, 8, first=2, last=3)
    placed, end = place([a, b], 0)
    assert [p.offset for p in placed] == [0, 0]
    assert end == a.bytes == 4 * 16 * 64


def test_layouts():
    """Blocks of 16 channels of float32; panels of 64 bytes, the last of which is as wide as the channels left need."""
    floats, integers = (Buffer("a", layout, 100, 8, 5, 3, left=1, right=2) for layout in (F32, U8))
    assert (floats.blocks, floats.row_bytes, floats.block_bytes, floats.bytes) == (7, 512, 1536, 7 * 1536)
    assert (integers.blocks, integers.row_bytes, integers.block_bytes, integers.bytes) == (2, 512, 1536, 3 * 8 * (64 + 48))
