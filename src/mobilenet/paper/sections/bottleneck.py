"""MobileNetV2's Table 1: the block, and its cost by the formula of section 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...network.cost import cost
from ...network.layers import Conv
from ...network.mobilenet import mobilenet_v2
from .colors import SERIES
from .section import Figure, Material, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class Block(NamedTuple):
    """A bottleneck: sizes of its input, its numbers, and the MAdds of its three parts."""

    name: str
    side: int
    before: int
    inner: int
    after: int
    stride: int
    parts: tuple[int, int, int]

    @property
    def t(self) -> float:
        return self.inner / self.before

    @property
    def formula(self) -> int:
        """h w d' t (d' + k² + d''), with the depthwise step and the projection on h/s x w/s pixels. Without an expansion its
        first term falls away."""
        small = (self.side // self.stride) ** 2
        return (self.side**2 * self.before * self.inner if self.parts[0] else 0) + small * self.inner * (9 + self.after)


def blocks() -> list[Block]:
    network = mobilenet_v2()
    shapes, lines = network.shapes(), {line.name: line for line in cost(network).layers}
    found = []
    for name, layers in network.blocks().items():
        depthwise = next((layer for layer in layers if isinstance(layer, Conv) and layer.depthwise), None)
        if depthwise is None:
            continue
        entry = shapes[layers[0].inputs[0]]
        after = lines[f"{name}.project"].output.channels
        madds = [
            lines[f"{name}.{part}"].madds if f"{name}.{part}" in lines else 0 for part in ("expand", "depthwise", "project")
        ]
        found.append(Block(name, entry.height, entry.channels, depthwise.out_channels, after, depthwise.stride,
                           (madds[0], madds[1], madds[2])))  # fmt: skip
    return found


def make(material: Material) -> Section:
    found = blocks()
    rows = tuple(
        (b.name, f"{b.side} x {b.side} x {b.before}", f"{b.t:g}", b.inner, b.after, b.stride, b.formula, sum(b.parts))
        for b in found
    )
    table = Table(
        "Every bottleneck of MobileNetV2 at 224 pixels",
        ("block", "input", "t", "inside", "out", "stride", "MAdds, formula", "MAdds, ledger"),
        rows,
        "The formula is computed from the columns before it; the ledger counts the layers that are really there.",
    )
    equal = sum(block.formula == sum(block.parts) for block in found)
    widest = max(found, key=lambda block: block.inner * block.side**2)
    total = sum(sum(block.parts) for block in found)
    depthwise = sum(block.parts[1] for block in found)
    text = Prose(
        f"""A bottleneck is thin outside and thick inside. A 1 x 1 convolution expands the d' channels of its input t times, a
        depthwise 3 x 3 convolution looks at each of these channels, and another 1 x 1 convolution projects them to d''
        channels. The last step has no ReLU: it is linear. If the block keeps size and channels, its input is added to its
        output.

        The expansion costs h w d' · t d', the depthwise step h w · t d' · k², the projection h w · t d' · d''. Together that
        is h w d' t (d' + k² + d''). At stride 2 the last two are computed on a quarter of the pixels. A note on MobileNetV2
        from which this project grew gives the depthwise step as h w d' · t d' · k²; that has one d' too many. Its formula for
        the whole block is right.

        The looking itself is cheap: the depthwise steps do {100 * depthwise / total:.1f} % of the work of all bottlenecks. The
        largest tensor, {widest.inner} channels of {widest.side} x {widest.side} pixels in `{widest.name}`, is inside a block,
        where it does not have to be kept."""
    )
    figure = Figure(
        "bottleneck",
        "What each block spends on its three parts",
        "Stacked bars, one for each block, from the first to the last: expansion and projection share the work, the "
        "depthwise step is "
        "the thin layer between them.",
        lambda canvas: draw(canvas, found),
        5.6,
        3.4,
    )
    return Section(
        "bottleneck",
        "The bottleneck and its price",
        "MobileNetV2, sections 3.2 to 3.4, Table 1",
        "A block from d' to d'' channels with expansion t and kernel k costs h w d' t (d' + k² + d'') multiply-adds.",
        (text, table, figure),
        Verdict("holds" if equal == len(found) else "does not hold",
                f"The formula equals the ledger in {equal} of {len(found)} blocks, to the last digit."),
    )  # fmt: skip


def draw(canvas: Canvas, found: list[Block]) -> None:
    axes = canvas.subplots()
    names, bottom = [block.name.removeprefix("layer_") for block in found], [0.0] * len(found)
    for index, (part, color) in enumerate(zip(("expansion", "depthwise", "projection"), SERIES, strict=False)):
        heights = [block.parts[index] / 1e6 for block in found]
        axes.bar(names, heights, bottom=bottom, color=color, label=part)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    axes.set_xlabel("block, numbered as layer_2 to layer_18")
    axes.set_ylabel("MAdds, millions")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(False, axis="x")
    axes.legend()
