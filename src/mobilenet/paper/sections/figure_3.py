"""Figure 3: a residual block, and the inverted one."""

from __future__ import annotations

from ...network.mobilenet import mobilenet_v2
from ..studies.blocks import Diagram, block_diagram, first_block, residual_block
from .block_section import block_section
from .section import Material, Section


def diagrams() -> tuple[Diagram, ...]:
    v2 = mobilenet_v2()
    inverted = block_diagram("b inverted residual block: MobileNetV2", v2, first_block(v2, 1, True))
    return residual_block()._replace(title="a residual block: ResNet-50"), inverted


def make(material: Material) -> Section:
    return block_section(
        "figure-3",
        "A residual block, inverted",
        "MobileNetV2, section 3.3, Figure 3",
        "A residual block joins its thick tensors, an inverted one its thin ones.",
        diagrams(),
    )
