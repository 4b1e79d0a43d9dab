"""How tensors of one number type lie in memory: all that the planner knows of a number type or a processor."""

from __future__ import annotations

from typing import NamedTuple


class TensorLayout(NamedTuple):
    """How tensors of one number type lie in the arena, and how work on them is cut.

    A blocked tensor is [block][row][column][channel of the block]. One that is not blocked is [row][column][channel], its
    channels padded to whole blocks. `block` is the unit of work either way: a step computes whole blocks of channels.
    """

    number: str
    itemsize: int  # bytes
    block: int  # channels
    blocked: bool
    panel: int  # blocks in a panel of a product's weights, the unit that a step computes
    expand_panel: int  # the same for expansions and linear layers
    band: int  # output rows of a fused block's band, at least, in the fastest plan

    def blocks(self, channels: int) -> int:
        """Blocks that hold so many channels."""
        return -(-channels // self.block)

    def planes(self, channels: int) -> int:
        """Parts of a tensor that lie one after another, each with all rows and columns."""
        return self.blocks(channels) if self.blocked else 1

    def pixel_bytes(self, channels: int) -> int:
        """Bytes from a pixel to the next one of its row, within one plane."""
        return self.itemsize * self.block * (1 if self.blocked else self.blocks(channels))


F32 = TensorLayout("f32", itemsize=4, block=16, blocked=True, panel=2, expand_panel=3, band=2)
"""float32. Panels of 2 and 3 blocks fill AVX-512's registers: 12 pixels x 2 blocks, 8 pixels x 3 blocks."""
