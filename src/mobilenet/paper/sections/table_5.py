"""MobileNetV2's Table 5: SSD's head and SSDLite's; and the claims of how much less it costs."""

from __future__ import annotations

from ...network.cost import cost
from ...network.heads import ssd_mobilenet_v2, ssdlite_mobilenet_v2
from ...network.layers import Network
from ..systems.sketch import Totals
from .printed import agree
from .section import Compared, Material, Prose, Section, Table, because, counted


def head(network: Network) -> Totals:
    """What a detector adds to its backbone."""
    added = set(network.heads.added)
    lines = [line for line in cost(network).layers if line.name in added]
    return Totals(sum(line.params for line in lines), sum(line.madds for line in lines))


def make(material: Material) -> Section:
    full, lite = head(ssd_mobilenet_v2()), head(ssdlite_mobilenet_v2())
    whole = cost(ssdlite_mobilenet_v2())
    twice = because(
        f"Twice ours is {2 * lite.madds / 1e9:.3f}B: here multiplications and additions seem to be counted separately. With "
        "0.35B the whole "
        f"detector could not have the 0.8B of Table 6: its backbone alone has {(whole.madds - lite.madds) / 1e9:.2f}B.",
        agree("0.35B", 2 * lite.madds),
    )
    odds = full.madds / lite.madds / 2
    ratio = because(f"With twice our number for SSDLite it is {odds:.1f}.", agree("4x", odds))
    backbone = whole.madds - lite.madds
    table = Table("Table 5: the head alone, on MobileNetV2 at 320 pixels", ("head", "params", "MAdds"), (
        ("SSD", Compared("14.8M", full.params), Compared("1.25B", full.madds)),
        ("SSDLite", Compared("2.1M", lite.params), Compared("0.35B", lite.madds, twice)),
    ), "80 classes and a background; three default boxes in a cell of the first map, six in the others.")  # fmt: skip
    ratios = Table("Times less", ("SSD divided by SSDLite", "value"), (
        ("params", Compared("7x", full.params / lite.params)),
        ("MAdds", Compared("4x", full.madds / lite.madds, ratio)),
    ))  # fmt: skip
    text = Prose(
        f"""SSD looks at six maps of features, from fine to coarse, and predicts on each of them boxes and classes with 3 x 3
        convolutions. On the wide maps of MobileNetV2 these predictors are large: SSD's head costs {full.madds / backbone:.1f}
        times as much as the network in front of it. SSDLite makes the same exchange as MobileNetV1: every 3 x 3 convolution of
        the head becomes a depthwise and a pointwise one."""
    )
    return Section(
        "table-5",
        "SSDLite: a detector's head made separable",
        "MobileNetV2, section 6.2, Table 5",
        "SSDLite needs 7 times fewer parameters and 4 times less computation than SSD.",
        (text, table, ratios),
        counted(table, ratios),
    )
