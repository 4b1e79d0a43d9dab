"""Memory planned as data: buffers with lifetimes, one arena, offsets that never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    pass

BLOCK = 16  # channels that lie next to each other; see native/block.h
FLOAT = 4  # bytes
ALIGNMENT = 16  # floats: a cache line


class Buffer(NamedTuple):
    """Rows of one tensor in the arena, from the stage that first writes it to the one that last reads it.

    `slots` rows are kept, row y in slot y % slots: all `height` of them for a whole tensor, fewer for a ring. `left` and
    `right` are columns of zeros for the windows that read it. A part of another buffer, its `host`, has the blocks of
    that one from channel `channel` on.
    """

    name: str
    channels: int
    height: int
    width: int
    slots: int
    left: int = 0
    right: int = 0
    first: int = 0
    last: int = 0
    host: str = ""
    channel: int = 0
    offset: int = -1  # in floats; -1 before placing

    @property
    def blocks(self) -> int:
        return -(-self.channels // BLOCK)

    @property
    def row_floats(self) -> int:
        return (self.left + self.width + self.right) * BLOCK

    @property
    def floats(self) -> int:
        return self.blocks * self.block_floats

    @property
    def block_floats(self) -> int:
        return self.slots * self.row_floats

    def overlaps(self, other: Buffer) -> bool:
        """Both alive at some stage, and on common ground."""
        together = self.first <= other.last and other.first <= self.last
        return together and self.offset < other.offset + other.floats and other.offset < self.offset + self.floats


def place(buffers: Sequence[Buffer], start: int) -> tuple[tuple[Buffer, ...], int]:
    """The buffers with offsets from `start` on, and the end of the arena, in floats.

    The largest first, each at the lowest place that is free over its whole life. Finding the least arena is NP-hard; on
    these networks this order comes within a few per cent of the lower bound `least`.
    """
    placed: list[Buffer] = []
    for buffer in sorted((b for b in buffers if not b.host), key=lambda b: (-b.floats, b.first, b.name)):
        alive = [b for b in placed if b.first <= buffer.last and buffer.first <= b.last]
        offset = start
        for other in sorted(alive, key=lambda b: b.offset):
            if offset + buffer.floats <= other.offset:
                break
            offset = max(offset, other.offset + other.floats)
        placed.append(buffer._replace(offset=-(-offset // ALIGNMENT) * ALIGNMENT))
    by_name = {b.name: b for b in placed}
    parts = {b.name: b for b in buffers if b.host}

    def within(part: Buffer) -> Buffer:
        host = by_name.get(part.host) or within(parts[part.host])
        by_name[part.name] = part._replace(offset=host.offset + part.channel // BLOCK * host.block_floats)
        return by_name[part.name]

    for part in parts.values():
        within(part)
    assert len(by_name) == len(buffers), "buffers need names of their own"
    return tuple(by_name[b.name] for b in buffers), max((b.offset + b.floats for b in placed), default=start)


def least(buffers: Sequence[Buffer]) -> int:
    """Floats alive at the worst stage: no placement can do with fewer."""
    stages = {b.first for b in buffers}
    return max((sum(b.floats for b in buffers if not b.host and b.first <= s <= b.last) for s in stages), default=0)
