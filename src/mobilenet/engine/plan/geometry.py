"""How work on a layer is cut: panels of its weights, windows on its source, shares of the threads."""

from __future__ import annotations

from ...network.layers import Conv, Linear, Padding, Shape, padding_amounts
from .fuse import Block, Unit
from .memory import BLOCK
from .steps import Span, Window

EXPAND_PANEL, PANEL = 3, 2  # channel blocks a task's panel holds: 8 x 3 and 12 x 2 fill AVX-512's registers


def panel_blocks(unit: Unit, layer: Conv | Linear) -> int:
    """Channel blocks in a panel of `layer`'s packed weights."""
    wide = (isinstance(unit, Block) and layer is unit.expand) or isinstance(layer, Linear)
    return EXPAND_PANEL if wide else PANEL


def panels(unit: Unit, layer: Conv | Linear) -> int:
    return -(-layer.out_channels // (BLOCK * panel_blocks(unit, layer)))


def window_of(conv: Conv | Linear | None, source: Shape, padding: Padding) -> Window:
    if not isinstance(conv, Conv) or (conv.kernel == 1 and conv.stride == 1):
        return Window()
    top, _ = padding_amounts(source.height, conv.kernel, conv.stride, conv.dilation, padding)
    left, _ = padding_amounts(source.width, conv.kernel, conv.stride, conv.dilation, padding)
    return Window(conv.kernel, conv.stride, conv.dilation, top, left)


def share(count: int, thread: int, threads: int) -> Span:
    return count * thread // threads, count * (thread + 1) // threads
