"""MobileNetV1's Table 1: its layers."""

from __future__ import annotations

from ...network.cost import cost
from ...network.layers import Conv, Linear
from ...network.mobilenet import mobilenet_v1
from .section import Compared, Material, Prose, Section, Table, because, counted


def make(material: Material) -> Section:
    network = mobilenet_v1()
    ledger, shapes = cost(network), network.shapes()
    weighted = [layer for layer in network.layers if isinstance(layer, Conv | Linear)]
    rows = []
    for layer, line in zip(network.layers, ledger.layers, strict=True):
        source = shapes[layer.inputs[0]]
        rows.append(
            (
                line.operation,
                f"{source.height} x {source.width} x {source.channels}",
                line.output.channels,
                line.params,
                line.madds,
            )
        )
    table = Table(
        "MobileNetV1 at 224 pixels, from the ledger", ("layer", "input", "channels out", "params", "MAdds"), tuple(rows)
    )
    last = [layer for layer in weighted if isinstance(layer, Conv) and layer.depthwise][-1]
    stride = because(
        "Table 1 prints stride 2 for the last depthwise layer, but also 7 x 7 x 1024 before and behind it. Only stride 1 "
        "fits, and "
        "the released code has it.",
        shapes[last.name] == shapes[last.inputs[0]],
    )
    found = Table(
        "What the paper prints",
        ("quantity", "value"),
        (
            ("layers, each convolution counted", Compared("28", len(weighted))),
            ("stride of the last depthwise layer", Compared("2", last.stride, stride)),
            ("multiply-adds (Table 4)", Compared("569M", ledger.madds)),
            ("parameters (Table 4)", Compared("4.2M", ledger.params)),
        ),
    )
    text = Prose(
        """The network is a straight line: one full convolution, then thirteen pairs of a depthwise and a pointwise one, the
        mean over all places, and the classifier. There are no branches and no shortcuts. Strides halve the image five times,
        from 224 to 7, and channels double when the image halves, so that every stage costs about the same."""
    )
    return Section(
        "v1-table-1",
        "MobileNetV1, layer by layer",
        "MobileNetV1, section 3.2, Table 1",
        "MobileNetV1 has 28 layers, if depthwise and pointwise convolutions count separately.",
        (text, found, table),
        counted(found),
    )
