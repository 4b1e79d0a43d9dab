"""Figure 4: the blocks of four families."""

from __future__ import annotations

from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from ..studies.blocks import Diagram, block_diagram, first_block, nasnet_cell, shufflenet_unit
from .block_section import block_section
from .section import Material, Section

LEAST = 192
"""Channels of the depthwise convolutions that are drawn, at least."""


def diagrams() -> tuple[Diagram, ...]:
    v1, v2 = mobilenet_v1(), mobilenet_v2()
    return (
        nasnet_cell(),
        block_diagram("MobileNetV1, stride 1", v1, first_block(v1, 1, False, LEAST)),
        shufflenet_unit(1),
        shufflenet_unit(2),
        block_diagram("MobileNetV2, stride 1", v2, first_block(v2, 1, True, LEAST)),
        block_diagram("MobileNetV2, stride 2", v2, first_block(v2, 2, False, LEAST)),
    )


def make(material: Material) -> Section:
    return block_section(
        "figure-4",
        "The blocks of four families",
        "MobileNetV2, section 3.3, Figure 4",
        "MobileNetV2's block at stride 1 has a shortcut between bottlenecks, at stride 2 none; the others differ.",
        diagrams(),
    )
