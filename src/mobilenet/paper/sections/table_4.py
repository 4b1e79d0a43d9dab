"""MobileNetV2's Table 4: MobileNetV2 beside other classifiers."""

from __future__ import annotations

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from .section import Compared, Material, Prose, Section, Table, because, counted


def make(material: Material) -> Section:
    v1, v2, wide = cost(mobilenet_v1()), cost(mobilenet_v2()), cost(mobilenet_v2(1.4))
    table = Table(
        "Table 4, the rows of this family",
        ("network", "top-1, paper", "params", "MAdds"),
        (
            ("MobileNetV1", "70.6", Compared("4.2M", v1.params), Compared("575M", v1.madds, because("", True))),
            ("MobileNetV2", "72.0", Compared("3.4M", v2.weights), Compared("300M", v2.madds)),
            ("MobileNetV2 (1.4)", "74.7", Compared("6.9M", wide.params), Compared("585M", wide.madds)),
        ),
    )
    return Section(
        "table-4",
        "MobileNetV2 among other classifiers",
        "MobileNetV2, section 6.1, Table 4",
        "MobileNetV2 is better than MobileNetV1 at half the computation.",
        (Prose("Work in progress."), table),
        counted(table),
    )
