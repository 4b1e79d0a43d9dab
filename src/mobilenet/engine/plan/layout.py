"""How tensors of one number type lie in memory: all that the planner knows of a number type or a processor."""

from __future__ import annotations

from ...values import Value


class TensorLayout(Value):
    """How tensors of one number type lie in the arena, and how work on them is cut.

    A tensor is [block][row][column][channel of the block]. Its last block is narrower if fewer channels are left: as many as
    whole grains hold. A block is the unit of work: a step computes whole blocks of channels.
    """

    number: str
    itemsize: int  # bytes
    block: int  # channels
    grain: int  # channels
    panel: int  # blocks in a panel of a product's weights, the unit that a step computes
    expand_panel: int  # the same for expansions and linear layers
    band: int  # output rows of a fused block's band, at least, in the fastest plan

    def blocks(self, channels: int) -> int:
        """Blocks that hold so many channels."""
        return -(-channels // self.block)

    def pixel_bytes(self, channels: int) -> int:
        """Bytes of a pixel in all blocks together."""
        return self.itemsize * -(-channels // self.grain) * self.grain


F32 = TensorLayout("f32", itemsize=4, block=16, grain=16, panel=2, expand_panel=3, band=2)
"""float32. Panels of 2 and 3 blocks fill AVX-512's registers: 12 pixels x 2 blocks, 8 pixels x 3 blocks."""
BF16 = TensorLayout("bf16", itemsize=2, block=32, grain=32, panel=1, expand_panel=1, band=4)
"""bfloat16, what the products of a network read. A block's pixel is a cache line, as one of float32's 16 channels is."""
U8 = TensorLayout("u8", itemsize=1, block=64, grain=16, panel=1, expand_panel=1, band=2)
"""Bytes with a zero point. A block's pixel is a cache line, and what a tile unit multiplies at once."""
PIXELS = TensorLayout("pixels", itemsize=1, block=4, grain=4, panel=1, expand_panel=1, band=2)
"""The image of an integer network: red, green, blue and a 0."""
REAL = TensorLayout("real", itemsize=4, block=64, grain=16, panel=1, expand_panel=1, band=2)
"""The real outputs of an integer network: float32 in the order of the bytes they come from."""
