"""MobileNetV2's Table 2: its architecture; and the numbers of the text around it."""

from __future__ import annotations

from collections.abc import Sequence

from ...network.cost import cost
from ...network.layers import Add, Network
from ...network.mobilenet import MOBILENET_V2, mobilenet_v2
from .printed import agree
from .section import Cell, Compared, Material, Prose, Section, Table, because, counted

LARGEST, SMALLEST = (1.4, 224), (0.35, 96)


def make(material: Material) -> Section:
    network = mobilenet_v2()
    ledger, shapes, blocks = cost(network), network.shapes(), network.blocks()
    names = list(blocks)
    rows, first = [part(network, "conv2d 3x3", "-", names[:1], "2")], 1
    for row in MOBILENET_V2:
        rows.append(part(network, "bottleneck", f"{row.t:g}", names[first : first + row.n], f"{row.s}"))
        first += row.n
    for name, operator in zip(names[first:], ("conv2d 1x1", "average pool", "classifier"), strict=True):
        rows.append(part(network, operator, "-", [name]))
    layout = Table(
        "Table 2, built",
        ("input", "operator", "t", "c", "n", "s", "params", "MAdds"),
        tuple(rows),
        "The input is written height x width x channels. t: expansion, c: channels out, n: repeats, s: stride of the first. "
        "Cost of all n together.",
    )  # fmt: skip
    bottlenecks = sum(row.n for row in MOBILENET_V2)
    shortcuts = sum(isinstance(layer, Add) for layer in network.layers)
    large, small = cost(mobilenet_v2(*LARGEST)), cost(mobilenet_v2(*SMALLEST))
    nineteen = because(
        f"Table 2 sums to {bottlenecks}. With the two plain convolutions, before and behind the blocks, there are "
        f"{bottlenecks + 2}; the "
        "released code numbers its layers so.", bottlenecks + 2 == 19)  # fmt: skip
    weights = because(
        f"With batch normalization and biases there are {ledger.params:,}; the printed number is weights alone, "
        f"{ledger.weights:,}, cut off.",
        agree("3.4M", ledger.weights))  # fmt: skip
    scaled = cost(mobilenet_v2(*SMALLEST, scale_last=True)).madds
    seven = because(
        "No member of the family is so small. The smallest released one has the cost given here; with its last convolution "
        "scaled "
        f"down too it has {scaled / 1e6:.1f}M.",
        scaled > 7.5e6,
    )
    text = Table(
        "Numbers in the text",
        ("quantity", "value"),
        (
            ("residual bottleneck layers (section 4)", Compared("19", bottlenecks, nineteen)),
            ("MAdds at width 1, 224 pixels", Compared("300M", ledger.madds)),
            ("params at width 1", Compared("3.4M", ledger.params, weights)),
            ("most MAdds, width 1.4 at 224", Compared("585M", large.madds, no_rule("585M", large.madds))),
            ("fewest MAdds, width 0.35 at 96", Compared("7M", small.madds, seven)),
            ("most params, width 1.4", Compared("6.9M", large.params, no_rule("6.9M", large.params))),
            ("fewest params, width 0.35", Compared("1.7M", small.params)),
        ),
        'The paper prints the fewest MAdds as "7 multiply adds", without a unit.',
    )
    words = Prose(
        f"""The whole network is one table. Each line is a stage: n bottlenecks, the first of them with stride s. Our code
        holds the same seven lines, and everything on this page is derived from them. Of the {bottlenecks} bottlenecks
        {shortcuts} have a shortcut: those that keep both the size and the channels of their input.

        The image shrinks to {shapes[names[-3]].height} x {shapes[names[-3]].width} pixels. The last convolution makes
        {shapes[names[-3]].channels} channels; it is the widest layer, and keeps its width if the others are made thinner,
        because a small network needs its many features most."""
    )
    return Section(
        "table-2",
        "MobileNetV2 in one table",
        "MobileNetV2, section 4, Table 2",
        "MobileNetV2 is a convolution, 19 residual bottleneck layers, a wide last convolution and a classifier: 300 million "
        "multiply-adds "
        "and 3.4 million parameters.",
        (words, layout, text),
        counted(text),
    )


def part(network: Network, operator: str, t: str, blocks: Sequence[str], s: str = "") -> tuple[Cell, ...]:
    """A line of Table 2: the blocks of one stage together."""
    shapes, lines = network.shapes(), cost(network).layers
    layers = [layer for name in blocks for layer in network.blocks()[name]]
    entry, after = shapes[layers[0].inputs[0]], shapes[layers[-1].name]
    own = {layer.name for layer in layers}
    params, madds = (sum(getattr(line, what) for line in lines if line.name in own) for what in ("params", "madds"))
    size = f"{entry.height} x {entry.width} x {entry.channels}"
    return size, operator, t, after.channels, len(blocks), s or "-", params, madds


def no_rule(printed: str, found: float) -> str:
    """The admission that a number cannot be had, with how far the nearest is."""
    return (
        f"No way of counting that we tried gives {printed}: not other roundings of channels, nor other conventions. The "
        "released "
        f"checkpoint has ours, {found / 1e6:.2f}M."
    )
