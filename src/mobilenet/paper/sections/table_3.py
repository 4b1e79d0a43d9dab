"""MobileNetV2's Table 3: the memory that has to be kept at each resolution."""

from __future__ import annotations

from collections.abc import Iterable

from ...network.layers import Conv, Network, Shape
from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from ..systems.classifiers import shufflenet
from .section import Compared, Material, Prose, Section, Table, because, counted

SIDES = (112, 56, 28, 14, 7, 1)
BYTES = 2  # of a 16-bit float
V1_PRINTED = (("64", "1600"), ("128", "800"), ("256", "400"), ("512", "200"), ("1024", "199"), ("1024", "2"))
V2_PRINTED = (("16", "400"), ("32", "200"), ("64", "100"), ("160", "62"), ("320", "32"), ("1280", "2"))
SHUFFLE_PRINTED = (("32", "800"), ("48", "300"), ("400", "600"), ("800", "310"), ("1600", "156"), ("1600", "3"))


def widest(shapes: Iterable[Shape]) -> dict[int, int]:
    """The most channels of a tensor by its side."""
    found = dict.fromkeys(SIDES, 0)
    for shape in shapes:
        if shape.height in found:
            found[shape.height] = max(found[shape.height], shape.channels)
    return found


def outputs(network: Network, only_bottlenecks: bool) -> list[Shape]:
    """What each block hands on. Of MobileNetV2 only the bottlenecks count: by the trick of section 5.1 the first convolution is
    computed in parts inside the first bottleneck, and the last one inside the mean behind it."""
    shapes, found = network.shapes(), list[Shape]()
    for name, layers in network.blocks().items():
        plain = len(layers) == 1 and isinstance(layers[0], Conv)
        if name != "classifier" and not (plain and only_bottlenecks):
            found.append(shapes[layers[-1].name])
    return found


def make(material: Material) -> Section:
    v1 = widest(outputs(mobilenet_v1(), only_bottlenecks=False))
    thin = outputs(mobilenet_v2(), only_bottlenecks=True)
    v2, stages = widest(thin), list(dict.fromkeys(shape.channels for shape in thin))
    units, stem = unit_outputs(3)
    shuffle = widest([*units, stem])
    twice = because("Twice the memory of 1024 channels at 7 x 7; an error of print.", abs(2 * kilobytes(7, 1024) - 199) < 2)
    behind = {side: stages[stages.index(v2[side]) + 1] for side in (56, 28, 14)}
    next_stage = because(
        "The paper gives here the channels of the next stage, which Table 2 has at half of this resolution; the memory "
        "follows.",
        behind == {56: 32, 28: 64, 14: 160},
    )
    two = widest(unit_outputs(2)[0])
    groups = because(
        f"These are the channels of ShuffleNet with 2 groups ({two[28]}, {two[14]}, {two[7]}), not with 3.",
        (two[28], two[14], two[7]) == (400, 800, 1600),
    )
    tables = (
        network_table("MobileNetV1", v1, V1_PRINTED, {7: twice}),
        network_table("MobileNetV2", v2, V2_PRINTED, {56: next_stage, 28: next_stage, 14: next_stage}),
        network_table("ShuffleNet (2x, g = 3)", shuffle, SHUFFLE_PRINTED, {28: groups, 14: groups, 7: groups, 1: groups}),
    )
    most = {"MobileNetV1": peak(v1), "MobileNetV2": peak(v2), "ShuffleNet": peak(widest(units))}
    peaks = Table(
        "The largest of each",
        ("network", "Kb"),
        (
            ("MobileNetV1", Compared("1600", most["MobileNetV1"], last=10)),
            ("MobileNetV2", Compared("400", most["MobileNetV2"], last=10)),
            ("ShuffleNet", Compared("600", most["ShuffleNet"], groups, last=10)),
        ),
        'The paper writes "1600K"; it means the Kb of the other rows.',
    )
    text = Prose(
        f"""What must be in memory at once decides whether a network runs from a small, fast cache. The table asks for the
        largest tensor that must be kept whole at each resolution, with 16-bit numbers. In MobileNetV1 that is every output. In
        MobileNetV2 it is only the thin tensors between the blocks: the thick ones inside can be computed a few channels at a
        time and thrown away (section 5.1). The first convolution is computed inside the first block in the same way, and the
        last one inside the mean behind it. ShuffleNet's blocks are thin inside and thick outside, so its thick tensors stay.

        By our count MobileNetV2 needs {most["MobileNetV1"] / most["MobileNetV2"]:.1f} times less than MobileNetV1."""
    )
    return Section(
        "table-3",
        "What must be kept in memory",
        "MobileNetV2, sections 4 and 5.1, Table 3",
        "MobileNetV2 needs the least memory: 400 Kb at its peak, a quarter of MobileNetV1's, two thirds of ShuffleNet's.",
        (text, *tables, peaks),
        counted(*tables, peaks),
    )


def unit_outputs(groups: int) -> tuple[list[Shape], Shape]:
    """The tensors between ShuffleNet's units, and its stem's as the released code has it at 2x."""
    net = shufflenet(2, groups, stem=48)
    return [line.output for line in net.lines if line.operation in ("add", "concat", "pool")], net.lines[0].output


def kilobytes(side: int, channels: int) -> float:
    return side * side * channels * BYTES / 1000


def peak(channels: dict[int, int]) -> float:
    return max(kilobytes(side, count) for side, count in channels.items())


def network_table(name: str, found: dict[int, int], printed: tuple[tuple[str, str], ...], reasons: dict[int, str]) -> Table:
    rows = []
    for side, (channels, memory) in zip(SIDES, printed, strict=True):
        why = reasons.get(side, "")
        last = 10 if memory.endswith("0") else None
        rows.append(
            (
                f"{side} x {side}",
                Compared(channels, found[side], why),
                Compared(memory, kilobytes(side, found[side]), why, last),
            )
        )
    return Table(name, ("size", "channels", "Kb"), tuple(rows), "Height x width x channels x 2 bytes / 1000.")
