"""MobileNetV1's Tables 6, 7 and 10: widths and resolutions."""

from __future__ import annotations

from ...network.mobilenet import mobilenet_v1
from .section import Compared, Material, Prose, Section, Table, counted
from .v1_table_4 import COLUMNS, row

WIDTHS = (
    (1.0, "70.6", "569M", "4.2M"),
    (0.75, "68.4", "325M", "2.6M"),
    (0.5, "63.7", "149M", "1.3M"),
    (0.25, "50.6", "41M", "0.5M"),
)
SIDES = ((224, "70.6", "569M"), (192, "69.1", "418M"), (160, "67.2", "290M"), (128, "64.4", "186M"))
DOGS = (
    (1.0, 224, "83.3", "569M", "3.3M"),
    (0.75, 224, "81.9", "325M", "1.9M"),
    (1.0, 192, "81.9", "418M", "3.3M"),
    (0.75, 192, "80.5", "239M", "1.9M"),
)
BREEDS = 120


def make(material: Material) -> Section:
    six = Table(
        "Table 6, widths at 224 pixels",
        COLUMNS,
        tuple(row(f"width {width:g}", mobilenet_v1(width), top1, madds, params) for width, top1, madds, params in WIDTHS),
    )
    seven = Table(
        "Table 7, resolutions at width 1",
        COLUMNS,
        tuple(row(f"{side} pixels", mobilenet_v1(1.0, side), top1, madds, "4.2M") for side, top1, madds in SIDES),
    )
    dogs = [
        row(f"width {width:g}, {side} pixels", mobilenet_v1(width, side, BREEDS), top1, madds, params)
        for width, side, top1, madds, params in DOGS
    ]
    missing = ("Inception V3", "84", Compared("5000M", None), Compared("23.2M", None))
    ten = Table(
        "Table 10, breeds of dogs",
        ("network", "top-1 in the paper, %", "MAdds", "params"),
        (missing, *dogs),
        f"{BREEDS} classes. Inception V3 is not derived: the paper does not say at which resolution and with which of its "
        "published "
        "variants the number was counted, and its architecture is not written down here.",
    )
    text = Prose(
        """Four widths and four resolutions make sixteen networks, from 13 to 569 million multiply-adds. Parameters depend on
        the width alone: a convolution's weights do not know how large the image is. With 120 breeds in place of 1000 classes
        the classifier shrinks, so the same network has fewer parameters."""
    )
    return Section(
        "v1-table-6",
        "A family of sixteen",
        "MobileNetV1, sections 4.2 and 4.3, Tables 6, 7 and 10",
        "Two multipliers give a range of networks whose accuracy falls smoothly with their cost.",
        (text, six, seven, ten),
        counted(six, seven, ten),
    )
