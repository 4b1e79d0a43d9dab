"""How work on a layer is cut: panels of its weights, windows on its source, shares of the threads."""

from __future__ import annotations

from ...network.layers import Conv, Linear, Padding, Shape, padding_around
from .fuse import BlockUnit, Unit
from .layout import TensorLayout
from .steps import Span, Window


def panel_blocks(unit: Unit, layer: Conv | Linear, layout: TensorLayout) -> int:
    """Blocks of channels in a panel of `layer`'s packed weights."""
    wide = (isinstance(unit, BlockUnit) and layer is unit.expand) or isinstance(layer, Linear)
    return layout.expand_panel if wide else layout.panel


def panels(unit: Unit, layer: Conv | Linear, layout: TensorLayout) -> int:
    """Panels of `layer`'s packed weights."""
    return -(-layer.out_channels // (layout.block * panel_blocks(unit, layer, layout)))


def window_of(conv: Conv | Linear | None, source: Shape, padding: Padding) -> Window:
    """The window of `conv` on a tensor of shape `source`; the 1x1 window of any other layer."""
    if not isinstance(conv, Conv) or (conv.kernel == 1 and conv.stride == 1):
        return Window()
    (top, _), (left, _) = padding_around(conv, source, padding)
    return Window(conv.kernel, conv.stride, conv.dilation, top, left)


def share(count: int, thread: int, threads: int) -> Span:
    """The part of `count` items that belongs to `thread`: from, to."""
    return count * thread // threads, count * (thread + 1) // threads
