"""The arena's planner: buffers that live at the same time never overlap, whatever their sizes and lives."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from mobilenet.engine.plan.memory import Buffer, least, place


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    made = []
    for index in range(draw(st.integers(0, 30))):
        height, first = draw(st.integers(1, 40)), draw(st.integers(0, 20))
        made.append(
            Buffer(
                name=str(index),
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
    placed, end = place(wanted, start * 16)
    assert [b.name for b in placed] == [b.name for b in wanted]
    for a, b in combinations(placed, 2):
        assert not a.overlaps(b), (a, b)
    assert all(b.offset >= start * 16 and b.offset % 16 == 0 and b.offset + b.floats <= end for b in placed)
    assert end - start * 16 >= least(wanted)
    assert end - start * 16 <= sum(b.floats for b in wanted)


@given(buffers())
def test_order_does_not_matter(wanted):
    forward, end = place(wanted, 0)
    backward, again = place(wanted[::-1], 0)
    assert end == again
    assert set(forward) == set(backward)


def test_lives_that_do_not_meet_share_ground():
    a = Buffer("a", 16, 8, 8, 8, first=0, last=1)
    b = Buffer("b", 16, 8, 8, 8, first=2, last=3)
    placed, end = place([a, b], 0)
    assert [p.offset for p in placed] == [0, 0]
    assert end == a.floats == 16 * 64
