"""The idea of MobileNetV1: one convolution as two cheap ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...network.cost import cost
from ...network.layers import Shape
from ...network.mobilenet import mobilenet_v1
from ..systems.sketch import Sketch
from .colors import QUIET, SERIES
from .section import Compared, Figure, Material, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def both(image: Shape, channels: int, kernel: int) -> tuple[int, int]:
    """MAdds of a full convolution without padding, and of a depthwise one with a pointwise one behind it."""
    full, separable = Sketch(image.height, norm=False), Sketch(image.height, norm=False)
    full.conv(image, channels, kernel, padding="valid")
    alone = separable.conv(image, image.channels, kernel, padding="valid", groups=image.channels)
    separable.conv(alone, channels)
    return full.totals.madds, separable.totals.madds


def make(material: Material) -> Section:
    image, channels, kernel = Shape(3, 7, 7), 128, 3
    full, separable = both(image, channels, kernel)
    exact = 1 / channels + 1 / kernel**2
    example = Table(
        "From 7 x 7 x 3 to 5 x 5 x 128",
        ("what is computed", "how", "MAdds"),
        (
            ("one 3 x 3 convolution", "5 x 5 places x 128 filters x 27 numbers", full),
            ("depthwise, then 1 x 1", "5 x 5 x 3 x 9, then 5 x 5 x 128 x 3", separable),
            ("second divided by first", "1/128 + 1/9 by the formula", separable / full),
        ),
        "No padding, so 7 pixels become 5. A MAdd is one multiplication and one addition.",
    )
    worst, blocks = largest_error()
    ratios = Table(
        "What a separable convolution saves",
        ("output channels N", "3 x 3: times fewer", "5 x 5: times fewer"),
        tuple(
            (f"{n:,}", *(full / separable for full, separable in (both(Shape(64, 32, 32), n, k) for k in (3, 5))))
            for n in (16, 64, 256, 1024)
        ),
        "Counted, for 64 input channels; the number of input channels does not matter.",
    )
    nine = Table(
        "The paper's round number",
        ("claim", "saving"),
        (
            ("3 x 3 convolutions of MobileNetV1, at most", Compared("9x", max(saving for *_, saving in blocks))),
            (
                "at least",
                Compared(
                    "8x", min(saving for *_, saving in blocks), "The first block has only 64 filters, so its 1/N is large."
                ),
            ),
        ),
        "The paper says 8 to 9 times less computation.",
    )
    text = Prose(
        """A full convolution does two jobs in one: it looks at a neighborhood, and it mixes channels. For every output channel
        it repeats both. A separable convolution does them one after the other. The depthwise step slides one small filter over
        each channel by itself; it looks, but mixes nothing. The pointwise step is a 1 x 1 convolution; it mixes, but looks at
        one pixel only.

        The cost is then a sum where it was a product, and the ratio of the two is 1/N + 1/k², for N output channels and a
        kernel of k x k. With many channels, only 1/k² stays: a 3 x 3 convolution becomes almost nine times cheaper."""
    )
    outcome = Verdict(
        "holds" if worst < 1e-12 and abs(separable / full - exact) < 1e-12 else "does not hold",
        f"The formula gives what the ledger counts in all {len(blocks)} blocks of MobileNetV1, to the last digit "
        f"(largest relative error {worst:.0e}).",
    )
    figure = Figure(
        "separable",
        "A separable convolution beside a full one",
        "Savings grow with the number of output channels and level off at the number of pixels of the kernel, 9 or 25; dots "
        "are the "
        "blocks of MobileNetV1, counted by the ledger.",
        lambda canvas: draw(canvas, blocks),
        5.4,
        3.4,
    )
    return Section(
        "separable",
        "One convolution as two cheap ones",
        "MobileNetV1, section 3.1; MobileNetV2, section 3.1, equation 1",
        "A 3 x 3 convolution can be split into a depthwise and a pointwise one. That costs 1/N + 1/9 of the full convolution, "
        "8 to 9 times less.",
        (text, example, ratios, figure, nine),
        outcome,
    )


def largest_error() -> tuple[float, list[tuple[int, float]]]:
    """Of the ratio by formula and by the ledger over the blocks of MobileNetV1; and (output channels, saving) of each."""
    split, full = cost(mobilenet_v1()), cost(mobilenet_v1(convolution="full"))
    whole = {line.name: line.madds for line in full.layers}
    found, worst = list[tuple[int, float]](), 0.0
    for depthwise, pointwise in zip(split.layers[1:-2:2], split.layers[2:-2:2], strict=True):
        block = depthwise.name.partition(".")[0]
        ratio = (depthwise.madds + pointwise.madds) / whole[block]
        channels = pointwise.output.channels
        worst = max(worst, abs(ratio / (1 / channels + 1 / 9) - 1))
        found.append((channels, 1 / ratio))
    return worst, found


def draw(canvas: Canvas, blocks: list[tuple[int, float]]) -> None:
    axes = canvas.subplots()
    for kernel, color in zip((3, 5), SERIES, strict=False):
        channels = [2**i for i in range(3, 12)]
        axes.plot(
            channels, [1 / (1 / n + 1 / kernel**2) for n in channels], color=color, label=f"{kernel} x {kernel}, by the formula"
        )
        axes.axhline(kernel**2, color=QUIET, linewidth=0.8, linestyle="--")
    axes.plot(*zip(*blocks, strict=True), "o", color=SERIES[2], label="blocks of MobileNetV1, counted")
    axes.set_xscale("log", base=2)
    axes.set_xticks([8, 32, 128, 512, 2048], ["8", "32", "128", "512", "2048"])
    axes.set_ylim(0, 27)
    axes.set_xlabel("output channels N")
    axes.set_ylabel("full / separable, MAdds")
    canvas.legend(loc="outside lower center", ncols=2)
