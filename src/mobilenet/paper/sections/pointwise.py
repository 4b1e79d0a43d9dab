"""MobileNetV1's Table 2: where its computation and its parameters are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v1
from .colors import SERIES
from .section import Compared, Figure, Material, Prose, Section, Table, because, counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

KINDS = {
    "conv 1x1": "1 x 1 convolutions",
    "depthwise": "depthwise 3 x 3",
    "conv 3x3": "full 3 x 3",
    "linear": "fully connected",
}
PRINTED = {"conv 1x1": ("94.86 %", "74.59 %"), "depthwise": ("3.06 %", "1.06 %"), "conv 3x3": ("1.19 %", "0.02 %"),
           "linear": ("0.18 %", "24.33 %")}  # fmt: skip


def make(material: Material) -> Section:
    network = mobilenet_v1()
    ledger = cost(network)
    madds, weights = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for layer, line in zip(network.layers, ledger.layers, strict=True):
        kind = next((kind for kind in KINDS if line.operation.startswith(kind)), None)
        if kind is not None:
            madds[kind] += line.madds
            weights[kind] += sum(
                math.prod(shape) for name, shape in layer.parameters() if name.endswith(".weight") and ".norm." not in name
            )
    shares = {kind: (100 * madds[kind] / ledger.madds, 100 * weights[kind] / sum(weights.values())) for kind in KINDS}
    stem = shares["conv 3x3"][0]
    swapped = because("The paper's 1.19 is 1.91 with two digits swapped: only with 1.91 do its four numbers add up to 100 %.",
                      abs(stem - 1.91) < 0.005)  # fmt: skip
    rows = tuple(
        (title, Compared(PRINTED[kind][0], shares[kind][0], swapped), Compared(PRINTED[kind][1], shares[kind][1]))
        for kind, title in KINDS.items()
    )
    table = Table("MobileNetV1, Table 2", ("kind of layer", "MAdds", "parameters"), rows,
                  "Shares of the whole network. Parameters are weights alone, without batch normalization.")  # fmt: skip
    text = Prose(
        f"""A 1 x 1 convolution is a product of two matrices and nothing else: each pixel's channels times one weight matrix.
        It needs no neighbors, so no rearranging in memory before the product. Libraries for such products are the most
        polished code there is. In MobileNetV1 {shares["conv 1x1"][0]:.0f} % of the computation is of this kind. That is why
        the network is fast on real machines, and not only cheap in theory."""
    )
    figure = Figure(
        "pointwise",
        "Where computation and weights are",
        f"Two bars of 100 %: 1 x 1 convolutions do {shares['conv 1x1'][0]:.1f} % of the work and hold "
        f"{shares['conv 1x1'][1]:.1f} % of "
        f"the weights; the classifier holds {shares['linear'][1]:.1f} % of the weights and does almost no work.",
        lambda canvas: draw(canvas, shares),
        5.4,
        2.4,
    )
    return Section(
        "pointwise",
        "95 % of the work in 1 x 1 convolutions",
        "MobileNetV1, section 3.2, Table 2",
        "MobileNetV1 spends 95 % of its computation and holds 75 % of its parameters in 1 x 1 convolutions.",
        (text, figure, table),
        counted(table),
    )


def draw(canvas: Canvas, shares: dict[str, tuple[float, float]]) -> None:
    axes = canvas.subplots()
    left = [0.0, 0.0]
    for (kind, pair), color in zip(shares.items(), SERIES, strict=False):
        axes.barh([1, 0], pair, left=left, color=color, label=KINDS[kind], height=0.6)
        left = [a + b for a, b in zip(left, pair, strict=True)]
    axes.set_yticks([1, 0], ["MAdds", "weights"])
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the network, %")
    axes.set_ylabel("what is counted")
    axes.grid(False, axis="y")
    canvas.legend(loc="outside lower center", ncols=2)
