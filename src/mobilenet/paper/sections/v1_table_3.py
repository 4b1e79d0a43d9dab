"""MobileNetV1's Table 3: one layer, made cheaper step by step."""

from __future__ import annotations

from ...network.layers import Shape
from ..systems.sketch import Sketch
from .section import Compared, Material, Prose, Section, Table, counted


def layer(channels: int, side: int, separable: bool) -> Sketch:
    """One 3x3 convolution that keeps the number of channels, or its separable form."""
    net = Sketch(side, norm=False)
    x = Shape(channels, side, side)
    if separable:
        net.conv(net.depthwise(x, bare=True), channels, norm=False, bias=False)
    else:
        net.conv(x, channels, 3, norm=False, bias=False)
    return net


def make(material: Material) -> Section:
    channels, side, width, resolution = 512, 14, 0.75, 0.714
    thin, small = int(channels * width), round(side * resolution)
    steps = (
        ("full 3 x 3 convolution", layer(channels, side, False), "462M", "2.36M"),
        ("depthwise separable", layer(channels, side, True), "52.3M", "0.27M"),
        (f"width {width}: {thin} channels", layer(thin, side, True), "29.6M", "0.15M"),
        (f"resolution {resolution}: {small} x {small} pixels", layer(thin, small, True), "15.1M", "0.15M"),
    )
    rows = tuple((name, Compared(madds, net.totals.madds), Compared(params, net.weights)) for name, net, madds, params in steps)
    table = Table(
        f"One layer of {channels} channels on {side} x {side} pixels",
        ("each change on top of the last", "MAdds", "params"),
        rows,
        "Parameters are weights alone.",
    )
    text = Prose(
        f"""MobileNetV1 has two knobs. The width multiplier makes every layer thinner: both channel counts shrink, so work and
        parameters fall with its square. The resolution multiplier makes the image smaller: work falls with its square, and
        parameters stay. Together with the separable form they bring this layer from {steps[0][1].totals.madds / 1e6:.0f} to
        {steps[-1][1].totals.madds / 1e6:.0f} million multiply-adds, {steps[0][1].totals.madds / steps[-1][1].totals.madds:.0f}
        times less."""
    )
    return Section(
        "v1-table-3",
        "Two knobs: width and resolution",
        "MobileNetV1, sections 3.3 and 3.4, Table 3",
        "Width and resolution multipliers reduce cost by about the square of the factor.",
        (text, table),
        counted(table),
    )
