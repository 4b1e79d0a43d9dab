"""MobileNetV2's Table 4: MobileNetV2 beside other classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from ...zoo.published import find
from ..systems.classifiers import nasnet_a, shufflenet
from ..systems.sketch import Totals
from .colors import SERIES
from .printed import agree, value
from .section import Compared, Figure, Material, Prose, Section, Table, because, counted
from .table_2 import no_rule

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

ROWS = (
    ("MobileNetV1", "70.6", "4.2M", "575M", "113"),
    ("ShuffleNet (1.5)", "71.5", "3.4M", "292M", "-"),
    ("ShuffleNet (x2)", "73.7", "5.4M", "524M", "-"),
    ("NASNet-A", "74.0", "5.3M", "564M", "183"),
    ("MobileNetV2", "72.0", "3.4M", "300M", "75"),
    ("MobileNetV2 (1.4)", "74.7", "6.9M", "585M", "143"),
)
"""Network, top-1 in percent, parameters, MAdds, milliseconds on one large core of a Pixel 1."""


def make(material: Material) -> Section:
    v1, v2, wide = (cost(network) for network in (mobilenet_v1(), mobilenet_v2(), mobilenet_v2(1.4)))
    ours = {
        "MobileNetV1": Totals(v1.params, v1.madds),
        "ShuffleNet (1.5)": shufflenet(1.5).totals,
        "ShuffleNet (x2)": shufflenet(2, stem=48).totals,
        "NASNet-A": nasnet_a().totals,
        "MobileNetV2": Totals(v2.params, v2.madds),
        "MobileNetV2 (1.4)": Totals(wide.params, wide.madds),
    }
    own = because("The paper on MobileNetV1 itself prints 569M, and so does our count.", agree("569M", v1.madds))
    weights = because(f"Weights alone are {v2.weights:,}, which is printed cut off.", agree("3.4M", v2.weights))
    reasons = {
        ("MobileNetV1", "madds"): own,
        ("MobileNetV2", "params"): weights,
        ("MobileNetV2 (1.4)", "params"): no_rule("6.9M", wide.params),
        ("MobileNetV2 (1.4)", "madds"): no_rule("585M", wide.madds),
    }
    table = Table(
        "Table 4",
        ("network", "top-1, %", "Pixel 1, ms", "params", "MAdds"),
        tuple(
            (
                name,
                top1,
                ms,
                Compared(params, ours[name].params, reasons.get((name, "params"), "")),
                Compared(madds, ours[name].madds, reasons.get((name, "madds"), "")),
            )
            for name, top1, params, madds, ms in ROWS
        ),
        "Accuracy and milliseconds are the paper's; they are quoted, not measured here.",
    )
    known = find("imagenet")
    text = Prose(
        f"""The paper sets MobileNetV2 beside networks of the same cost. ShuffleNet and NASNet-A are counted here from their
        own papers: nothing in their rows is copied but the accuracy.

        To half of MobileNetV1's work belongs here a gain of {value("72.0") - value("70.6"):.1f} points. The weights that this
        project runs by default are `imagenet` ({known.title}); their publisher states a top-1 of
        {100 * known.accuracy["top1"]:.2f} %, and the checkpoint that the paper's authors released has 71.8 %."""
    )
    figure = Figure(
        "table-4",
        "Accuracy against work",
        "Six networks as points: the two MobileNetV2 lie up and to the left of MobileNetV1; at the same work ShuffleNet and "
        "NASNet-A are "
        "within a point of accuracy.",
        lambda canvas: draw(canvas, ours),
        5.4,
        3.4,
    )
    return Section(
        "table-4",
        "MobileNetV2 among other classifiers",
        "MobileNetV2, section 6.1, Table 4",
        "MobileNetV2 is 1.4 points better than MobileNetV1 at about half of its computation, and its wider version is "
        "better than "
        "ShuffleNet and NASNet-A at the same cost.",
        (text, figure, table),
        counted(table),
    )


def draw(canvas: Canvas, ours: dict[str, Totals]) -> None:
    axes = canvas.subplots()
    for number, (name, top1, *_) in enumerate(ROWS):
        color = SERIES[0] if name.startswith("MobileNetV2") else SERIES[1] if name == "MobileNetV1" else SERIES[2 + number % 3]
        x, y = ours[name].madds / 1e6, value(top1)
        axes.plot(x, y, "o", color=color)
        side = "right" if x > 450 else "left"
        axes.annotate(name, (x, y), (-7 if side == "right" else 7, 4), textcoords="offset points", ha=side, fontsize=9)
    axes.set_xlim(200, 640)
    axes.set_ylim(70, 75.5)
    axes.set_xlabel("MAdds, millions (ours)")
    axes.set_ylabel("ImageNet top-1, % (the paper's)")
