"""Figure 2: from a full convolution to a bottleneck with an expansion."""

from __future__ import annotations

from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from ..studies.blocks import Diagram, block_diagram, first_block
from .block_section import block_section
from .section import Material, Section

LEAST = 64
"""Channels of the depthwise convolutions that are drawn, at least: those of the first blocks are too thin to see."""


def diagrams() -> tuple[Diagram, ...]:
    full, v1, v2 = mobilenet_v1(convolution="full"), mobilenet_v1(), mobilenet_v2()
    separable = first_block(v1, 1, False, LEAST)
    return (
        block_diagram("a full convolution", full, separable),
        block_diagram("b separable: depthwise, then 1x1", v1, separable),
        block_diagram("c separable, with a linear bottleneck (t = 1)", v2, first_block(v2, 1, False)),
        block_diagram("d bottleneck with an expansion", v2, first_block(v2, 1, False, LEAST)),
    )


def make(material: Material) -> Section:
    return block_section(
        "figure-2",
        "From a full convolution to an expanded bottleneck",
        "MobileNetV2, section 3.3, Figure 2",
        "A full convolution becomes a depthwise and a 1x1 one; a linear bottleneck follows, and an expansion before it.",
        diagrams(),
    )
