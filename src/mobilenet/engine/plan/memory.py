"""Memory planned as data: buffers with lifetimes, one arena, offsets that never overlap. All sizes are in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .layout import TensorLayout

LINE = 64  # bytes of a cache line: what offsets are multiples of


class Buffer(NamedTuple):
    """Rows of one tensor in the arena, from the stage that first writes it to the one that last reads it.

    `slots` rows are kept, row y in slot y % slots: all `height` of them for a whole tensor, fewer for a ring. `left` and
    `right` are columns of padding for the windows that read it; four bytes of it are `zero`, which stands for a real 0. A
    buffer with a `host` is a part of that buffer: its channels begin at channel `channel` of the host.
    """

    name: str
    layout: TensorLayout
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
    offset: int = -1  # -1 before placing
    zero: int = 0

    @property
    def blocks(self) -> int:
        """Blocks of channels."""
        return self.layout.blocks(self.channels)

    @property
    def columns(self) -> int:
        return self.left + self.width + self.right

    @property
    def row_bytes(self) -> int:
        """Of the widest block."""
        return self.columns * self.layout.pixel_bytes(min(self.channels, self.layout.block))

    @property
    def block_bytes(self) -> int:
        """From a block to the next."""
        return self.slots * self.columns * self.layout.pixel_bytes(self.layout.block)

    @property
    def bytes(self) -> int:
        return self.slots * self.columns * self.layout.pixel_bytes(self.channels)

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at some stage and share bytes."""
        together = self.first <= other.last and other.first <= self.last
        return together and self.offset < other.offset + other.bytes and other.offset < self.offset + self.bytes


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // LINE) * LINE


def place(buffers: Sequence[Buffer], start: int) -> tuple[tuple[Buffer, ...], int]:
    """The buffers with offsets from `start` on, and the end of the arena.

    The largest first, each at the lowest place that is free over its whole life. Finding the smallest arena is NP-hard; on
    these networks this order comes within a few percent of the lower bound, the bytes alive at the worst stage.
    """
    placed: list[Buffer] = []
    sizes = {b.name: b.bytes for b in buffers}
    for buffer in sorted((b for b in buffers if not b.host), key=lambda b: (-sizes[b.name], b.first, b.name)):
        size = sizes[buffer.name]
        alive = [b for b in placed if b.first <= buffer.last and buffer.first <= b.last]
        offset = aligned(start)
        for other in sorted(alive, key=lambda b: b.offset):
            if offset + size <= other.offset:
                break
            offset = max(offset, aligned(other.offset + sizes[other.name]))
        placed.append(buffer._replace(offset=offset))
    by_name = {b.name: b for b in placed}
    parts = {b.name: b for b in buffers if b.host}

    def within(part: Buffer) -> Buffer:
        host = by_name.get(part.host) or within(parts[part.host])
        by_name[part.name] = part._replace(offset=host.offset + part.channel // part.layout.block * host.block_bytes)
        return by_name[part.name]

    for part in parts.values():
        within(part)
    assert len(by_name) == len(buffers), "buffers need names of their own"
    return tuple(by_name[b.name] for b in buffers), max((b.offset + sizes[b.name] for b in placed), default=start)
